"""Round numbers for axes."""

import math


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers for a log axis: decades, at most `most`; 1, 2, 5 in a short range."""
    decades = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    if len(decades) >= 2:
        return [10.0**d for d in decades if d % math.ceil(len(decades) / max(most, 1)) == 0]
    tenths = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in tenths for m in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high][:most]


def even_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers for a linear axis, two or more and about so many at most: the multiples of 1, 2
    or 5 times a power of ten.
    """
    decade = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    ticks: list[float] = []
    for step in (m * decade * 10**power for power in range(2) for m in (1, 2, 5)):
        coarser = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        if ticks and (len(ticks) <= most or len(coarser) < 2):
            break
        ticks = [n * step for n in coarser]
    return ticks
