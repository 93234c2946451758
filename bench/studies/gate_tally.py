"""How often does the gate cry wolf? The whole of it, on identical sides, again and again.

    python -m bench.studies.gate_tally [RUNS]

Each run adds a row to results/studies/gate_tally.csv, under a hash of the code that measures and
decides: what is added over time counts together as long as that code stays. A false alarm is a run
with any cell slower; cells called faster are counted beside them, for they should be as rare.
"""

import csv
import hashlib
import random
import sys
import time
from collections import Counter
from typing import Any

from bench import compare, gate, link, sides, sweep
from bench.rounds import Cell
from bench.studies import RESULTS

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
CODE = ("compare", "control", "gate", "honesty", "quiet", "rounds", "timing", "worker")
TALLY = RESULTS / "gate_tally.csv"


def code() -> str:
    """A hash of what measures and decides."""
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((link.ROOT / "bench" / f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]


def one() -> dict[str, Any]:
    """One run of the gate on this commit and itself."""
    settled = sweep.read("gate")
    start = time.monotonic()
    with sides.both("HEAD", "HEAD") as both:
        found = compare.compare(
            [Cell(kernel, case) for case in settled.cases() for kernel in KERNELS],
            both,
            gate.Spread(),
            0.05,
            limit_s=settled.launch_limit_s,
            budget_s=settled.budget_s,
            seed=random.randrange(2**31),
        )
    said = Counter(verdict.says for verdict in found.verdicts)
    visible = sorted(verdict.visible for verdict in found.verdicts)
    return {
        "code": code(),
        "outcome": gate.outcome(found.verdicts, found.problem),
        "cells": len(found.verdicts),
        "slower": said["slower"],
        "faster": said["faster"],
        "cant_tell": said["can't tell"],
        "not_slower": said["not slower"],
        "median_visible": f"{visible[len(visible) // 2]:.4f}",
        "seconds": round(time.monotonic() - start),
        "problem": found.problem or "",
    }


def add(row: dict[str, Any]) -> None:
    """Append to the tally."""
    new = not TALLY.exists()
    with TALLY.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def tell() -> None:
    """What the tally says of the code as it is."""
    with TALLY.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["code"] == code()]
    alarms = sum(row["outcome"] == "slower" for row in rows)
    # exact where there is none: the largest rate that leaves 5 % for seeing so few
    bound = 1 - 0.05 ** (1 / len(rows)) if rows and not alarms else None
    most = f"; the true rate is below {100 * bound:.0f} % (95 %)" if bound is not None else ""
    cells = Counter({w: sum(int(row[w]) for row in rows) for w in ("cells", "cant_tell", "faster")})
    print(
        f"{alarms} false alarms in {len(rows)} runs{most}; of {cells['cells']} verdicts"
        f" {cells['cant_tell']} couldn't tell and {cells['faster']} were false improvements"
    )


if __name__ == "__main__":
    for _ in range(int(sys.argv[1]) if len(sys.argv) == 2 else 1):
        add(one())
        tell()
