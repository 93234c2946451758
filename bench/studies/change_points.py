"""How often does `history check` cry wolf, and what does it find? On simulated and on real series.

    python -m bench.studies.change_points [RUN...]      # kept in results/studies/change_points.csv
    python -m bench.studies.change_points penalties     # the table in bench.history.changes

Series without a change are simulated with noise of several kinds, 2000 of 100 runs each. Real ones
are recorded runs cut up: each visit to a cell stands for a run of its own, so that a series is what
the machine made of one kernel over the length of the run. (A run's own number, the median over its
visits, varies less.) Steps and drifts are planted at run 61 of series of noise like that of runs:
what is counted is whether a change is told by run 100 and how many runs that took, at the earliest.
"""

import sys
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import run_folder
from bench.data.series import Kept, Series, Subject
from bench.history import changes
from bench.plan.case import Case
from bench.stats import run_data
from bench.studies import write

RUNS, SERIES, PLANTED = 100, 2000, 200
BEFORE = 60
SPREADS = (0.005, 0.01, 0.02, 0.04)
STEPS = (0.02, 0.05, 0.1)
NOISES = ("normal", "t with 3 degrees", "5 % outliers", "alike 0.2", "alike 0.4", "alike 0.6")
KEPT = Kept(*("", "", "run", 0.0, "", True, "", "", ""), facts={})
SUBJECT = Subject("", "run", "time", "", Case(1, 1, 1, "float32", "relu"), "cpu", 1, "warm")

Numbers = NDArray[np.float64]


def noise(kind: str, generator: np.random.Generator, n: int = RUNS) -> Numbers:
    """So many numbers of this kind, of a spread of about 1."""
    normal = generator.normal(size=n)
    if kind.startswith("t "):
        return generator.standard_t(3, size=n)
    if kind.endswith("outliers"):
        return normal + generator.exponential(10, size=n) * (generator.random(n) < 0.05)
    if kind.startswith("alike"):
        r = float(kind.split()[1])
        for at in range(1, n):
            normal[at] = r * normal[at - 1] + np.sqrt(1 - r * r) * normal[at]
    return normal


def told(logs: Sequence[float] | Numbers) -> list[int]:
    """Where changes are told, of a series of logarithms."""
    values = [float(value) for value in np.exp(logs)]
    unknown = [np.nan] * len(values)
    series = Series(SUBJECT, [KEPT] * len(values), values, unknown, unknown, [""] * len(values))
    return [change.at for change in changes.changes(series)]


def without() -> Iterator[dict[str, Any]]:
    """Of series without a change, how many have one told."""
    for number, kind in enumerate(NOISES):
        generator = np.random.default_rng(number)
        alarms = sum(bool(told(0.02 * noise(kind, generator))) for _ in range(SERIES))
        yield row("no change", kind, 0.02, RUNS, SERIES, alarms)


def planted() -> Iterator[dict[str, Any]]:
    """Steps and a drift: how many are told, after how many runs."""
    for spread in SPREADS:
        for step in STEPS:
            yield found(f"step {step:.0%}", spread, np.where(np.arange(RUNS) < BEFORE, 0, step))
        drift = np.clip((np.arange(RUNS) - BEFORE) / (RUNS - BEFORE), 0, None) * 0.1
        yield found("drift 10% over 40 runs", spread, drift)


def found(what: str, spread: float, shape: Numbers) -> dict[str, Any]:
    generator = np.random.default_rng(7)
    delays = []
    for _ in range(PLANTED):
        logs = np.log1p(shape) + spread * noise("normal", generator)
        if any(at > BEFORE - 5 for at in told(logs)):
            ends = range(BEFORE + 1, RUNS + 1)
            delays.append(next(end for end in ends if told(logs[:end])) - BEFORE)
    delay = median(delays) if delays else None
    return row(what, "normal", spread, RUNS, PLANTED, len(delays), delay)


def real(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Of recorded runs' cells, how many have a change told among their visits."""
    for name in names:
        run = run_data.read(run_folder.find(name))
        cells = [
            [float(np.log(run.times.visit_s[visit.visit])) for visit in cell.counted]
            for cell in run.by_cell.values()
        ]
        cells = [logs for logs in cells if len(logs) >= changes.FEWEST]
        alarms = sum(bool(told(logs)) for logs in cells)
        spread = median(float(np.std(np.diff(logs))) / np.sqrt(2) for logs in cells)
        runs = round(median(map(len, cells)))
        yield row("no change", f"recorded: {run.folder.name}", spread, runs, len(cells), alarms)


def row(
    what: str, kind: str, spread: float, runs: int, series: int, count: int, delay: Any = ""
) -> dict[str, Any]:
    line = {"what": what, "noise": kind, "spread_percent": 100 * spread, "runs": runs}
    line |= {"series": series, "told": count, "told_percent": 100 * count / series}
    line |= {"delay_runs": "" if delay is None else delay}
    print(
        ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items())
    )
    return line


def penalties() -> None:
    """By the number of runs, what 0.2 % of independent series reach."""
    generator = np.random.default_rng(1)
    for n in changes.PENALTIES:
        scores = np.tile(changes.scores(np.arange(n, dtype=float)), (1000, 1))
        gains = [changes.gain(z) for _ in range(40) for z in generator.permuted(scores, axis=1)]
        print(n, round(float(np.quantile(gains, 0.998)), 1))


def main() -> None:
    """Print and write all rows."""
    if sys.argv[1:] == ["penalties"]:
        penalties()
    else:
        write("change_points", [*without(), *planted(), *real(sys.argv[1:])])


if __name__ == "__main__":
    main()
