"""An output against what it should be -> its error, or Wrong.

Two tests, because each misses what the other sees:

- No number may be off by more than rounding can explain at worst, elementwise: the classic bound
  |error| <= gamma_n (|A_in| @ |W| + |b|), gamma_n = n u / (1 - n u) (Higham, Accuracy and
  Stability of Numerical Algorithms, 2nd ed., section 3.5). It catches one wrong unit, row or
  column. But it grows with n_in, and arithmetic in a lower precision slips under it (TF32 for
  float32 at n = 1024).
- The root mean square of the errors before activation, in units of what rounding gives when errors
  fall at random, which grows with sqrt(n_in). It is about 0.5 for honest arithmetic and hundreds
  for a lower precision.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.plan.activations import ACTIVATIONS
from bench.plan.case import Case
from bench.worker.inputs import Part


class Wrong(Exception):
    """The output is not the layer's: says what it is, what it should be and where."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """Unit roundoffs: of the inputs as the arithmetic sees them, of its sums, of its results."""

    inputs: float
    sums: float
    result: float
    limit: float = 4.0  # of the RMS error, in units of what these should give


ROUNDING = {
    "float64": Rounding(0.0, 2.0**-53, 2.0**-53),
    "float32": Rounding(0.0, 2.0**-24, 2.0**-24),
    # bfloat16 arithmetic is at 1.6, TF32 below 1.2, even where the hardware cuts off the inputs
    "tf32": Rounding(2.0**-11, 2.0**-24, 2.0**-24, limit=1.5),
    "float16": Rounding(0.0, 2.0**-24, 2.0**-11),
    "bfloat16": Rounding(0.0, 2.0**-24, 2.0**-8),
}

APART = 2.0**-20
"""How far apart the two points are that g's steepness is taken from, relative to 1 + |z|."""


def check(
    output: NDArray[Any], case: Case, dtype: type[np.floating[Any]], parts: list[Part]
) -> float:
    """The output's RMS error, in units of what its precision should give.

    Raises Wrong where the shape or dtype is not (batch, n_units) of `dtype`, where a number is not
    finite, or where one of the two tests fails.
    """
    needed = (case.batch, case.n_units)
    if not isinstance(output, np.ndarray) or output.shape != needed or output.dtype != dtype:
        got = f"{output.dtype} {output.shape}" if isinstance(output, np.ndarray) else type(output)
        raise Wrong(f"the output is {got}, should be {np.dtype(dtype)} {needed}")
    if not np.isfinite(output).all():
        row, unit = np.argwhere(~np.isfinite(output))[0]
        raise Wrong(f"row {row}, unit {unit} is {output[row, unit]}")
    rounding = ROUNDING[case.precision]
    errors = [_check_part(output, case, rounding, part) for part in parts]
    error = max(errors)
    if error > rounding.limit:
        message = f"RMS error is {error:.0f} times what {case.precision} rounding gives"
        raise Wrong(f"{message}: computed in a lower precision?")
    return error


def _check_part(output: NDArray[Any], case: Case, rounding: Rounding, part: Part) -> float:
    found = output[part.index].astype(np.float64)
    z = part.z
    exact, steepness = _activate(z, case.activation)
    error = np.abs(found - exact)
    n = (case.n_in + 2) * rounding.sums
    # two inputs a product, each off by up to twice the unit roundoff where it is cut off
    gamma = n / (1 - n) + 4 * rounding.inputs
    last_step = 4 * rounding.result * (1 + np.abs(z))
    bound = gamma * part.magnitude * np.maximum(steepness, 1) + last_step
    if (error > bound).any():
        raise Wrong(_worst(found, exact, error / bound, part))
    # where g is flat it hides the error of z, so only the steep part of it is judged
    steep = steepness >= 0.1
    if not steep.any():
        return 0.0
    slope = steepness[steep]
    sums = 2**0.5 * rounding.inputs + case.n_in**0.5 * rounding.sums
    typical = part.deviation[steep] * sums
    typical += rounding.result * (1 + np.abs(z[steep])) / slope
    return float(np.sqrt(np.mean((error[steep] / slope / typical) ** 2)))


def _activate(
    z: NDArray[np.float64], activation: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """g(z) and its steepness |g'(z)|, which a few digits of are enough for."""
    g = ACTIVATIONS[activation].reference
    exact, above = g(np, z), z + APART * (1 + np.abs(z))
    return exact, np.abs(g(np, above) - exact) / (above - z)


def _worst(found: NDArray[Any], exact: NDArray[Any], ratio: NDArray[np.float64], part: Part) -> str:
    where = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    row, unit = (
        int(index[position]) if isinstance(index, np.ndarray) else int(position)
        for index, position in zip(part.index, where, strict=True)
    )
    many = np.count_nonzero(ratio > 1)
    return (
        f"row {row}, unit {unit} is {found[where]:.6g}, should be {exact[where]:.6g}"
        f" ({many} of {ratio.size} checked numbers are wrong)"
    )
