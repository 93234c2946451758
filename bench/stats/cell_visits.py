"""A run's visits and what they measured, by cell: one visit is one datum."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.data.records import CellRow, Visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.device_disturbance import Cause
from bench.stats.measured import WAITED, Measured, VisitBlocks, spoiled
from bench.terminal.errors import BadInput

VOID = ("wrong", "impossible")
"""A visit with one of these takes the cell's number away; a later crash or timeout does not."""

NOTHING = VisitBlocks(None, {})

Aside = Literal["waited", "slept"] | Cause
"""Why a good visit doesn't count: its threads waited for a core; the machine slept or its clock was
set; or what disturbed the device.
"""


@dataclass(slots=True)
class CellVisits:
    """A cell's visits, and what those of them that count measured."""

    visits: list[Visit] = field(default_factory=list)
    measured: Measured = field(default_factory=Measured)
    spoiled: int = 0  # good visits in which the machine slept, or its clock was set

    @property
    def counted(self) -> list[Visit]:
        """The visits that count."""
        counted = self.measured.counted
        return [visit for visit in self.visits if visit.visit in counted]

    @property
    def waited(self) -> int:
        """Visits that count although they waited for a core: there are too few others. None where a
        device works alone, which doesn't wait for it.
        """
        if self.measured.works_alone:
            return 0
        return sum(self.measured.waited[visit] > WAITED for visit in self.measured.counted)

    @property
    def set_aside(self) -> Counter[Aside]:
        """Good visits that do not count, by what disturbed them the most."""
        counted, aside = self.measured.counted, Counter[Aside]()
        by_device = self.measured.disturbances if self.measured.works_alone else {}
        for visit in self.measured.launches.keys() - counted.keys():
            by = by_device.get(visit)
            cause: Aside = max(by.items(), key=lambda each: each[1])[0] if by else "waited"
            aside[cause] += 1
        if self.spoiled:
            aside["slept"] = self.spoiled
        return aside

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

    def add(self, visit: Visit, blocks: VisitBlocks) -> None:
        """Add a visit and what it measured. Raises BadInput for a good one without launches."""
        self.visits.append(visit)
        if visit.status != "ok":
            return
        if blocks.launches is None:
            raise BadInput(f"visit {visit.visit} is ok and has no blocks: blocks.csv is not whole")
        if spoiled(visit):
            self.spoiled += 1
        else:
            self.measured.add(visit, blocks)


def cell_of(row: Visit | CellRow) -> Cell:
    """The cell that a row is about, as files name it: rows with the same one belong together."""
    return Cell(row.kernel, case_of(row), row.device_index, row.threads, row.cache)


def case_of(row: Visit | CellRow) -> Case:
    """The case of a row."""
    return Case(row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer)


def gather(visits: Iterable[Visit], blocks: Mapping[int, VisitBlocks]) -> dict[Cell, CellVisits]:
    """Each cell's visits with their blocks; blocks that no visit claims are left out.

    Raises BadInput for a good visit without blocks.
    """
    cells: dict[Cell, CellVisits] = defaultdict(CellVisits)
    for visit in visits:
        cells[cell_of(visit)].add(visit, blocks.get(visit.visit, NOTHING))
    return dict(cells)
