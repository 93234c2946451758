"""Which of some ordered numbers the median's interval runs between."""

from functools import cache

CONFIDENCE = 0.95


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
