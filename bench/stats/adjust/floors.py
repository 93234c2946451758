"""What the speed probe takes on a core left alone; how much longer it took beside each block."""

import math
from dataclasses import dataclass

import numpy as np

from bench.data.speed_history import History
from bench.stats.adjust.block_table import BlockTable
from bench.stats.adjust.grouped import Floats, means, quantiles, sums
from bench.stats.adjust.records import Source

LEVELS = (0.003, 0.006, 0.012)
"""The floor is the first of these quantiles of a run's readings that is sharp: the fastest state
that it was in repeatedly. The second and third are for a core whose clock was higher for a moment:
the first then lies between what it did for that moment and what it does."""

SHARP = 0.01
"""A core left alone takes the same time again and again: at its floor the readings' quantile hardly
rises from a level to twice that (0.4 % in all recordings, one with neighbours for 98 % of the time
included). Where it rises by more, that is the edge of what neighbours do, and no floor."""

OFF = math.log(1.15)
"""A run whose floor is this much above that of earlier runs never had a core to itself."""

NEAR = 0.2
"""A reading at most this much above the run's floor may be that of a core left alone, slowed only
by the clock that the kernel leaves behind."""

PRIOR_BLOCKS = 20
"""A kernel's own floor is drawn towards that of all kernels as if that were so many blocks."""

OFFSETS = 0.05
"""How far a kernel's floor may be from that of all kernels."""

CHANCE = 3.0
"""Readings that are slower beside a kernel or a cell than beside other kernels by more standard
errors than this are so by its own doing."""


@dataclass(frozen=True, slots=True)
class Floors:
    """Logarithms of the probe's seconds on a core left alone."""

    run: float  # nan where no cell is to be adjusted
    source: Source
    offset: Floats  # of each kernel, above the run's
    error: Floats  # standard error of each kernel's floor


def floors(table: BlockTable, earlier: History) -> Floors:
    """The run's floor, and above it each kernel's.

    A run that never saw a core left alone, on a machine of which nothing is known, takes the
    fastest state that it was in: what lies below can't be known, and the source says so.
    """
    count = len(table.kernels)
    if not table.hosted.any():
        return Floors(math.nan, "run", np.zeros(count), np.zeros(count))
    rising = [map(float, np.quantile(table.readings, [level, 2 * level])) for level in LEVELS]
    found = [(run, above - run) for run, above in rising]
    run, error = next((each for each in found if each[1] < SHARP), found[0])
    sharp = error < SHARP
    source: Source = "run" if sharp else "fastest"
    known = math.inf if earlier.floor_s is None else math.log(earlier.floor_s)
    if known < run - (OFF if sharp else 0.0):
        # it lies between what earlier runs saw and the fastest state that this one was in
        run, error, source = known, min(max(run - known, SHARP), OFF / 2), "earlier"

    near = table.hosted_blocks & (table.probe.max(axis=0) <= run + NEAR)
    own = table.probe.mean(axis=0)[near] - run
    kernel = table.kernel_of_cell[table.cell[near]]
    each = np.ones(len(own))
    blocks = sums(each, kernel, count)
    common = float(np.median(own)) if len(own) else 0.0
    prior = np.array([_offset(earlier, name, common) for name in table.kernels])
    middle = np.nan_to_num(quantiles(own, each, kernel, count, 0.5))
    drawn = PRIOR_BLOCKS / (blocks + PRIOR_BLOCKS)
    offset = (1 - drawn) * middle + drawn * prior
    return Floors(run, source, offset, np.hypot(error, OFFSETS * drawn))


def _offset(earlier: History, kernel: str, common: float) -> float:
    return earlier.kernels[kernel].offset if kernel in earlier.kernels else common


def slowdowns(table: BlockTable, floors: Floors) -> Floats:
    """How much longer the probe took beside each block than on a core left alone, as a logarithm;
    0 for a device's blocks.
    """
    offset = floors.offset[table.kernel_of_cell][table.cell]
    slowdown = table.probe.mean(axis=0) - floors.run - offset
    slowdown = np.where(table.hosted_blocks, slowdown, 0.0)
    return slowdown - _own_doing(table, slowdown)[table.cell]


def _own_doing(table: BlockTable, slowdown: Floats) -> Floats:
    """How much of the slowdown beside a cell is its own doing: more than beside other kernels.

    A kernel that keeps its core slow, by a thread left running or a clock held back, would
    otherwise be told that its times are a neighbour's doing. The neighbour comes and goes without
    regard to what is measured, so on average all kernels find the same state; what a cell finds
    above the others' mean, beyond chance, it brought itself. Only the others' scatter says what
    chance is. Half the visits count, because neighbouring ones are alike.
    """
    visits, cells, kernels = len(table.cell_of_visit), len(table.names), len(table.kernels)
    mean = means(slowdown, np.ones(len(slowdown)), table.visit, visits)
    hosted = table.hosted[table.cell_of_visit]
    mean, cell = mean[hosted], table.cell_of_visit[hosted]
    each = np.ones(len(mean))
    kernel = table.kernel_of_cell[cell]

    def of_others(values: Floats) -> Floats:
        left: Floats = values.sum() - sums(values, kernel, kernels)
        return left[table.kernel_of_cell]

    others = np.maximum(of_others(each), 1.0)
    common = of_others(mean) / others
    variance = np.maximum(of_others(mean**2) / others - common**2, 0.0)
    own = sums(each, cell, cells)
    excess = means(mean, each, cell, cells) - common
    error = np.sqrt(variance * (2 / np.maximum(own, 1.0) + 2 / others))
    sure = (own > 0) & (of_others(each) > 0) & (excess > CHANCE * error)
    return np.where(sure, excess, 0.0)
