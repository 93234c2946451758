"""Numbers, one a visit or a round -> their median and the interval that it lies in."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import median

CONFIDENCE = 0.95

ALIKE, ALIKE_VISITS = 0.2, 20
"""The correlation of neighbouring visits' sides of the median, as recorded runs have it (0.1 to
0.2), and how many visits' worth of evidence that is taken for."""

ENOUGH = 6
"""Visits from which on the interval holds 95 %: with fewer it spans all of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float
    visits: int

    @property
    def known(self) -> bool:
        """Whether there are visits enough for the interval to hold 95 %."""
        return self.visits >= ENOUGH

    @property
    def half_width(self) -> float:
        """Half the interval's width, relative to the estimate."""
        return (self.high - self.low) / 2 / self.value


def of_visits(values: Sequence[float]) -> Interval:
    """The headline: the median over visits, given in the order of their passes, and its interval.

    The sign test's interval, which takes visits for independent, widened (as ratios) for their
    correlation. `bench.studies.coverage` shows that it then holds what it promises. With fewer than
    six visits no two values reach 95 %: it spans all of them.
    """
    ordered = sorted(values)
    rank = left_out(len(ordered)) or 0
    middle, low, high = median(ordered), ordered[rank], ordered[-1 - rank]
    wider = widening(values)
    return Interval(
        middle, middle * (low / middle) ** wider, middle * (high / middle) ** wider, len(ordered)
    )


@cache
def left_out(n: int, confidence: float = CONFIDENCE) -> int | None:
    """How many of n ordered values lie outside the median's interval at each end; None where n are
    too few for an interval.

    The sign test's interval runs between two of the values themselves, chosen by the binomial
    distribution, so it asks nothing of the values' distribution (Conover, Practical Nonparametric
    Statistics, 3rd ed., section 3.2).
    """
    # P(at most `rank` of n below the median) = tail / 2**n, in whole numbers
    most = (1 - confidence) / 2
    ways = tail = 1
    rank = 0
    while tail / 2**n <= most:
        ways = ways * (n - rank) // (rank + 1)
        rank += 1
        tail += ways
    return rank - 1 if rank else None


def widening(values: Sequence[float]) -> float:
    """How much wider the median's interval is because neighbouring visits are alike.

    sqrt((1 + r) / (1 - r)), where r is the correlation of one visit's side of the median with the
    next one's: what a median's error grows by under a first-order process. Few visits say little of
    r, so it is drawn towards what recorded runs show.
    """
    n = len(values)
    if n < 2:
        return 1.0
    middle = median(values)
    sides = [(value > middle) - (value < middle) for value in values]
    # the median is taken from the same values, which makes neighbours seem opposed by 1 / (n - 1)
    r = (sum(a * b for a, b in pairwise(sides)) + 1) / (n - 1)
    r = (n * r + ALIKE_VISITS * ALIKE) / (n + ALIKE_VISITS)
    r = min(max(r, 0.0), 0.9)
    return math.sqrt((1 + r) / (1 - r))
