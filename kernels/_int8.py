"""Weights of 8 bits with a scale a unit: W[i, j] = scale[j] * q[i, j], out of W in float32.

Precision int8 promises that such numbers are there: q is whole, from -127 to 127, and in each unit
one of them is 127 or -127. So a unit's scale is its largest weight over 127, and nothing is lost:
this is no quantising, which has been done before the layer came here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 127
"""The largest whole number of a unit: -128 is left out, so that both signs reach as far."""

NEAR = 2.0**-22
"""How far a product of scale and whole number may be from the weight, relative to it: the two
roundings of one that was made so in float32, and the one that is made here."""


def quantised(W: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The whole numbers, (n_in, n_units), and the scales, (n_units,).

    Raises ValueError where a weight is no whole multiple of its unit's scale.
    """
    scale = np.abs(W).max(axis=0) / np.float32(MOST)
    scale[scale == 0] = 1  # a unit of zeros
    q = np.rint(W / scale)
    if not (np.abs(q * scale - W) <= NEAR * np.abs(W)).all():
        raise ValueError("W is not of precision int8: whole numbers to 127 times a scale a unit")
    return q.astype(np.int8), scale
