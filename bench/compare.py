"""A whole comparison: screen every cell, confirm those that moved or can't be told.

10 rounds over all cells    who moved, who can't be told?
up to 40 over those         is it so?  (bench.gate)
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import gate, rounds
from bench.records import Round
from bench.rounds import CantMeasure, Cell
from bench.sides import Side
from bench.sweep import BadInput

SCREEN_ROUNDS = 10
CONFIRM_ROUNDS = 40

ABSENT = ("unavailable", "unsupported", "skipped")
"""What is so on both sides is left out; on one side alone it is a missing cell."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison found."""

    rounds: list[Round]
    verdicts: list[gate.Verdict]
    problem: str | None  # why nothing can be judged, if so
    left_out: list[CantMeasure]  # cells that neither side can run, and why


def measurable(
    cells: Sequence[Cell], sides: Sequence[Side], limit_s: float
) -> tuple[list[Cell], list[CantMeasure]]:
    """The cells that both sides run within the limit a launch, and why others are left out.

    Raises BadInput where the sides speak different contracts, where a cell is there on one side
    only, or where none is left: a comparison of nothing is never green.
    """
    tried = [_try(cells, side, limit_s) for side in sides]
    contracts = {side.name: contract for side, (contract, _) in zip(sides, tried, strict=True)}
    if len(set(contracts.values())) > 1:
        said = ", ".join(f"{name} {number}" for name, number in contracts.items())
        raise BadInput(f"the sides speak different kernel contracts ({said}): no comparison")
    good, left_out = [], []
    for cell in cells:
        missing = [problems[cell] for _, problems in tried if cell in problems]
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


def _try(cells: Sequence[Cell], side: Side, limit_s: float) -> tuple[int, dict[Cell, CantMeasure]]:
    """A side's contract, and the cells that it can't run."""
    problems: dict[Cell, CantMeasure] = {}
    slow: dict[str, int] = {}  # each kernel's least work that was too slow
    arm = rounds.Arm(side, None)
    try:
        contract = arm.facts().contract
        for key, cell in enumerate(cells, start=1):
            limit = f"over {limit_s:g} s a launch"
            if cell.case.flops >= slow.get(cell.kernel, cell.case.flops + 1):
                problems[cell] = CantMeasure(cell, side.name, "skipped", limit)
                continue
            try:
                opened = arm.open(cell, key, 0, limit_s=10 * limit_s)
                arm.close(cell, key)
                if opened.launch_s > limit_s:
                    problems[cell] = CantMeasure(cell, side.name, "skipped", limit)
            except CantMeasure as problem:
                problems[cell] = problem
                arm.end()
                arm = rounds.Arm(side, None)
            if cell in problems and problems[cell].status == "skipped":
                slow[cell.kernel] = cell.case.flops
    finally:
        arm.end()
    return contract, problems


def compare(
    cells: Sequence[Cell],
    sides: Sequence[Side],
    spread: gate.Spread,
    slower_than: float,
    *,
    limit_s: float,
    budget_s: float,
    seed: int,
    watch: Callable[[str, float], None] = lambda phase, share: None,
) -> Found:
    """Measure both sides of all cells and judge. Raises BadInput where that can't be done.

    Cells that take longer than `limit_s` a launch are left out; the whole of it takes about
    `budget_s`. `watch` is told the phase and the share of the budget that is used.
    """
    start = time.monotonic()
    generator = random.Random(seed)
    watch("setting up", 0.0)
    cells, left_out = measurable(cells, sides, limit_s)
    by_name = {cell.name: cell for cell in cells}
    measured: list[Round] = []

    def used() -> float:
        return (time.monotonic() - start) / budget_s

    def run(phase: str, chosen: Sequence[Cell], most: int, until: float) -> None:
        took = 0.0
        for _ in range(most):
            if used() + took / budget_s > until:
                return
            began = time.monotonic()
            number = 1 + max((row.round_number for row in measured), default=0)
            try:
                measured.extend(
                    rounds.measure(
                        number, phase, chosen, sides, generator, lambda _: watch(phase, used())
                    )
                )
            except CantMeasure as problem:
                raise BadInput(f"{problem}: nothing to compare, and no green light") from problem
            took = time.monotonic() - began

    run("screen", cells, SCREEN_ROUNDS, until=0.6)
    screen = by_cell(measured, "screen")
    kernel_of = {cell.name: cell.kernel for cell in cells}
    worth = gate.worth_a_look(screen, kernel_of, spread, slower_than)
    chosen = [by_name[name] for name in worth]
    if chosen:
        run("confirm", chosen, CONFIRM_ROUNDS, until=1.0)
    return judge(measured, spread, slower_than, left_out)


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
    )
    verdicts = gate.judge(
        by_cell(measured, "screen"),
        by_cell(measured, "confirm"),
        {row.cell: row.kernel for row in measured},
        spread,
        slower_than,
    )
    return Found(list(measured), verdicts, problem, list(left_out))
