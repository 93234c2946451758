"""What good visits measured, as the estimates take it: compact, for a long run has many."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from statistics import median

from bench.data.machine import CPU
from bench.data.records import Block, Quantity, Visit
from bench.stats.device_disturbance import Cause, Seen, disturbances, seen

WAITED, LEAST = 0.3, 6
"""A visit whose threads waited for a core for more than this share of the time is set aside, for
the probe does not see that a block was interrupted. A cell keeps so many visits all the same, those
that waited the least. Up to this share a visit's number is as good as any, being a low quantile of
its blocks: bench/studies/waits.py."""

LEFT = 0.5
"""A device that still works for this share of the time once a single launch has returned is the
slower one: what the host waits for then is no part of the time between the device's own marks. (On
an H100: under 0.25 of the time for small layers, 0.6 and more for large ones.)"""

ABRUPT_S = 1e-3
"""A clock that was set by more than this, or a machine that slept, spoils a visit altogether.
(Network time keeps a clock right by at most 0.5 ms a second.)"""

LEAST_S = 1e-9
"""The shortest reading of the probe that is one: a coarse clock may see nothing of it, and no clock
of an operating system sees less."""


@dataclass(frozen=True, slots=True)
class Launches:
    """A visit's blocks of launches, in order, and the speed probe's readings around them."""

    seconds: Sequence[float]  # a launch, an entry a block
    before: Sequence[float]  # the probe on the core that launched, just before each block
    after: Sequence[float]  # and just after; both empty where it was not timed
    elsewhere: Sequence[float]  # its readings on other cores, in any order

    @property
    def fastest(self) -> float:
        """Seconds of the fastest block."""
        return min(self.seconds)


@dataclass(frozen=True, slots=True)
class VisitBlocks:
    """All blocks of one visit."""

    launches: Launches | None
    trips: Mapping[Quantity, float]  # seconds, the median of each other quantity


@dataclass(slots=True)
class Measured:
    """A cell's good visits, by their numbers."""

    launches: dict[int, Launches] = field(default_factory=dict)
    waited: dict[int, float] = field(default_factory=dict)  # what share of the time, 0 to 1
    trips: dict[Quantity, dict[int, float]] = field(default_factory=dict)
    device: str = ""  # the name of the device that computed
    seen: dict[int, Seen] = field(default_factory=dict)  # of a device other than the CPU

    def add(self, visit: Visit, blocks: VisitBlocks) -> None:
        """Add a good visit that has launches."""
        assert blocks.launches is not None
        launches = blocks.launches
        if (
            not launches.before and visit.control_s
        ):  # of runs older than the probe beside each block
            readings = array("d", [visit.control_s]) * len(launches.seconds)
            launches = replace(launches, before=readings, after=readings)
        self.launches[visit.visit] = launches
        self.device = visit.device or self.device
        self.waited[visit.visit] = waiting(visit)
        if self.device not in ("", CPU):
            self.seen[visit.visit] = seen(visit)
        for quantity, seconds in blocks.trips.items():
            self.trips.setdefault(quantity, {})[visit.visit] = seconds

    @property
    def counted(self) -> dict[int, Launches]:
        """The visits that count: those that were hardly disturbed, or the least of the others where
        that leaves too few for an interval. What disturbs is waiting for a core, and where the
        device works by itself what its driver told.
        """
        disturbed, limit = self.waited, WAITED
        if self.works_alone:
            disturbed = {visit: sum(by.values()) for visit, by in self.disturbances.items()}
            limit = 0.0
        limit = max([limit, *sorted(disturbed.values())[:LEAST]])
        return {visit: its for visit, its in self.launches.items() if disturbed[visit] <= limit}

    @property
    def works_alone(self) -> bool:
        """Whether a device other than the CPU has most of a launch's work left when it returns."""
        if not self.seen:
            return False
        left_s = self.least_trip_s("latency") - self.least_trip_s("launch")
        fastest_s = min(launches.fastest for launches in self.launches.values())
        return left_s >= LEFT * fastest_s  # nothing is known where there were no round trips

    @property
    def disturbances(self) -> dict[int, Mapping[Cause, float]]:
        """What disturbed a device that works alone in each visit."""
        return disturbances(self.seen)

    def first(self, visits: int) -> "Measured":
        """The same of the first so many of the visits that count."""
        some = dict(islice(self.counted.items(), visits))
        waited = {visit: self.waited[visit] for visit in some}
        seen = {visit: self.seen[visit] for visit in some if visit in self.seen}
        return Measured(some, waited, self.trips, self.device, seen)

    def trip_s(self, quantity: Quantity) -> float | None:
        """The median of one of the other quantities over the visits that count and have it; over
        all that have it where none of those counts (slow launches make few round trips).
        """
        by_visit, counted = self.trips.get(quantity, {}), self.counted
        seconds = [trip_s for visit, trip_s in by_visit.items() if visit in counted]
        return median(seconds or by_visit.values()) if by_visit else None

    def least_trip_s(self, quantity: Quantity) -> float:
        """The least of one of the other quantities over all visits; inf where none has it."""
        return min(self.trips.get(quantity, {}).values(), default=math.inf)


def spoiled(visit: Visit) -> bool:
    """Whether the machine slept during a visit, or its clock was set: no adjusting mends that."""
    return max(visit.suspended_s or 0.0, abs(visit.stepped_s or 0.0)) > ABRUPT_S


def waiting(visit: Visit) -> float:
    """The share of a visit's time, 0 to 1 and more, in which its threads were ready to run and had
    no core: for other processes, the hypervisor, or a quota. The threads' waits add up.
    """
    share = (visit.waited_s or 0.0) / (visit.measured_s or 1.0)
    share += ((visit.steal_s or 0.0) + (visit.throttled_s or 0.0)) / (visit.wall_s or 1.0)
    # of two readings that are not taken at once, the difference may be below nothing
    return max(share, 0.0)


def of_visit(blocks: Iterable[Block]) -> VisitBlocks:
    """One visit's blocks together."""
    launches: list[Block] = []
    trips: dict[Quantity, list[float]] = {}
    for block in blocks:
        if block.quantity == "time":
            launches.append(block)
        else:
            trips.setdefault(block.quantity, []).append(block.seconds)
    return VisitBlocks(
        _launches(launches) if launches else None,
        {quantity: median(seconds) for quantity, seconds in trips.items()},
    )


def _launches(blocks: Sequence[Block]) -> Launches:
    before = _seen(block.probe_before_s for block in blocks)
    after = _seen(block.probe_after_s for block in blocks)
    whole = len(before) == len(after) == len(blocks)
    elsewhere = (s for b in blocks for s in (b.probe_others_before_s, b.probe_others_after_s))
    return Launches(
        array("d", (block.seconds for block in blocks)),
        before if whole else array("d"),
        after if whole else array("d"),
        _seen(elsewhere),
    )


def _seen(readings: Iterable[float | None]) -> "array[float]":
    return array("d", (s for s in readings if s is not None and s >= LEAST_S))


def by_visit(blocks: Iterable[Block]) -> dict[int, VisitBlocks]:
    """Blocks by the number of their visit."""
    groups: dict[int, list[Block]] = {}
    for block in blocks:
        groups.setdefault(block.visit, []).append(block)
    return {visit: of_visit(group) for visit, group in groups.items()}
