"""Does the gate cry wolf, and does it see? The whole of it, again and again, on sides known to us.

    python -m bench.studies.gate_trials identical [RUNS]
    python -m bench.studies.gate_trials planted [RUNS]
    python -m bench.studies.gate_trials recorded [RUNS]

`identical` compares this commit with itself: a false alarm is a run with any cell slower; a cell
called faster is as wrong, and should be as rare. `planted` slows a random half of the cells by 3,
5, 7 or 10 % of real work; the other half shows false alarms in the company of slow cells.

Each run adds rows to results/studies/gate_trials.csv, one for each kernel and slowdown, under a
hash of the code that measures and of what the rules decide: what is added over time counts together
as long as both stay. `recorded` adds the rounds of identical sides to gate_rounds.csv, a row a run
and cell, for the test that replays them (tests/gate/test_replay.py): more rounds of each cell than
the gate's own screen takes, because six drawn again and again would make a fact of their chance
median.
"""

import ast
import csv
import hashlib
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, get_args

from scipy import stats

from bench import ROOT
from bench.data.records import Says
from bench.gate import checkouts, compare, decide
from bench.plan import sweep
from bench.plan.cell import Cell
from bench.studies import RESULTS
from bench.terminal.errors import BadInput

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
MEASURING = (
    "gate/rounds",
    "worker/cheat_checks",
    "worker/server",
    "worker/speed_probe",
    "worker/timing",
)
TRIALS = RESULTS / "gate_trials.csv"
ROUNDS = RESULTS / "gate_rounds.csv"
SLOWER_THAN = 0.05
NOTHING = "none"
"""Stands for a kernel where a run ended without any verdict."""
RECORDED_ROUNDS = 10

WORDS = ("slower", "cant_tell", "not_slower", "faster", "visible", "visible_slower")
"""The tally's counts of cells. `visible`: slowed by as much as the verdict says could have been
seen, or more. It and `change_percent`, the median of what was measured, are empty in older runs."""

SLOWDOWNS = {3: 1, 5: 5, 7: 3, 10: 1}
"""Per cent, and how often each is planted: the gate is judged by 5 and 7."""

PLANTED = """

# Planted by bench.studies.gate_trials: more work, a share of each launch's own time.
import time as _time
from itertools import repeat as _repeat

_SHARES = {shares}
_prepare = prepare


def prepare(layer, batch, device=0):
    step = _prepare(layer, batch, device)
    share = _SHARES.get((layer.n_in, layer.n_units, batch), 0.0)
    every, more, count = 1 << 62, 0, 0

    def launch(A_in):
        nonlocal count
        count += 1
        if count >= every:
            count = 0
            sum(_repeat(1, more))
        return step.launch(A_in)

    def seconds(work, times):
        best = 1.0
        for _ in range(7):
            start = _time.perf_counter()
            for _ in range(times):
                work()
            best = min(best, (_time.perf_counter() - start) / times)
        return best

    x = step.send(np.zeros((batch, layer.n_in), layer.W.dtype))
    once = seconds(lambda: launch(x), 1)
    once = seconds(lambda: launch(x), max(1, min(200, int(2e-4 / once))))
    if share:
        # a microsecond at a time, so that the call costs little beside what it does
        every = max(1, round(1e-6 / (share * once)))
        empty = seconds(lambda: sum(_repeat(1, 0)), 100)
        each = (seconds(lambda: sum(_repeat(1, 20_000)), 1) - empty) / 20_000
        more = max(0, round((every * share * once - empty) / each))
        count = 0
    return Step(launch, step.send, step.fetch, step.device, step.close)
"""
"""Appended to a kernel's file on both sides, so that both call through it; only the head's has
shares. What is planted is Python's own summing, as much of it as makes up the share."""


def code() -> str:
    """A hash of the code that measures, without its words, and of what the rules decide.

    What is not in it may change without a new key: which cells there are, how long for, and the
    order of the work.
    """
    return digest(MEASURING, repr(decisions()))


def digest(modules: Iterable[str], more: str = "") -> str:
    """A hash of modules of bench, without their words, and of `more`."""
    made = hashlib.sha256(more.encode())
    for name in modules:
        text = (ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8")
        made.update(ast.unparse(Wordless().visit(ast.parse(text))).encode())
    return made.hexdigest()[:12]


class Wordless(ast.NodeTransformer):
    """Takes the docstrings out of a program; comments are not in its tree."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        words = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if words else node


def decisions() -> list[Any]:
    """What the rules make of rounds that never change: they may be rewritten, not altered."""
    generator = random.Random(0)
    made: list[Any] = [compare.SCREEN_ROUNDS, compare.CONFIRM_ROUNDS, decide.FIRST_LOOK]
    for _ in range(40):
        cells = [f"cell {i}" for i in range(12)]
        screen, confirm = (
            {
                cell: [shift + generator.gauss(0, scatter) for _ in range(count)]
                for cell in cells
                for shift, scatter in [(generator.uniform(-0.1, 0.1), generator.uniform(0, 0.04))]
            }
            for count in (compare.SCREEN_ROUNDS, generator.randrange(6, 41))
        )
        kernel_of = dict.fromkeys(cells, "numpy_dot")
        made.append(decide.worth_a_look(screen, kernel_of, decide.Spread(), SLOWER_THAN))
        verdicts = decide.verdicts(screen, confirm, kernel_of, decide.Spread(), SLOWER_THAN)
        made.append([verdict.says for verdict in verdicts])
    return made


def plant(side: Path, shares: dict[Cell, float]) -> None:
    """Slow a side's cells by these shares of their own time."""
    needed = "".join(f"\n{line}" for line in ("import numpy as np", "from kernels import Step"))
    append(side, needed + PLANTED, "{shares}", shares)


def append(side: Path, planted: str, place: str, of_cells: Mapping[Cell, float]) -> None:
    """Add a text to each of a side's kernels; in `place` of it stand the numbers of its cells."""
    for kernel in KERNELS:
        numbers = {
            (cell.case.n_in, cell.case.n_units, cell.case.batch): number
            for cell, number in of_cells.items()
            if cell.kernel == kernel
        }
        file = side / "kernels" / f"{kernel}.py"
        text = file.read_text(encoding="utf-8")
        file.write_text(text + planted.replace(place, repr(numbers)), encoding="utf-8")


def one(*, planted: bool) -> None:
    """One run of the whole gate; its rows are added to the tally."""
    cells = wide(_cells())
    percents = {
        cell: percent if planted and random.random() < 0.5 else 0
        for cell, percent in zip(
            cells, random.choices([*SLOWDOWNS], [*SLOWDOWNS.values()], k=len(cells)), strict=True
        )
    }
    start = time.monotonic()
    with ExitStack() as stack:
        both = stack.enter_context(checkouts.both("HEAD", "HEAD"))
        if planted:
            plant(both[0].folder, {})
            plant(both[1].folder, {cell: percent / 100 for cell, percent in percents.items()})
        try:
            found = _compared(both)
        except BadInput as error:  # exit code 2: red too, and for nothing
            found = compare.Comparison([], [], str(error), [])
    percent_of = {cell.label: percent for cell, percent in percents.items()}
    tally: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    changes: dict[tuple[str, int], list[float]] = defaultdict(list)
    for verdict in found.verdicts:
        says = "can't tell" if found.problem else verdict.says
        percent = percent_of[verdict.cell]
        its = tally[verdict.kernel, percent]
        its[says] += 1
        changes[verdict.kernel, percent].append(100 * (verdict.change or 0.0))
        if verdict.visible is not None and 0 < 100 * verdict.visible <= percent:
            its["visible"] += 1
            its["visible, slower"] += says == "slower"
    if not tally:
        tally[NOTHING, 0] = Counter()
    seconds = round(time.monotonic() - start)
    now, run = code(), f"{time.time_ns():x}"
    add(
        TRIALS,
        [
            {
                "code": now,
                "run": run,
                "kind": "planted" if planted else "identical",
                "kernel": kernel,
                "slowdown_percent": percent,
                "cells": sum(its[says] for says in get_args(Says)),
                "slower": its["slower"],
                "cant_tell": its["can't tell"],
                "not_slower": its["not slower"],
                "faster": its["faster"],
                "visible": its["visible"],
                "visible_slower": its["visible, slower"],
                "change_percent": f"{median(changes[kernel, percent] or [0.0]):.1f}",
                "seconds": seconds,
                "problem": found.problem or "",
            }
            for (kernel, percent), its in sorted(tally.items())
        ],
    )


def record() -> None:
    """Keep the rounds of one screen of identical sides, in units of 1e-5."""
    with checkouts.both("HEAD", "HEAD") as both:
        found = _compared(both, confirm=False, screen_rounds=RECORDED_ROUNDS)
    if found.short:
        raise BadInput(found.problem)
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in found.rounds:
        rows[row.cell, row.kernel].append(f"{1e5 * row.log_ratio:.0f}")
    run = f"{time.time_ns():x}"
    add(
        ROUNDS,
        [
            {"run": run, "cell": cell, "kernel": kernel, "log_ratios_1e5": " ".join(its)}
            for (cell, kernel), its in rows.items()
        ],
    )


@cache
def recorded() -> list[dict[str, list[float]]]:
    """The recorded runs: log(head / base) of each round, by cell."""
    runs: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for row in read(ROUNDS):
        found = [float(number) / 1e5 for number in row["log_ratios_1e5"].split()]
        runs[row["run"]][row["cell"]] = found
    return list(runs.values())


def wide(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, and the narrower ones that may stand in for those that are too slow here."""
    return [*cells, *compare.narrower(cells, cells)]


def _cells() -> list[Cell]:
    """Those that `make gate` compares."""
    return [Cell(kernel, case) for case in sweep.read("gate").cases() for kernel in KERNELS]


def _compared(both: Sequence[checkouts.Side], **how: Any) -> compare.Comparison:
    """As `make gate` compares them, but for what `how` says."""
    settled = sweep.read("gate")
    return compare.compare(
        _cells(),
        both,
        decide.Spread(),
        SLOWER_THAN,
        limit_s=settled.launch_limit_s,
        budget_s=settled.budget_s,
        seed=random.randrange(2**31),
        **how,
    )


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a tally; none where it has not begun."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a tally."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def tell() -> None:
    """What the tally says of the code as it is."""
    now = code()
    rows = [row for row in read(TRIALS) if row["code"] == now]
    runs = {row["run"] for row in rows if row["kind"] == "identical"}
    alarms = {row["run"] for row in rows if row["run"] in runs and int(row["slower"])}
    most = stats.binomtest(len(alarms), max(len(runs), 1)).proportion_ci(0.9, "exact").high
    said = f"{len(alarms)} false alarms in {len(runs)} runs on identical sides"
    print(f"{said} (the true rate is below {100 * most:.1f} %, one-sided 95 %)")
    for row in rows:
        if row["problem"] and row["kernel"] in (NOTHING, KERNELS[0]):
            print(f"{row['kind']} run {row['run']} judged nothing: {row['problem']}")
    groups: dict[tuple[str, str, int], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["kernel"] == NOTHING:
            continue
        key = row["kind"], row["kernel"], int(row["slowdown_percent"])
        for word in (*WORDS, "cells"):
            groups[key][word] += int(row[word] or 0)
    for (kind, kernel, percent), n in sorted(groups.items()):
        least = stats.binomtest(n["slower"], n["cells"]).proportion_ci(0.9, "exact").low
        bound = f" (at least {100 * least:.0f} %)" if percent else ""
        print(
            f"{kind:9} {kernel:12} +{percent:2} %: {n['slower']} of {n['cells']} slower{bound},"
            f" {n['cant_tell']} can't tell, {n['not_slower']} not slower, {n['faster']} faster"
        )
    seen = sum((n for (*_, percent), n in groups.items() if percent), Counter[str]())
    print(
        f"of {seen['visible']} slowdowns at least as large as what could have been seen,"
        f" {seen['visible_slower']} were found"
    )


if __name__ == "__main__":
    for _ in range(int(sys.argv[2]) if len(sys.argv) == 3 else 1):
        if sys.argv[1] == "recorded":
            record()
        else:
            one(planted=sys.argv[1] == "planted")
            tell()
