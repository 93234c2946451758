"""A whole comparison: screen every cell, confirm those that moved or can't be told.

6 rounds over all cells    who moved, who can't be told?
up to 40 over those        is it so?  (bench.gate.decide)
"""

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from bench.data.records import Count, Phase, Round, Verdict
from bench.gate import decide, rounds, witnesses
from bench.gate.checkouts import Side
from bench.gate.rounds import CantMeasure
from bench.measure import worker_process
from bench.measure.device_memory import DeviceMemory
from bench.measure.judge_process import JudgeProcess
from bench.plan.cell import Cell
from bench.terminal import units
from bench.terminal.errors import BadInput
from bench.worker import messages

SCREEN_ROUNDS = decide.LEAST_ROUNDS
"""What only chooses needs no more than an interval; the time is better spent on confirming."""

CONFIRM_ROUNDS = 40

LEAST_WIDTH = 4
"""No narrower layer stands in for one that is too slow."""

ABSENT = ("unavailable", "unsupported")
"""What is so on both sides is left out; on one side alone it is a missing cell."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found."""

    rounds: list[Round]
    verdicts: list[Verdict]
    problem: str | None  # why nothing can be judged, if so
    left_out: list[CantMeasure]  # cells that neither side can run, or that are new, and why
    notes: tuple[str, ...] = ()  # what else is to be said
    cells: Sequence[Cell] = ()  # those that were compared
    devices: Mapping[Cell, str] = field(default_factory=dict)  # where each of them computes
    counts: Sequence[Count] = ()  # their instructions, where they were counted
    short: bool = False  # the budget ended before any time could be judged


def software(sides: Sequence[Side]) -> list[messages.Software]:
    """What each side's process is made of.

    Raises BadInput where the sides speak different contracts, or where one can't start.
    """
    found = []
    for side in sides:
        arm = rounds.Arm(side, None, DeviceMemory(), JudgeProcess(1, rounds.SEED))
        try:
            found.append(arm.software())
        except worker_process.WorkerLost as lost:
            said = f"the {side.name}'s side can't start: {lost}"
            raise BadInput(f"{said}: the sides can't be compared") from lost
        finally:
            arm.end()
    if len({reply.contract for reply in found}) > 1:
        said = ", ".join(
            f"{side.name} {reply.contract}" for side, reply in zip(sides, found, strict=True)
        )
        raise BadInput(f"the sides have different kernel contracts ({said}): no comparison")
    return found


def measurable(
    cells: Sequence[Cell],
    sides: Sequence[Side],
    limit_s: float,
    judge: JudgeProcess,
    devices: dict[Cell, str] | None = None,
) -> tuple[list[Cell], list[CantMeasure]]:
    """The cells that both sides run, the base within the limit a launch; why others are left out.
    `devices` is told where each computes.

    A kernel that only the head has is left out: it can't have become slower. The head's launches
    may take any time, for that is what is asked. Raises BadInput where any other cell is there on
    one side only, or where none is left: a comparison of nothing is never green.
    """
    base, head = sides
    there = [reply.kernels for reply in software(sides)]
    if gone := {cell.kernel for cell in cells} & set(there[0]) - set(there[1]):
        said = f"the head has no kernel {', '.join(sorted(gone))}: it can't be compared"
        raise BadInput(f"{said}: name others with --kernel, or a sweep without it with --sweep")
    new = [cell for cell in cells if cell.kernel in there[1] and cell.kernel not in there[0]]
    left_out = [CantMeasure(cell, "base", "unavailable", "the kernel is new") for cell in new]
    on_base = _try([cell for cell in cells if cell not in new], base, limit_s, judge)
    slow = [cell for cell, problem in on_base.items() if problem.status == "skipped"]
    left_out += [on_base[cell] for cell in slow]
    instead = narrower(slow, cells)
    on_base |= _try(instead, base, limit_s, judge)
    slow += [c for c in instead if c in on_base and on_base[c].status == "skipped"]
    cells = [cell for cell in (*cells, *instead) if cell not in new and cell not in slow]
    on_head = _try(cells, head, math.inf, judge, devices)
    good = []
    for cell in cells:
        missing = [found[cell] for found in (on_base, on_head) if cell in found]
        if not missing:
            good.append(cell)
        elif len(missing) == len(sides) and all(p.status in ABSENT for p in missing):
            left_out.append(missing[0])
        else:
            raise _nothing(missing[0], sides)
    if not good:
        raise BadInput(
            f"no cell can be measured: {'; '.join(map(str, left_out)) or 'none was asked for'}"
        )
    return good, left_out


def narrower(slow: Sequence[Cell], cells: Sequence[Cell]) -> list[Cell]:
    """Narrower cells in the place of square ones that are too slow: each half as wide, and half as
    wide again, until there is no such cell yet. A slow machine would have few of a slow kernel.
    """
    known = set(cells)
    found: list[Cell] = []
    for cell in sorted(slow, key=lambda cell: cell.case.flops):
        width = cell.case.n_units // 2
        while width >= LEAST_WIDTH and cell.case.n_in == cell.case.n_units:
            case = replace(cell.case, n_in=width, n_units=width)
            if (smaller := replace(cell, case=case)) not in known:
                known.add(smaller)
                found.append(smaller)
                break
            width //= 2
    return found


def _nothing(problem: CantMeasure, sides: Sequence[Side]) -> BadInput:
    said = str(problem)
    for side in sides:  # where its files are is gone by the time that this is read
        said = said.replace(f"{side.folder}/", "")
    return BadInput(f"{said}: the sides can't be compared")


def _try(
    cells: Sequence[Cell],
    side: Side,
    limit_s: float,
    judge: JudgeProcess,
    devices: dict[Cell, str] | None = None,
) -> dict[Cell, CantMeasure]:
    """The cells that a side can't run, and why."""
    problems: dict[Cell, CantMeasure] = {}
    slow: dict[str, int] = {}  # each kernel's least work that was too slow
    memory = DeviceMemory()
    arm = rounds.Arm(side, None, memory, judge)
    try:
        for key, cell in enumerate(cells, start=1):
            limit = f"a launch takes over {limit_s:g} s"
            if cell.case.flops >= slow.get(cell.kernel, cell.case.flops + 1):
                problems[cell] = CantMeasure(cell, side.name, "skipped", limit)
                continue
            try:
                opened = arm.open(cell, key, 0, limit_s=min(10 * limit_s, rounds.PATIENCE_S))
                arm.close(cell, key)
                if devices is not None:
                    devices[cell] = opened.device
                if opened.launch_s > limit_s:
                    problems[cell] = CantMeasure(cell, side.name, "skipped", limit)
                elif opened.launch_s <= 0:
                    still = "a launch takes no time: its clock stands still"
                    problems[cell] = CantMeasure(cell, side.name, "error", still)
            except CantMeasure as problem:
                problems[cell] = problem
                arm.end()
                arm = rounds.Arm(side, None, memory, judge)
            if cell in problems and problems[cell].status == "skipped":
                slow[cell.kernel] = cell.case.flops
    finally:
        arm.end()
    return problems


@dataclass
class _Work:
    """The rounds so far, and the time for more."""

    sides: Sequence[Side]
    generator: random.Random
    budget_s: float
    watch: Callable[[str, float], None]
    start: float
    judge: JudgeProcess
    measured: list[Round] = field(default_factory=list)
    memory: DeviceMemory = field(default_factory=DeviceMemory)

    @property
    def spent_s(self) -> float:
        return time.monotonic() - self.start

    @property
    def left_s(self) -> float:
        return self.budget_s - self.spent_s

    def run(self, phase: Phase, chosen: Sequence[Cell], most: int) -> float:
        """As many rounds as there is time for -> what the last one took."""
        took = 0.0
        for count in range(1, most + 1):
            if self.left_s < took:
                break
            doing = f"{phase}: round {count} of {most}, {len(chosen)} cells"
            began = self.spent_s
            number = 1 + max((row.round_number for row in self.measured), default=0)
            try:
                self.measured += rounds.measure(
                    number,
                    phase,
                    chosen,
                    self.sides,
                    self.generator,
                    self.memory,
                    self.judge,
                    lambda _, doing=doing: self.watch(doing, self.left_s),  # type: ignore[misc]
                )
            except CantMeasure as problem:
                raise _nothing(problem, self.sides) from problem
            took = self.spent_s - began
        return took

    def too_few(self, cells: Sequence[Cell], took: float) -> str:
        """That the screen, whose last round took so long, had too few rounds, if so; else ""."""
        if (done := len(self.measured) // len(cells)) >= SCREEN_ROUNDS:
            return ""
        one = took or self.spent_s  # setting up opens each cell on both sides, like a round
        needed = units.seconds(self.spent_s + (2 * SCREEN_ROUNDS - done) * one)
        time_for = f"there was time for only {done} of the first {SCREEN_ROUNDS} rounds"
        return f"{time_for}: give a --budget of {needed} or more, or fewer cells"


def compare(
    cells: Sequence[Cell],
    sides: Sequence[Side],
    spread: decide.Spread,
    slower_than: float,
    *,
    limit_s: float,
    budget_s: float,
    seed: int,
    confirm: bool = True,
    screen_rounds: int = SCREEN_ROUNDS,
    watch: Callable[[str, float], None] = lambda doing, left_s: None,
) -> Comparison:
    """Measure both sides of all cells and judge. Raises BadInput where that can't be done.

    Cells that take longer than `limit_s` a launch are left out; the whole of it takes about
    `budget_s`. Without `confirm` all cells are only screened. `watch` is told what is being done
    and the seconds that are left. Where that leaves none for a screen, the comparison is `short`.
    """
    with JudgeProcess(1, rounds.SEED) as judge:
        work = _Work(sides, random.Random(seed), budget_s, watch, time.monotonic(), judge)
        watch("setting up", budget_s)
        devices: dict[Cell, str] = {}
        cells, left_out = measurable(cells, sides, limit_s, judge, devices)
        took = work.run("screen", cells, screen_rounds)
        if problem := work.too_few(cells, took):
            return _short(work.measured, cells, problem, left_out, devices)
        by_name = {cell.label: cell for cell in cells}
        kernel_of = {cell.label: cell.kernel for cell in cells}
        worth = decide.worth_a_look(
            by_cell(work.measured, "screen"), kernel_of, spread, slower_than
        )
        if not confirm:
            worth = []
        count = decide.affordable(len(worth), work.left_s / (took / len(cells)))
        if chosen := [by_name[name] for name in worth[:count]]:
            work.run("confirm", chosen, decide.FIRST_LOOK)
            decided = decide.decided(
                by_cell(work.measured, "confirm"), kernel_of, spread, slower_than
            )
            if undecided := [cell for cell in chosen if cell.label not in decided]:
                work.run("confirm", undecided, CONFIRM_ROUNDS - decide.FIRST_LOOK)
        alike = len({side.python for side in sides}) == 1
    result = conclude(work.measured, spread, slower_than, left_out, alike=alike)
    result = replace(result, cells=cells, devices=devices)
    if not (left := worth[count:]):
        return result
    verdicts = [
        decide.untold(v, "no time") if v.cell in left and v.says == "can't tell" else v
        for v in result.verdicts
    ]
    note = f"no time to measure {len(left)} of {len(worth)} doubtful cells again (longer --budget)"
    return replace(result, verdicts=verdicts, notes=(*result.notes, note))


def _short(
    measured: list[Round],
    cells: Sequence[Cell],
    problem: str,
    left_out: list[CantMeasure],
    devices: Mapping[Cell, str],
) -> Comparison:
    """A comparison whose rounds are too few to say anything: counts may."""
    verdicts = [
        decide.untold(witnesses.unmeasured(cell.label, cell.kernel), "few rounds") for cell in cells
    ]
    return Comparison(
        measured, verdicts, problem, left_out, cells=cells, devices=devices, short=True
    )


def untimed(cells: Sequence[Cell], sides: Sequence[Side], *, limit_s: float) -> Comparison:
    """A comparison whose cells are tried on both sides, and not timed. Raises BadInput."""
    devices: dict[Cell, str] = {}
    with JudgeProcess(1, rounds.SEED) as judge:
        cells, left_out = measurable(cells, sides, limit_s, judge, devices)
    verdicts = [witnesses.unmeasured(cell.label, cell.kernel) for cell in cells]
    return Comparison([], verdicts, None, left_out, cells=cells, devices=devices)


def by_cell(measured: Sequence[Round], phase: str) -> dict[str, list[float]]:
    """The log ratios of a phase's rounds, by cell."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in measured:
        if row.phase == phase:
            found[row.cell].append(row.log_ratio)
    return dict(found)


def conclude(
    measured: Sequence[Round],
    spread: decide.Spread,
    slower_than: float,
    left_out: Sequence[CantMeasure] = (),
    *,
    alike: bool = True,
) -> Comparison:
    """What rounds say, from their rows alone."""
    by_round: dict[int, list[float]] = defaultdict(list)
    for row in measured:
        by_round[row.round_number].append(row.control_log_ratio)
    control = [fmean(its) for its in by_round.values()]
    trouble = decide.trouble(control, spread, slower_than, alike=alike)
    screen, confirm = by_cell(measured, "screen"), by_cell(measured, "confirm")
    kernel_of = {row.cell: row.kernel for row in measured}

    def said(off: float) -> list[Verdict]:
        return decide.verdicts(screen, confirm, kernel_of, spread, slower_than, off)

    verdicts, problem = said(0.0), None
    notes: tuple[str, ...] = ()
    if trouble is not None:
        verdicts = [decide.untold(v, trouble.why) for v in verdicts]
        problem = trouble.words
    elif alike and (off := decide.moved(control, spread)):
        far = {v.cell for v in said(decide.FAR * off) if v.says == "slower"}
        verdicts = [v if v.cell in far else decide.untold(v, "fixed work moved") for v in verdicts]
        problem = decide.moved_by(control)
        if far:
            far_more = f"a cell is slower only if its change is above {decide.FAR} times that"
            problem, notes = None, (f"{problem}: {far_more}; others can't be told",)
    return Comparison(list(measured), verdicts, problem, list(left_out), notes)
