"""Which number repeats best from run to run: ours, ours as found, or pytest-benchmark's?

Runs of the same cells back to back, in turn with pytest-benchmark (`bench/suite.py`) for the same
wall time, in several series. For each estimate, the RMS over cells and neighbouring runs of the log
ratio of the two runs' estimates: what a reader who runs it twice will see. As runs of the product
do, each of ours knows what the earlier ones have told of the machine's speed.

    python -m bench.studies.repeatability [SERIES RUNS]
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench import ROOT
from bench.data.speed_history import History
from bench.stats.times import Times
from bench.studies import cell, run, write
from bench.worker import environment, limits

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
WIDTHS, BATCHES = (64, 1000), (1, 16)
TOO_SLOW = ("python_loop", 1000, 16)  # 0.8 s a launch
SECONDS_A_CELL = 0.5

Estimates = dict[str, dict[str, float]]  # of a cell, by the estimate's name


def names() -> list[tuple[str, int, int]]:
    """The cells: kernel, width, batch."""
    found = [(k, w, b) for w in WIDTHS for b in BATCHES for k in KERNELS]
    return [name for name in found if name != TOO_SLOW]


def ours(times: Times) -> Estimates:
    """What a run of the harness tells of each cell."""
    estimates = {name: times.by_cell[cell(*name)] for name in names()}
    return {
        str(name): {"ours": time.value, "ours as found": time.as_found}
        for name, time in estimates.items()
    }


def theirs() -> Estimates:
    """One run of pytest-benchmark over the same cells -> its own statistics."""
    with tempfile.TemporaryDirectory() as folder:
        sweep, report = Path(folder) / "cells.toml", Path(folder) / "report.json"
        sweep.write_text(
            f"widths = {list(WIDTHS)}\nbatches = {list(BATCHES)}\n"
            f"kernels = {list(KERNELS)}\nlaunch_limit_s = 60\n"
        )
        command = [
            *(sys.executable, "-m", "pytest", "bench/suite.py", "--benchmark-only", "-q"),
            *("-p", "no:cacheprovider", "--sweep", str(sweep)),
            *("-k", "not (python_loop and 1000x1000 and b16)"),
            *(f"--benchmark-max-time={SECONDS_A_CELL}", f"--benchmark-json={report}"),
        ]
        variables = environment.environment(limits.usable_cores())
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=variables)
        benchmarks = json.loads(report.read_text())["benchmarks"]
    found = {}
    for one in benchmarks:
        info, stats = one["extra_info"], one["stats"]
        found[str((info["kernel"], info["n_units"], info["batch"]))] = {
            f"pytest-benchmark's {what}": stats[what] for what in ("min", "median", "mean")
        }
    return found


def measure(series: int, runs: int) -> list[dict[str, Any]]:
    """All runs, in turn: a record a turn."""
    records = []
    history = History()
    for number in range(1, series + 1):
        for turn in range(1, runs + 1):
            start = time.perf_counter()
            rival = theirs()
            wall_s = time.perf_counter() - start
            start = time.perf_counter()
            times = run([cell(*name) for name in names()], wall_s, 1000 * number + turn, history)
            history = times.history
            records.append(
                {
                    "series": number,
                    "ours": ours(times),
                    "ours_wall_s": time.perf_counter() - start,
                    "theirs": rival,
                    "theirs_wall_s": wall_s,
                    "busy": times.state.busy,
                }
            )
            print(f"series {number}, run {turn} of {runs}: {times.state}", file=sys.stderr)
    return records


def rms_log_ratio(runs: list[Estimates], label: str) -> float:
    """Over cells and neighbouring runs."""
    steps = [
        math.log(after[name][label] / before[name][label])
        for before, after in pairwise(runs)
        for name in before
    ]
    return math.sqrt(mean(step**2 for step in steps))


def judge(records: list[dict[str, Any]]) -> None:
    """Write results/studies/repeatability.csv, print the table."""
    rows: list[dict[str, Any]] = []
    for number in sorted({record["series"] for record in records}):
        runs = [record for record in records if record["series"] == number]
        for tool in ("ours", "theirs"):
            estimates: list[Estimates] = [record[tool] for record in runs]
            first = next(iter(estimates[0].values()))
            rows += [
                {
                    "series": number,
                    "estimate": label,
                    "cells": len(estimates[0]),
                    "runs": len(runs),
                    "wall_s": median(record[f"{tool}_wall_s"] for record in runs),
                    "rms_log_ratio": rms_log_ratio(estimates, label),
                    "busy": median(record["busy"] for record in runs),
                }
                for label in first
            ]
    write("repeatability", rows)
    spread: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        spread[row["estimate"]].append(100 * row["rms_log_ratio"])
    print("RMS log ratio between neighbouring runs: median over series (range)")
    for label, values in sorted(spread.items(), key=lambda item: median(item[1])):
        print(f"  {label:45} {median(values):5.1f} %  ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    judge(measure(*(int(argument) for argument in sys.argv[1:] or ("3", "10"))))
