"""Two sides' counts of a cell -> how its instructions changed, and how exact that is.

Each side is counted in one process, and where the two differ, in more: what counts of one side
differ by is all that is known of how exact they are. Of more than two the lowest two stand for the
side: an interpreter that adapted less well than in other processes takes more instructions, never
fewer.
"""

import math
from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class Change:
    """How the instructions of a launch changed from base to head."""

    base: float  # instructions a launch, the mean of the lowest two processes
    head: float
    exact: float  # what counts of the same side would differ by at most, as a log ratio
    processes: int  # that counted each side, at least

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

    def level(self, threshold: float = THRESHOLD) -> Level | None:
        """What it says; None where the counts are too unsteady to say anything."""
        surely, enough = abs(self.log_ratio) - self.exact, math.log1p(threshold)
        if self.doubtful:
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
    return Change(fmean(lowest[0]), fmean(lowest[1]), exact, processes)


def _typical(counted: Counted) -> float:
    return median(events.instructions for events in counted.times)
