"""Can the gate tell on a busy machine, and does correcting by the speed probe help it?

    python -m bench.studies.busy_gate RECORDING.csv.gz [REPLAYS]

The gate's own decisions are replayed on a recording (its format is that of bench.studies.busy). Two
neighbouring blocks of a visit are a pair, one of them base and the other head by a coin: identical
code. A round of a cell is up to eight pairs, of two neighbouring visits or as many as have four;
the cells are those whose launches the gate has time for. A replay begins at a random place, screens
all cells and confirms those that the gate would, with a slowdown planted in half of the cells or in
none. What one recording can't show is what two processes differ by.

A row a rule and slowdown: how many replays ended red where nothing had changed, the share of the
slowed cells that were found, and of the others that were cleared.
"""

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from bench.data.records import Phase, Round
from bench.gate import compare, decide, rounds
from bench.plan.cell import Cell
from bench.studies import busy, cell, gate_trials, write

LAUNCH_LIMIT_S = 0.003
"""The gate's own (bench/sweeps/gate.toml)."""

MOST_ROUNDS = compare.SCREEN_ROUNDS + compare.CONFIRM_ROUNDS
VISITS = 2
"""Of a round, where they have pairs enough."""

SPREAD = decide.Spread()
SLOWDOWNS = (0, 5, 10, 15)

REFUSED = 0.3
"""The gate used to judge nothing where more pairs than this were disturbed."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block's seconds a launch, and the probe's beside it."""

    seconds: float
    slowest: float  # of the readings before and after
    probe_s: float  # their mean


Pair = tuple[Block, Block]  # base and head


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with a round's pairs before they are judged."""

    name: str
    apply: Callable[[Sequence[Pair]], Sequence[Pair]]
    refuses: bool = False  # a replay that lost more pairs than REFUSED


def undisturbed(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Those whose slower probe is within a tenth of the round's tenth percentile."""
    slowest = [max(base.slowest, head.slowest) for base, head in pairs]
    limit = 1.1 * sorted(slowest)[int(0.1 * (len(pairs) - 1))]
    return [pair for pair, slow in zip(pairs, slowest, strict=True) if slow <= limit]


def corrected(slope: float | None) -> Callable[[Sequence[Pair]], Sequence[Pair]]:
    """The log ratio less slope * log ratio of the probe; None: a slope of the round's own pairs,
    drawn towards 0.7.
    """

    def apply(pairs: Sequence[Pair]) -> Sequence[Pair]:
        x = [math.log(head.probe_s / base.probe_s) for base, head in pairs]
        y = [math.log(head.seconds / base.seconds) for base, head in pairs]
        by = _slope(x, y) if slope is None else slope
        return [
            (base, Block(head.seconds * math.exp(-by * probe), head.slowest, head.probe_s))
            for (base, head), probe in zip(pairs, x, strict=True)
        ]

    return apply


def _slope(
    x: Sequence[float], y: Sequence[float], prior: float = 0.7, worth: float = 0.02
) -> float:
    """The least-squares slope, with a prior worth so much sum of squares of x."""
    mean_x, mean_y = fmean(x), fmean(y)
    product = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    squares = sum((a - mean_x) ** 2 for a in x)
    return min(max((product + worth * prior) / (squares + worth), 0.0), 1.2)


RULES = (
    Rule("disturbed pairs dropped, refused above 30 %", undisturbed, refuses=True),
    Rule("disturbed pairs dropped", undisturbed),
    Rule("all pairs as found: the gate", lambda pairs: pairs),
    *(
        Rule(f"all pairs, corrected by slope {slope}", corrected(slope))
        for slope in (0.5, 0.7, 0.9)
    ),
    Rule("all pairs, corrected by their own slope", corrected(None)),
)

Recorded = dict[Cell, list[list[Pair]]]  # a cell's rounds; of each pair, the first block first


def recorded(path: Path) -> Recorded:
    """The rounds that a recording has for each cell of the gate's kind, as many for each."""
    recording = busy.read(str(path))
    by_cell: Recorded = {}
    for _, blocks in recording.groupby("cell"):
        if blocks.seconds.median() > LAUNCH_LIMIT_S:
            continue
        columns = blocks[["visit", "seconds", "before_0_s", "after_0_s"]]
        visits: dict[int, list[Block]] = {}
        for visit, seconds, before, after in columns.itertuples(index=False):
            block = Block(seconds, max(before, after), (before + after) / 2)
            visits.setdefault(visit, []).append(block)
        by_visit = [list(zip(its[::2], its[1::2], strict=False)) for its in visits.values()]
        kernel, width, batch = blocks[["kernel", "width", "batch"]].iloc[0]
        by_cell[cell(kernel, int(width), int(batch), 1)] = list(_rounds(by_visit))
    fewest = min(map(len, by_cell.values()))
    return {name: its[:fewest] for name, its in by_cell.items()}


def _rounds(visits: Sequence[Sequence[Pair]]) -> Iterator[list[Pair]]:
    # a round a visit where the recording is too short for two: all cells keep the same times
    step = min(max(len(visits) // (MOST_ROUNDS + 10), 1), VISITS)
    for start in range(0, len(visits) - step + 1, step):
        pairs: list[Pair] = []
        for number, visit in enumerate(visits[start:]):
            if number >= step and len(pairs) >= rounds.LEAST_PAIRS:
                break
            pairs += visit
        if len(pairs) >= rounds.LEAST_PAIRS:
            yield pairs[: rounds.PAIRS]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay ended with, of its cells."""

    slowed: set[str]
    says: dict[str, str]  # a verdict a cell; empty where nothing was judged
    visible: list[float]  # the slowdowns that could have been seen

    @property
    def red(self) -> bool:
        """Whether a cell that nothing happened to was called slower."""
        return any(says == "slower" for name, says in self.says.items() if name not in self.slowed)


def replay(recording: Recorded, rule: Rule, percent: int, seed: int) -> Replay:
    """One comparison, from the screen to its verdicts."""
    generator = random.Random(seed)
    cells = {one.label: one for one in recording}
    count = len(cells) // 2 if percent else 0
    slowed = set(generator.sample(sorted(cells), count))
    available = min(map(len, recording.values()))
    start = generator.randrange(available - MOST_ROUNDS + 1)
    measured: list[Round] = []
    before = after = 0

    def measure(phase: Phase, names: Sequence[str], numbers: range) -> None:
        nonlocal before, after
        for number in numbers:
            for name in names:
                pairs = recording[cells[name]][start + number]
                coins = random.Random(f"{seed} {name} {number}")  # the same for every rule
                found = rule.apply([pair if coins.random() < 0.5 else pair[::-1] for pair in pairs])
                before, after = before + len(pairs), after + len(found)
                factor = 1 + percent / 100 * (name in slowed)
                measured.append(
                    rounds.row(
                        number + 1,
                        phase,
                        cells[name],
                        {
                            "base": [(base.seconds, base.slowest) for base, _ in found],
                            "head": [(factor * head.seconds, head.slowest) for _, head in found],
                        },
                    )
                )

    kernel_of = {name: one.kernel for name, one in cells.items()}
    measure("screen", list(cells), range(compare.SCREEN_ROUNDS))
    chosen = decide.worth_a_look(
        compare.by_cell(measured, "screen"), kernel_of, SPREAD, gate_trials.SLOWER_THAN
    )
    first = compare.SCREEN_ROUNDS + decide.FIRST_LOOK
    measure("confirm", chosen, range(compare.SCREEN_ROUNDS, first))
    confirm = compare.by_cell(measured, "confirm")
    settled = decide.decided(confirm, kernel_of, SPREAD, gate_trials.SLOWER_THAN)
    measure("confirm", [name for name in chosen if name not in settled], range(first, MOST_ROUNDS))
    found = compare.conclude(measured, SPREAD, gate_trials.SLOWER_THAN)
    refused = rule.refuses and 1 - after / before > REFUSED
    if found.problem is not None or refused:
        return Replay(slowed, {}, [])
    visible = [verdict.visible for verdict in found.verdicts if verdict.visible is not None]
    return Replay(slowed, {verdict.cell: verdict.says for verdict in found.verdicts}, visible)


def row(recording: Recorded, rule: Rule, percent: int, replays: int) -> dict[str, Any]:
    """What a rule makes of so many replays."""
    done = [replay(recording, rule, percent, seed) for seed in range(replays)]
    slow = [one.says.get(name) for one in done for name in one.slowed]
    same = len(recording) * replays - len(slow)
    kept = [says for one in done for name, says in one.says.items() if name not in one.slowed]
    visible = [size for one in done for size in one.visible]
    return {
        "rule": rule.name,
        "slowdown_percent": percent,
        "replays": replays,
        "judged": sum(bool(one.says) for one in done),
        "red": sum(one.red for one in done),
        "slowed": len(slow),
        "found_percent": 100 * slow.count("slower") / len(slow) if slow else "",
        "cleared_percent": 100 * kept.count("not slower") / same,
        "visible_percent": 100 * median(visible) if visible else "",
    }


def main(arguments: Sequence[str]) -> None:
    """Print and write a row for each of the rules and slowdowns."""
    recording = recorded(Path(arguments[0]))
    replays = int(arguments[1]) if len(arguments) > 1 else 100
    rows = []
    for rule in RULES:
        for percent in SLOWDOWNS:
            # no red in a hundred is what is asked; a quarter of them shows what is found
            many = replays if percent == 0 else max(replays // 4, 1)
            rows.append(one := row(recording, rule, percent, many))
            found = f"{one['found_percent']:.1f} % found" if percent else "nothing planted"
            print(
                f"+{percent:2} %, {rule.name}: {found}, {one['red']} of {many} red, "
                f"{one['judged']} judged, {one['cleared_percent']:.0f} % of the others cleared",
                flush=True,
            )
    write("busy_gate", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
