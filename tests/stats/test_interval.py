"""The median of made-up visits and its interval."""

from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import bdtr

from bench.stats import interval

exact = settings(deadline=None, derandomize=True, database=None, max_examples=60)
times = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=40)


class TestOfVisits:
    """The median and its interval."""

    def test_the_interval_leaves_out_what_the_binomial_distribution_allows(self) -> None:
        for n in range(1, 201):
            self.judge_ranks(n)

    @pytest.mark.parametrize("n", [1000, 1278, 3000])
    def test_the_interval_of_an_evenings_visits_does_too(self, n: int) -> None:
        self.judge_ranks(n)

    def judge_ranks(self, n: int) -> None:
        left_out = interval.left_out(n)
        if n < 6:
            assert left_out is None
            return
        assert left_out is not None
        # the interval misses the median when at most `left_out` visits lie on one side of it
        assert 1 - 2 * bdtr(left_out, n, 0.5) >= 0.95, n
        assert 1 - 2 * bdtr(left_out + 1, n, 0.5) < 0.95, n

    @exact
    @given(times, st.randoms(use_true_random=False))
    def test_the_order_of_visits_moves_the_interval_alone(
        self, seconds: list[float], random: Any
    ) -> None:
        shuffled = random.sample(seconds, len(seconds))
        assert interval.of_visits(shuffled).value == interval.of_visits(seconds).value

    @exact
    @given(times)
    def test_it_is_the_signs_test_widened_as_ratios(self, seconds: list[float]) -> None:
        found, wider = interval.of_visits(seconds), interval.widening(seconds)
        rank = interval.left_out(len(seconds)) or 0
        low, high = sorted(seconds)[rank], sorted(seconds)[-1 - rank]
        assert found.value / found.low == pytest.approx((found.value / low) ** wider)
        assert found.high / found.value == pytest.approx((high / found.value) ** wider)

    def test_visits_like_their_neighbours_tell_less(self) -> None:
        by_turns = [1.0, 2.0] * 20
        mixed = np.random.default_rng(1).permutation(by_turns).tolist()
        in_two_halves = sorted(by_turns)
        widths = [interval.widening(v) for v in (by_turns, mixed, in_two_halves)]
        assert widths == sorted(widths)
        assert widths[0] == 1  # never narrower than for independent visits
        assert widths[2] > 2 * widths[1]

    def test_few_visits_are_taken_to_be_as_alike_as_recorded_ones(self) -> None:
        typical = ((1 + interval.ALIKE) / (1 - interval.ALIKE)) ** 0.5
        for few in ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]):
            assert interval.widening(few) == pytest.approx(typical, rel=0.2)
        assert interval.widening([1.0]) == 1.0

    @exact
    @given(times, st.integers(-20, 20))
    def test_another_unit_of_time_changes_nothing_else(
        self, seconds: list[float], power: int
    ) -> None:
        # powers of two, so that scaling is exact
        unit = 2.0**power
        found, scaled = (interval.of_visits([u * s for s in seconds]) for u in (1.0, unit))
        assert scaled.value == unit * found.value
        assert scaled.low == pytest.approx(unit * found.low)
        assert scaled.high == pytest.approx(unit * found.high)
        assert scaled.half_width == pytest.approx(found.half_width)

    @exact
    @given(times)
    def test_it_is_the_median_within_its_interval(self, seconds: list[float]) -> None:
        found = interval.of_visits(seconds)
        assert found.value == median(seconds)
        assert found.low <= found.value <= found.high

    @pytest.mark.parametrize("alike", [0.0, 0.2])
    @pytest.mark.parametrize("n", [6, 7, 10, 20, 50, 100])
    def test_it_covers_the_truth_as_often_as_it_says(self, n: int, alike: float) -> None:
        # skewed, as times are, and each visit somewhat like the one before; the true median is 1
        logs = np.random.default_rng(n).normal(size=(2000, n))
        for i in range(1, n):
            logs[:, i] = alike * logs[:, i - 1] + (1 - alike**2) ** 0.5 * logs[:, i]
        intervals = [interval.of_visits(sample) for sample in np.exp(0.5 * logs).tolist()]
        assert np.mean([i.low <= 1 <= i.high for i in intervals]) >= 0.94

    def test_half_width_is_relative_to_the_estimate(self) -> None:
        assert interval.Interval(value=2.0, low=1.5, high=3.5, visits=6).half_width == 0.5
