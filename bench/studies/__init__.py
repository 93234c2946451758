"""Scripts behind the figures about the harness itself in results/studies/README.md.

Each is run as `python -m bench.studies.NAME`, prints its finding with the spread, and writes a
small CSV to results/studies/ that is committed. None of them runs in CI: they need a quiet machine.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench import ROOT
from bench.data.records import Block, Visit
from bench.measure import scheduler, visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.cell_visits import CellVisits, by_visit, gather
from bench.worker import limits

RESULTS = ROOT / "results" / "studies"


def run(
    cells: Sequence[Cell], budget_s: float, seed: int, target: float = 1e-9
) -> list[CellVisits]:
    """The harness's own passes over these cells, in memory -> each cell's visits and blocks."""
    visits: list[Visit] = []
    blocks: list[Block] = []

    def record(row: Visit, its: list[Block]) -> None:
        visits.append(row)
        blocks.extend(its)

    with visit.Visitor(cells[0].threads, seed, limit_s=1.0) as visitor:
        scheduler.Scheduler(
            cells,
            visitor,
            record,
            budget_s=budget_s,
            target=target,
            launch_limit_s=10.0,
            seed=seed,
        ).run()
    by_cell = gather(visits, by_visit(blocks))
    return [by_cell[cell.recorded()] for cell in cells]


def cell(kernel: str, width: int, batch: int, threads: int = 0) -> Cell:
    """A float32 relu cell, square, on all usable cores unless told otherwise."""
    case = Case(width, width, batch, "float32", "relu")
    return Cell(kernel, case, 0, threads or limits.usable_cores(), "warm")


def write(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to results/studies/<name>.csv, floats to five digits."""
    rows = list(rows)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
