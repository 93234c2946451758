"""The same answer however busy the machine is, and nothing for who tampers with the probe.

A run like a default one in small: three kernels on two layers, visits in random order, ten blocks
each with the probe's readings around them. The machine's core is shared by a neighbour that comes
and goes; every kernel follows the probe with a slope of its own. Times alone are known.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest

from bench.data.machine import Machine
from bench.data.records import Block, CellRow, Visit
from bench.data.speed_history import History
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.run_data import RunData, derive

PROBE_S = 4.7e-5
KERNELS = {"python_loop": (2e-2, 0.95), "numpy_dot": (1e-3, 1.0), "numpy_matmul": (2e-5, 0.7)}
"""Seconds a launch of 100 units on a core left alone, and how it follows the probe's
logarithm: as in recordings (bench.studies.busy_coverage)."""
WIDTHS = (100, 200)
VISITS, BLOCKS = 15, 10
BUSY = (0.0, 0.5, 0.9, 1.0)


@dataclass
class Neighbour:
    """Another tenant of the core: there for a share of the time, a second or so in a row."""

    share: float
    random: random.Random
    there: bool = False

    def slowdown(self) -> float:
        """Of this moment, as a logarithm."""
        if self.random.random() < 0.03:
            self.there = self.random.random() < self.share
        return max(self.random.gauss(0.5, 0.08), 0.2) if self.there else 0.0


def run(
    share: float,
    seed: int = 0,
    history: History | None = None,
    own_probe: Mapping[str, float] | None = None,
) -> RunData:
    """A run on a machine that is busy for a share of the time.

    `own_probe`: how many times longer a kernel makes the probe beside it.
    """
    generator = random.Random(seed)
    neighbour = Neighbour(share, generator, there=generator.random() < share)
    cells = [
        Cell(kernel, Case(width, width, 1, "float32", "relu"), 0, 2, "warm")
        for width in WIDTHS
        for kernel in KERNELS
    ]
    visits: list[Visit] = []
    blocks: list[Block] = []
    for number in range(VISITS):
        for cell in generator.sample(cells, len(cells)):
            alone_s, slope = KERNELS[cell.kernel]
            layout = generator.gauss(0, 0.01)  # of the visit's buffers
            row = refusal(cell, len(visits) + 1, number + 1, "ok", "")
            row = replace(row, device="cpu")
            visits.append(row)
            states = [neighbour.slowdown() for _ in range(BLOCKS + 1)]
            own = math.log((own_probe or {}).get(cell.kernel, 1.0))
            readings = [PROBE_S * math.exp(s + own + generator.gauss(0, 0.01)) for s in states]
            elsewhere_s = PROBE_S * math.exp(neighbour.slowdown() + abs(generator.gauss(0, 0.01)))
            for (before, after), pair in zip(pairwise(readings), pairwise(states), strict=True):
                log_s = layout + slope * sum(pair) / 2 + generator.gauss(0, 0.01)
                second = alone_s * (cell.case.n_units / 100) ** 2 * math.exp(log_s)
                around = (before, after, elsewhere_s, elsewhere_s)
                blocks.append(Block(row.visit, "time", 8, second, *around))
    return derive(Path("made-up"), Machine(speed_history=history or History()), visits, blocks)


@cache
def estimates(share: float, seed: int, cheat: str = "") -> dict[tuple[str, int], CellRow]:
    """The rows of a run. What a machine is like that is always busy, an earlier run has seen.

    The probe beside `cheat` reads twice as slow.
    """
    history = run(0.5, seed + 100).times.history if share == 1.0 else None
    own = {cheat: 2.0}
    return {(row.kernel, row.n_units): row for row in run(share, seed, history, own).cells}


def log_ratios(share: float, seed: int) -> list[float]:
    """Of a busy machine's times over those of one left alone, a number a cell."""
    alone, busy = estimates(0.0, seed), estimates(share, seed)
    return [math.log((busy[c].time_s or 0) / (alone[c].time_s or 0)) for c in alone]


@pytest.mark.parametrize("share", BUSY)
def test_a_busy_machine_gives_the_times_of_one_left_alone(share: float) -> None:
    runs = [log_ratios(share, seed) for seed in range(6)]
    for run_s in runs:
        assert math.sqrt(fmean(ratio**2 for ratio in run_s)) < 0.05
    assert max(abs(ratio) for run_s in runs for ratio in run_s) < 0.08


@pytest.mark.parametrize("share", BUSY)
def test_every_cell_has_an_interval_and_it_holds_the_time_alone(share: float) -> None:
    for seed in range(6):
        alone = estimates(0.0, seed)
        for cell, row in estimates(share, seed).items():
            assert row.status == "ok"
            assert row.visits == VISITS
            assert row.time_low_s is not None
            assert row.time_high_s is not None
            assert row.time_low_s < (alone[cell].time_s or 0) < row.time_high_s


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_as_found_the_times_are_told_beside(share: float) -> None:
    made = run(share)
    assert made.times.state.busy == pytest.approx(share, abs=0.15)
    assert made.times.state.longer > 1.1 or share == 0.5
    for row in made.cells:
        assert row.as_found_s == pytest.approx((row.time_s or 0) * (row.as_found_ratio or 0))


@pytest.mark.parametrize("share", BUSY)
@pytest.mark.parametrize("cheat", KERNELS)
def test_a_kernel_beside_which_the_probe_reads_twice_as_slow_gains_nothing_by_it(
    share: float, cheat: str
) -> None:
    for seed in range(6):
        honest, cheating = estimates(share, seed), estimates(share, seed, cheat)
        for (kernel, width), row in honest.items():
            gain = (row.time_s or 0) / (cheating[kernel, width].time_s or 0)
            # its slope is found anew, in other noise; nobody else's number moves
            assert abs(gain - 1) < (0.1 if kernel == cheat else 0.01)
