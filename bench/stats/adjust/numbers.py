"""One number a visit, one a cell, and its interval."""

import math

import numpy as np
from scipy import special

from bench.stats.adjust.block_table import BlockTable
from bench.stats.adjust.floors import Floors
from bench.stats.adjust.grouped import Floats, Integers, quantiles, sums
from bench.stats.adjust.records import Estimate
from bench.stats.adjust.slopes import Slopes, certainty
from bench.stats.interval import CONFIDENCE

QUANTILE = 0.2
"""A visit's number is this weighted quantile of its adjusted blocks: what disturbs a block makes it
longer."""

NORMAL = float(special.ndtri((1 + CONFIDENCE) / 2))

ALIKE, ALIKE_VISITS = 0.2, 20
"""The correlation of neighbouring visits' sides of the median, as recorded runs have it (0.1 to
0.2), and how many visits' worth of evidence that is taken for."""


def numbers(
    table: BlockTable, slowdown: Floats, floors: Floors, slopes: Slopes
) -> tuple[tuple[Estimate, ...], Floats, Floats]:
    """An estimate a cell, and the logarithms of each visit's number, adjusted and as found.

    A block counts the less the further it had to be adjusted; all visits count alike. The interval
    is that of a median, together with what the slope and the floor may be wrong by.
    """
    cells, visits, of = len(table.names), len(table.cell_of_visit), table.cell_of_visit
    slope = np.where(table.hosted, slopes.cell, 0.0)
    slope_error = np.where(table.hosted, slopes.cell_error, 0.0)
    floor_error = np.where(table.hosted, floors.error[table.kernel_of_cell], 0.0)
    # 1 where nothing is adjusted, so that what is left alone is to the last digit as found
    certain = certainty(slowdown) / certainty(np.zeros(1))

    def of_visits(slope: Floats) -> Floats:
        adjusted = table.log_s - slope[table.cell] * slowdown
        return quantiles(adjusted, certain, table.visit, visits, QUANTILE)

    def of_cells(number: Floats) -> Floats:
        return quantiles(number, np.ones(visits), of, cells, 0.5)

    number = of_visits(slope)
    middle = of_cells(number)
    low, high = _interval(number, of, middle)
    # where most that counts was hardly adjusted, another slope changes little
    by_slope = (
        of_cells(of_visits(slope - slope_error)) - of_cells(of_visits(slope + slope_error))
    ) / 2
    systematic = NORMAL * np.hypot(by_slope, slope * floor_error)
    low, high = (
        middle - np.hypot(middle - low, systematic),
        middle + np.hypot(high - middle, systematic),
    )
    plain = quantiles(table.log_s, np.ones(len(slowdown)), table.visit, visits, QUANTILE)
    as_found = of_cells(plain)
    counted = np.bincount(of, minlength=cells)
    estimates = tuple(
        Estimate(
            name=name,
            value=math.exp(middle[i]),
            low=math.exp(low[i]),
            high=math.exp(high[i]),
            visits=int(counted[i]),
            as_found=math.exp(as_found[i]),
            slope=float(slope[i]),
            slope_error=float(slope_error[i]),
        )
        for i, name in enumerate(table.names)
    )
    return estimates, number, plain


def _interval(number: Floats, of: Integers, middle: Floats) -> tuple[Floats, Floats]:
    """Between which two numbers a cell's median lies, from its visits alone.

    With so few visits that no two of them reach 95 %, the range of all is made wider in proportion.
    """
    cells, each = len(middle), np.ones(len(number))
    visits = np.maximum(np.bincount(of, minlength=cells), 1)
    reach = special.stdtrit(np.maximum(visits - 1, 1), (1 + CONFIDENCE) / 2) / 2 / np.sqrt(visits)
    inside = np.minimum(reach, 0.5)
    low = quantiles(number, each, of, cells, 0.5 - inside)
    high = quantiles(number, each, of, cells, 0.5 + inside)
    wider = _widening(number, of, middle) * np.maximum(reach / 0.5, 1.0)
    return middle - (middle - low) * wider, middle + (high - middle) * wider


def _widening(number: Floats, of: Integers, middle: Floats) -> Floats:
    """How much wider an interval is because neighbouring visits are alike.

    sqrt((1 + r) / (1 - r)), where r is the correlation of one visit's side of the median with the
    next one's: what a median's error grows by under a first-order process. Few visits say little of
    r, so it is drawn towards what recorded runs show.
    """
    order = np.argsort(of, kind="stable")
    cell, side = of[order], np.sign(number - middle[of])[order]
    pair = cell[1:] == cell[:-1]
    n = np.bincount(of, minlength=len(middle))
    alike = sums((side[1:] * side[:-1])[pair], cell[1:][pair], len(middle))
    # the median is taken from the same values, which makes neighbours seem opposed by 1 / (n - 1)
    r = (alike + 1) / np.maximum(n - 1, 1)
    r = np.clip((n * r + ALIKE_VISITS * ALIKE) / (n + ALIKE_VISITS), 0.0, 0.9)
    return np.sqrt((1 + r) / (1 - r))
