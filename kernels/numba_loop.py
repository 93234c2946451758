"""python_loop's own loop, compiled by Numba, with its outputs shared among the cores.

    for each example, for each unit j:  z = b[j] + sum over i of a[i] * W[i][j]

The same three loops in the same order over the same columns of W, in a Python that is compiled to
machine code. `prange` deals the outputs, example by example and unit by unit, out to the threads;
one example's units are shared as well as many examples are. Where there is little to share, waking
the threads would take longer than the work, and one of them does it all.

What it costs: a sum is one chain of additions, each waiting for the last, because floating-point
addition is not associative and the compiler may not reorder it (no `fastmath` here). So it uses one
lane of the vector units, and takes about two clock cycles a product. It isn't cut into blocks that
fit the caches either: for 1000 units and 128 examples numpy_matmul is 45 times as fast (two Zen 5
cores: `--widths 1000 --batches 128`). Compiling takes some seconds, once a machine: the result is
kept in __pycache__.

What it shows: it is the interpreter that is slow, not the loop. And a compiler is not yet a BLAS:
the difference to numpy_matmul is only the order in which the same work is done.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from kernels import DTYPES, Layer, Step, Unsupported, supported
from kernels._numba import compiler_for, njit

SHARED = 100_000
"""Products (batch * n_in * n_units) from which on it is worth waking the threads: at half a
nanosecond each that is 50 us, and waking them takes some microseconds."""

CODES = {"linear": 0, "relu": 1, "sigmoid": 2, "tanh": 3}
"""The numbers by which the compiled loop knows the activations."""


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W becomes its columns in one piece each, (n_units, n_in), as python_loop has them."""
    if layer.precision not in ("float64", "float32"):
        raise Unsupported(f"precision {layer.precision}: the loop has float64 and float32")
    g = supported("activation", layer.activation, CODES)
    dtype = DTYPES[layer.precision]
    shared = batch * layer.n_in * layer.n_units >= SHARED
    forward = _compiled(np.dtype(dtype).name, shared)
    columns = np.ascontiguousarray(layer.W.T)
    biases = np.ascontiguousarray(layer.b[0])
    out = np.empty((batch, layer.n_units), dtype)

    def launch(A_in: Any) -> Any:
        forward(A_in, columns, biases, g, out)
        return out

    # the loop is compiled for rows in one piece
    return Step(launch, send=lambda A_in: np.require(A_in, requirements=("C", "A")))


@cache
def _compiled(dtype: str, shared: bool) -> Callable[..., None]:  # noqa: FBT001
    """The loop as machine code for arrays of this type, on all threads or on one."""
    numba = compiler_for("numba_loop")
    number = getattr(numba.types, dtype)
    read = numba.types.Array(number, 2, "C", readonly=True)  # takes one that can be written, too
    biases = numba.types.Array(number, 1, "C", readonly=True)
    written = numba.types.Array(number, 2, "C")
    signature = numba.void(read, read, biases, numba.intp, written)
    # Numba's cache knows a function by its bytecode and its variables from outside, and not by
    # `parallel`: with another range they are two functions
    outputs = numba.prange if shared else range
    half = np.dtype(dtype).type(0.5)

    def forward(rows: Any, columns: Any, biases: Any, g: int, out: Any) -> None:
        batch, n_in = rows.shape
        n_units = len(biases)
        for k in outputs(batch * n_units):
            example, j = k // n_units, k % n_units
            z = biases[j]
            for i in range(n_in):
                z += rows[example, i] * columns[j, i]
            if g == 1:
                z = max(z, 0)
            elif g == 2:
                z = half * math.tanh(half * z) + half
            elif g == 3:
                z = math.tanh(z)
            out[example, j] = z

    compiled: Callable[..., None] = njit(signature, parallel=shared)(forward)
    return compiled
