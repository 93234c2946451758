"""Runs of made-up visits that were never on disk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bench.data.machine import Machine, Peaks
from bench.data.records import Block, CellRow, Quantity, Visit
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import cells, measured, run_data
from bench.stats.cell_visits import gather
from bench.stats.run_data import RunData
from bench.stats.times import times


def run_of(
    visits: Sequence[Visit] = (), blocks: Iterable[Block] = (), machine: Machine | None = None
) -> RunData:
    return run_data.derive(Path("made-up"), machine or Machine(), visits, blocks)


def rows_of(
    visits: Iterable[Visit],
    blocks: Iterable[Block],
    peaks_by_device: Mapping[str, Peaks] | None = None,
) -> list[CellRow]:
    """The rows of cells.csv with all their digits."""
    by_cell = gather(visits, measured.by_visit(blocks))
    estimates = times({cell: its.measured for cell, its in by_cell.items()}).by_cell
    return cells.rows(by_cell, estimates, peaks_by_device or {})


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
        probe_s: float | None = None,
        **changes: Any,
    ) -> None:
        """Add a good visit with these blocks; `trip`: a round trip's quantities, too; `probe_s`:
        what the speed probe took around each, on two cores.
        """
        known = {"device": "cpu", "kernel_hash": "abc", "error": 0.25} | changes
        number = self.row(kernel, pass_number, width, **known).visit
        readings = [probe_s] * 4
        self.blocks += [Block(number, "time", 8, s, *readings) for s in seconds]
        self.blocks += [Block(number, name, 1, s) for name, s in (trip or {}).items()]

    def bad(self, kernel: str, pass_number: int, status: str, width: int = 100) -> None:
        """Add a visit that came to nothing."""
        predicted_s = 2.5 if status == "skipped" else None
        changes = {"status": status, "reason": f"{status}!", "predicted_s": predicted_s}
        self.row(kernel, pass_number, width, **changes)

    def cells(self, peak: float | None = None) -> dict[tuple[str, int], CellRow]:
        """The run's cells by kernel and width."""
        cpu = {"cpu": Peaks("float32", peak, None, None)}
        return {(row.kernel, row.n_units): row for row in rows_of(self.visits, self.blocks, cpu)}

    def cell(self, kernel: str, width: int = 100, peak: float | None = None) -> CellRow:
        return self.cells(peak)[kernel, width]


OF_A_REFUSAL = {"error", "predicted_s"}
NUMBERS = [f.name for f in fields(CellRow) if f.type == float | None and f.name not in OF_A_REFUSAL]


def has_no_number(cell: CellRow) -> bool:
    return cell.visits == 0 and all(getattr(cell, name) is None for name in NUMBERS)
