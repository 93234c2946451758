"""The layer as an einsum: the indices say what is summed, and NumPy finds out how.

    bi,iu->bu        A_in (batch, n_in), W (n_in, n_units) -> (batch, n_units), summed over i

The most readable way to write a contraction of many axes. By itself `np.einsum` runs a compiled
loop of its own, on one core and without BLAS; with `optimize` it looks for a matrix product in the
indices and hands that to BLAS. Here the plan for that is made once, in `prepare`, as in a program
that calls it often.

What it costs: the product itself is numpy_matmul's. Before each product, einsum reads the indices
and the plan in Python, which takes about ten microseconds: nothing beside a large layer, and most
of the time of a small one.

What it shows: a notation is free only as long as the work behind it is large.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Layer, Step, Unsupported
from kernels._activations import in_place

INDICES = "bi,iu->bu"


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """The plan depends on the shapes alone; it and the output buffer are made once."""
    if layer.precision not in ("float64", "float32"):
        raise Unsupported(f"precision {layer.precision}: NumPy's BLAS has float64 and float32")
    W, b = layer.W, layer.b
    dtype = DTYPES[layer.precision]
    out = np.empty((batch, layer.n_units), dtype)
    like_A_in = np.empty((batch, layer.n_in), dtype)
    plan, _ = np.einsum_path(INDICES, like_A_in, W, optimize="optimal")
    g = in_place(np, layer.activation)

    def launch(A_in: NDArray[Any]) -> NDArray[Any]:
        np.einsum(INDICES, A_in, W, out=out, optimize=plan)
        np.add(out, b, out=out)
        g(out)
        return out

    return Step(launch)
