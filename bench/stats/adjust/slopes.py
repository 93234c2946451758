"""How a cell's time follows the speed probe: log(seconds) = log(time alone) + slope * slowdown."""

import math
from collections.abc import Mapping, Sequence
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
    """Each cell's slope by weighted least squares, drawn towards its kernel's.

    Reweighting leads towards least absolute deviations: a few blocks met something that the probe
    beside them did not.
    """
    cell, cells = table.cell, len(table.names)
    certain = certainty(slowdown)
    each = np.ones(len(slowdown))
    spread = means((slowdown - means(slowdown, each, cell, cells)[cell]) ** 2, each, cell, cells)
    seen = table.hosted & (spread > TINY)
    busy = (slowdown > BUSY) & table.hosted_blocks
    weight = certain
    for _ in range(ROUNDS):
        dx, dy = (
            values - means(values, weight, cell, cells)[cell] for values in (slowdown, table.log_s)
        )
        raw = sums(weight * dx * dy, cell, cells)
        raw = np.where(seen, raw / np.where(seen, sums(weight * dx**2, cell, cells), 1.0), 0.0)
        residual = dy - raw[cell] * dx
        scatter = float(np.median(np.abs(residual[busy]))) / MAD if busy.any() else BUSY
        precision = np.where(seen, spread / (MISFIT * max(scatter, TINY)) ** 2, 0.0)
        fitted = _pooled(table, raw, precision, earlier)
        residual = dy - fitted.cell[cell] * dx
        weight = certain / np.maximum(np.abs(residual) * np.sqrt(certain), 1.0)
    return fitted


def _pooled(table: BlockTable, raw: Floats, precision: Floats, earlier: History) -> Slopes:
    """Cells drawn towards their kernel, kernels towards PRIOR; or each towards what earlier runs
    say of it.

    `raw` are the slopes of cells by themselves, `precision` is the inverse of their variance.
    """
    of, kernels = table.kernel_of_cell, len(table.kernels)
    # seen from its kernel, a cell's slope varies by CELLS besides its error
    told = np.where(precision > 0, 1 / (1 / np.maximum(precision, TINY) + CELLS**2), 0.0)
    held = sums(told, of, kernels)
    prior, spread = np.full(kernels, PRIOR.slope), np.full(kernels, PRIOR.error)
    prior, spread = _known(earlier.kernels, table.kernels, prior, spread)
    kernel = (sums(told * raw, of, kernels) + prior / spread**2) / (held + spread**-2)
    kernel, kernel_error = np.clip(kernel, LEAST, MOST), (held + spread**-2) ** -0.5
    spread = np.hypot(CELLS, kernel_error)[of]
    prior, spread = _known(earlier.cells, table.names, kernel[of], spread)
    cell = (precision * raw + prior / spread**2) / (precision + spread**-2)
    return Slopes(
        kernel, kernel_error, np.clip(cell, LEAST, MOST), (precision + spread**-2) ** -0.5
    )


def _known(
    traits: Mapping[str, Trait], names: Sequence[str], slope: Floats, error: Floats
) -> tuple[Floats, Floats]:
    """Slopes and their errors, with those that earlier runs tell in their place."""
    known = [traits.get(name) for name in names]
    return (
        np.array([trait.slope if trait else slope[i] for i, trait in enumerate(known)]),
        np.array(
            [math.hypot(trait.error, AGED) if trait else error[i] for i, trait in enumerate(known)]
        ),
    )
