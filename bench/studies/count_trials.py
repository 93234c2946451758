"""Does the gate's count cry wolf, and does it see? Again and again, on sides known to us.

    python -m bench.studies.count_trials identical [RUNS]
    python -m bench.studies.count_trials planted [RUNS]

Each run is the gate with `--witness count`, whole, and adds rows to results/studies/
count_trials.csv: one for each kernel and share planted, under a hash of the code that counts and
judges. `identical` compares this commit with itself: a cell that is slower is a false alarm.
`planted` gives a random half of the cells 1, 2 or 5 % more work: Python's own summing, as many
numbers as make up the share of the instructions that the cell took in the run before. Counts don't
change when others work, so this may run beside other work.
"""

import random
import re
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from scipy import stats

from bench.count import sources
from bench.count.sources import Nothing
from bench.data.records import Says
from bench.gate import checkouts, compare, counts
from bench.machine import survey
from bench.measure import visit
from bench.plan import sweep
from bench.plan.cell import Cell
from bench.studies import RESULTS
from bench.studies.gate_trials import KERNELS, add, append, digest, read, wide

TRIALS = RESULTS / "count_trials.csv"
CODE = (
    *("count/callgrind", "count/change", "count/child", "count/counting", "count/sources"),
    *("gate/counts", "gate/witnesses"),
)
PERCENTS = (1, 2, 5)

A_NUMBER = 50.0
"""About how many instructions CPython takes to add one number to a sum; found by counting."""

PLANTED = """

# Planted by bench.studies.count_trials: more work.
from itertools import repeat as _repeat

from kernels import Step as _Step

_MORE = {more}
_prepare = prepare


def prepare(layer, batch, device=0):
    step = _prepare(layer, batch, device)
    more = _MORE.get((layer.n_in, layer.n_units, batch), 0)

    def launch(A_in):
        sum(_repeat(1, more))
        return step.launch(A_in)

    return _Step(launch, step.send, step.fetch, step.device, step.close)
"""
"""Appended to a kernel's file on both sides, so that both call through it; only the head sums."""


def code() -> str:
    """A hash of the code that counts and judges, without its words."""
    return digest(CODE)


def plant(side: Path, more: dict[Cell, int]) -> None:
    """Have each of a side's cells sum so many numbers more."""
    append(side, PLANTED, "{more}", more)


def one(known: dict[str, float], *, planted: bool) -> dict[str, float]:
    """One run of the whole gate by counts; its rows are added -> instructions of each cell's
    launch, to plant shares of. `known`: those of the run before.
    """
    source = sources.find(survey.survey(visit.software(1), 1).cpu.vector_flags)
    if isinstance(source, Nothing):
        sys.exit(f"nothing counts here: {source.reason}")
    settled = sweep.read("gate")
    cells = [Cell(kernel, case) for case in settled.cases() for kernel in KERNELS]
    start = time.monotonic()
    with ExitStack() as stack:
        both = stack.enter_context(checkouts.both("HEAD", "HEAD"))
        percents: dict[str, int] = {}
        if planted:
            plant(both[0].folder, {})
            slowed = {c: random.choice(PERCENTS) for c in wide(cells) if random.random() < 0.5}
            percents = {cell.label: percent for cell, percent in slowed.items()}
            shares = {
                cell: round(percent / 100 * known[cell.label] / A_NUMBER)
                for cell, percent in slowed.items()
                if cell.label in known
            }
            plant(both[1].folder, shares)
        found = compare.untimed(cells, both, limit_s=settled.launch_limit_s)
        found = counts.judged(found, both, source, patience_s=3600.0)
    tally: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    changes: dict[tuple[str, int], list[float]] = defaultdict(list)
    for verdict in found.verdicts:
        percent = percents.get(verdict.cell, 0) if verdict.cell in known else 0
        tally[verdict.kernel, percent][verdict.says] += 1
        if verdict.count_change is not None:
            changes[verdict.kernel, percent].append(100 * verdict.count_change)
    run = f"{time.time_ns():x}"
    add(
        TRIALS,
        [
            {
                "code": code(),
                "run": run,
                "kind": "planted" if planted else "identical",
                "kernel": kernel,
                "planted_percent": percent,
                "cells": sum(its[says] for says in get_args(Says)),
                **{re.sub("\\W+", "_", says): its[says] for says in get_args(Says)},
                "least_change_percent": f"{min(changes[kernel, percent], default=0.0):.3f}",
                "most_change_percent": f"{max(changes[kernel, percent], default=0.0):.3f}",
                "seconds": round(time.monotonic() - start),
            }
            for (kernel, percent), its in sorted(tally.items())
        ],
    )
    return {v.cell: v.base_instructions for v in found.verdicts if v.base_instructions}


def tell() -> None:
    """What the tally says of the code as it is."""
    now = code()
    rows = [row for row in read(TRIALS) if row["code"] == now]
    runs = {row["run"] for row in rows if row["kind"] == "identical"}
    alarms = {row["run"] for row in rows if row["run"] in runs and int(row["slower"])}
    most = stats.binomtest(len(alarms), max(len(runs), 1)).proportion_ci(0.9, "exact").high
    said = f"{len(alarms)} false alarms in {len(runs)} runs on identical sides"
    print(f"{said} (the true rate is below {100 * most:.1f} %, one-sided 95 %)")
    groups: dict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for name in ("cells", "slower", "can_t_tell", "not_slower", "faster"):
            groups[int(row["planted_percent"])][name] += int(row[name])
    for percent, its in sorted(groups.items()):
        print(f"+{percent} %: {its['slower']} of {its['cells']} slower; {dict(its)}")


if __name__ == "__main__":
    known: dict[str, float] = {}
    if sys.argv[1] == "planted":
        known = one({}, planted=False)
    for _ in range(int(sys.argv[2]) if len(sys.argv) == 3 else 1):
        one(known, planted=sys.argv[1] == "planted")
        tell()
