"""Sums and quantiles of groups."""

import math

import numpy as np
import pytest

from bench.stats.adjust.grouped import means, quantiles, sums

VALUES = np.array([3.0, 1.0, 2.0, 5.0])
GROUPS = np.array([0, 0, 0, 2])


def test_sums_and_means_of_groups() -> None:
    assert sums(VALUES, GROUPS, 3).tolist() == [6.0, 0.0, 5.0]
    assert means(VALUES, np.array([1.0, 3.0, 0.0, 2.0]), GROUPS, 3).tolist() == [1.5, 0.0, 5.0]


def test_a_group_without_values_has_no_quantile() -> None:
    middle = quantiles(VALUES, np.ones(4), GROUPS, 3, 0.5)
    assert (middle[0], middle[2]) == (2.0, 5.0)
    assert math.isnan(middle[1])
    assert np.isnan(quantiles(np.empty(0), np.empty(0), np.empty(0, np.intp), 2, 0.5)).all()


def test_a_heavy_value_draws_the_quantile() -> None:
    heavy = quantiles(VALUES, np.array([1.0, 1, 1000, 1]), GROUPS, 3, 0.5)
    assert heavy[0] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("level", "value"), [(0.0, 1.0), (1 / 6, 1.0), (1 / 3, 1.5), (0.5, 2.0), (0.75, 2.75), (1, 3.0)]
)
def test_between_values_it_is_interpolated_and_beyond_them_nothing(
    level: float, value: float
) -> None:
    assert quantiles(VALUES, np.ones(4), GROUPS, 3, level)[0] == pytest.approx(value)
    assert quantiles(VALUES, np.ones(4), GROUPS, 3, np.full(3, level))[2] == 5.0
