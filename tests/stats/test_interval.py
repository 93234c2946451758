"""Which of some ordered numbers the median's interval runs between."""

import pytest
from scipy.special import bdtr

from bench.stats import interval


def judge_ranks(n: int) -> None:
    left_out = interval.left_out(n)
    if n < 6:
        assert left_out is None
        return
    assert left_out is not None
    # the interval misses the median when at most `left_out` numbers lie on one side of it
    assert 1 - 2 * bdtr(left_out, n, 0.5) >= 0.95, n
    assert 1 - 2 * bdtr(left_out + 1, n, 0.5) < 0.95, n


def test_the_interval_leaves_out_what_the_binomial_distribution_allows() -> None:
    for n in range(1, 201):
        judge_ranks(n)


@pytest.mark.parametrize("n", [1000, 1278, 3000])
def test_the_interval_of_many_numbers_does_too(n: int) -> None:
    judge_ranks(n)
