"""Which cell next, and when to stop.

    first pass    every case once, the least work first, so that what a larger cell will take can be
                  predicted; a cell over the limit is skipped, with the prediction as the reason
    later passes  the cases that have not reached the target, each as often as its interval is wide
                  beside the widest, in random order, a case's kernels next to each other in random
                  order: both sides of a speed-up see the same machine. Cells on another device
                  than the CPU are visited together, so that it doesn't cool in between

A run may end after any visit: by its budget, its target or Ctrl-C. What is on disk is complete.
"""

import math
import random
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.data.records import Block, Status, Visit
from bench.data.speed_history import History
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import prediction
from bench.stats.measured import Launches, Measured, of_visit, spoiled, waiting
from bench.stats.run_data import RunData
from bench.stats.times import times

LOOKS = (6, 9, 13, 19, 28, 41, 60, 88, 129, 189, 277, 406, 595, 872, 1278)
"""Numbers of visits at which a cell may be found done. Fixed beforehand: looking after every visit
and stopping at the first narrow interval would favour the ones that are narrow by chance; that is
also why two looks in a row have to agree."""

RESPAWN = 3
RESPAWN_S = 2.0
"""Workers are started afresh every so many passes and not within so many seconds, so that one
memory layout isn't the answer, and starting them (a third of a second) stays a small part."""


MOST_PENDING = 1000
"""Cells without a visit that are listed in a run's files: a sweep may have a million."""

LEAST_SHARE = 0.25
"""A case takes part in at least this share of the passes, however well it is known."""

LEAST_ALONE = 0.1
"""At least this part of a visit's time was its own: the waits of several threads add up."""

REMEMBERED = LOOKS[-1]
"""Visits of a cell held in memory: enough for the last look. A long run's later ones are on disk
and change nothing here."""

AGAIN: tuple[Status, ...] = ("crashed", "timeout", "out_of_memory")
"""What may have been an accident: a resumed run gives such a cell another chance."""


class Visits(Protocol):
    """What the scheduler needs of `bench.measure.visit.Visitor`."""

    def visit(
        self, cell: Cell, number: int, pass_number: int, launch_s: float | None
    ) -> tuple[Visit, list[Block]]: ...

    def respawn(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: what progress shows."""

    pass_number: int
    cell: Cell
    visited: int  # cells of this pass that are through
    cells: int  # cells of this pass
    left_s: float  # of the budget


@dataclass(slots=True)
class Standing:
    """What is known of one cell so far."""

    measured: Measured = field(default_factory=Measured)
    refused: bool = False  # it will not be visited again
    again: bool = False  # what befell its last visit may have been an accident
    skipped: bool = False  # predicted to be too slow, as far as is known yet
    known: bool = False  # the files have a row of it
    device: str = ""  # the name of the device that a visit reached
    fastest: float = math.inf  # seconds of a launch in its fastest block
    alone_s: float = math.inf  # the same without what its threads waited for a core, at least
    looked: int = 0  # how many looks were reached when it was last looked at
    half_width: float = math.inf  # of its interval then, relative
    narrow: bool = False  # at that look, and at the one before

    def add(self, launches: Launches, waited: float) -> None:
        """Take note of a good visit whose threads waited for this share of the time."""
        self.fastest = min(self.fastest, launches.fastest)
        self.alone_s = min(self.alone_s, launches.fastest * max(1 - waited, LEAST_ALONE))

    @property
    def visited(self) -> bool:
        """Whether it has a good visit."""
        return self.fastest < math.inf

    @property
    def reached(self) -> int:
        """How many looks its visits are enough for."""
        return bisect_right(LOOKS, len(self.measured.counted))

    @property
    def done(self) -> bool:
        """Whether the two newest looks both found the interval narrow enough."""
        return self.narrow and not self.again


def _shape(case: Case) -> tuple[int, int, str]:
    return case.n_in, case.n_units, case.layer


def _batch(case: Case) -> int:
    return case.batch


class Scheduler:
    """One run over kernels and cases."""

    def __init__(
        self,
        cells: Sequence[Cell],
        visits: Visits,
        record: Callable[[Visit, list[Block]], None],
        *,
        budget_s: float,
        target: float,
        launch_limit_s: float,
        seed: int = 0,
        history: History | None = None,
        clock: Callable[[], float] = time.monotonic,
        watch: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._visits = visits
        self._record = record
        self._target = target
        self._limit_s = launch_limit_s
        self._random = random.Random(seed)
        self._history = history
        self._clock = clock
        self._watch = watch
        self._budget_s = budget_s
        self._ends = math.inf
        self._spawned = clock()
        self._standing = {cell: Standing() for cell in cells}
        self._lacking: dict[tuple[str, int, str], set[Case]] = {}  # cases, by kernel and reason
        self._timed: dict[tuple[str, int], dict[Case, Standing]] = {}  # those with a time
        self._number = 0
        self._pass = 0

    def restore(self, run: RunData) -> None:
        """Take up where a run stopped."""
        for cell, standing in self._standing.items():
            if (before := run.by_cell.get(cell.recorded())) is not None:
                last = before.last
                standing.known = True
                standing.device = before.device
                standing.measured = before.measured
                for visit, launches in before.measured.launches.items():
                    standing.add(launches, before.measured.waited[visit])
                if standing.visited:
                    self._time(cell)
                # one that was skipped for what its first launch took is not tried again
                standing.skipped = last.status == "skipped" and last.predicted_s is not None
                standing.again = last.status in AGAIN
                standing.refused = not (
                    standing.skipped or standing.again or last.status in ("ok", "pending")
                )
        # blocks whose visit was never finished keep their number to themselves
        numbers = [*(visit.visit for visit in run.visits), *run.blocks]
        self._number = max(numbers, default=0)
        self._pass = max((visit.pass_number for visit in run.visits), default=0)

    def pending(self) -> list[Visit]:
        """A row for each cell that the run has not come to, to be written when it ends; none where
        they are too many to be listed.
        """
        if self.unvisited > MOST_PENDING:
            return []
        reason = "the run ended before its first visit"
        cells = (cell for cell, standing in self._standing.items() if not standing.known)
        return [
            refusal(cell, number, self._pass, "pending", reason)
            for number, cell in enumerate(cells, self._number + 1)
        ]

    @property
    def unvisited(self) -> int:
        """How many cells the files have no row of."""
        return sum(not standing.known for standing in self._standing.values())

    def run(self) -> str:
        """Visit until there is a reason to stop, and return it: done or budget."""
        plan = self._plan()
        self._ends = self._clock() + self._budget_s  # planning a million cells takes its time, too
        while plan:
            self._pass += 1
            if self._pass % RESPAWN == 0 and self._clock() >= self._spawned + RESPAWN_S:
                self._visits.respawn()
                self._spawned = self._clock()
            for position, cell in enumerate(plan):
                left_s = self._ends - self._clock()
                if left_s <= self._cost_s(cell):
                    return "budget"
                if self._standing[cell].refused:
                    continue  # found unavailable since the pass was planned
                self._watch(Progress(self._pass, cell, position, len(plan), left_s))
                self._visit(cell)
            plan = self._plan()
        return "done"

    def _plan(self) -> list[Cell]:
        """The cells of the next pass, in order; none when all is done."""
        standings = {cell: known for cell, known in self._standing.items() if not known.refused}
        unvisited = [c for c, known in standings.items() if not known.visited and not known.skipped]
        # a disturbed visit may have made a prediction too high: better ones let the cell in
        unvisited += [c for c, known in standings.items() if known.skipped and self._affordable(c)]
        if unvisited:
            return sorted(unvisited, key=lambda cell: (cell.case.flops, cell.case.n_units))
        cases: dict[Case, list[Cell]] = {}
        for cell, known in standings.items():
            if known.visited:
                cases.setdefault(cell.case, []).append(cell)
        self._look(standings)
        wanted = [
            cells
            for cells in cases.values()
            if not all(self._standing[cell].done for cell in cells)
        ]
        need = [max(self._standing[cell].half_width for cell in cells) for cells in wanted]
        widest = max((width for width in need if width < math.inf), default=0.0)
        chosen = [
            cells
            for cells, width in zip(wanted, need, strict=True)
            if self._random.random() * widest <= max(width, LEAST_SHARE * widest)
        ]
        self._random.shuffle(chosen)
        shuffled = [cell for cells in chosen for cell in self._random.sample(cells, len(cells))]
        devices = sorted({standings[cell].device for cell in shuffled})
        self._random.shuffle(devices)
        return sorted(shuffled, key=lambda cell: devices.index(standings[cell].device))

    def _visit(self, cell: Cell) -> None:
        standing = self._standing[cell]
        launch_s = self._predict(cell)
        if launch_s is not None and not self._affordable(cell):
            standing.skipped = True
            reason = f"predicted {launch_s:.3g} s a launch, limit {self._limit_s:g} s"
            self._note(cell, "skipped", reason, launch_s)
            return
        standing.skipped = standing.again = False
        self._number += 1
        visit, blocks = self._visits.visit(cell, self._number, self._pass, launch_s)
        self._record(visit, blocks)
        standing.known = True
        standing.device = visit.device or standing.device
        if visit.status == "ok":
            measured = of_visit(blocks)
            assert measured.launches is not None
            standing.add(measured.launches, waiting(visit))
            if not spoiled(visit) and len(standing.measured.launches) < REMEMBERED:
                standing.measured.add(visit, measured)
            self._time(cell)
            return
        standing.refused = True
        if visit.status == "unavailable":
            self._unavailable(cell, visit.reason)

    def _unavailable(self, cell: Cell, reason: str) -> None:
        """Name all cells of a kernel that the machine lacks something for, whatever the case: it
        has said the same of two layers and of two batches, or of all there are, and done none.
        """
        alike = {
            other: known
            for other, known in self._standing.items()
            if (other.kernel, other.device) == (cell.kernel, cell.device)
        }
        said = self._lacking.setdefault((cell.kernel, cell.device, reason), set())
        said.add(cell.case)
        several = all(
            len(set(map(what, said))) >= min(2, len({what(other.case) for other in alike}))
            for what in (_shape, _batch)
        )
        if several and not any(known.visited for known in alike.values()):
            for other, known in alike.items():
                if not known.refused:
                    self._note(other, "unavailable", reason)

    def _time(self, cell: Cell) -> None:
        """Remember that a cell has a time, for predictions."""
        timed = self._timed.setdefault((cell.kernel, cell.device), {})
        timed[cell.case] = self._standing[cell]

    def _look(self, standings: Mapping[Cell, Standing]) -> None:
        """Find out how wide the intervals are of cells that have reached another look.

        Each by the visits that the look is of, and by those of the look before.
        """
        new = {cell: s for cell, s in standings.items() if s.reached > s.looked}
        if not new:
            return

        def half_widths(back: int) -> dict[Cell, float]:
            first = {
                cell: standing.measured.first(LOOKS[max(standing.reached - 1 - back, 0)])
                for cell, standing in standings.items()
            }
            estimates = times(first, self._history).by_cell
            return {cell: estimate.half_width for cell, estimate in estimates.items()}

        now, before = half_widths(0), half_widths(1)
        for cell, standing in new.items():
            standing.looked, standing.half_width = standing.reached, now[cell]
            both_narrow = max(now[cell], before[cell]) <= self._target
            standing.narrow = standing.looked > 1 and both_narrow

    def _predict(self, cell: Cell) -> float | None:
        """Seconds of a launch: as measured before, or as smaller cases of the kernel suggest.

        From what the fastest visits took beside their waiting for a core: on a busy machine, too, a
        cell is skipped for its own time alone.
        """
        if self._standing[cell].visited:
            return self._standing[cell].fastest
        timed = self._timed.get((cell.kernel, cell.device), {})
        measured = {case: known.alone_s for case, known in timed.items()}
        return prediction.predict(cell.case, measured)

    def _affordable(self, cell: Cell) -> bool:
        """A cell that has been visited, or whose launch is predicted to stay below the limit."""
        return self._standing[cell].visited or (self._predict(cell) or 0.0) <= self._limit_s

    def _cost_s(self, cell: Cell) -> float:
        """About what a visit takes: it must end within the budget."""
        return 2 * (self._predict(cell) or 0.0) if self._affordable(cell) else 0.0

    def _note(
        self, cell: Cell, status: Status, reason: str, predicted_s: float | None = None
    ) -> None:
        """Record how a cell stands without visiting it."""
        standing = self._standing[cell]
        standing.known = True
        standing.refused = status != "skipped"
        self._number += 1
        row = refusal(cell, self._number, self._pass, status, reason, predicted_s)
        self._record(row, [])
