"""More FLOP/s than there are."""

import pytest
from made_up_runs import Book, has_no_number, rows_of
from msgspec import structs

from bench.data.machine import Peaks
from bench.data.records import CellRow


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
        assert cell.flop_per_s == pytest.approx(1.24e9)

    def test_the_ceiling_is_at_least_what_a_cell_of_the_run_has_reached(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, self.flops / 1.2e9)
        book.good("numpy_matmul", 1, self.flops / 0.6e9)
        book.good("lightning", 1, self.flops / 9e9)  # impossible: it raises nothing
        cells = book.cells(peak=1e9)
        assert cells["numpy_dot", 100].percent_of_measured == pytest.approx(100)
        assert cells["numpy_matmul", 100].percent_of_measured == pytest.approx(50)
        assert cells["lightning", 100].status == "impossible"

    def test_multiply_adds_in_registers_are_the_ceiling_where_they_are_more(self) -> None:
        peaks = Peaks("float32", 1e9, None, 9e9, registers_flop_per_s=1.5e9)
        book = Book()
        book.good("numpy_dot", 1, self.flops / 1.2e9)
        (cell,) = rows_of(book.visits, book.blocks, {"cpu": peaks})
        assert cell.percent_of_measured == pytest.approx(80)
        assert cell.percent_of_peak == pytest.approx(80)  # 9e9 is promised, 1.5e9 is true
        faster = structs.replace(peaks, registers_flop_per_s=1.1e9)
        (cell,) = rows_of(book.visits, book.blocks, {"cpu": faster})
        assert cell.percent_of_measured == pytest.approx(100)

    def test_no_adjusting_makes_a_cell_faster_than_registers_are(self) -> None:
        """Its visits were all disturbed, and its core's probe takes 1.5 times as long."""
        peaks = Peaks("float32", 1.4e9, None, None, registers_flop_per_s=1.5e9)
        book = Book()
        for number in range(1, 41):
            quiet = number % 2
            probe_s = 4e-5 if quiet else 6e-5
            book.good("numpy_matmul", number, 1e-3 * (1 if quiet else 1.5), probe_s=probe_s)
            if not quiet:
                book.good("numpy_dot", number, self.flops / 1.4e9, probe_s=probe_s)
        unknown = structs.replace(peaks, registers_flop_per_s=None)
        before, after = (
            {row.kernel: row for row in rows_of(book.visits, book.blocks, {"cpu": known})}
            for known in (unknown, peaks)
        )
        assert before["numpy_dot"].status == "impossible"  # 2.1e9, adjusted
        assert after["numpy_dot"].flop_per_s == pytest.approx(1.5e9)
        assert after["numpy_dot"].percent_of_measured == pytest.approx(100)
        assert after["numpy_dot"].time_low_s == pytest.approx(self.flops / 1.5e9)
        assert after["numpy_matmul"].time_s == before["numpy_matmul"].time_s

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
            (cell,) = rows_of(book.visits, book.blocks, stated)
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
