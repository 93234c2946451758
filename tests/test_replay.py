"""The gate's decisions on recorded rounds: real noise, whole runs drawn again, changes planted.

The rounds are those of results/studies/gate_rounds.csv, of the gate on identical sides
(bench.studies.gate_trials; these thirteen runs had sixteen pairs of blocks a round, where there are
eight now). A trial draws a run, then each cell's rounds from that run's, so that
what a whole run has in common stays together; a slowdown is planted by adding its logarithm.
"""

import csv
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import pytest

from bench import calibration, compare, gate
from bench.records import Phase, Round
from bench.studies import gate_trials

SPREAD = gate.Spread()
TRIALS = 60

Run = dict[str, list[float]]  # log ratios by cell


@cache
def recorded() -> tuple[Run, ...]:
    runs: dict[str, Run] = defaultdict(dict)
    with gate_trials.ROUNDS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = [float(number) / 1e5 for number in row["log_ratios_1e5"].split()]
            runs[row["run"]][row["cell"]] = found
    return tuple(runs.values())


def rows(run: Run, phase: Phase = "screen") -> list[Round]:
    return [
        Round(number, phase, cell, cell.split(maxsplit=1)[0], 1.0, 1.0, d, 0.0, 16, 0)
        for cell, found in run.items()
        for number, d in enumerate(found)
    ]


def replay(seed: int, slowdown: float, slowed: Sequence[str] = ()) -> dict[str, str]:
    """A whole gate on a run drawn again -> what it says of each cell."""
    generator = random.Random(seed)
    run = generator.choice(recorded())
    planted = {cell: math.log1p(slowdown) if cell in slowed else 0.0 for cell in run}

    def drawn(cells: Sequence[str], count: int) -> Run:
        return {c: [planted[c] + d for d in generator.choices(run[c], k=count)] for c in cells}

    kernel_of = {cell: cell.split(maxsplit=1)[0] for cell in run}
    screen = drawn(list(run), compare.SCREEN_ROUNDS)
    confirm = drawn(gate.worth_a_look(screen, kernel_of, SPREAD, 0.05), gate.FIRST_LOOK)
    left = sorted(set(confirm) - gate.decided(confirm, kernel_of, SPREAD, 0.05))
    more = drawn(left, compare.CONFIRM_ROUNDS - gate.FIRST_LOOK)
    confirm = {cell: found + more.get(cell, []) for cell, found in confirm.items()}
    verdicts = gate.judge(screen, confirm, kernel_of, SPREAD, 0.05)
    return {verdict.cell: verdict.says for verdict in verdicts}


def half(seed: int) -> list[str]:
    cells = sorted(set.intersection(*(set(run) for run in recorded())))
    return random.Random(seed).sample(cells, len(cells) // 2)


def test_enough_was_recorded() -> None:
    assert len(recorded()) >= 8
    assert min(len(run) for run in recorded()) >= 35


def test_identical_sides_are_never_slower() -> None:
    said = [replay(seed, 0.0) for seed in range(TRIALS)]
    assert not [cell for one in said for cell, says in one.items() if says == "slower"]
    told = [says for one in said for says in one.values()]
    assert told.count("not slower") > 0.9 * len(told)
    assert told.count("faster") < 0.002 * len(told)


@pytest.mark.parametrize(("slowdown", "least"), [(0.05, 0.93), (0.07, 0.96), (0.10, 0.97)])
def test_a_slowdown_is_found_and_only_where_it_is(slowdown: float, least: float) -> None:
    found = alarms = slow = 0
    for seed in range(TRIALS // 2):
        slowed = half(seed)
        said = replay(seed, slowdown, slowed)
        slow += len(slowed)
        found += sum(said[cell] == "slower" for cell in slowed if cell in said)
        alarms += sum(says == "slower" for cell, says in said.items() if cell not in slowed)
    assert found >= least * slow
    assert alarms == 0


def test_the_same_seed_gives_the_same_verdicts() -> None:
    assert replay(3, 0.05, half(3)) == replay(3, 0.05, half(3))


def test_the_default_spread_is_wide_enough_for_what_was_recorded() -> None:
    found = calibration.spread([rows(run) for run in recorded()])
    assert set(found) == set(gate_trials.KERNELS)
    assert max(found.values()) <= SPREAD.default
