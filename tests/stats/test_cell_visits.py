"""From made-up visits to cells: which blocks and visits belong together."""

from typing import Any

import pytest
from made_up_runs import Book, rows_of

from bench.data.records import Block
from bench.stats.cell_visits import by_visit, gather
from bench.terminal.errors import BadInput


class TestGather:
    """Which blocks belong to which cell."""

    def test_a_visit_is_its_fastest_block(self) -> None:
        book = Book()
        book.good("numpy_dot", 1, 1.0, 2.0, 9.0)
        book.good("numpy_dot", 4, 3.0, 5.0)
        (found,) = gather(book.visits, by_visit(book.blocks)).values()
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
        assert sorted(c.time_s or 0 for c in rows_of(book.visits, book.blocks)) == [
            2,
            3,
        ]
