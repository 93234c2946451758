"""A whole comparison: screen every cell, confirm those that moved or can't be told.

6 rounds over all cells    who moved, who can't be told?
up to 40 over those        is it so?  (bench.gate)
"""

import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import gate, link, rounds
from bench.records import Phase, Round, Verdict
from bench.rounds import CantMeasure, Cell
from bench.sides import Side
from bench.sweep import BadInput

SCREEN_ROUNDS = gate.LEAST_ROUNDS
"""What only chooses needs no more than an interval; the time is better spent on confirming."""

CONFIRM_ROUNDS = 40

CONFIRM_SHARE = 0.4
"""Of the time, at least this much is left for confirming."""

ABSENT = ("unavailable", "unsupported")
"""What is so on both sides is left out; on one side alone it is a missing cell."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison found."""

    rounds: list[Round]
    verdicts: list[Verdict]
    problem: str | None  # why nothing can be judged, if so
    left_out: list[CantMeasure]  # cells that neither side can run, or that are new, and why
    notes: tuple[str, ...] = ()  # what else is to be said


def facts(sides: Sequence[Side]) -> list[link.FactsReply]:
    """What each side's process is made of.

    Raises BadInput where the sides speak different contracts, or where one can't start.
    """
    found = []
    for side in sides:
        arm = rounds.Arm(side, None)
        try:
            found.append(arm.facts())
        except link.WorkerLost as lost:
            said = f"the {side.name}'s side can't start: {lost}"
            raise BadInput(f"{said}: nothing to compare, and no green light") from lost
        finally:
            arm.end()
    if len({reply.contract for reply in found}) > 1:
        said = ", ".join(
            f"{side.name} {reply.contract}" for side, reply in zip(sides, found, strict=True)
        )
        raise BadInput(f"the sides speak different kernel contracts ({said}): no comparison")
    return found


def measurable(
    cells: Sequence[Cell], sides: Sequence[Side], limit_s: float
) -> tuple[list[Cell], list[CantMeasure]]:
    """The cells that both sides run, the base within the limit a launch; why others are left out.

    A kernel that only the head has is left out: it can't have become slower. The head's launches
    may take any time, for that is what is asked. Raises BadInput where any other cell is there on
    one side only, or where none is left: a comparison of nothing is never green.
    """
    base, head = sides
    there = [reply.kernels for reply in facts(sides)]
    new = [cell for cell in cells if cell.kernel in there[1] and cell.kernel not in there[0]]
    left_out = [CantMeasure(cell, "base", "unavailable", "the kernel is new") for cell in new]
    on_base = _try([cell for cell in cells if cell not in new], base, limit_s)
    slow = [cell for cell, problem in on_base.items() if problem.status == "skipped"]
    left_out += [on_base[cell] for cell in slow]
    cells = [cell for cell in cells if cell not in new and cell not in slow]
    on_head = _try(cells, head, math.inf)
    good = []
    for cell in cells:
        missing = [found[cell] for found in (on_base, on_head) if cell in found]
        if not missing:
            good.append(cell)
        elif len(missing) == len(sides) and all(p.status in ABSENT for p in missing):
            left_out.append(missing[0])
        else:
            raise BadInput(f"{missing[0]}: nothing to compare, and no green light")
    if not good:
        raise BadInput(
            f"no cell can be measured: {'; '.join(map(str, left_out)) or 'none was asked for'}"
        )
    return good, left_out


def _try(cells: Sequence[Cell], side: Side, limit_s: float) -> dict[Cell, CantMeasure]:
    """The cells that a side can't run, and why."""
    problems: dict[Cell, CantMeasure] = {}
    slow: dict[str, int] = {}  # each kernel's least work that was too slow
    arm = rounds.Arm(side, None)
    try:
        for key, cell in enumerate(cells, start=1):
            limit = f"over {limit_s:g} s a launch"
            if cell.case.flops >= slow.get(cell.kernel, cell.case.flops + 1):
                problems[cell] = CantMeasure(cell, side.name, "skipped", limit)
                continue
            try:
                opened = arm.open(cell, key, 0, limit_s=min(10 * limit_s, rounds.PATIENCE_S))
                arm.close(cell, key)
                if opened.launch_s > limit_s:
                    problems[cell] = CantMeasure(cell, side.name, "skipped", limit)
                elif opened.launch_s <= 0:
                    still = "a launch takes no time: its clock stands still"
                    problems[cell] = CantMeasure(cell, side.name, "error", still)
            except CantMeasure as problem:
                problems[cell] = problem
                arm.end()
                arm = rounds.Arm(side, None)
            if cell in problems and problems[cell].status == "skipped":
                slow[cell.kernel] = cell.case.flops
    finally:
        arm.end()
    return problems


def compare(
    cells: Sequence[Cell],
    sides: Sequence[Side],
    spread: gate.Spread,
    slower_than: float,
    *,
    limit_s: float,
    budget_s: float,
    seed: int,
    confirm: bool = True,
    screen_rounds: int = SCREEN_ROUNDS,
    watch: Callable[[str, float], None] = lambda doing, left_s: None,
) -> Found:
    """Measure both sides of all cells and judge. Raises BadInput where that can't be done.

    Cells that take longer than `limit_s` a launch are left out; the whole of it takes about
    `budget_s`. Without `confirm` all cells are only screened. `watch` is told what is being done
    and the seconds that are left.
    """
    start = time.monotonic()
    generator = random.Random(seed)
    watch("setting up", budget_s)
    cells, left_out = measurable(cells, sides, limit_s)
    by_name = {cell.name: cell for cell in cells}
    measured: list[Round] = []

    def left_s() -> float:
        return start + budget_s - time.monotonic()

    def tell(doing: str) -> Callable[[Cell], None]:
        return lambda _: watch(doing, left_s())

    def run(phase: Phase, chosen: Sequence[Cell], most: int, keep_s: float) -> None:
        took = 0.0
        for count in range(1, most + 1):
            # without an interval there is nothing to say, and the time was for nothing
            keep = keep_s if count > gate.LEAST_ROUNDS else 0.0
            if left_s() - took < keep:
                return
            doing = f"{phase}: round {count} of {most}, {len(chosen)} cells"
            began = time.monotonic()
            number = 1 + max((row.round_number for row in measured), default=0)
            try:
                rows = rounds.measure(number, phase, chosen, sides, generator, tell(doing))
            except CantMeasure as problem:
                raise BadInput(f"{problem}: nothing to compare, and no green light") from problem
            measured.extend(rows)
            took = time.monotonic() - began

    run("screen", cells, screen_rounds, keep_s=CONFIRM_SHARE * budget_s if confirm else 0.0)
    screen = by_cell(measured, "screen")
    kernel_of = {cell.name: cell.kernel for cell in cells}
    worth = gate.worth_a_look(screen, kernel_of, spread, slower_than)
    chosen = [by_name[name] for name in worth]
    if chosen and confirm:
        run("confirm", chosen, gate.FIRST_LOOK, keep_s=0.0)
        found = gate.decided(by_cell(measured, "confirm"), kernel_of, spread, slower_than)
        if left := [cell for cell in chosen if cell.name not in found]:
            run("confirm", left, CONFIRM_ROUNDS - gate.FIRST_LOOK, keep_s=0.0)
    alike = len({side.python for side in sides}) == 1
    return judge(measured, spread, slower_than, left_out, alike=alike)


def by_cell(measured: Sequence[Round], phase: str) -> dict[str, list[float]]:
    """The log ratios of a phase's rounds, by cell."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in measured:
        if row.phase == phase:
            found[row.cell].append(row.log_ratio)
    return dict(found)


def judge(
    measured: Sequence[Round],
    spread: gate.Spread,
    slower_than: float,
    left_out: Sequence[CantMeasure] = (),
    *,
    alike: bool = True,
) -> Found:
    """What rounds say, from their rows alone."""
    control: dict[int, list[float]] = defaultdict(list)
    for row in measured:
        control[row.round_number].append(row.control_log_ratio)
    problem = gate.trouble(
        [sum(its) / len(its) for its in control.values()],
        sum(row.dropped for row in measured) / max(sum(row.pairs for row in measured), 1),
        spread,
        slower_than,
        alike=alike,
    )
    verdicts = gate.judge(
        by_cell(measured, "screen"),
        by_cell(measured, "confirm"),
        {row.cell: row.kernel for row in measured},
        spread,
        slower_than,
    )
    return Found(list(measured), verdicts, problem, list(left_out))
