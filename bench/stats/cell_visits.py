"""A run's visits and blocks, by cell: one visit is one datum.

Blocks within a visit see the same few milliseconds of the machine, so a visit is one number, and
every interval is over visits, those that `bench.stats.disturbance` lets count.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.data.records import Block, CellRow, Quantity, Visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import disturbance
from bench.terminal.errors import BadInput

Seconds = Mapping[Quantity, Sequence[float]]
"""A visit's blocks: seconds of each, by quantity."""

VOID = ("wrong", "impossible")
"""A visit with one of these takes the cell's number away; a later crash or timeout does not."""


@dataclass(slots=True)
class CellVisits:
    """A cell's visits, and what its good ones measured, by pass."""

    visits: list[Visit] = field(default_factory=list)
    times: dict[int, float] = field(default_factory=dict)  # a visit's number, in seconds
    slowness: dict[int, float] = field(default_factory=dict)  # of the machine, in the visit
    limit: float = math.inf  # of the slowness: above it a visit is disturbed
    blocks: dict[int, Sequence[float]] = field(default_factory=dict)
    cores_busy: dict[int, float] = field(default_factory=dict)
    seconds: dict[Quantity, dict[int, float]] = field(default_factory=dict)  # medians

    @property
    def good(self) -> dict[int, float]:
        """The numbers that count: those of visits that the machine let alone."""
        return {p: self.times[p] for p in disturbance.kept(self.slowness, self.limit)}

    @property
    def void(self) -> Visit | None:
        """The visit that takes the cell's number away."""
        return next((visit for visit in self.visits if visit.status in VOID), None)

    @property
    def device(self) -> str:
        """The device's own name, from a visit that reached it."""
        return next((visit.device for visit in self.visits if visit.device), "")

    @property
    def last(self) -> Visit:
        """The newest visit, which says how the cell stands."""
        return self.visits[-1]

    def add(self, visit: Visit, blocks: Seconds) -> None:
        """Add a visit and what it measured."""
        self.visits.append(visit)
        if visit.status != "ok":
            return
        if "time" not in blocks:
            raise BadInput(f"visit {visit.visit} is ok and has no blocks: blocks.csv is not whole")
        for quantity, seconds in blocks.items():
            self.seconds.setdefault(quantity, {})[visit.pass_number] = median(seconds)
        self.times[visit.pass_number] = of_blocks(blocks["time"])
        self.slowness[visit.pass_number] = disturbance.slowness(visit)
        self.blocks[visit.pass_number] = blocks["time"]
        if visit.cores_busy is not None:
            self.cores_busy[visit.pass_number] = visit.cores_busy


def of_blocks(seconds: Sequence[float]) -> float:
    """A visit's number: its fastest block. What disturbs a block makes it longer.

    Over undisturbed visits the other choices repeat about as well (2.8 to 3.2 % between runs);
    over all visits they differ by a factor of four (`bench.studies.repeatability`).
    """
    return min(seconds)


def cell_of(row: Visit | CellRow) -> Cell:
    """The cell that a row is about, as files name it: rows with the same one belong together."""
    return Cell(row.kernel, case_of(row), row.device_index, row.threads, row.cache)


def case_of(row: Visit | CellRow) -> Case:
    """The case of a row."""
    return Case(row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer)


def by_visit(blocks: Iterable[Block]) -> dict[int, dict[Quantity, list[float]]]:
    """Blocks by the number of their visit."""
    visits: dict[int, dict[Quantity, list[float]]] = {}
    for block in blocks:
        visits.setdefault(block.visit, {}).setdefault(block.quantity, []).append(block.seconds)
    return visits


def gather(visits: Iterable[Visit], blocks: Mapping[int, Seconds]) -> dict[Cell, CellVisits]:
    """Each cell's visits with their blocks; blocks that no visit claims are left out.

    Raises BadInput for a good visit without blocks.
    """
    cells: dict[Cell, CellVisits] = defaultdict(CellVisits)
    for visit in visits:
        cells[cell_of(visit)].add(visit, blocks.get(visit.visit, {}))
    limit = disturbance.limit(s for cell in cells.values() for s in cell.slowness.values())
    for cell in cells.values():
        cell.limit = limit
    return dict(cells)
