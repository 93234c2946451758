"""numba_packed in 16 and 8 bits: one example at a time is a matter of bytes.

    float16, bfloat16     2 bytes a weight: half of float32
    int8                  1 byte a weight, and one scale a unit: W[i, j] = scale[j] * q[i, j]

A layer with one example reads each weight once and does two operations with it. No CPU's memory
brings weights as fast as its arithmetic takes them: at 4096 units float32's 64 MiB fit no near
cache, and the launch lasts as long as reading them does, whatever is computed. So half the bytes
take half the time, although not one operation less is done, and to each weight comes a conversion.
That runs in the shadow of the memory, in the vector registers: W is never float32 anywhere else.

Sums are kept in float32, and bias and activation, too; A_in, W, b and the output are in the
precision that was asked, and rounded once. With int8 only the weights are small: A_in, b and the
output are float32, and a unit's scale multiplies its sum. So an answer is as exact as float32's,
for these weights. What it cost to make a trained layer's weights so small is another question, and
none that a benchmark answers: up to half a scale times the sum of |A_in|, for each output.

What it costs: a conversion for each weight and tile. With twelve examples a tile it is hidden in
twelve multiply-adds; with one a Zen 4 core widens and multiplies 20 to 23 billion weights a
second, out of whichever cache. That is 41 GB/s of float16 and 23 GB/s of int8: more than the memory
brings to a core, less than a cache does. A CPU with instructions that multiply 16-bit numbers in
pairs (AMX, AVX512-BF16) can be far faster with many examples, and oneDNN, which torch_linear calls,
has them.

What it shows: what the bytes alone are worth (`bench.studies.bytes_a_weight` measures it). Where W
stays in a near cache that is nothing.
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import Layer, Step, _memory, _tuning, supported
from kernels._caches import data_caches
from kernels._int8 import quantised
from kernels._memory import aligned
from kernels._numba import compiler_for

PRECISIONS = ("float16", "bfloat16", "int8")


def prepare(layer: Layer, batch: int) -> Step:
    """W becomes panels of 16- or 8-bit numbers; A_in and the output are held as W is, or, with
    int8, as float32.
    """
    numba = compiler_for("numba_packed")
    tiles = import_module("kernels._numba_compact")  # these need Numba to be imported
    finish = import_module("kernels._numba_tiles").FINISH
    floor, curve = supported("activation", layer.activation, finish)
    parameters = _tuning.here()
    threads = numba.get_num_threads()
    shared = threads > 1 and batch * layer.n_in * layer.n_units >= parameters.shared
    forward = tiles.compiled(layer.precision, shared)
    held = tiles.HELD[layer.precision]
    if layer.precision == "int8":
        weights, scale = quantised(layer.W)
    else:
        weights, scale = _halves(layer.W, held), np.ones(layer.n_units, np.float32)
    W = _packed(weights, tiles.PANELS * tiles.LANES)
    b = layer.b[0].astype(np.float32)
    A = aligned((batch * layer.n_in,), np.dtype(np.float32))
    outside = layer.W.dtype if layer.precision == "int8" else held
    out = np.empty((batch, layer.n_units), outside)
    lowest = np.float32(floor)
    parts = threads if shared else 1
    apart = int(batch == 1 and _memory.places(W, data_caches(), parts, parameters.places) > 1)

    def send(A_in: NDArray[Any]) -> NDArray[Any]:
        if layer.precision == "int8":
            return np.require(A_in, requirements=("C", "A"))
        return _halves(A_in, held)

    def launch(A_in: Any) -> Any:
        forward(A_in, A, W, scale, b, lowest, curve, out, apart, threads)
        return out

    def fetch(out: NDArray[Any]) -> NDArray[Any]:
        if layer.precision == "bfloat16":  # the upper halves of float32 numbers
            return (out.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return out.view(layer.W.dtype)

    return Step(launch, send=send, fetch=fetch)


def _halves(numbers: NDArray[Any], held: np.dtype[Any]) -> NDArray[Any]:
    """The bits of float16 numbers, or of float32 numbers rounded to bfloat16, in C order."""
    numbers = np.require(numbers, requirements=("C", "A"))
    if numbers.dtype == np.float16:
        return numbers.view(held)
    bits = numbers.view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    bits[np.isnan(numbers)] = 0x7FC00000
    return (bits >> np.uint32(16)).astype(held)


def _packed(weights: NDArray[Any], wide: int) -> NDArray[Any]:
    """W as (columns, n_in, wide), filled up with zeros: what a tile reads next lies next."""
    n_in, n_units = weights.shape
    columns = -(-n_units // wide)
    W = aligned((columns, n_in, wide), weights.dtype)
    for column in range(columns):
        units = weights[:, column * wide : (column + 1) * wide]
        W[column, :, : units.shape[1]] = units
        W[column, :, units.shape[1] :] = 0
    return W
