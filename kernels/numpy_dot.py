"""One NumPy dot product a unit: a 1000-unit layer is 1000 iterations, whatever the batch.

    for each unit j:  A_out[:, j] = A_in @ W[:, j]        (batch, n_in) @ (n_in,) -> (batch,)

The inner sum now runs in compiled code, but Python still walks over the units, and each call costs
about a microsecond before any arithmetic.

What it costs besides: unit j's weights are column j of a C-ordered W, so neighbours in the column
lie n_units numbers apart in memory. With every weight a whole cache line of other units' weights is
loaded, and BLAS jumps through memory instead of reading it in order. For one example on the
reference machine the same loop over columns that lie in one piece is 1.05 times as fast at 64
units, 1.2 times at 256, 1.7 times at 1000 and 6.8 times at 2048 (`bench/studies/column_stride.py`,
intervals in `results/studies/column_stride.csv`).

What it shows: taking one loop out of Python helps; the loop that is left is still the cost, and it
makes no use of the fact that all units read the same input.
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
        for j in range(W.shape[1]):
            out[:, j] = np.dot(A_in, W[:, j])
        np.add(out, b, out=out)
        g(out)
        return out

    return Step(launch)
