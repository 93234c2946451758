"""Where a series changed its level for good, and by how much.

Ranks, as normal scores (van der Waerden's), are what is looked at: an outlier weighs no more than
any other largest number, and what chance does to them is the same for any distribution. `ruptures`
(Killick, Fearnhead and Eckley's PELT on the scores' squared error) places the changes; each has to
earn a penalty that chance hardly reaches (`PENALTIES`, by `bench.studies.change_points`), and the
more, the more a run resembles the one before it. What a change amounts to is Hodges and Lehmann's
shift of the logarithms between the levels before and after it, with its interval from the ranks
(Moses; Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd ed., section 4.3).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.data.series import Change, Series, differences
from bench.terminal.errors import BadInput

Numbers = NDArray[np.float64]

SHORTEST = 3
"""Runs that a level lasts at least: one outlier, or two together, make none."""

FEWEST = 12
"""Runs that a series needs: no order of fewer is so rare that chance is out of the question."""

PENALTIES = {
    12: 6.7, 16: 8.4, 20: 9.4, 25: 10.3, 30: 11.1, 40: 12.2, 50: 12.6, 70: 13.5, 100: 14.4,
    140: 14.9, 200: 15.5, 1000: 19.0,
}  # fmt: skip
"""By the number of runs, the gain of the best single change that 0.2 % of series of independent
numbers reach by chance."""

LEAST = 0.01
"""A smaller change is not told."""

COMPARED = 50
"""Runs on either side of a change that its size is reckoned from, at most."""

NORMAL_95 = 1.96


def missing() -> bool:
    """Whether the library that places changes is not installed."""
    return find_spec("ruptures") is None


def changes(series: Series) -> list[Change]:
    """The changes of a series, the earliest first. Raises BadInput where ruptures is missing."""
    logs = np.log(np.asarray(series.values, float))
    if len(logs) < FEWEST or not np.isfinite(logs).all():
        return []
    z = scores(logs)
    penalty = float(np.interp(len(z), list(PENALTIES), list(PENALTIES.values())))
    if gain(z) < penalty / 2:  # two changes together may be worth more than the best alone
        return []
    alike = likeness(z, _breaks(z, penalty))
    places = [0, *_breaks(z, penalty * alike)]
    found = []
    for (start, at), (_, end) in pairwise(pairwise(places)):
        shift, low, high = _shift(logs[start:at], logs[at:end], alike)
        if low * high > 0 and abs(math.expm1(shift)) >= LEAST:
            ratio, least, most = (math.exp(each) for each in (shift, low, high))
            runs = series.runs[at - 1], series.runs[at]
            found.append(Change(at, ratio, least, most, *runs, _also(series, at)))
    return found


def scores(numbers: Numbers) -> Numbers:
    """Normal scores: what numbers of these ranks would be in a normal sample; equal numbers share
    the mean of theirs.
    """
    order = np.argsort(numbers, kind="stable")
    z = np.empty(len(numbers))
    z[order] = _normal(len(numbers))
    ordered = numbers[order]
    if (ordered[1:] == ordered[:-1]).any():
        _, place = np.unique(numbers, return_inverse=True)
        z = (np.bincount(place, z) / np.bincount(place))[place]
    return z


@cache
def _normal(n: int) -> Numbers:
    """By Blom's formula (Statistical Estimates and Transformed Beta-Variables, 1958)."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((rank - 0.375) / (n + 0.25)) for rank in range(1, n + 1)])


def gain(z: Numbers) -> float:
    """By how much one change at the best place lessens the scores' squared error."""
    n = len(z)
    first = np.arange(1, n)
    sums = np.cumsum(z - z.mean())[:-1]
    gains = sums**2 * n / (first * (n - first))
    return float(gains[SHORTEST - 1 : n - SHORTEST].max())


def likeness(z: Numbers, ends: Sequence[int]) -> float:
    """How much less a run says because it resembles the one before it: 1 where it does not.

    `ends` are those of the levels, as if runs were independent. About these levels r is how a run
    goes with the next: (1 + r) / (1 - r) is what that makes of an autoregressive series' variance.
    Taking the levels off takes some of r away, and chance gives some: both are allowed for.
    """
    n = len(z)
    levels = np.split(z, ends[:-1])
    rest = np.concatenate([level - level.mean() for level in levels])
    square = float(rest @ rest)
    if len(ends) == 1 or not square:
        return 1.0
    r = float(rest[1:] @ rest[:-1]) / square
    r += (len(ends) * (1 + 3 * max(r, 0.0)) - math.sqrt(n) / 2) / n
    r = min(max(r, 0.0), 0.9)
    return (1 + r) / (1 - r)


def _breaks(z: Numbers, penalty: float) -> list[int]:
    """The first place of each level but the first, then the series' end."""
    try:
        from ruptures import KernelCPD
    except ImportError as error:
        remedy = "make history installs it, or pip install -r locks/history.txt"
        raise BadInput(f"change points need the package ruptures: {remedy}") from error
    search = KernelCPD(kernel="linear", min_size=SHORTEST)
    return [int(at) for at in search.fit(z[:, None]).predict(pen=penalty)]


def _shift(before: Numbers, after: Numbers, alike: float) -> tuple[float, float, float]:
    """From one level to the next: the shift and its 95 % interval."""
    before, after = before[-COMPARED:], after[:COMPARED]
    m, n = len(before), len(after)
    steps = np.sort(np.subtract.outer(after, before).ravel())
    half = NORMAL_95 * math.sqrt(alike * m * n * (m + n + 1) / 12)
    out = max(int(m * n / 2 - half), 0)
    return float(np.median(steps)), float(steps[out]), float(steps[-1 - out])


def _also(series: Series, at: int) -> list[str]:
    """What else changed between a run and the one before it, in words."""
    before, after = series.runs[at - 1], series.runs[at]
    words = differences(before, after)
    if series.hashes[at - 1] != series.hashes[at]:
        words.insert(0, "the kernel's source")
    return words


def of_all(
    every: Sequence[Series], find: Callable[[Series], list[Change]] = changes
) -> Iterator[tuple[Series, list[Change]]]:
    """Each series with its changes, each of which knows how many of its machine's series moved
    between the same two runs: all of them at once are the machine's doing, or a library's.
    """
    found = [find(series) for series in every]
    among = Counter(series.subject.machine for series in every)
    # a series of one machine has its runs from no other
    moved = Counter((c.before.key, c.after.key) for its in found for c in its)
    for series, its in zip(every, found, strict=True):
        count = among[series.subject.machine]
        yield (
            series,
            [replace(c, moved=(moved[c.before.key, c.after.key], count)) for c in its],
        )
