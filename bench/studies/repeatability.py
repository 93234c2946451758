"""Which number repeats best from run to run: ours or pytest-benchmark's, and which of ours?

Runs of the same cells back to back, in turn with pytest-benchmark (`bench/suite.py`) for the same
wall time, in several series. For each candidate estimate, the RMS over cells and neighbouring runs
of the log ratio of the two runs' estimates: what a reader who runs it twice will see.

    python -m bench.studies.repeatability [SERIES] [RUNS]
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

from bench import link, machine
from bench.studies import cell, run, write

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
WIDTHS, BATCHES = (64, 1000), (1, 16)
TOO_SLOW = ("python_loop", 1000, 16)  # 0.8 s a launch
SECONDS_A_CELL = 0.5

Name = tuple[str, int, int]
Estimates = dict[Name, dict[str, float]]


def quantile(values: Sequence[float], q: float) -> float:
    """The value at rank q of the sorted values, between neighbours in proportion."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


CANDIDATES: dict[str, Callable[[list[float]], float]] = {
    "median of visits": median,
    "lower quartile of visits": lambda v: quantile(v, 0.25),
    "lower tenth of visits": lambda v: quantile(v, 0.10),
    "least visit": min,
    "mean of visits": mean,
    "mean of the lower half of visits": lambda v: mean(sorted(v)[: (len(v) + 1) // 2]),
}


def names() -> list[Name]:
    """The cells: kernel, width, batch."""
    found = [(k, w, b) for w in WIDTHS for b in BATCHES for k in KERNELS]
    return [name for name in found if name != TOO_SLOW]


def ours(seed: int, budget_s: float) -> Estimates:
    """One run of the harness -> every candidate for every cell."""
    cells = [cell(*name) for name in names()]
    found: Estimates = {}
    for name, its in zip(names(), run(cells, budget_s, seed), strict=True):
        visits = list(its.good.values())
        found[name] = {label: take(visits) for label, take in CANDIDATES.items()}
        found[name]["fastest block"] = its.best_s
    return found


def theirs() -> Estimates:
    """One run of pytest-benchmark over the same cells -> its own statistics."""
    with tempfile.TemporaryDirectory() as folder:
        sweep, report = Path(folder) / "cells.toml", Path(folder) / "report.json"
        sweep.write_text(
            f"widths = {list(WIDTHS)}\nbatches = {list(BATCHES)}\n"
            f"kernels = {list(KERNELS)}\nlaunch_limit_s = 0.3\n"
        )
        command = [
            *(sys.executable, "-m", "pytest", "bench/suite.py", "--benchmark-only", "-q"),
            *("-p", "no:cacheprovider", "--sweep", str(sweep)),
            *(f"--benchmark-max-time={SECONDS_A_CELL}", f"--benchmark-json={report}"),
        ]
        environment = link.environment(machine.usable_cores())
        subprocess.run(command, check=True, capture_output=True, cwd=link.ROOT, env=environment)
        benchmarks = json.loads(report.read_text())["benchmarks"]
    found: Estimates = {}
    for one in benchmarks:
        info, stats = one["extra_info"], one["stats"]
        found[info["kernel"], info["n_units"], info["batch"]] = {
            f"pytest-benchmark {what}": stats[what] for what in ("min", "median", "mean")
        }
    return found


def rms_log_ratio(runs: list[Estimates], label: str) -> float:
    """Over cells and neighbouring runs."""
    steps = [
        math.log(after[name][label] / before[name][label])
        for before, after in pairwise(runs)
        for name in before
    ]
    return math.sqrt(mean(step**2 for step in steps))


def main(series: int, runs: int) -> None:
    """Run, write results/studies/repeatability.csv, print the table."""
    rows = []
    spread: dict[str, list[float]] = defaultdict(list)
    for number in range(1, series + 1):
        found: dict[str, list[Estimates]] = {"ours": [], "pytest-benchmark": []}
        walls: dict[str, list[float]] = {"ours": [], "pytest-benchmark": []}
        for turn in range(runs):
            start = time.perf_counter()
            found["pytest-benchmark"].append(theirs())
            walls["pytest-benchmark"].append(time.perf_counter() - start)
            start = time.perf_counter()
            found["ours"].append(ours(1000 * number + turn, SECONDS_A_CELL * len(names())))
            walls["ours"].append(time.perf_counter() - start)
            print(f"series {number}, run {turn + 1} of {runs}", file=sys.stderr)
        for tool, its in found.items():
            wall_s = median(walls[tool])
            for label in its[0][names()[0]]:
                rms = rms_log_ratio(its, label)
                spread[label].append(rms)
                rows.append(
                    {
                        "series": number,
                        "tool": tool,
                        "estimate": label,
                        "cells": len(its[0]),
                        "runs": runs,
                        "wall_s": wall_s,
                        "rms_log_ratio": rms,
                    }
                )
    write("repeatability", rows)
    print(f"RMS log ratio between neighbouring runs, {series} series of {runs}: median (range)")
    for label, values in sorted(spread.items(), key=lambda item: median(item[1])):
        low, middle, high = (100 * v for v in (min(values), median(values), max(values)))
        print(f"  {label:36} {middle:5.1f} %  ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] or ["3", "10"])))
