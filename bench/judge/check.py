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

from bench.ipc.arrays import Floating
from bench.ipc.outputs import Wrong, refuse_unfit
from bench.judge.answers import Part
from bench.plan.activations import ACTIVATIONS
from bench.plan.case import Case


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
    # the weights are what 8 bits hold before anybody computes with them: nothing is rounded to them
    "int8": Rounding(0.0, 2.0**-24, 2.0**-24),
}

STEEP = 0.1
"""A number's error before activation is judged where |g'(z)| is at least this."""

FEW = 64
FEWER = 4.0
"""Errors of fewer numbers than that, with inputs or weights in common, don't average out: the limit
of their mean is so many times as high."""

APART = 2.0**-20
"""How far apart the two points are that g's steepness is taken from, relative to 1 + |z|."""


def check(output: object, case: Case, dtype: Floating, parts: list[Part]) -> float:
    """The output's RMS error, in units of what its precision should give.

    Raises Wrong where the shape or dtype is not (batch, n_units) of `dtype`, where a number is not
    finite, or where one of the two tests fails.
    """
    refuse_unfit(output, (case.batch, case.n_units), dtype)
    assert isinstance(output, np.ndarray)
    if not np.isfinite(output).all():
        row, unit = np.argwhere(~np.isfinite(output))[0]
        raise Wrong(f"row {row}, unit {unit} is {output[row, unit]}")
    rounding = ROUNDING[case.precision]
    error = max(_check_part(output, case, rounding, part) for part in parts)
    few = min(case.batch, case.n_units) * case.n_in < FEW
    if error > rounding.limit * (FEWER if few else 1):
        message = f"RMS error is {error:.0f} times what {case.precision} rounding gives"
        raise Wrong(f"{message}: computed in a lower precision?")
    return error


def _check_part(output: NDArray[Any], case: Case, rounding: Rounding, part: Part) -> float:
    values = output[part.index].astype(np.float64)
    exact, steepness = activate(part.z, case.activation)
    error = np.abs(values - exact)
    n = (case.n_in + 2) * rounding.sums
    # two inputs a product, each off by up to twice the unit roundoff where it is cut off
    gamma = n / (1 - n) + 4 * rounding.inputs
    # the sum and the bias may both have been rounded before they cancelled
    added = 1 + np.abs(part.sums) + np.abs(part.b)
    worst = gamma * (part.size + np.abs(part.b))
    bound = worst * np.maximum(steepness, 1) + 4 * rounding.result * added
    if (error > bound).any():
        raise Wrong(_worst(values, exact, error / bound, part))
    # where g is flat it hides the error of z, so only the steep part of it is judged
    steep = steepness >= STEEP
    if not steep.any():
        return 0.0
    slope = steepness[steep]
    # a sum that begins with the bias rounds each of its n_in steps beside it
    beside = case.n_in**0.5 * rounding.sums * np.hypot(part.deviation, part.b)
    typical = np.hypot(2**0.5 * rounding.inputs * part.deviation, beside)
    typical = np.broadcast_to(typical, error.shape)[steep] + rounding.result * added[steep] / slope
    return float(np.sqrt(np.mean((error[steep] / slope / typical) ** 2)))


def activate(
    z: NDArray[np.float64], activation: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """g(z) and its steepness |g'(z)|, which a few digits of are enough for."""
    g = ACTIVATIONS[activation].reference
    exact, above = g(np, z), z + APART * (1 + np.abs(z))
    return exact, np.abs(g(np, above) - exact) / (above - z)


def _worst(
    values: NDArray[Any], exact: NDArray[Any], ratio: NDArray[np.float64], part: Part
) -> str:
    where = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    # numbers drawn anywhere are a list; all else has rows and columns
    row, unit = (
        int(index[position]) if isinstance(index, np.ndarray) else int(position)
        for index, position in zip(part.index, where * 2 if ratio.ndim == 1 else where, strict=True)
    )
    many = np.count_nonzero(ratio > 1)
    return (
        f"row {row}, unit {unit} is {values[where]:.6g}, should be {exact[where]:.6g}"
        f" ({many} of {ratio.size} checked numbers are wrong)"
    )
