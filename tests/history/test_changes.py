"""Where a series changed: planted steps are found, chance is not taken for one."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from campaign import examples
from histories import run, series
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.data.series import Change, Series, differences
from bench.history import changes
from bench.terminal.errors import BadInput

needs_ruptures = pytest.mark.skipif(
    changes.missing(), reason="needs ruptures: make test installs it"
)


def noisy(seed: int, *levels: tuple[int, float], spread: float = 0.01) -> list[float]:
    """So many runs at each level, each off by about so much of it."""
    generator = np.random.default_rng(seed)
    places = np.concatenate([np.full(count, level) for count, level in levels])
    return list(places * np.exp(generator.normal(0, spread, len(places))))


@needs_ruptures
class TestFinding:
    @pytest.mark.parametrize("factor", [0.9, 1.05, 1.5, 100.0])
    @pytest.mark.parametrize("before", [7, 30])
    def test_a_step_is_found_with_its_size_and_its_runs(self, factor: float, before: int) -> None:
        (only,) = changes.changes(series(noisy(1, (before, 1e-3), (20, 1e-3 * factor))))
        assert abs(only.at - before) <= 1
        assert only.low <= factor <= only.high
        assert only.ratio == pytest.approx(factor, rel=0.02)
        assert (only.before, only.after) == (run(only.at - 1), run(only.at))

    def test_each_of_several_steps_is_found(self) -> None:
        found = changes.changes(series(noisy(2, (30, 1.0), (20, 1.1), (25, 0.95), (20, 1.0))))
        assert [pytest.approx(at, abs=1) for at in (30, 50, 75)] == [each.at for each in found]

    def test_an_outlier_or_two_are_none(self) -> None:
        values = noisy(3, (60, 1.0))
        values[20], values[40], values[41], values[59] = 50.0, 3.0, 0.01, 9.0
        assert changes.changes(series(values)) == []

    def test_what_lasts_for_three_runs_at_the_end_is_one(self) -> None:
        (only,) = changes.changes(series(noisy(4, (97, 1.0), (3, 1.1))))
        assert only.at == 97

    def test_a_difference_that_nobody_minds_is_none(self) -> None:
        step = noisy(5, (40, 1.0), (40, 1.004), spread=0.0005)
        assert changes.changes(series(step)) == []
        assert len(changes.changes(series([value**4 for value in step]))) == 1

    def test_runs_that_resemble_their_neighbours_are_no_change(self) -> None:
        alarms = 0
        for seed in range(100):
            steps = np.random.default_rng(seed).normal(0, 0.01, 100)
            for at in range(1, 100):
                steps[at] += 0.6 * steps[at - 1]
            alarms += bool(changes.changes(series(list(np.exp(steps)))))
        assert alarms <= 3  # without `likeness` it is over twenty

    @given(st.lists(st.sampled_from([1.0, 1.1, 1.2]) | st.floats(1e-9, 1e6), max_size=60))
    @settings(max_examples=examples(100, 3000), deadline=None)
    def test_whatever_the_numbers_it_answers(self, values: list[float]) -> None:
        found = changes.changes(series(values))
        assert all(0 < each.low <= each.ratio <= each.high for each in found)
        assert all(each.low > 1 or each.high < 1 for each in found)
        assert [each.at for each in found] == sorted({each.at for each in found})

    def test_numbers_that_are_all_alike_have_none(self) -> None:
        assert changes.changes(series([1.0] * 50)) == []


def test_few_runs_can_tell_nothing() -> None:
    assert changes.changes(series([1.0, 2.0] * 5)) == []


def test_without_ruptures_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(BadInput, match="need the package ruptures: make history installs it"):
        changes.changes(series(noisy(1, (30, 1.0), (30, 2.0))))


class TestScores:
    @given(st.lists(st.integers(-5, 5) | st.floats(-1e9, 1e9), min_size=2, max_size=50))
    @settings(max_examples=examples(100, 3000), deadline=None)
    def test_they_are_scipys(self, numbers: list[float]) -> None:
        """Of numbers without ties: those that SciPy's ranks give by the same formula."""
        values = np.unique(np.asarray(numbers, float))
        values = np.random.default_rng(len(numbers)).permutation(values)
        ranks = stats.rankdata(values)
        known = stats.norm.ppf((ranks - 0.375) / (len(values) + 0.25))
        assert changes.scores(values) == pytest.approx(known, abs=1e-12)
        doubled = changes.scores(np.repeat(values, 2))
        assert (doubled[::2] == doubled[1::2]).all()
        assert (np.argsort(doubled[::2]) == np.argsort(values)).all()


class TestWhatElse:
    def test_it_is_named(self) -> None:
        after = replace(
            run(1),
            facts={"NumPy": "2.4.0", "variables": "MKL_CBWR=AVX2"},
            lock="other",
            packages={"numpy": "2.4.0", "scipy": "1.17"},
            clean=False,
        )
        assert differences(run(0), after) == [
            "NumPy 2.3.1 -> 2.4.0",
            "variables none -> MKL_CBWR=AVX2",
            "package scipy none -> 1.17",
            "changes that are in no commit",
        ]
        assert differences(run(0), run(1)) == []
        assert differences(replace(run(0), lock="", packages={}), run(1)) == []

    @needs_ruptures
    def test_a_kernels_own_source_is_too(self) -> None:
        stepped = series(noisy(1, (20, 1.0), (20, 2.0)))
        stepped = replace(stepped, hashes=["abc"] * 20 + ["def"] * 20)
        (only,) = changes.changes(stepped)
        assert only.also == ["the kernel's source"]

    def test_it_is_counted_how_many_of_the_machines_series_moved(self) -> None:
        def at_three(each: Series) -> list[Change]:
            if each.subject.kernel == "calm":
                return []
            return [Change(3, 1.1, 1.05, 1.2, each.runs[2], each.runs[3])]

        others = [run(number, key=f"another {number}") for number in range(9)]
        every = [
            series([1.0] * 9, kernel="calm"),
            series([1.0] * 9, kernel="a"),
            series([1.0] * 9, kernel="b"),
            series([1.0] * 9, others, kernel="c", machine="another"),
        ]
        moved = [[change.moved for change in found] for _, found in changes.of_all(every, at_three)]
        assert moved == [[], [(2, 3)], [(2, 3)], [(1, 1)]]
