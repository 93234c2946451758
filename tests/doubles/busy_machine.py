"""Blocks of a machine that doesn't exist, whose times on a core left alone are known."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.stats.adjust import Blocks

Floats = NDArray[np.float64]

FLOOR_S = 5e-5
BLOCKS = 10

ALONE_S = 1e-3 * math.exp(0.01 * statistics.NormalDist().inv_cdf(0.2))
"""What a fast block of `noisy` takes."""


def blocks_of(
    slowdown: Floats,
    seconds: Floats,
    *,
    on_device: bool = False,
    kernels: Sequence[str] = ("loop", "dot"),
) -> Blocks:
    """Visits to cells in turn, from arrays of shape (passes, cells, blocks of a visit)."""
    passes, cells, blocks = slowdown.shape
    visit = np.repeat(np.arange(passes * cells), blocks)
    probe = FLOOR_S * np.exp(slowdown)
    after = np.concatenate([probe[:, :, 1:], probe[:, :, -1:]], axis=2)
    return Blocks(
        names=[f"cell {i}" for i in range(cells)],
        kernels=[kernels[i % len(kernels)] for i in range(cells)],
        on_device=[on_device] * cells,
        cell=visit % cells,
        visit=visit,
        seconds=seconds.ravel(),
        probe_before=probe.ravel(),
        probe_after=after.ravel(),
        probe_elsewhere=probe.ravel(),
    )


def noisy(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """A millisecond a launch, 1 % more or less."""
    return np.asarray(1e-3 * np.exp(generator.normal(0, 0.01, shape)))


def switching(generator: np.random.Generator, passes: int, cells: int, busy: float) -> Floats:
    """Slowdowns of a core that a neighbour uses in a share of the visits."""
    slow = generator.random((passes, cells, 1)) < busy
    return np.asarray(slow * (0.5 + generator.normal(0, 0.08, (passes, cells, BLOCKS))))
