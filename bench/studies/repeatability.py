"""Which number repeats best from run to run: ours or pytest-benchmark's, and which of ours?

Runs of the same cells back to back, in turn with pytest-benchmark (`bench/suite.py`) for the same
wall time, in several series. For each candidate estimate, the RMS over cells and neighbouring runs
of the log ratio of the two runs' estimates: what a reader who runs it twice will see. A candidate
is what it makes of a visit's blocks, and then of the visits.

    python -m bench.studies.repeatability [SERIES RUNS]

What was measured is kept in results/repeatability.json, which is not committed; without numbers
the candidates are judged again from it.
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
from statistics import geometric_mean, mean, median
from typing import Any

from bench import ROOT
from bench.stats import disturbance
from bench.studies import RESULTS, cell, run, write
from bench.worker import environment, limits

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
WIDTHS, BATCHES = (64, 1000), (1, 16)
TOO_SLOW = ("python_loop", 1000, 16)  # 0.8 s a launch
SECONDS_A_CELL = 0.5

RECORDED = RESULTS.parent / "repeatability.json"

Record = dict[str, Any]
Take = Callable[[Sequence[float]], float]


def quantile(values: Sequence[float], q: float) -> float:
    """The value at rank q of the sorted values, between neighbours in proportion."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def middle_half(values: Sequence[float]) -> float:
    """The mean of what is left without the lowest and the highest quarter."""
    cut = len(values) // 4
    return mean(sorted(values)[cut : len(values) - cut])


OF_BLOCKS: dict[str, Take] = {
    "median block": median,
    "quartile block": lambda v: quantile(v, 0.25),
    "least block": min,
}
OF_VISITS: dict[str, Take] = {
    "least": min,
    "tenth": lambda v: quantile(v, 0.10),
    "quartile": lambda v: quantile(v, 0.25),
    "median": median,
    "upper quartile": lambda v: quantile(v, 0.75),
    "mean of the middle half": middle_half,
    "geometric mean": geometric_mean,
}


def candidates(run: dict[str, list[Record]]) -> dict[str, dict[str, float]]:
    """Every candidate for every cell of a run."""
    limit = disturbance.limit(visit["slowness"] for visits in run.values() for visit in visits)
    return {name: _candidates(visits, limit) for name, visits in run.items()}


def _candidates(visits: list[Record], limit: float) -> dict[str, float]:
    kept = disturbance.kept({i: visit["slowness"] for i, visit in enumerate(visits)}, limit)
    which = {"all": visits, "quiet": [visits[i] for i in kept]}
    return {
        f"{over} of {those} visits' {visit}": across([within(v["blocks"]) for v in chosen])
        for those, chosen in which.items()
        for visit, within in OF_BLOCKS.items()
        for over, across in OF_VISITS.items()
    }


def names() -> list[tuple[str, int, int]]:
    """The cells: kernel, width, batch."""
    found = [(k, w, b) for w in WIDTHS for b in BATCHES for k in KERNELS]
    return [name for name in found if name != TOO_SLOW]


def ours(seed: int, budget_s: float) -> dict[str, list[Record]]:
    """One run of the harness -> each cell's visits: their blocks, and the machine's slowness."""
    gathered = run([cell(*name) for name in names()], budget_s, seed)
    return {
        str(name): [
            {"blocks": blocks, "slowness": its.slowness[p]} for p, blocks in its.blocks.items()
        ]
        for name, its in zip(names(), gathered, strict=True)
    }


def theirs() -> dict[str, dict[str, float]]:
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
    for number in range(1, series + 1):
        for turn in range(1, runs + 1):
            start = time.perf_counter()
            rival = theirs()
            wall_s = time.perf_counter() - start
            start = time.perf_counter()
            mine = ours(1000 * number + turn, wall_s)
            our_wall_s = time.perf_counter() - start
            records.append(
                {
                    "series": number,
                    "ours": mine,
                    "ours_wall_s": our_wall_s,
                    "theirs": rival,
                    "theirs_wall_s": wall_s,
                }
            )
            RECORDED.write_text(json.dumps(records))
            print(f"series {number}, run {turn} of {runs}", file=sys.stderr)
    return records


def rms_log_ratio(runs: list[dict[str, dict[str, float]]], label: str) -> float:
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
        mine = [candidates(record["ours"]) for record in runs]
        rival = [record["theirs"] for record in runs]
        for tool, its in (("ours", mine), ("theirs", rival)):
            first = next(iter(its[0].values()))
            rows += [
                {
                    "series": number,
                    "estimate": label,
                    "cells": len(its[0]),
                    "runs": len(its),
                    "wall_s": median(record[f"{tool}_wall_s"] for record in runs),
                    "rms_log_ratio": rms_log_ratio(its, label),
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
    if len(sys.argv) == 3:
        measure(int(sys.argv[1]), int(sys.argv[2]))
    judge(json.loads(RECORDED.read_text()))
