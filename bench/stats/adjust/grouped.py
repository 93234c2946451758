"""Sums and quantiles of groups: an array of values, and one of the group that each belongs to."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Booleans = NDArray[np.bool_]


def sums(values: Floats, groups: Integers, count: int) -> Floats:
    """The sum of each of `count` groups; 0 for a group without values."""
    return np.bincount(groups, weights=values, minlength=count).astype(np.float64)


def means(values: Floats, weights: Floats, groups: Integers, count: int) -> Floats:
    """The weighted mean of each of `count` groups; 0 for a group without weight."""
    total = sums(weights, groups, count)
    return sums(weights * values, groups, count) / np.where(total > 0, total, 1.0)


def quantiles(
    values: Floats, weights: Floats, groups: Integers, count: int, level: float | Floats
) -> Floats:
    """A weighted quantile of each of `count` groups; nan for a group without values.

    A value stands in the middle of its weight, and between two values the quantile is interpolated.
    Beyond a group's first and last value there is nothing. `level` is one, or one a group.
    """
    result = np.full(count, np.nan)
    if not len(values):
        return result
    order = np.lexsort((values, groups))
    value, weight = values[order], weights[order]
    filled, first, group = np.unique(groups[order], return_index=True, return_inverse=True)
    last = np.append(first[1:], len(value)) - 1
    total = sums(weight, group, len(filled))
    begin = np.cumsum(total) - total
    place = (np.cumsum(weight) - weight / 2 - begin[group]) / total[group]
    # places lie between 0 and 1, so that groups one after the other make one rising curve
    inside = np.clip(np.broadcast_to(level, count)[filled], place[first], place[last])
    result[filled] = np.interp(np.arange(len(filled)) + inside, group + place, value)
    return result
