"""Do 95 % intervals hold the true time on a machine that changes its state as a recorded one did?

    python -m bench.studies.busy_coverage RECORDING.csv.gz... [--windows 100]

Simulated blocks on recorded states: a window of a recording's visits is drawn (its format is that
of bench.studies.busy), with its cells, in its order. The recorded reading of the probe beside a
block stands for the true state of the machine at that moment; inside a block the state changes
once, at a random place. A block takes the cell's time, longer by slope * slowdown, with noise; the
readings that the estimate sees have noise of their own. Every cell's slope is drawn afresh, about
what recordings show. The true time is what the same estimate gives on that machine left alone.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.stats import adjust
from bench.stats.adjust.floors import LEVELS, NEAR
from bench.stats.adjust.grouped import Floats, quantiles
from bench.stats.adjust.numbers import QUANTILE
from bench.studies import busy, write

VISITS = (4, 6, 12, 50)

PROBE_NOISE = 0.03

ALONE = 0.05
"""A recorded reading less than this above its kernel's level, as a logarithm, is that of a core
left alone."""

VISIT_NOISE = 0.015
BLOCK_NOISE = 0.015
ALONE_VISITS = 4000

SLOPES = {"python_loop": (0.95, 0.1), "numpy_dot": (1.0, 0.2), "numpy_matmul": (0.7, 0.3)}
"""Mean and spread of the slopes of a kernel's cells."""
OTHERS = (0.9, 0.2)


def block_noise(generator: np.random.Generator, count: int) -> Floats:
    """Noise of blocks' log times: symmetric, with a few that something lengthens."""
    late = generator.exponential(0.05, count) * (generator.random(count) < 0.1)
    return np.asarray(generator.normal(0, BLOCK_NOISE, count) + late)


def true_log(generator: np.random.Generator, blocks: int) -> float:
    """What the estimate makes of visits of so many blocks on a core left alone, of log time 0."""
    log_s = block_noise(generator, ALONE_VISITS * blocks).reshape(ALONE_VISITS, blocks)
    log_s += generator.normal(0, VISIT_NOISE, (ALONE_VISITS, 1))
    visit = np.repeat(np.arange(ALONE_VISITS), blocks)
    number = quantiles(log_s.ravel(), np.ones(log_s.size), visit, ALONE_VISITS, QUANTILE)
    return float(np.median(number))


def simulated(
    blocks: adjust.Blocks, generator: np.random.Generator, floor_s: float, offset: dict[str, float]
) -> adjust.Blocks:
    """The same blocks with simulated times of a millisecond, and readings with noise."""
    mean, spread = np.array([SLOPES.get(kernel, OTHERS) for kernel in blocks.kernels]).T
    slope = np.clip(generator.normal(mean, spread), 0.2, 1.3)[blocks.cell]
    level = np.log(floor_s) + np.array([offset[kernel] for kernel in blocks.kernels])[blocks.cell]
    first, last = (
        np.where((slowdown := np.log(probe) - level) > ALONE, slowdown, 0.0)
        for probe in (blocks.probe_before, blocks.probe_after)
    )
    part = generator.random(len(slope))
    _, visit = np.unique(blocks.visit, return_inverse=True)
    log_s = slope * (part * first + (1 - part) * last) + block_noise(generator, len(slope))
    log_s += generator.normal(0, VISIT_NOISE, visit.max() + 1)[visit]

    def seen(slowdown: Floats) -> Floats:
        # the probe counts the least of four repeats: errors lengthen
        error = np.abs(generator.normal(0, PROBE_NOISE, len(slowdown)))
        return np.asarray(np.exp(level + slowdown + error * np.minimum(slowdown / 0.2 + 0.2, 1)))

    # one reading stands after a block and before the next
    before, after = seen(first), seen(last)
    follows = np.diff(blocks.visit, prepend=-1) == 0
    before[follows] = after[:-1][follows[1:]]
    return replace(blocks, seconds=1e-3 * np.exp(log_s), probe_before=before, probe_after=after)


def offsets(recording: pd.DataFrame, floor_s: float) -> dict[str, float]:
    """What the probe takes beside each kernel on a core left alone, as a log over the floor."""
    probe = pd.Series(np.log(recording[["before_0_s", "after_0_s"]].max(axis=1) / floor_s))
    near = probe < NEAR
    return dict(probe[near].groupby(recording.kernel[near]).median())


def window(recording: pd.DataFrame, visits: int, generator: np.random.Generator) -> pd.DataFrame:
    """Consecutive visits, so many for every cell."""
    order = recording.groupby("cell").visit.transform(lambda visit: visit.rank(method="dense"))
    spare = int(order.groupby(recording.cell).max().min()) - visits
    start = int(generator.integers(0, spare + 1))
    return recording[(order > start) & (order <= start + visits)]


def trials(recording: pd.DataFrame, windows: int) -> Iterator[dict[str, Any]]:
    """A row a cell, in so many windows for each number of visits."""
    generator = np.random.default_rng(1)
    floor_s = float(np.quantile(recording[["before_1_s", "after_1_s"]], LEVELS[0]))
    offset = offsets(recording, floor_s)
    truth: dict[int, float] = {}
    for visits in VISITS:
        for _ in range(windows):
            part = window(recording, visits, generator)
            blocks = simulated(busy.blocks_of(part), generator, floor_s, offset)
            by_cell = part.groupby("cell")
            size = (by_cell.size() / by_cell.visit.nunique()).round().astype(int)
            answer = adjust.estimate(blocks)
            for kernel, cell in zip(blocks.kernels, answer.estimates, strict=True):
                count = max(int(size[cell.name]), 1)
                if count not in truth:
                    truth[count] = true_log(generator, count)
                true_s = 1e-3 * np.exp(truth[count])
                yield {
                    "visits": visits,
                    "kernel": kernel,
                    "held": cell.low <= true_s <= cell.high,
                    "above": cell.low > true_s,
                    "half_width": cell.half_width,
                    "error": np.log(cell.value / true_s),
                    "busy": answer.state.busy,
                }


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """A line a number of visits, over all kernels and for each."""
    both = pd.concat([rows.assign(kernel="all"), rows])
    table = both.groupby(["visits", "kernel"]).agg(
        cells=("held", "size"),
        held=("held", "mean"),
        too_high=("above", "mean"),
        half_width=("half_width", "median"),
        rms_error=("error", lambda error: float(np.sqrt(np.mean(error**2)))),
        busy=("busy", "mean"),
    )
    return table.reset_index()


def main() -> None:
    """Print the summary and write it to results/studies/busy_coverage.csv."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--windows", type=int, default=100)
    asked = parser.parse_args()
    tables = [
        summary(pd.DataFrame(trials(busy.read(path), asked.windows))).assign(
            recording=path.name.removesuffix(".csv.gz")
        )
        for path in asked.recordings
    ]
    table = pd.concat(tables)
    print(table.round(3).to_string(index=False))
    write(
        "busy_coverage", [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    )


if __name__ == "__main__":
    main()
