"""Two sides' counts of a cell -> how its instructions changed, and how exact that is.

Each side is counted in one process, and where the two differ, in more: what counts of one side
differ by is all that is known of how exact they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
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


@dataclass(frozen=True, slots=True)
class Change:
    """How the instructions of a launch changed from base to head."""

    base: float  # instructions a launch, median of the processes
    head: float
    exact: float  # what counts of the same side would differ by at most, as a log ratio
    processes: int  # that counted each side, at least

    @property
    def log_ratio(self) -> float:
        return math.log(self.head / self.base)

    @property
    def doubtful(self) -> bool:
        """Whether it has to be counted again: the sides differ, and nothing shows how exactly."""
        return self.processes < 2 and abs(self.log_ratio) > self.exact

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
    sides = [[_typical(counted) for counted in side] for side in (base, head)]
    if any(not numbers or min(numbers) <= 0 for numbers in sides):
        return None
    apart = max(math.log(max(numbers) / min(numbers)) for numbers in sides)
    exact = max(LEAST_EXACT, FACTOR * apart)
    return Change(median(sides[0]), median(sides[1]), exact, min(map(len, sides)))


def _typical(counted: Counted) -> float:
    return median(events.instructions for events in counted.times)
