"""The whole layer as one matrix product: A_in @ W, then b, then g.

    (batch, n_in) @ (n_in, n_units) -> (batch, n_units);   b is (1, n_units), added to every row

One call does what a thousand dots did. BLAS cuts the product into blocks that fit the caches, keeps
the vector units full and uses every core it is given; nothing is left for Python to loop over.

What it costs: with one example it must read all of W for two operations a weight, so memory limits
its speed; with a large batch each weight is used batch times while it is in the cache, and the same
layer runs at many times the FLOP/s. Bias and activation each pass over the output once more.

What it shows: the mathematics was a matrix product all along. Written as one, it is fast.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Layer, Step, Unsupported
from kernels._activations import in_place


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """The output buffer, (batch, n_units), is made once and used by every launch."""
    if layer.precision not in ("float64", "float32"):
        raise Unsupported(f"precision {layer.precision}: NumPy's BLAS has float64 and float32")
    W, b = layer.W, layer.b
    out = np.empty((batch, layer.n_units), DTYPES[layer.precision])
    g = in_place(np, layer.activation)

    def launch(A_in: NDArray[Any]) -> NDArray[Any]:
        np.matmul(A_in, W, out=out)
        np.add(out, b, out=out)
        g(out)
        return out

    return Step(launch)
