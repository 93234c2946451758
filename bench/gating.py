"""A comparison from its options to its last file, and the calibration of the machine for it."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import (
    accepted,
    calibration,
    compare,
    gate,
    gate_report,
    junit,
    machine,
    runs,
    screen,
    sides,
    store,
    streams,
    sweep,
    units,
    visit,
)
from bench.link import ROOT
from bench.records import Says
from bench.rounds import Cell
from bench.sides import WORKTREE, Side
from bench.sweep import BadInput

CODES: dict[Says, int] = {"slower": 1, "can't tell": 3, "not slower": 0, "faster": 0}
"""What the command exits with."""

SPREADS = ROOT / "results" / ".gate.json"
"""What `--calibrate` has found, by the machine's fingerprint."""

CALIBRATE_S = 900.0
"""How long a calibration takes unless told otherwise: some twenty runs."""


@dataclass(frozen=True, slots=True)
class What:
    """What is compared, and how long for."""

    sweep: str
    kernels: tuple[str, ...]  # none: those of the sweep
    slower_than: float
    budget_s: float | None  # none: the sweep's
    seed: int


def judge(what: What, base: str, head: str, folder: Path, *, locked: bool) -> Says:
    """Compare two commits; show and write what was found. Raises BadInput."""
    shown = screen.Screen(lambda: "")
    facts = machine.facts(visit.facts(1), 1)
    spread = calibration.read(SPREADS, facts["fingerprint"])
    entries = accepted.read()
    with store.comparison(folder):
        with sides.both(base, head) as plain:
            both = sides.locked(plain, shown.note) if locked else plain
            found = _compare(what, both, spread, shown)
        applied = accepted.apply(found.verdicts, entries, datetime.now(UTC).date())
        found = replace(found, verdicts=applied.verdicts, notes=(*_grounds(spread), *applied.notes))
        says = gate.outcome(found.verdicts, found.problem)
        asked = gate_report.Asked(both[0].commit, both[1].commit, what.slower_than, locked)
        told = {**facts, "comparison": {**asdict(asked), "says": says, "problem": found.problem}}
        shown.clear()
        gate_report.show(found, asked)  # first: it stays told where the disk is full
        store.write_comparison(folder, found.rounds, found.verdicts, told, junit.xml(found, asked))
    screen.paths("numbers", [folder / "verdicts.csv", folder / "rounds.csv"])
    screen.paths("chart", runs.draw([folder], [runs.plots(folder)]))
    _tell_github(found, asked)
    return says


def _grounds(spread: gate.Spread) -> tuple[str, ...]:
    if spread.runs:
        return (f"margins from {spread.runs} runs of identical code on this machine",)
    return ("margins for a machine that was not calibrated (gate --calibrate, a quarter hour)",)


def _tell_github(found: compare.Found, asked: gate_report.Asked) -> None:
    """The step's summary and its annotations, where this is a step of a workflow."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    try:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(gate_report.markdown(found, asked))
    except OSError as error:  # the verdict stands all the same
        said = f"note: GITHUB_STEP_SUMMARY can't be written: {error.strerror}"
        streams.console(stderr=True).print(said, markup=False, soft_wrap=True)
    for line in gate_report.annotations(found, asked):
        streams.console().print(line, markup=False, soft_wrap=True, highlight=False)


def _compare(
    what: What,
    both: Sequence[Side],
    spread: gate.Spread,
    shown: screen.Screen,
    *,
    confirm: bool = True,
) -> compare.Found:
    """Measure both sides of the cells that were asked for. Raises BadInput."""
    settled = sweep.read(what.sweep)
    if settled.weights:
        raise BadInput("the gate draws its inputs: leave layers with weights out of the sweep")
    known = sorted({name for reply in compare.facts(both) for name in reply.kernels})
    for kernel in what.kernels:
        if kernel not in (*known, sweep.ALL):
            raise BadInput(f"no kernel {kernel!r} on either side; known: {', '.join(known)}")
    kernels = sweep.which(what.kernels or settled.kernels, known)
    return compare.compare(
        [Cell(kernel, case) for case in settled.cases() for kernel in kernels],
        both,
        spread,
        what.slower_than,
        limit_s=settled.launch_limit_s,
        budget_s=what.budget_s or settled.budget_s,
        seed=what.seed,
        confirm=confirm,
        watch=lambda phase, left_s: shown.line(f"{phase}; at most {units.seconds(left_s)} left"),
    )


def calibrate(what: What) -> None:
    """Compare the checkout with itself for a while, and keep what runs differ by. Raises BadInput.

    Each run screens every cell, from directories and processes of its own.
    """
    shown = screen.Screen(lambda: "")
    facts = machine.facts(visit.facts(1), 1)
    budget_s = what.budget_s or CALIBRATE_S
    start = time.monotonic()
    runs: list[Any] = []

    def left_s() -> float:
        return budget_s - (time.monotonic() - start)

    took = 0.0
    while left_s() > took:
        began = time.monotonic()
        with sides.both(WORKTREE, WORKTREE) as both:
            one = replace(what, budget_s=left_s(), seed=what.seed + len(runs))
            runs.append(_compare(one, both, gate.Spread(), shown, confirm=False).rounds)
        took = time.monotonic() - began
        shown.note(f"run {len(runs)}; at most {units.seconds(max(left_s(), 0))} left")
    if len(runs) < calibration.LEAST_RUNS:
        least = units.seconds(calibration.LEAST_RUNS * took)
        raise BadInput(f"{len(runs)} runs are too few to tell: --budget of {least} or more")
    found = calibration.spread(runs)
    calibration.write(SPREADS, facts["fingerprint"], len(runs), found)
    kept = gate.Spread(by_kernel=found)
    for kernel, its in sorted(found.items()):
        line = f"{kernel}: runs differ by {100 * its:.2f}% (SD), margin"
        shown.note(f"{line} {100 * kept.margin(kernel, what.slower_than):.1f}%")
    screen.paths("spread", [SPREADS])
