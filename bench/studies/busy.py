"""What are estimates worth on a busy machine? On a recording of one, by how well they repeat.

    python -m bench.studies.busy FILE.csv.gz [SEGMENTS]

A recording has the speed probe timed between every two blocks: a row a block, with the columns
at_s, visit, kernel, width, batch, loops, seconds (a launch), and the probe's CPU seconds just
before and after it, before_0_s and after_0_s on the core that launched, before_1_s and so on on
others. It is cut into segments of equal length (ten), each of which is taken for a run of its own.
Printed is a line an estimate, the product's own first: the root mean square, over cells and
neighbouring segments, of the log ratio of two estimates, which is what a reader who runs it twice
sees; and the share of cells and segments that have a number.
"""

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd

from bench.stats import adjust

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
    "quiet visits": quiet_visits,
    "all visits": all_visits,
    "quiet blocks": quiet_blocks,
    "own slopes": own_slope,
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
    """Print a line an estimate."""
    blocks = read(arguments[0])
    segments = int(arguments[1]) if len(arguments) > 1 else SEGMENTS
    for name, of in ESTIMATES.items():
        rms, coverage = score(table(blocks, segments, of))
        print(f"{name} rms {100 * rms:.1f} % coverage {coverage:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
