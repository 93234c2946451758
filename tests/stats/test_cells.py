"""From made-up visits to rows of cells.csv: what the numbers must be is known."""

import math
from dataclasses import replace

import pytest
from made_up_runs import Book, has_no_number, rows_of

from bench.data.records import STATUSES, Quantity
from bench.show import table


def test_the_cores_that_a_cell_kept_busy_are_those_of_the_visits_that_count() -> None:
    book = Book()
    for turn, busy in enumerate((1.0, 2.0, 1.5, 1.2, 1.8, 1.5, 9.0, 9.0), 1):
        steal_s = 0.4 if busy == 9.0 else 0.0
        book.good("k", turn, 1e-3, cores_busy=busy, steal_s=steal_s, wall_s=1.0)
    assert book.cell("k").cores_busy == 1.5


class TestCells:
    """What cells.csv says of a cell."""

    def test_median_best_and_interval_are_over_visits(self) -> None:
        book = Book()
        for number, middle in enumerate([7, 1, 10, 3, 5, 2, 8, 4, 9, 6], start=1):
            book.good("numpy_dot", number, middle, middle + 0.5, middle - 0.5)
        cell = book.cell("numpy_dot")
        assert (cell.status, cell.reason, cell.visits) == ("ok", "", 10)
        # a visit's number is near its fastest block, a cell's the median of those, as ratios
        assert cell.time_s == pytest.approx(math.sqrt(4.5 * 5.5), rel=0.02)
        assert cell.median_s == 5.5
        assert cell.time_low_s is not None
        assert cell.time_high_s is not None
        assert 0.5 < cell.time_low_s < 3
        assert 8 < cell.time_high_s < 12
        assert cell.best_s == 0.5

    def test_a_number_of_visits_that_waited_for_a_core_says_so(self) -> None:
        book = Book()
        for number, waited_s in enumerate([0.0] * 5 + [0.5] * 4, start=1):
            book.good("numpy_dot", number, 1e-3, waited_s=waited_s, measured_s=1.0)
            book.good("numpy_matmul", number, 1e-3, waited_s=0.5, measured_s=1.0)
        some, every = book.cell("numpy_dot"), book.cell("numpy_matmul")
        assert 0 < some.waited < some.visits
        assert every.waited == every.visits
        assert not table.entry(some).plain.startswith(table.WAITED)
        assert table.entry(every).plain.startswith(table.WAITED)
        assert table.WAITED in table.caption([some, every])
        assert table.WAITED not in table.caption([some])

    def test_what_adjusting_did_stands_beside_the_time(self) -> None:
        book = Book()
        for number in range(1, 21):
            busy = number % 2
            book.good("k", number, *[1e-3 * 1.5**busy] * 10, probe_s=5e-5 * 1.6**busy)
        cell = book.cell("k")
        assert cell.time_s == pytest.approx(1e-3, rel=0.05)
        assert cell.as_found_s == pytest.approx(1e-3 * math.sqrt(1.5), rel=0.01)
        assert cell.as_found_ratio == cell.as_found_s / cell.time_s  # type: ignore[operator]
        assert cell.probe_slope == pytest.approx(math.log(1.5) / math.log(1.6), abs=0.1)

    def test_of_a_run_older_than_the_probe_times_are_as_found(self) -> None:
        book = Book()
        for number in range(1, 8):
            book.good("k", number, 1e-3 * number)
        cell = book.cell("k")
        assert cell.time_s == cell.as_found_s
        assert (cell.as_found_ratio, cell.probe_slope) == (1.0, 0.0)

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
        order = [(c.n_units, c.batch, c.kernel) for c in rows_of(book.visits, book.blocks)]
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
        assert (cell.visits, cell.latency_s) == (3, 3e-6)
        assert cell.time_s == pytest.approx(2e-6)
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
