"""Does the gate judge better than the design that it started from? Both on the same rounds.

    python -m bench.studies.gate_rules

Each line of RULES changes one rule of the line before it, from the design to the gate as it is. A
trial draws one of the recorded runs of identical sides (results/studies/gate_rounds.csv), each
cell's rounds from that run's, and plants a slowdown in a random half of its cells; every line sees
the same rounds. What a line costs is the rounds that it asks for: no budget ends them here, and so
more is found than in the time that a gate has (gate_trials.py). Trials that drew the same run are
alike, so there are no intervals. Of the design, families of kernels and the control are left out:
neither changes what is said of a cell here. Of the gate, the correction of "not slower" for the
number of cells is.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bench.gate import compare, decide
from bench.studies import gate_trials, write

SPREAD = decide.Spread()
SLOWER_THAN = gate_trials.SLOWER_THAN
TRIALS = {0: 300, 3: 100, 5: 100, 7: 100, 10: 100}
"""Per cent planted, and how many trials."""

STORED = 1e-5
"""The unit in which rounds were recorded. Drawn rounds are spread over it: numbers that are alike
would be ties, for which the signed-rank test has another p-value than for real rounds."""

MOST_SCREEN, MOST_CONFIRM = 10, compare.CONFIRM_ROUNDS


@dataclass(frozen=True, slots=True)
class Rules:
    """One way to judge rounds."""

    name: str
    margin: float
    worth: float  # the screen's median from which a cell is confirmed
    either_way: bool  # whether also where it became faster
    most: int | None  # of the cells that are, the slowest
    unclear: bool  # whether those that the screen can't clear are, too
    screen: int  # rounds
    looks: tuple[int, ...]  # confirming rounds at each


DESIGN = Rules(
    name="the design",
    margin=max(math.log(1.025), decide.SPREADS * SPREAD.default),
    worth=math.log(1.02),
    either_way=False,
    most=12,
    unclear=False,
    screen=MOST_SCREEN,
    looks=(MOST_CONFIRM,),
)
_margin = replace(
    DESIGN, name="a margin of 1.9 %", margin=SPREAD.margin(gate_trials.KERNELS[0], SLOWER_THAN)
)
_moved = replace(
    _margin,
    name="all that moved by 1.5 % confirmed",
    worth=decide.WORTH_A_LOOK,
    either_way=True,
    most=None,
)
_unclear = replace(_moved, name="and all that can't be told", unclear=True)
_short = replace(_unclear, name="six rounds of screen", screen=compare.SCREEN_ROUNDS)
_looks = replace(_short, name="two looks: the gate", looks=(decide.FIRST_LOOK, MOST_CONFIRM))
RULES = (DESIGN, _margin, _moved, _unclear, _short, _looks)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The rounds that any rules could ask for, by cell."""

    screen: dict[str, list[float]]
    confirm: dict[str, list[float]]


def draw(seed: int, percent: int) -> tuple[Drawn, set[str]]:
    """A trial's rounds, and the cells that were slowed by so much."""
    generator = random.Random(seed)
    run = generator.choice(gate_trials.recorded())
    slowed = set(generator.sample(sorted(run), len(run) // 2)) if percent else set[str]()

    def drawn(count: int) -> dict[str, list[float]]:
        return {
            cell: [planted + d + generator.uniform(-STORED / 2, STORED / 2) for d in its]
            for cell, found in run.items()
            for planted in [math.log1p(percent / 100 * (cell in slowed))]
            for its in [generator.choices(found, k=count)]
        }

    return Drawn(drawn(MOST_SCREEN), drawn(MOST_CONFIRM)), slowed


def judge(rules: Rules, drawn: Drawn) -> tuple[dict[str, str], int]:
    """What the rules say of each cell, and how many rounds of a cell they asked for."""
    screen = {cell: d[: rules.screen] for cell, d in drawn.screen.items()}
    chosen = [
        cell
        for cell, d in screen.items()
        if median(d) > rules.worth
        or (rules.either_way and median(d) < -rules.worth)
        or (rules.unclear and not _cleared(d))
    ]
    chosen = sorted(chosen, key=lambda cell: -median(screen[cell]))[: rules.most]
    confirm: dict[str, list[float]] = {cell: [] for cell in chosen}
    found: dict[int, set[str]] = {1: set(), -1: set()}
    for count in rules.looks:
        for cell in set(confirm) - found[1] - found[-1]:
            confirm[cell] = drawn.confirm[cell][:count]
        for sign, its in found.items():
            left = {
                cell: [sign * x - rules.margin for x in d]
                for cell, d in confirm.items()
                if cell not in its
            }
            found[sign] = its | decide.above(left, decide.ALPHA / len(rules.looks))
    said = {}
    for cell, d in screen.items():
        said[cell] = "not slower" if _cleared(confirm.get(cell) or d) else "can't tell"
        if cell in found[-1]:
            said[cell] = "faster"
        if cell in found[1]:
            said[cell] = "slower"
    return said, sum(map(len, (*screen.values(), *confirm.values())))


def _cleared(d: Sequence[float]) -> bool:
    return decide.below(d, SPREAD.default, SLOWER_THAN)


def row(rules: Rules, percent: int, trials: int) -> dict[str, Any]:
    """What the rules make of so many trials."""
    slow, same, rounds, alarms = Counter[str](), Counter[str](), 0, 0
    for seed in range(trials):
        drawn, slowed = draw(seed, percent)
        said, count = judge(rules, drawn)
        slow.update(says for cell, says in said.items() if cell in slowed)
        its = [says for cell, says in said.items() if cell not in slowed]
        same.update(its)
        alarms += "slower" in its
        rounds += count
    return {
        "rules": rules.name,
        "slowdown_percent": percent,
        "trials": trials,
        "slowed": slow.total(),
        "found_percent": 100 * slow["slower"] / slow.total() if slow else "",
        "called_not_slower": slow["not slower"],
        "unchanged": same.total(),
        "unchanged_cant_tell": same["can't tell"],
        "unchanged_faster": same["faster"],
        "false_alarms": alarms,
        "rounds_a_cell": rounds / (slow.total() + same.total()),
    }


def main() -> None:
    """Print and write a row for each of the rules and slowdowns."""
    rows = []
    for percent, trials in TRIALS.items():
        for rules in RULES:
            rows.append(one := row(rules, percent, trials))
            found = f"{one['found_percent']:.1f} % found" if percent else "nothing planted"
            print(
                f"+{percent:2} %, {rules.name:40}: {found}, {one['false_alarms']} runs with a"
                f" false alarm, {one['rounds_a_cell']:.1f} rounds a cell, can't tell"
                f" {one['unchanged_cant_tell']} of {one['unchanged']} unchanged"
            )
    write("gate_rules", rows)


if __name__ == "__main__":
    main()
