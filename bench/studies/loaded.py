"""Does a busy machine make the checks refuse an honest kernel?

The default sweep, again and again, while another process keeps a core busy. No cell may end as
wrong, impossible, error, crashed or timeout: there is nothing wrong with the kernels.

    python -m bench.studies.loaded [RUNS [BUDGET]]
"""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

from bench import ROOT
from bench.data import store
from bench.data.records import CellRow, Visit
from bench.show.table import FAILED
from bench.studies import write
from bench.worker import environment, limits

BUDGET = "45s"
"""Shorter than the default sweep's own: every cell is visited, some several times."""


def one(folder: Path, budget: str) -> tuple[list[CellRow], list[Visit]]:
    """A run beside a busy process -> its cells and visits."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            subprocess.run(
                [sys.executable, "-m", "bench", "run", "--budget", budget, "--out", str(folder)],
                cwd=ROOT,
                env=environment.environment(limits.usable_cores()),
                capture_output=True,
                check=False,  # a false alarm ends it with 1, and is counted below
            )
        finally:
            busy.kill()
    return store.load(folder, CellRow), store.load(folder, Visit)


def main(runs: int, budget: str) -> None:
    """Write results/studies/loaded.csv, print the sum."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for number in range(1, runs + 1):
            cells, visits = one(Path(place) / f"run-{number}", budget)
            status: Counter[str] = Counter(cell.status for cell in cells)
            slow = [v.waited_s / v.measured_s for v in visits if v.waited_s and v.measured_s]
            rows.append(
                {
                    "run": number,
                    "cells": len(cells),
                    "ok": status["ok"],
                    "skipped": status["skipped"],
                    "unavailable": status["unavailable"],
                    "false_alarms": sum(status[word] for word in FAILED),
                    "visits": len(visits),
                    "median_waited_share": median(slow) if slow else 0.0,
                }
            )
            print(rows[-1], file=sys.stderr)
    write("loaded", rows)
    alarms, measured = (sum(int(row[what]) for row in rows) for what in ("false_alarms", "ok"))
    print(f"{alarms} false alarms in {runs} runs; {measured} cells measured")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    main(count, sys.argv[2] if len(sys.argv) > 2 else BUDGET)
