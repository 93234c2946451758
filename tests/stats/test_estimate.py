"""From made-up visits to estimates: what the numbers must be is known."""

from collections.abc import Sequence
from dataclasses import fields, replace
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import bdtr

from bench.data.peaks import Peaks
from bench.data.records import STATUSES, Block, CellRow, Quantity, Visit
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import estimate
from bench.terminal.errors import BadInput

exact = settings(deadline=None, derandomize=True, database=None, max_examples=60)
times = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=40)


class Book:
    """Visits and blocks of a made-up run."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.blocks: list[Block] = []

    def row(self, kernel: str, pass_number: int, width: int, /, **changes: Any) -> Visit:
        planned = Cell(kernel, Case(width, width, 1, "float32", "relu"), 0, 2, "warm")
        visit = refusal(planned, len(self.visits) + 1, pass_number, "ok", "")
        self.visits.append(replace(visit, **changes))
        return self.visits[-1]

    def good(
        self,
        kernel: str,
        pass_number: int,
        /,
        *seconds: float,
        width: int = 100,
        trip: dict[Quantity, float] | None = None,
        **changes: Any,
    ) -> None:
        """Add a good visit with these blocks; `trip`: a round trip's quantities, too."""
        known = {"device": "cpu", "kernel_hash": "abc", "error": 0.25} | changes
        number = self.row(kernel, pass_number, width, **known).visit
        self.blocks += [Block(number, "time", 8, s) for s in seconds]
        self.blocks += [Block(number, name, 1, s) for name, s in (trip or {}).items()]

    def bad(self, kernel: str, pass_number: int, status: str, width: int = 100) -> None:
        """Add a visit that came to nothing."""
        reason = "predicted 2.5 s a launch, limit 0.3 s" if status == "skipped" else f"{status}!"
        self.row(kernel, pass_number, width, status=status, reason=reason)

    def cells(self, peak: float | None = None) -> dict[tuple[str, int], CellRow]:
        """The run's cells by kernel and width."""
        cpu = {"cpu": Peaks("float32", peak, None, None)}
        rows = estimate.cells(self.visits, self.blocks, cpu)
        return {(row.kernel, row.n_units): row for row in rows}

    def cell(self, kernel: str, width: int = 100, peak: float | None = None) -> CellRow:
        return self.cells(peak)[kernel, width]


OF_A_REFUSAL = {"error", "predicted_s"}
NUMBERS = [f.name for f in fields(CellRow) if f.type == float | None and f.name not in OF_A_REFUSAL]


def has_no_number(cell: CellRow) -> bool:
    return cell.visits == 0 and all(getattr(cell, name) is None for name in NUMBERS)


def test_the_cores_that_a_cell_kept_busy_are_those_of_its_quiet_visits() -> None:
    book = Book()
    for turn, busy in enumerate((1.0, 2.0, 1.5, 9.0), 1):
        control_s = 2.0 if busy == 9.0 else 1.0
        book.good("k", turn, 1e-3, cores_busy=busy, control_s=control_s, wall_s=1.0)
    assert book.cell("k").cores_busy == 1.5


class TestOfVisits:
    """The median and its interval."""

    def test_the_interval_leaves_out_what_the_binomial_distribution_allows(self) -> None:
        for n in range(1, 201):
            self.judge_ranks(n)

    @pytest.mark.parametrize("n", [1000, 1278, 3000])
    def test_the_interval_of_an_evenings_visits_does_too(self, n: int) -> None:
        self.judge_ranks(n)

    def judge_ranks(self, n: int) -> None:
        left_out = estimate.rank_of(n)
        if n < 6:
            assert left_out == 0
            return
        # the interval misses the median when at most `left_out` visits lie on one side of it
        assert 1 - 2 * bdtr(left_out, n, 0.5) >= 0.95, n
        assert 1 - 2 * bdtr(left_out + 1, n, 0.5) < 0.95, n

    @exact
    @given(times, st.randoms(use_true_random=False))
    def test_the_order_of_visits_moves_the_interval_alone(
        self, seconds: list[float], random: Any
    ) -> None:
        shuffled = random.sample(seconds, len(seconds))
        assert estimate.of_visits(shuffled).value == estimate.of_visits(seconds).value

    @exact
    @given(times)
    def test_it_is_the_signs_test_widened_as_ratios(self, seconds: list[float]) -> None:
        found, wider = estimate.of_visits(seconds), estimate.widening(seconds)
        rank = estimate.rank_of(len(seconds))
        low, high = sorted(seconds)[rank], sorted(seconds)[-1 - rank]
        assert found.value / found.low == pytest.approx((found.value / low) ** wider)
        assert found.high / found.value == pytest.approx((high / found.value) ** wider)

    def test_visits_like_their_neighbours_tell_less(self) -> None:
        by_turns = [1.0, 2.0] * 20
        mixed = np.random.default_rng(1).permutation(by_turns).tolist()
        in_two_halves = sorted(by_turns)
        widths = [estimate.widening(v) for v in (by_turns, mixed, in_two_halves)]
        assert widths == sorted(widths)
        assert widths[0] == 1  # never narrower than for independent visits
        assert widths[2] > 2 * widths[1]

    def test_few_visits_are_taken_to_be_as_alike_as_recorded_ones(self) -> None:
        typical = ((1 + estimate.ALIKE) / (1 - estimate.ALIKE)) ** 0.5
        for few in ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]):
            assert estimate.widening(few) == pytest.approx(typical, rel=0.2)
        assert estimate.widening([1.0]) == 1.0

    @exact
    @given(times, st.integers(-20, 20))
    def test_another_unit_of_time_changes_nothing_else(
        self, seconds: list[float], power: int
    ) -> None:
        # powers of two, so that scaling is exact
        unit = 2.0**power
        found, scaled = (estimate.of_visits([u * s for s in seconds]) for u in (1.0, unit))
        assert scaled.value == unit * found.value
        assert scaled.low == pytest.approx(unit * found.low)
        assert scaled.high == pytest.approx(unit * found.high)
        assert scaled.half_width == pytest.approx(found.half_width)

    @exact
    @given(times)
    def test_it_is_the_median_within_its_interval(self, seconds: list[float]) -> None:
        found = estimate.of_visits(seconds)
        assert found.value == median(seconds)
        assert found.low <= found.value <= found.high

    @pytest.mark.parametrize("alike", [0.0, 0.2])
    @pytest.mark.parametrize("n", [6, 7, 10, 20, 50, 100])
    def test_it_covers_the_truth_as_often_as_it_says(self, n: int, alike: float) -> None:
        # skewed, as times are, and each visit somewhat like the one before; the true median is 1
        logs = np.random.default_rng(n).normal(size=(2000, n))
        for i in range(1, n):
            logs[:, i] = alike * logs[:, i - 1] + (1 - alike**2) ** 0.5 * logs[:, i]
        intervals = [estimate.of_visits(sample) for sample in np.exp(0.5 * logs).tolist()]
        assert np.mean([i.low <= 1 <= i.high for i in intervals]) >= 0.94

    def test_half_width_is_relative_to_the_estimate(self) -> None:
        assert estimate.Interval(value=2.0, low=1.5, high=3.5, visits=6).half_width == 0.5


class TestGather:
    """Which blocks belong to which cell."""

    def test_a_visit_is_its_fastest_block(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1.0, 2.0, 9.0)
        book.good("numpy_dot", 4, 3.0, 5.0)
        (found,) = estimate.gather(book.visits, book.blocks).values()
        assert found.good == {1: 1.0, 4: 3.0}
        assert found.blocks == {1: [1.0, 2.0, 9.0], 4: [3.0, 5.0]}

    def test_disturbed_visits_do_not_count(self) -> None:
        book = Book()
        for number in range(1, 8):
            book.good("numpy_dot", number, 1.0, 1.5, trip={"latency": 2.0}, control_s=1.0)
        for number in range(8, 12):
            book.good("numpy_dot", number, 5.0, 9.0, trip={"latency": 20.0}, control_s=1.2)
        cell = book.cell("numpy_dot")
        assert (cell.visits, cell.disturbed) == (7, 4)
        assert (cell.time_s, cell.time_low_s, cell.time_high_s) == (1.0, 1.0, 1.0)
        assert (cell.median_s, cell.latency_s) == (1.25, 2.0)

    def test_the_quiet_level_is_the_whole_runs(self) -> None:
        book = Book()
        for number in range(1, 8):
            book.good("numpy_dot", number, 1.0, control_s=1.0)
            # the other cell was visited while the machine was slow, all but three times
            book.good("numpy_matmul", number, 2.0, control_s=1.0 if number < 4 else 1.3)
        cell = book.cell("numpy_matmul")
        assert (cell.visits, cell.disturbed) == (3, 4)
        assert cell.time_low_s is None

    def test_a_good_visit_without_blocks_is_refused(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1.0)
        with pytest.raises(BadInput, match="visit 1 is ok and has no blocks"):
            estimate.gather(book.visits, [])

    def test_blocks_that_no_visit_claims_are_left_out(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 2.0)
        book.blocks.append(Block(2, "time", 1, 0.5))  # its visit was killed before it was written
        cell = book.cell("numpy_dot")
        assert (cell.visits, cell.time_s, cell.best_s) == (1, 2.0, 2.0)

    def test_blocks_of_a_visit_that_went_wrong_are_left_out(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 2.0)
        book.bad("numpy_dot", 2, "crashed")
        book.blocks.append(Block(2, "time", 1, 0.5))
        cell = book.cell("numpy_dot")
        assert (cell.visits, cell.time_s, cell.best_s) == (1, 2.0, 2.0)

    @pytest.mark.parametrize(
        "other",
        [
            {"threads": 1},
            {"cache": "cold"},
            {"device_index": 1},
            {"batch": 2},
            {"n_in": 7},
            {"precision": "float64"},
            {"activation": "tanh"},
            {"kernel": "numpy_matmul"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_visits_under_other_conditions_are_another_cells(self, other: dict[str, Any]) -> None:
        book = Book()
        book.good("numpy_dot", 1, 2.0)
        book.good("numpy_dot", 2, 3.0, **other)
        assert sorted(c.time_s or 0 for c in estimate.cells(book.visits, book.blocks, {})) == [
            2,
            3,
        ]


class TestCells:
    """What cells.csv says of a cell."""

    def test_median_best_and_interval_are_over_visits(self) -> None:
        book = Book()
        for number, middle in enumerate([7, 1, 10, 3, 5, 2, 8, 4, 9, 6], start=1):
            book.good("numpy_dot", number, middle - 0.5, middle, middle + 0.5)
        cell = book.cell("numpy_dot")
        assert (cell.status, cell.reason, cell.visits) == ("ok", "", 10)
        assert (cell.time_s, cell.median_s) == (5.0, 5.5)  # of the fastest blocks, of the medians
        # of ten, one at each end is left out
        wider = estimate.widening([7, 1, 10, 3, 5, 2, 8, 4, 9, 6])
        assert cell.time_low_s == pytest.approx(5.0 * (1.5 / 5.0) ** wider)
        assert cell.time_high_s == pytest.approx(5.0 * (8.5 / 5.0) ** wider)
        assert cell.best_s == 0.5

    def test_work_and_rates_follow_from_the_case(self) -> None:
        book = Book()
        for number, seconds in enumerate([1e-6, 2e-6, 4e-6] * 2, start=1):
            book.good("numpy_dot", number, seconds)
        cell = book.cell("numpy_dot", peak=26.8e9)
        assert cell.flops == 2 * 100 * 100 + 100
        assert cell.bytes == 4 * (100 + 100 * 100 + 100 + 100)
        assert cell.flop_per_s == pytest.approx(20100 / 2e-6)
        assert cell.time_low_s is not None
        assert cell.time_high_s is not None
        assert cell.flop_per_s_low == pytest.approx(20100 / cell.time_high_s)
        assert cell.flop_per_s_high == pytest.approx(20100 / cell.time_low_s)
        assert cell.percent_of_peak == pytest.approx(37.5)

    def test_other_quantities_are_medians_over_the_visits_that_have_them(self) -> None:
        book = Book()
        for number, s in enumerate([1.0, 3.0, 2.0], start=1):
            trip: dict[Quantity, float] = {"latency": 5 * s, "launch": 4 * s, "send": 3 * s}
            trip |= {"fetch": 2 * s, "end_to_end": 10 * s}
            book.good("numpy_dot", number, 1.0, trip=trip)
        book.good("numpy_dot", 4, 1.0)  # a slow launch makes its round trip once
        cell = book.cell("numpy_dot")
        assert (cell.latency_s, cell.launch_s, cell.send_s) == (10, 8, 6)
        assert (cell.fetch_s, cell.end_to_end_s) == (4, 20)

    def test_the_error_is_the_largest_seen(self) -> None:
        book = Book()
        for number, error in enumerate([0.25, 0.75, 0.5], start=1):
            book.good("numpy_dot", number, 1.0, error=error)
        assert book.cell("numpy_dot").error == 0.75

    def test_cells_come_by_layer_batch_and_kernel(self) -> None:
        book = Book()
        for width in (1000, 16):
            for kernel in ("numpy_matmul", "numpy_dot"):
                book.good(kernel, 1, 1.0, width=width, batch=64)
                book.good(kernel, 1, 1.0, width=width)
        order = [
            (c.n_units, c.batch, c.kernel) for c in estimate.cells(book.visits, book.blocks, {})
        ]
        assert order == sorted(order)
        assert len(order) == 8

    @pytest.mark.parametrize("status", [s for s in STATUSES if s != "ok"])
    def test_a_cell_that_was_never_good_has_a_reason_and_no_number(self, status: str) -> None:
        book = Book()
        book.good("python_loop", 1, 5.0)
        book.bad("numpy_dot", 1, status)
        cell = book.cell("numpy_dot", peak=1e9)
        assert cell.status == status
        assert cell.reason
        assert has_no_number(cell)
        assert cell.speedup_basis == ""
        assert cell.flops > 0

    def test_a_skipped_cell_says_what_was_predicted(self) -> None:
        book = Book()
        book.bad("python_loop", 1, "skipped")
        assert book.cell("python_loop").predicted_s == 2.5

    def test_a_cell_that_was_pending_at_first_is_ok_after_its_visit(self) -> None:
        book = Book()
        book.bad("numpy_dot", 1, "pending")
        book.good("numpy_dot", 1, 2.0)
        cell = book.cell("numpy_dot")
        assert (cell.status, cell.reason, cell.time_s) == ("ok", "", 2.0)

    @pytest.mark.parametrize("status", ["wrong", "impossible"])
    @pytest.mark.parametrize("later", [False, True])
    def test_a_void_visit_takes_the_number_away_whatever_came_before_and_after(
        self,
        status: str,
        later: bool,  # noqa: FBT001
    ) -> None:
        book = Book()
        book.good("numpy_dot", 1, 2.0, trip={"latency": 3.0})
        book.bad("numpy_dot", 2, status)
        if later:
            book.good("numpy_dot", 3, 2.0, trip={"latency": 3.0})
        cell = book.cell("numpy_dot")
        assert (cell.status, cell.reason) == (status, f"{status}!")
        assert has_no_number(cell)

    @pytest.mark.parametrize("status", ["crashed", "timeout", "error", "out_of_memory"])
    def test_a_later_failure_keeps_the_good_visits(self, status: str) -> None:
        book = Book()
        for number in (1, 2, 3):
            book.good("python_loop", number, 10e-6)
            book.good("numpy_dot", number, 2e-6, trip={"latency": 3e-6})
        book.bad("numpy_dot", 4, status)
        cell = book.cell("numpy_dot")
        assert (cell.status, cell.reason) == (status, f"{status}!")
        assert (cell.visits, cell.time_s, cell.latency_s) == (3, 2e-6, 3e-6)
        assert cell.speedup == pytest.approx(5)

    @pytest.mark.parametrize("status", ["crashed", "timeout"])
    def test_a_later_failure_changes_nothing_that_was_known(self, status: str) -> None:
        # the row of a dead worker says neither which kernel file nor which device it was
        book = Book()
        book.good("numpy_dot", 1, 2e-6)
        before = book.cell("numpy_dot", peak=20.1e9)
        book.bad("numpy_dot", 2, status)
        after = book.cell("numpy_dot", peak=20.1e9)
        assert after == replace(before, status=after.status, reason=after.reason)


class TestImpossible:
    """Faster than the machine's arithmetic."""

    flops = 20100

    def cell(self, flop_per_s: float, device: str = "cpu", status: str = "ok") -> CellRow:
        book = Book()
        book.good("numpy_dot", 1, self.flops / flop_per_s, device=device)
        if status != "ok":
            book.bad("numpy_dot", 2, status)
        return book.cell("numpy_dot", peak=1e9)

    def test_a_rate_above_one_and_a_quarter_of_the_peak_is_impossible(self) -> None:
        cell = self.cell(1.26e9)
        assert cell.status == "impossible"
        assert cell.reason == "1.26e+09 FLOP/s; this machine's arithmetic peak is 1e+09"
        assert has_no_number(cell)

    def test_a_rate_up_to_one_and_a_quarter_of_the_peak_is_believed(self) -> None:
        cell = self.cell(1.24e9)
        assert cell.status == "ok"
        assert cell.percent_of_peak == pytest.approx(124)

    @pytest.mark.parametrize(
        ("device", "believed"), [("cpu", 1.99e9), ("cuda:0 A at 0000:17:00.0", 1.24e9)]
    )
    def test_a_cpus_clock_may_be_faster_than_the_one_it_states(
        self, device: str, believed: float
    ) -> None:
        stated = {device: Peaks("float32", 0.5e9, None, 1e9)}

        def status(flop_per_s: float) -> str:
            book = Book()
            book.good("numpy_dot", 1, self.flops / flop_per_s, device=device)
            (cell,) = estimate.cells(book.visits, book.blocks, stated)
            return cell.status

        assert status(believed) == "ok"
        assert status(1.02 * believed) == "impossible"

    def test_a_crash_afterwards_makes_it_no_more_possible(self) -> None:
        assert self.cell(1.26e9, status="crashed").status == "impossible"

    def test_the_cpus_peak_says_nothing_of_another_device(self) -> None:
        cell = self.cell(1e12, device="cuda:0 NVIDIA H100 at 0000:17:00.0")
        assert cell.status == "ok"
        assert cell.percent_of_peak is None

    def test_an_unknown_peak_judges_nothing(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1e-12)
        cell = book.cell("numpy_dot", peak=None)
        assert (cell.status, cell.percent_of_peak) == ("ok", None)


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

    def test_a_machine_that_changes_speed_between_passes_cancels(self) -> None:
        book = self.pair(slow=[40, 80, 8, 400, 4, 40], fast=[4, 8, 0.8, 40, 0.4, 4])
        value, low, high, basis = speedup_of(book.cell("numpy_dot"))
        assert [value, low, high] == pytest.approx([10, 10, 10])
        assert basis == "measured"

    def test_it_is_the_median_of_the_ratios_with_their_interval(self) -> None:
        ratios = [7, 1, 10, 3, 5, 2, 8, 4, 9, 6]
        book = self.pair(slow=[2.0 * ratio for ratio in ratios], fast=[2.0] * 10)
        value, low, high, basis = speedup_of(book.cell("numpy_dot"))
        wider = estimate.widening(ratios)
        assert (value, basis) == (5.5, "measured")
        assert [low, high] == pytest.approx([5.5 * (r / 5.5) ** wider for r in (2, 9)])

    def test_under_six_passes_it_has_no_interval(self) -> None:
        book = self.pair(slow=[10] * 5, fast=[1] * 5)
        assert speedup_of(book.cell("numpy_dot")) == (10, None, None, "measured")
        assert book.cell("numpy_dot").time_low_s is None
        assert book.cell("numpy_dot").flop_per_s_high is None

    def test_the_loop_is_its_own_one(self) -> None:
        book = self.pair(slow=[3, 5] * 3, fast=[1, 1] * 3)
        assert speedup_of(book.cell("python_loop")) == (1, 1, 1, "measured")

    def test_a_pass_that_visited_only_one_of_them_does_not_count(self) -> None:
        book = self.pair(slow=[10] * 6, fast=[1] * 6)
        book.good("python_loop", 7, 1000)
        book.good("numpy_dot", 8, 1000)
        assert speedup_of(book.cell("numpy_dot")) == (10, 10, 10, "measured")

    def test_a_pass_that_was_disturbed_on_either_side_does_not_count(self) -> None:
        book = self.pair(slow=[10] * 6, fast=[1] * 6)
        book.good("python_loop", 7, 1000, control_s=1.5)
        book.good("numpy_dot", 7, 1)
        book.good("python_loop", 8, 10)
        book.good("numpy_dot", 8, 1000, control_s=1.5)
        assert speedup_of(book.cell("numpy_dot")) == (10, 10, 10, "measured")

    def test_without_a_common_pass_there_is_none(self) -> None:
        book = Book()
        book.good("python_loop", 1, 10)
        book.good("numpy_dot", 2, 1)
        assert speedup_of(book.cell("numpy_dot")) == NONE

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
        assert speedup_of(book.cell("numpy_dot")) == (10, 10, 10, "measured")


def square(width: int) -> Case:
    return Case(width, width, 1, "float32", "relu")


class TestPredict:
    """What a launch will take, from smaller cases."""

    @exact
    @given(
        power=st.floats(0, 1),
        factor=st.floats(1e-12, 1e-3),
        widths=st.lists(st.integers(16, 64), min_size=1, max_size=4),
    )
    def test_a_power_law_is_continued_exactly(
        self, power: float, factor: float, widths: list[int]
    ) -> None:
        measured = {square(w): factor * square(w).flops ** power for w in (4, *widths, 512)}
        for wanted in (512, 1000, 8192):
            case = square(wanted)
            assert estimate.predict(case, measured) == pytest.approx(factor * case.flops**power)

    def test_time_is_never_predicted_to_grow_faster_than_the_work(self) -> None:
        measured = {square(100): 1.0, square(1000): 1e6}
        growth = square(2000).flops / square(1000).flops
        assert estimate.predict(square(2000), measured) == pytest.approx(1e6 * growth)

    def test_time_is_never_predicted_to_shrink(self) -> None:
        measured = {square(100): 5.0, square(1000): 4.0}
        assert estimate.predict(square(2000), measured) == 4.0

    def test_a_single_smaller_case_is_continued_with_its_work(self) -> None:
        growth = square(1000).flops / square(100).flops
        assert estimate.predict(square(1000), {square(100): 2.0}) == pytest.approx(2 * growth)

    def test_cases_of_nearly_the_same_work_give_no_power(self) -> None:
        # noise between 100 and 101 would become any power at all
        measured = {square(100): 2.0, square(101): 1.9}
        growth = square(1000).flops / square(101).flops
        assert estimate.predict(square(1000), measured) == pytest.approx(1.9 * growth)

    def test_a_measured_case_is_predicted_as_measured(self) -> None:
        measured = {square(10): 1.0, square(100): 2.0, square(1000): 3.0}
        assert estimate.predict(square(100), measured) == 2.0

    @pytest.mark.parametrize("measured", [{}, {square(101): 1.0}])
    def test_nothing_is_predicted_without_a_smaller_case(self, measured: dict[Case, float]) -> None:
        assert estimate.predict(square(100), measured) is None

    def test_a_case_that_is_larger_on_any_axis_is_not_smaller(self) -> None:
        # less work, but a large batch or another shape costs something else
        measured = {
            replace(square(10), batch=2): 7.0,
            replace(square(10), n_in=101): 8.0,
            replace(square(10), n_units=101): 9.0,
        }
        assert estimate.predict(square(100), measured) is None
        growth = square(100).flops / square(5).flops
        assert estimate.predict(square(100), measured | {square(5): 1.0}) == pytest.approx(growth)

    def test_a_batch_is_work_too(self) -> None:
        measured = {square(100): 1.0}
        batched = replace(square(100), batch=64)
        assert estimate.predict(batched, measured) == pytest.approx(64)
