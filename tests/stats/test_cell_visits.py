"""From made-up visits to cells: which blocks and visits belong together."""

from typing import Any

import pytest
from made_up_runs import Book, rows_of

from bench.data.records import Block
from bench.stats.cell_visits import gather
from bench.stats.measured import by_visit
from bench.terminal.errors import BadInput


class TestGather:
    """Which blocks belong to which cell."""

    def test_a_visit_keeps_its_blocks_in_order(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1.0, 2.0, 9.0)
        book.good("numpy_dot", 4, 5.0, 3.0)
        (cell,) = gather(book.visits, by_visit(book.blocks)).values()
        launches = cell.measured.launches
        assert {n: list(its.seconds) for n, its in launches.items()} == {1: [1, 2, 9], 2: [5, 3]}
        assert [its.fastest for its in launches.values()] == [1.0, 3.0]

    def test_visits_that_waited_for_a_core_do_not_count(self) -> None:
        book = Book()
        for number in range(1, 8):
            book.good("numpy_dot", number, 1.0, 1.5, trip={"latency": 2.0})
        for number in range(8, 12):
            waited: dict[str, Any] = {"waited_s": 0.4, "measured_s": 1.0}
            book.good("numpy_dot", number, 0.5, 9.0, trip={"latency": 20.0}, **waited)
        cell = book.cell("numpy_dot")
        assert (cell.visits, cell.disturbed) == (7, 4)
        assert cell.time_s == cell.time_low_s == cell.time_high_s
        assert cell.time_s == pytest.approx(1.0, abs=0.1)
        assert (cell.median_s, cell.latency_s, cell.best_s) == (1.25, 2.0, 1.0)

    def test_visits_in_which_the_machine_slept_never_count(self) -> None:
        book = Book()
        for number in range(1, 4):
            book.good("numpy_dot", number, 1.0)
        book.good("numpy_dot", 4, 9.0, suspended_s=60.0)
        cell = book.cell("numpy_dot")
        assert (cell.visits, cell.disturbed, cell.time_s) == (3, 1, 1.0)
        assert cell.time_low_s is None

    def test_a_cell_of_spoiled_visits_alone_has_no_number(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 9.0, stepped_s=-1.0)
        cell = book.cell("numpy_dot")
        assert (cell.status, cell.visits, cell.disturbed) == ("ok", 0, 1)
        assert cell.time_s is None

    def test_a_good_visit_without_blocks_is_refused(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1.0)
        with pytest.raises(BadInput, match="visit 1 is ok and has no blocks"):
            gather(book.visits, {})

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
        times = sorted(c.time_s or 0 for c in rows_of(book.visits, book.blocks))
        assert times == pytest.approx([2, 3])
