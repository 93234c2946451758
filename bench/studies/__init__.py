"""Scripts behind the figures about the harness itself in results/studies/README.md.

Each is run as `python -m bench.studies.NAME`, prints its finding with the spread, and writes a
small CSV to results/studies/ that is committed. None of them runs in CI: they need a quiet machine.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from bench import ROOT
from bench.data.records import Block, Visit
from bench.data.speed_history import History
from bench.ipc import memory
from bench.judge.judge import Judge
from bench.measure import scheduler, visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import measured, times
from bench.stats.cell_visits import CellVisits, gather
from bench.stats.times import Times
from bench.worker import limits, messages
from bench.worker.server import Server

RESULTS = ROOT / "results" / "studies"
PICTURES = ROOT / "plots" / "studies"


def run(cells: Sequence[Cell], budget_s: float, seed: int, history: History | None = None) -> Times:
    """The harness's own passes over these cells, in memory -> what they take, by these cells.

    `history` is what earlier runs have told of the machine.
    """
    by_cell = visited(cells, budget_s, seed, history)
    return times.times({cell: visits.measured for cell, visits in by_cell.items()}, history)


def visited(
    cells: Sequence[Cell], budget_s: float, seed: int, history: History | None = None
) -> dict[Cell, CellVisits]:
    """The visits of such passes, of the cells that had one."""
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
            target=1e-9,
            launch_limit_s=10.0,
            seed=seed,
            history=history,
        ).run()
    by_cell = gather(visits, measured.by_visit(blocks))
    return {cell: by_cell[cell.recorded()] for cell in cells if cell.recorded() in by_cell}


def cell(kernel: str, width: int, batch: int, threads: int = 0) -> Cell:
    """A float32 relu cell, square, on all usable cores unless told otherwise."""
    case = Case(width, width, batch, "float32", "relu")
    return Cell(kernel, case, 0, threads or limits.usable_cores(), "warm")


def open_here(
    server: Server, kernel: str, case: Case, limit_s: float
) -> messages.Opened | messages.Refused:
    """A cell readied by a worker in this process, as number 1; nobody checks its outputs."""
    reply = server.answer(
        messages.Open(
            key=1,
            kernel=kernel,
            case=case,
            device=0,
            cache="warm",
            offset=0,
            launch_s=None,
            limit_s=limit_s,
            files=(*_judge().draw(case), memory.anonymous("outputs")),
        )
    )
    assert isinstance(reply, messages.Opened | messages.Refused)
    return reply


@cache
def _judge() -> Judge:
    return Judge(seed=0)


def write(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to results/studies/<name>.csv, floats to five digits."""
    rows = list(rows)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
