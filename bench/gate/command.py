"""A comparison from its options to its last file, and the calibration of the machine for it."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from bench import ROOT
from bench.count import sources
from bench.data import run_folder, store
from bench.data.machine import Comparison, Machine
from bench.data.records import Says
from bench.data.series import Kept
from bench.gate import (
    accepted,
    calibration,
    checkouts,
    compare,
    counts,
    decide,
    environments,
    github,
    junit,
    report,
    witnesses,
)
from bench.gate.checkouts import WORKTREE, Side
from bench.history import database, keep
from bench.history.database import Entry
from bench.machine import survey
from bench.measure import visit
from bench.plan import sweep
from bench.plan.cell import Cell
from bench.show import progress, runs
from bench.terminal import units
from bench.terminal.errors import BadInput

CODES: dict[Says, int] = {"slower": 1, "can't tell": 3, "not slower": 0, "faster": 0}
"""What the command exits with."""

SPREADS = ROOT / "results" / ".gate.json"
"""What `--calibrate` has found, by the machine's fingerprint."""

CALIBRATE_S = 900.0
"""How long a calibration takes unless told otherwise: some twenty runs."""


Asking = Literal["time", "count", "both"]


@dataclass(frozen=True, slots=True)
class What:
    """What is compared, and how long for."""

    sweep: str
    kernels: tuple[str, ...]  # none: those of the sweep
    slower_than: float
    budget_s: float | None  # none: the sweep's
    seed: int
    witness: Asking = "both"
    simulate: bool = False  # caches and branches, where Valgrind counts
    comment: bool = False  # on the pull request


def compare_commits(what: What, base: str, head: str, folder: Path, *, locked: bool) -> Says:
    """Compare two commits; show, tell and write what was found. Raises BadInput."""
    asked = report.Asked(base, head, what.slower_than, locked, what.witness)
    shown = progress.Screen(lambda: "")
    with ExitStack() as stack:
        with github.no_verdict(asked, comments=what.comment):
            if folder.exists():
                raise BadInput(f"{folder} exists: take another --out")
            machine = survey.survey(visit.software(1), 1)
            stack.enter_context(store.comparison(folder))
            both, timed, result = _judged(what, base, head, machine, shown, locked=locked)
        asked = replace(asked, base=both[0].commit, head=both[1].commit)
        says = decide.outcome(result.verdicts, result.problem)
        comparison = Comparison(**asdict(asked), says=says, problem=result.problem, seed=what.seed)
        machine = structs.replace(machine, comparison=comparison)
        shown.clear()
        # first: it stays told where the disk is full
        report.show(result, asked)
        github.tell(result, asked, comments=what.comment)
        store.write_comparison(
            folder,
            result.rounds,
            result.verdicts,
            result.counts,
            machine,
            junit.xml(result, asked),
        )
    if note := keep.keep(*_head(what, machine, folder.name, asked.head, timed)):
        shown.note(note)
    files = {"verdicts.csv": True, "rounds.csv": result.rounds, "counts.csv": result.counts}
    progress.paths("numbers", [folder / name for name, there in files.items() if there])
    progress.paths("for CI", [folder / "junit.xml"])
    progress.paths("chart", runs.draw_comparison(folder, run_folder.plots(folder)))
    return says


def _judged(
    what: What, base: str, head: str, machine: Machine, shown: progress.Screen, *, locked: bool
) -> tuple[Sequence[Side], compare.Comparison, compare.Comparison]:
    """The sides, what their times say, and that with counts and with accepted slowdowns. Raises
    BadInput.
    """
    spread = calibration.read(SPREADS, machine.fingerprint)
    source = sources.find(machine.cpu.vector_flags) if what.witness != "time" else None
    if what.witness == "count" and isinstance(source, sources.Nothing):
        raise BadInput(
            f"--witness count: {source.reason}: {source.remedy or 'take --witness time'}"
        )
    entries = accepted.read()
    with checkouts.both(base, head) as plain:
        both = checkouts.locked(plain, shown.note) if locked else plain
        timed = _compare(what, both, spread, shown)
        result = timed if source is None else _counted(what, timed, both, source, shown)
    if timed.short and not witnesses.counted(result.verdicts):
        reasons = dict.fromkeys(v.remark for v in result.verdicts)
        raise BadInput("; ".join(filter(None, [timed.problem, *reasons])))
    today = datetime.now(UTC).date()
    applied = accepted.apply(result.verdicts, entries, today, judged=result.problem is None)
    grounds = _grounds(spread, what) if what.witness != "count" else ()
    notes = (*result.notes, *grounds, *applied.notes)
    return both, timed, replace(result, verdicts=applied.verdicts, notes=notes)


def _head(
    what: What, machine: Machine, name: str, commit: str, timed: compare.Comparison
) -> tuple[Kept, list[Entry]]:
    """What the history keeps of a comparison; nothing where its rounds can't be relied on."""
    rounds = timed.rounds if timed.problem is None else []
    cases = sweep.read(what.sweep).cases()
    kernels = dict.fromkeys(row.kernel for row in rounds)
    cells = [Cell(kernel, case) for kernel in kernels for case in cases]
    return database.of_head(machine, name, commit, rounds, cells)


def _counted(
    what: What,
    result: compare.Comparison,
    both: Sequence[Side],
    source: sources.Source | sources.Nothing,
    shown: progress.Screen,
) -> compare.Comparison:
    """What was measured, with what counts add to it."""
    if what.simulate and isinstance(source, sources.Source) and source.kind == "perf":
        note = "--simulate: there is Valgrind's simulation only where the CPU's counters are not"
        result = replace(result, notes=(*result.notes, note))
    return counts.judged(
        result,
        both,
        source,
        simulate=what.simulate,
        watch=lambda left_s: shown.line(
            f"counting instructions; at most {units.seconds(left_s)} left"
        ),
    )


def _grounds(spread: decide.Spread, what: What) -> tuple[str, ...]:
    kernels = spread.by_kernel or {"": spread.default}
    margins = [math.expm1(spread.margin(kernel, what.slower_than)) for kernel in kernels]
    most = f"a cell is slower by time if its change is surely above {100 * max(margins):.1f}%"
    if spread.runs:
        return (f"{most}: margins from {spread.runs} runs of identical code on this machine",)
    return (f"{most}: margins for a machine that was not calibrated (gate --calibrate)",)


def _compare(
    what: What,
    both: Sequence[Side],
    spread: decide.Spread,
    shown: progress.Screen,
    *,
    confirm: bool = True,
) -> compare.Comparison:
    """Measure both sides of the cells that were asked for. Raises BadInput."""
    settled = sweep.read(what.sweep)
    if settled.weights:
        raise BadInput("the gate uses random weights: leave layers with a file out of the sweep")
    made_of = compare.software(both)
    base, head = (set(reply.kernels) for reply in made_of)
    known = sorted(base | head)
    for kernel in what.kernels:
        if kernel not in (*known, sweep.ALL):
            raise BadInput(f"no kernel {kernel!r} on either side; known: {', '.join(known)}")
    kernels = sweep.which(what.kernels or settled.kernels, known)
    cells = [Cell(kernel, case) for case in settled.cases() for kernel in kernels]
    if what.witness == "count" and confirm:
        shown.line("setting up")
        result = compare.untimed(cells, both, limit_s=settled.launch_limit_s)
    else:
        result = compare.compare(
            cells,
            both,
            spread,
            what.slower_than,
            limit_s=settled.launch_limit_s,
            budget_s=what.budget_s or settled.budget_s,
            seed=what.seed,
            confirm=confirm,
            watch=lambda phase, left_s: shown.line(
                f"{phase}; at most {units.seconds(left_s)} left"
            ),
        )
    locked = len({side.python for side in both}) > 1
    differing = environments.differences(both, made_of, locked=locked)
    result = replace(result, notes=(*result.notes, *differing))
    if new := sorted(head - base - set(kernels)):
        note = f"new kernels of the head that the sweep does not name: {', '.join(new)}"
        result = replace(result, notes=(*result.notes, note))
    return result


def calibrate(what: What) -> None:
    """Compare the checkout with itself for a while, and keep what runs differ by. Raises BadInput.

    Each run screens every cell, from directories and processes of its own.
    """
    shown = progress.Screen(lambda: "")
    machine = survey.survey(visit.software(1), 1)
    budget_s = what.budget_s or CALIBRATE_S
    start = time.monotonic()
    runs: list[Any] = []

    def left_s() -> float:
        return budget_s - (time.monotonic() - start)

    took = 0.0
    while left_s() > took:
        began = time.monotonic()
        with checkouts.both(WORKTREE, WORKTREE) as both:
            again = replace(what, budget_s=left_s(), seed=what.seed + len(runs))
            result = _compare(again, both, decide.Spread(), shown, confirm=False)
        if result.short:  # the last one was cut short
            if not took:
                raise BadInput(result.problem)
            break
        took = time.monotonic() - began
        left = f"at most {units.seconds(max(left_s(), 0))} left"
        if result.problem is None:
            runs.append(result.rounds)
            shown.note(f"run {len(runs)}; {left}")
        else:
            shown.note(f"a run that doesn't count: {result.problem}; {left}")
    if len(runs) < calibration.LEAST_RUNS:
        least = units.seconds(calibration.LEAST_RUNS * took)
        raise BadInput(f"{len(runs)} runs are too few: give a --budget of {least} or more")
    by_kernel = calibration.spread(runs)
    calibration.write(SPREADS, machine.fingerprint, len(runs), by_kernel)
    kept = decide.Spread(by_kernel=by_kernel)
    for kernel, sd in sorted(by_kernel.items()):
        line = f"{kernel}: runs differ by {100 * sd:.2f}% (standard deviation), slower is above"
        shown.note(f"{line} {100 * kept.margin(kernel, what.slower_than):.1f}%")
    progress.paths("spread", [SPREADS])
