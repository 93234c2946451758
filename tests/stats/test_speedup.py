"""How many times as fast as the Python loop, from made-up visits."""

from collections.abc import Sequence
from typing import Any

import pytest
from made_up_runs import Book

from bench.data.records import CellRow


def speedup_of(cell: CellRow) -> tuple[float | None, float | None, float | None, str]:
    return cell.speedup, cell.speedup_low, cell.speedup_high, cell.speedup_basis


NONE = (None, None, None, "")


class TestSpeedup:
    """The loop's time over a cell's."""

    def pair(self, slow: Sequence[float], fast: Sequence[float]) -> Book:
        book = Book()
        for number, (loop_s, dot_s) in enumerate(zip(slow, fast, strict=True), start=1):
            book.good("python_loop", number, loop_s)
            book.good("numpy_dot", number, dot_s)
        return book

    def test_a_machine_that_changes_speed_cancels_whichever_cell_it_met(self) -> None:
        book = Book()
        for number in range(1, 21):
            for kernel, seconds, busy in (
                ("python_loop", 1e-2, number % 2),
                ("numpy_dot", 1e-3, number > 15),
            ):
                longer, probe_s = 1.5**busy, 5e-5 * 1.6**busy
                book.good(kernel, number, *[seconds * longer] * 10, probe_s=probe_s)
        value, low, high, basis = speedup_of(book.cell("numpy_dot"))
        assert basis == "measured"
        assert value == pytest.approx(10, rel=0.05)
        assert low is not None
        assert high is not None
        assert low < 10 < high

    def test_it_is_the_ratio_of_the_times_with_both_intervals(self) -> None:
        ratios = [7, 1, 10, 3, 5, 2, 8, 4, 9, 6]
        book = self.pair(slow=[2.0 * ratio for ratio in ratios], fast=[2.0] * 10)
        cells = book.cells()
        loop, dot = cells["python_loop", 100], cells["numpy_dot", 100]
        value, low, high, basis = speedup_of(dot)
        assert basis == "measured"
        assert loop.time_s is not None
        assert loop.time_low_s is not None
        assert loop.time_high_s is not None
        # the other one's times are all alike
        expected = [s / 2.0 for s in (loop.time_s, loop.time_low_s, loop.time_high_s)]
        assert [value, low, high] == pytest.approx(expected)

    def test_under_four_passes_it_has_no_interval(self) -> None:
        book = self.pair(slow=[10] * 3, fast=[1] * 3)
        value, *unknown, basis = speedup_of(book.cell("numpy_dot"))
        assert value == pytest.approx(10)
        assert unknown == [None, None]
        assert basis == "measured"
        assert book.cell("numpy_dot").time_low_s is None
        assert book.cell("numpy_dot").flop_per_s_high is None

    def test_the_loop_is_its_own_one(self) -> None:
        book = self.pair(slow=[3, 5] * 3, fast=[1, 1] * 3)
        assert speedup_of(book.cell("python_loop")) == (1, 1, 1, "measured")

    def test_visits_that_waited_for_a_core_on_either_side_do_not_count(self) -> None:
        book = self.pair(slow=[10] * 6, fast=[1] * 6)
        waited: dict[str, Any] = {"waited_s": 0.5, "measured_s": 1.0}
        book.good("python_loop", 7, 1000, **waited)
        book.good("numpy_dot", 7, 1)
        book.good("python_loop", 8, 10)
        book.good("numpy_dot", 8, 1000, **waited)
        value, low, high, _ = speedup_of(book.cell("numpy_dot"))
        assert [value, low, high] == pytest.approx([10, 10, 10])

    def test_it_needs_no_common_pass(self) -> None:
        book = Book()
        book.good("python_loop", 1, 10)
        book.good("numpy_dot", 2, 1)
        value, *_, basis = speedup_of(book.cell("numpy_dot"))
        assert value == pytest.approx(10)
        assert basis == "measured"

    def test_without_the_loop_there_is_none(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1)
        assert speedup_of(book.cell("numpy_dot")) == NONE

    @pytest.mark.parametrize("status", ["skipped", "timeout"])
    def test_where_the_loop_was_too_slow_it_is_predicted_from_its_largest_layer(
        self, status: str
    ) -> None:
        book = Book()
        book.good("python_loop", 1, 0.001, width=10)  # all overhead: says little of 1000
        for number, seconds in ((1, 1.0), (2, 3.0), (3, 2.0)):
            book.good("python_loop", number, seconds, width=100)
        book.bad("python_loop", 1, status, width=1000)
        for number, seconds in enumerate([0.1, 0.4, 0.2, 0.2, 0.2, 0.2], start=1):
            book.good("numpy_dot", number, seconds, width=1000)
        cells = book.cells()
        work = cells["numpy_dot", 1000].flops / cells["python_loop", 100].flops
        value, low, high, basis = speedup_of(cells["numpy_dot", 1000])
        assert basis == "predicted"
        # the interval is this cell's own
        time = cells["numpy_dot", 1000]
        assert time.time_low_s is not None
        assert time.time_high_s is not None
        expected = [2 * work / s for s in (0.2, time.time_high_s, time.time_low_s)]
        assert [value, low, high] == pytest.approx(expected)

    def test_it_is_predicted_from_the_same_layer_before_a_narrower_one_with_more_work(self) -> None:
        book = Book()
        book.good("python_loop", 1, 9.0, width=100, batch=1000)
        book.good("python_loop", 1, 2.0, width=1000)
        book.good("numpy_dot", 1, 1.0, width=1000, batch=1000)
        value, _, _, basis = speedup_of(book.cells()["numpy_dot", 1000])
        assert basis == "predicted"
        assert value == pytest.approx(2000)

    def test_nothing_is_predicted_from_a_larger_layer(self) -> None:
        book = Book()
        book.good("python_loop", 1, 1.0, width=1000)
        book.good("numpy_dot", 1, 0.1, width=100)
        assert speedup_of(book.cell("numpy_dot")) == NONE

    @pytest.mark.parametrize("other", [{"cache": "cold"}, {"precision": "float64"}])
    def test_a_loop_under_other_conditions_is_no_baseline(self, other: dict[str, Any]) -> None:
        book = Book()
        book.good("python_loop", 1, 1.0, width=10, **other)
        book.good("python_loop", 1, 1.0, **other)
        book.good("numpy_dot", 1, 0.1)
        assert speedup_of(book.cell("numpy_dot")) == NONE

    @pytest.mark.parametrize("status", ["wrong", "impossible"])
    def test_a_loop_that_was_wrong_is_no_baseline(self, status: str) -> None:
        book = self.pair(slow=[10], fast=[1])
        book.bad("python_loop", 2, status)
        assert speedup_of(book.cell("numpy_dot")) == NONE

    def test_a_loop_that_crashed_later_still_is_one(self) -> None:
        book = self.pair(slow=[10] * 6, fast=[1] * 6)
        book.bad("python_loop", 7, "crashed")
        value, low, high, basis = speedup_of(book.cell("numpy_dot"))
        assert [value, low, high] == pytest.approx([10, 10, 10])
        assert basis == "measured"
