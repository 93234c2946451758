"""The layer in plain Python: a loop over examples, units and inputs.

This is the definition of a dense layer, written down:

    for each example, for each unit j:  z = b[j] + sum over i of a[i] * W[i][j]

What it costs: one multiplication and one addition a step, but each step also looks up names, boxes
two floats and asks the interpreter what `*` means: about 50 ns for work that one core of the same
CPU does in well under a tenth of a nanosecond. A 1000-unit layer with 1000 inputs is a million such
steps for one example.

What it shows: the arithmetic is not slow, the interpreter is. Every speed-up in this project is
over this kernel.

W is kept as one list a unit (the columns of W), so that the innermost loop walks two lists side by
side, the fairest form that plain Python has. Python floats are float64, so this kernel computes in
float64 whatever the precision asked for, and rounds at the end.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import ACTIVATIONS, DTYPES, Layer, Step, Unsupported


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W (n_in, n_units) becomes n_units lists of n_in floats; A_in becomes batch lists."""
    if layer.precision not in ("float64", "float32"):
        raise Unsupported(f"precision {layer.precision}: Python floats are float64")
    columns: list[list[float]] = layer.W.T.tolist()
    biases: list[float] = layer.b[0].tolist()
    g = ACTIVATIONS[layer.activation].of_float
    dtype = DTYPES[layer.precision]

    def launch(rows: list[list[float]]) -> list[list[float]]:
        out = []
        for a in rows:
            out_row = []
            for w, bias in zip(columns, biases, strict=True):
                z = bias
                for x, weight in zip(a, w, strict=True):
                    z += x * weight
                out_row.append(g(z))
            out.append(out_row)
        return out

    def fetch(out: Any) -> NDArray[Any]:
        return np.array(out, dtype)

    return Step(launch, send=lambda A_in: A_in.tolist(), fetch=fetch)
