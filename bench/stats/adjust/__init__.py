"""A run's blocks, and the speed probe beside each -> what every cell takes on a core left alone.

The probe is a small fixed work, timed between every two blocks. How much longer it takes than on a
core left alone (its floor), as a logarithm, is the slowdown of the machine at that moment. A
kernel's time follows it with a slope, log(seconds) = log(time alone) + slope * slowdown: about 1
for work that stays in a core, 0.3 to 0.5 for work that waits for memory or uses other cores too.

    records.py      what goes in and comes out
    block_table.py  the blocks as positions and logarithms
    floors.py       the probe's floor: a low quantile of the run's readings, or what earlier runs
                    saw if this one never got near it; and each kernel's own, because wide vector
                    instructions lower a core's clock for a while. Then the slowdown of each block
    slopes.py       a slope a cell by weighted least squares, reweighted once towards least absolute
                    deviations (Huber and Ronchetti, Robust Statistics, 2009, chapter 7), and drawn
                    towards its kernel's slope, that towards what is known (partial pooling; Gelman
                    and Hill, Data Analysis Using Regression and Multilevel/Hierarchical Models,
                    2007, chapter 12)
    numbers.py      a number a visit, a low quantile of its adjusted blocks; a number a cell, the
                    median over its visits, with the interval of a quantile (Woodruff,
                    Journal of the American Statistical Association 47, 1952) widened because
                    neighbouring visits are alike, and by what slope and floor may be wrong by
    grouped.py      sums and quantiles of groups

On a machine that is left alone nothing is adjusted and all visits count alike: the estimate is the
plain median over visits. A device's own times are never adjusted. What was tried and left out, and
what each part is worth, is in bench/studies/busy.py.
"""

import math

import numpy as np

from bench.data.speed_history import History, Trait
from bench.stats.adjust.block_table import BlockTable, tabulate
from bench.stats.adjust.floors import Floors, floors, slowdowns
from bench.stats.adjust.numbers import numbers
from bench.stats.adjust.records import (
    ENOUGH,
    Answer,
    Blocks,
    Estimate,
    MachineState,
    Ratio,
)
from bench.stats.adjust.slopes import BUSY, Slopes, slopes

__all__ = [
    "ENOUGH",
    "Answer",
    "Blocks",
    "Estimate",
    "History",
    "MachineState",
    "Ratio",
    "Trait",
    "estimate",
    "ratio",
]

TELLING = 1000
"""A run with fewer readings of the probe tells later runs nothing: its floor may be chance, and as
the lowest of all it would stay."""


def estimate(blocks: Blocks, earlier: History | None = None) -> Answer:
    """Every cell's time on a core left alone; `earlier` is what is known of the machine.

    Raises ValueError for a visit of two cells, and for a time or reading that is not above 0.
    """
    earlier = earlier or History()
    table = tabulate(blocks)
    floor = floors(table, earlier)
    slowdown = slowdowns(table, floor)
    slope = slopes(table, slowdown, earlier)
    estimates, adjusted, found = numbers(table, slowdown, floor, slope)
    return Answer(
        estimates,
        tuple(np.exp(adjusted).tolist()),
        tuple(np.exp(found).tolist()),
        _state(table, floor, estimates),
        _history(table, floor, slope, earlier),
    )


def ratio(slow: Estimate, fast: Estimate) -> Ratio:
    """How many times longer `slow` takes than `fast`, both on a core left alone.

    From the two estimates and not from pairs of visits: adjusting has taken off what a pair shares,
    and pairs repeat no better on recordings. The intervals are taken for independent; what both
    slopes may be wrong by alike makes this one too wide.
    """
    value = slow.value / fast.value
    down = math.hypot(math.log(slow.value / slow.low), math.log(fast.high / fast.value))
    up = math.hypot(math.log(slow.high / slow.value), math.log(fast.value / fast.low))
    return Ratio(
        value=value,
        low=value * math.exp(-down),
        high=value * math.exp(up),
        visits=min(slow.visits, fast.visits),
        as_found=slow.as_found / fast.as_found,
    )


def _state(table: BlockTable, floor: Floors, estimates: tuple[Estimate, ...]) -> MachineState:
    hosted = table.hosted_blocks
    if not hosted.any():
        return MachineState(math.nan, "run", 0.0, 1.0, 1.0)
    level = floor.run + floor.offset[table.kernel_of_cell][table.cell]
    slowdown = (table.probe - level)[:, hosted]
    factors = [
        cell.factor
        for cell, adjusted in zip(estimates, table.hosted, strict=True)
        if adjusted and cell.visits
    ]
    return MachineState(
        floor_s=math.exp(floor.run),
        source=floor.source,
        busy=float(np.mean(slowdown > BUSY)),
        slowed=math.exp(float(np.median(slowdown))),
        longer=float(np.median(factors)),
    )


def _history(table: BlockTable, floor: Floors, slope: Slopes, earlier: History) -> History:
    """What the next run on this machine may begin with; what this one didn't see is kept."""
    if len(table.readings) < TELLING:
        return earlier
    seen = not (floor.source == "fastest" or math.isnan(floor.run))
    floors_s = [math.exp(floor.run)] if seen else []
    if earlier.floor_s is not None:
        floors_s.append(earlier.floor_s)
    of = table.kernel_of_cell
    cells = {
        name: Trait(float(slope.cell[i]), float(slope.cell_error[i]), float(floor.offset[of[i]]))
        for i, name in enumerate(table.names)
        if table.hosted[i]
    }
    kernels = {
        name: Trait(float(slope.kernel[i]), float(slope.kernel_error[i]), float(floor.offset[i]))
        for i, name in enumerate(table.kernels)
        if table.hosted[of == i].any()
    }
    return History(
        min(floors_s, default=None),
        {**earlier.kernels, **kernels},
        {**earlier.cells, **cells},
    )
