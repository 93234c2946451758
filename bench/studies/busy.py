"""What are estimates worth on a busy machine? On a recording of one, by how well they repeat.

    python -m bench.studies.busy FILE.csv.gz [SEGMENTS]
    python -m bench.studies.busy FILE.csv.gz SEGMENTS NAME    # kept in results/studies/busy.csv

A recording has the speed probe timed between every two blocks: a row a block, with the columns
at_s, visit, kernel, width, batch, loops, seconds (a launch), and the probe's CPU seconds just
before and after it, before_0_s and after_0_s on the core that launched, before_1_s and so on on
others. It is cut into segments of equal length (ten), each of which is taken for a run of its own.
Printed is a line an estimate, the product's own first: the root mean square, over cells and
neighbouring segments, of the log ratio of two estimates, which is what a reader who runs it twice
sees; and the share of cells and segments that have a number.

What each part of the product's estimate is worth, in %: RMS on a recording of a shared two-core
machine in ten segments (its first and its second half), in twenty, and of its last 115 s in four;
on the host of an H100 in six; and how far estimates are from the truth on twelve simulated
machines. The parts were chosen on these same recordings: expect a point more on another one.

    busy, halves    20  last  host  truth
    4.6  5.6  3.7   5.1   4.1  0.9    6.7  as it is
    5.1  6.1  4.3   5.1   5.0  0.9   10.6  one floor for all kernels
    5.0  6.1  3.9   5.4   4.7  1.0    8.6  a slope of 0.95 for all
    4.7  5.8  3.7   5.1   4.0  0.9    7.1  a kernel's slope for all of its cells: the intervals,
                                           which ignore how cells differ, hold 65 to 85 %
    7.6  5.1  8.7  11.9  10.2  1.1   12.7  a slope a cell, not drawn towards its kernel's
    4.6  5.6  3.7   5.1   4.6  0.9    6.9  not reweighted
    4.9  6.3  3.4   5.3   4.4  0.9    7.7  blocks of a visit count alike
    5.3  6.5  4.4   5.7   4.0  1.0    7.3  a visit's median block, not its lower quintile
    4.5  5.6  3.6   5.1   3.9  0.9    6.9  what a kernel does to its own probe not taken off: one
                                           that doubles its probe's time is told half of its own

A run that knows the machine from the segments before it: 4.2 for 4.6.

Tried and left out, each worth less than 0.3: instrumental variables for slopes, errors clustered by
visit, twelve reweighted fits, a floor a cell, a slope of the run above those of its kernels, visits
weighted by how far they were adjusted, a peak among the readings as the sign of a floor.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bench.stats import adjust
from bench.studies import RESULTS, write

SEGMENTS = 10

Estimates = dict[str, float]


def read(path: str) -> pd.DataFrame:
    """A recording, with each block's cell and length."""
    blocks: pd.DataFrame = pd.read_csv(path)
    cell = blocks.kernel + " " + blocks.width.astype(str) + " " + blocks.batch.astype(str)
    return blocks.assign(cell=cell)


def blocks_of(recording: pd.DataFrame) -> adjust.Blocks:
    """A recording's blocks as the estimate takes them; its GPU cells are bound by the host."""
    first = recording.drop_duplicates("cell").sort_values("cell")
    names = first.cell.tolist()
    elsewhere = recording.filter(regex=r"^(before|after)_[1-9]\d*_s$")
    return adjust.Blocks(
        names=names,
        kernels=first.kernel.tolist(),
        on_device=[False] * len(names),
        cell=np.searchsorted(names, recording.cell.to_numpy(str)).astype(np.intp),
        visit=recording.visit.to_numpy(np.intp),
        seconds=recording.seconds.to_numpy(float),
        probe_before=recording.before_0_s.to_numpy(float),
        probe_after=recording.after_0_s.to_numpy(float),
        probe_elsewhere=elsewhere.to_numpy(float).ravel(),
    )


def shipped(blocks: pd.DataFrame) -> Estimates:
    """The product's own."""
    return {cell.name: cell.value for cell in adjust.estimate(blocks_of(blocks)).estimates}


def quiet_visits(blocks: pd.DataFrame) -> Estimates:
    """Visits set aside: only those count that find all cores within a tenth of the quiet level,
    the tenth percentile of the visits.
    """
    visits = blocks.groupby(["cell", "visit"], sort=False).agg(
        seconds=("seconds", "min"),
        before_0=("before_0_s", "first"),
        before_1=("before_1_s", "first"),
        after_0=("after_0_s", "last"),
        after_1=("after_1_s", "last"),
    )
    slowness = visits.drop(columns="seconds").max(axis=1)
    quiet = visits.assign(quiet=slowness <= 1.1 * slowness.quantile(0.1)).query("quiet")
    assert isinstance(quiet, pd.DataFrame)
    return dict(quiet.groupby("cell").seconds.median())


def all_visits(blocks: pd.DataFrame) -> Estimates:
    """Every visit's least block as it is."""
    least = blocks.groupby(["cell", "visit"]).seconds.min()
    return dict(least.groupby("cell").median())


def quiet_blocks(blocks: pd.DataFrame) -> Estimates:
    """The lower quartile of blocks whose own core was within a tenth of its floor."""
    floor = blocks[["before_0_s", "before_1_s"]].quantile(0.01).min()
    slowest = blocks[["before_0_s", "after_0_s"]].max(axis=1)
    quiet = blocks.assign(quiet=slowest < 1.1 * floor).query("quiet")
    assert isinstance(quiet, pd.DataFrame)
    return dict(quiet.groupby("cell").seconds.quantile(0.25))


def own_slope(blocks: pd.DataFrame) -> Estimates:
    """Every block adjusted by its cell's own least-squares slope; the median."""
    probe = (blocks.before_0_s + blocks.after_0_s) / 2 / blocks.before_0_s.quantile(0.01)
    x, y = pd.Series(np.log(probe)), pd.Series(np.log(blocks.seconds))
    dx = x - x.groupby(blocks.cell).transform("mean")
    dy = y - y.groupby(blocks.cell).transform("mean")
    slope = (dx * dy).groupby(blocks.cell).sum() / (dx**2).groupby(blocks.cell).sum()
    adjusted = pd.Series(np.exp(y - blocks.cell.map(slope) * x))
    return dict(adjusted.groupby(blocks.cell).median())


ESTIMATES: dict[str, Callable[[pd.DataFrame], Estimates]] = {
    "shipped": shipped,
    "quiet_visits": quiet_visits,
    "all_visits": all_visits,
    "quiet_blocks": quiet_blocks,
    "own_slopes": own_slope,
}


def table(
    blocks: pd.DataFrame, segments: int, of: Callable[[pd.DataFrame], Estimates]
) -> pd.DataFrame:
    """Log estimates, a row a cell and a column a segment; nan where there is none."""
    end = blocks.at_s.max() + 1e-9
    segment = (blocks.at_s / end * segments).astype(int)
    columns = {number: pd.Series(of(part)) for number, part in blocks.groupby(segment)}
    cells = sorted(blocks.cell.unique())
    seconds = pd.DataFrame(columns, index=cells).reindex(columns=range(segments))
    return pd.DataFrame(np.log(seconds))


def score(estimates: pd.DataFrame) -> tuple[float, float]:
    """RMS of neighbouring segments' log ratios, and the share with a number."""
    steps = np.diff(estimates.to_numpy(float), axis=1)
    return float(np.sqrt(np.nanmean(steps**2))), float(estimates.notna().to_numpy().mean())


def main(arguments: list[str]) -> None:
    """Print a line an estimate; keep them where the recording has a name."""
    blocks = read(arguments[0])
    segments = int(arguments[1]) if len(arguments) > 1 else SEGMENTS
    rows = []
    for estimate, of in ESTIMATES.items():
        rms, coverage = score(table(blocks, segments, of))
        print(f"{estimate} rms {100 * rms:.1f} % coverage {coverage:.2f}")
        rows.append({"estimate": estimate, "rms": rms, "coverage": coverage})
    if len(arguments) > 2:
        keep(arguments[2], segments, rows)


def keep(recording: str, segments: int, rows: list[dict[str, Any]]) -> None:
    """Put a recording's rows in the place of those that it has in results/studies/busy.csv."""
    path, fields = RESULTS / "busy.csv", {"recording": recording, "segments": segments}
    before = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=list(fields))
    others = before[(before.recording != recording) | (before.segments != segments)]
    kept: list[Any] = others.to_dict("records")
    write("busy", [*kept, *(fields | row for row in rows)])


if __name__ == "__main__":
    main(sys.argv[1:])
