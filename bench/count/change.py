"""Two sides' counts of a cell -> how its instructions changed, and how exact that is.

Each side is counted in one process, and where the two differ, in more: what counts of one side
differ by is all that is known of how exact they are. Of more than two the lowest two stand for the
side: an interpreter that adapted less well than in other processes takes more instructions, never
fewer.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from bench.count.events import Counted

Level = Literal["more", "changed", "equal", "fewer"]
"""What counts say of a cell: surely more instructions, by over THRESHOLD; surely another number, by
less than that, or not surely by more; the same number, as exactly as it is known; surely fewer."""

THRESHOLD = 0.01
"""A change of the count from which it says something of its own."""

LEAST_EXACT = 0.001
"""No count is taken for more exact than this: two that agree by chance show little."""

FACTOR = 2
"""How many times as far as counts of one side differ by a change must be to be one: what two
counts differ by is less than what others would."""

LOWEST = 2
"""So many of a side's counts are taken."""

ALIKE = THRESHOLD / 2
"""Counts of one side that are within this of its lowest took the same way through the code."""

TOSSES, SHARE = 10, 0.9
"""A kernel may choose its way anew in each process, as if by a coin: two of each side then differ
by chance. Its changes are believed once so many further counts of the changed cells could
have fallen otherwise (2**-10 is one in a thousand), and at least this share of all was alike."""


@dataclass(frozen=True, slots=True)
class Change:
    """How the instructions of a launch changed from base to head."""

    base: float  # instructions a launch, the mean of the lowest two processes
    head: float
    exact: float  # what counts of the same side would differ by at most, as a log ratio
    processes: int  # that counted each side, at least
    further: int = 0  # counts beside the first of each side
    alike: int = 0  # of these, as low as the lowest of their side
    steady: bool = True  # False: its kernel may do something else in each process

    @property
    def log_ratio(self) -> float:
        return math.log(self.head / self.base)

    @property
    def doubtful(self) -> bool:
        """Whether the sides differ, and nothing shows how exactly."""
        return self.processes < LOWEST and abs(self.log_ratio) > self.exact

    @property
    def unsettled(self) -> bool:
        """Whether more processes may show what this many don't: a change that is, or is not, more
        than THRESHOLD.
        """
        moved, enough = abs(self.log_ratio), math.log1p(THRESHOLD)
        unsure = moved - self.exact <= enough < moved + self.exact
        return self.doubtful or (unsure and self.exact > LEAST_EXACT)

    @property
    def changed(self) -> bool:
        """Whether it says that there are more instructions, or fewer."""
        return self.level() in ("more", "fewer")

    def level(self, threshold: float = THRESHOLD) -> Level | None:
        """What it says; None where the counts are too unsteady to say anything."""
        surely, enough = abs(self.log_ratio) - self.exact, math.log1p(threshold)
        if self.doubtful or not self.steady:
            return None
        if surely > enough:
            return "more" if self.log_ratio > 0 else "fewer"
        if self.exact > enough:
            return None
        return "equal" if surely <= 0 else "changed"


def change(base: Sequence[Counted], head: Sequence[Counted]) -> Change | None:
    """The change between two sides; None where either was not counted."""
    sides = [sorted(map(_typical, side)) for side in (base, head)]
    if any(not numbers or min(numbers) <= 0 for numbers in sides):
        return None
    processes = min(map(len, sides))
    lowest = [numbers[:LOWEST] for numbers in sides]
    apart = max(math.log(numbers[-1] / numbers[0]) for numbers in lowest)
    exact = max(LEAST_EXACT, FACTOR * apart)
    further = sum(len(numbers) - 1 for numbers in sides)
    alike = sum(math.log(n / numbers[0]) < ALIKE for numbers in sides for n in numbers[1:])
    return Change(fmean(lowest[0]), fmean(lowest[1]), exact, processes, further, alike)


def missing(changes: Iterable[Change]) -> bool:
    """Whether those of a kernel's cells that changed were counted too few times to be believed."""
    changed = [change for change in changes if change.changed]
    return bool(changed) and sum(change.further for change in changed) < TOSSES


def steady(changes: Collection[Change]) -> bool:
    """Whether a kernel takes the same way in each process, as far as its cells' counts show it."""
    further = sum(change.further for change in changes)
    alike = sum(change.alike for change in changes)
    return not missing(changes) and alike >= SHARE * further


def _typical(counted: Counted) -> float:
    return median(events.instructions for events in counted.times)
