"""A run on disk, read once: its machine, its visits and blocks, and the cells that follow."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import fit, store
from bench.data.machine import Machine
from bench.data.records import Block, CellRow, Count, Visit
from bench.plan.cell import Cell
from bench.stats import cell_visits, cells, measured
from bench.stats.cell_visits import CellVisits
from bench.stats.measured import VisitBlocks
from bench.stats.times import Times, times


@dataclass(frozen=True, slots=True)
class RunData:
    """What table, charts, slides and a run that goes on are made from."""

    folder: Path
    machine: Machine
    visits: Sequence[Visit]
    blocks: Mapping[int, VisitBlocks]  # by visit; those of a visit that was never finished, too
    by_cell: Mapping[Cell, CellVisits]
    times: Times
    cells: Sequence[CellRow]  # as cells.csv has them


def read(folder: Path) -> RunData:
    """A run, from its files alone; from its cells alone where it has no visits. Raises BadInput."""
    machine = store.machine(folder)
    if not os.path.lexists(folder / store.FILES[Visit]):
        return RunData(folder, machine, (), {}, {}, times({}), store.load(folder, CellRow))
    return derive(folder, machine, store.load(folder, Visit), store.load(folder, Block))


def derive(
    folder: Path, machine: Machine, visits: Sequence[Visit], blocks: Iterable[Block]
) -> RunData:
    """A run from what was measured. Raises BadInput for a good visit without blocks."""
    by_visit = measured.by_visit(blocks)
    by_cell = cell_visits.gather(visits, by_visit)
    estimated = times({cell: its.measured for cell, its in by_cell.items()}, machine.speed_history)
    instructions = cells.counted(_counts(folder))
    rows = cells.rows(by_cell, estimated.by_cell, machine.peaks_by_device, instructions)
    written = store.as_written(map(fit.derived, rows))
    return RunData(folder, machine, visits, by_visit, by_cell, estimated, written)


def _counts(folder: Path) -> list[Count]:
    """What was counted in a run; nothing in most."""
    return store.load(folder, Count) if os.path.lexists(folder / store.FILES[Count]) else []
