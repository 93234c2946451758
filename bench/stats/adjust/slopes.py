"""How a cell's time follows the speed probe: log(seconds) = log(time alone) + slope * slowdown."""

from dataclasses import dataclass

import numpy as np

from bench.data.speed_history import History, Trait
from bench.stats.adjust.block_table import BlockTable
from bench.stats.adjust.grouped import Floats, means, sums

BUSY = 0.1
"""A slowdown (a logarithm) from which on something else used the core."""

NOISE = 0.03
"""How far a block's time is from its cell's on a core left alone."""

SPREAD = 0.12
"""How far an adjusted block may be off, for each unit of slowdown."""

MISFIT = 1.5
"""The line is not exact. Where busy blocks scatter about it by d, and a cell saw slowdowns that
spread by s, its slope may be out by this many times d / s, however many blocks there are."""

PRIOR = Trait(slope=0.95, error=0.2, offset=0.0)
"""A kernel of which nothing is known: most of what it does stays in its core."""

CELLS = 0.25
"""How far a cell's slope is from its kernel's."""

AGED = 0.1
"""How far a slope may have moved since the earlier runs."""

LEAST, MOST = 0.0, 1.2
"""No slope is outside of these."""

ROUNDS = 2
"""Fits: the second has weights from the first; more change nothing."""

MAD = 0.6745
"""A normal distribution's median absolute deviation, in standard deviations."""

TINY = 1e-12
"""Where slowdowns differ by less than this, squared, no slope can be seen."""


def certainty(slowdown: Floats) -> Floats:
    """How much each block counts: the less, the further it has to be adjusted."""
    return 1 / (NOISE**2 + (SPREAD * slowdown) ** 2)


@dataclass(frozen=True, slots=True)
class Slopes:
    """Slopes and their standard errors."""

    kernel: Floats
    kernel_error: Floats
    cell: Floats
    cell_error: Floats


def slopes(table: BlockTable, slowdown: Floats, earlier: History) -> Slopes:
    """Each cell's slope by instrumental variables, drawn towards its kernel's.

    The readings beside a block are noisy, and a regression on a noisy number is too flat; the mean
    over the block's visit saw the same machine with less noise, and is the instrument. Reweighting
    leads towards least absolute deviations.
    """
    cell, cells = table.cell, len(table.names)
    certain = certainty(slowdown)
    each = np.ones(len(slowdown))
    instrument = means(slowdown, each, table.visit, len(table.cell_of_visit))[table.visit]
    spread = means((slowdown - means(slowdown, each, cell, cells)[cell]) ** 2, each, cell, cells)
    busy = (slowdown > BUSY) & table.hosted_blocks
    weight = certain
    for _ in range(ROUNDS):
        dx, dy, dz = (
            values - means(values, weight, cell, cells)[cell]
            for values in (slowdown, table.log_s, instrument)
        )
        product = sums(weight * dz * dx, cell, cells)
        seen = table.hosted & (np.abs(product) > TINY) & (spread > TINY)
        product = np.where(seen, product, 1.0)
        raw = np.clip(sums(weight * dz * dy, cell, cells) / product, -0.5, 2.0)
        residual = dy - raw[cell] * dx
        scatter = float(np.median(np.abs(residual[busy]))) / MAD if busy.any() else BUSY
        precision = np.where(seen, spread / (MISFIT * scatter) ** 2, 0.0)
        fitted = _pooled(table, raw, precision, earlier)
        residual = dy - fitted.cell[cell] * dx
        weight = certain / np.maximum(np.abs(residual) * np.sqrt(certain), 1.0)
    return fitted


def _pooled(table: BlockTable, raw: Floats, precision: Floats, earlier: History) -> Slopes:
    """Cells drawn towards their kernel, kernels towards what is known of them.

    `raw` are the slopes of cells by themselves, `precision` is the inverse of their variance.
    """
    of, kernels = table.kernel_of_cell, len(table.kernels)
    known = [earlier.kernels.get(name) for name in table.kernels]
    centre = np.array([trait.slope if trait else PRIOR.slope for trait in known])
    error = np.array([np.hypot(trait.error, AGED) if trait else PRIOR.error for trait in known])
    # seen from its kernel, a cell's slope varies by CELLS besides its error
    told = np.where(precision > 0, 1 / (1 / np.maximum(precision, TINY) + CELLS**2), 0.0)
    held = sums(told, of, kernels)
    kernel = (sums(told * raw, of, kernels) + centre / error**2) / (held + error**-2)
    kernel = np.clip(kernel, LEAST, MOST)
    kernel_error = (held + error**-2) ** -0.5
    cell = (precision * raw + kernel[of] / CELLS**2) / (precision + CELLS**-2)
    apart = CELLS**2 + kernel_error[of] ** 2
    return Slopes(kernel, kernel_error, np.clip(cell, LEAST, MOST), (precision + 1 / apart) ** -0.5)
