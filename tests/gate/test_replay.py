"""The gate's decisions on recorded rounds: real noise, whole runs drawn again, changes planted.

The rounds are those of results/studies/gate_rounds.csv, of the gate on identical sides
(bench.studies.gate_trials; the first thirteen runs had sixteen pairs of blocks a round, where there
are eight now), drawn as the study of the rules draws them. Ten rounds drawn forty times make a
fact of their chance median: an unsteady cell looks slower here more often than it does to the gate.
"""

import pytest
from campaign import campaign, often

from bench.data.records import Phase, Round
from bench.gate import calibration, compare, decide
from bench.studies import gate_rules, gate_trials
from bench.studies.gate_trials import recorded

SPREAD = decide.Spread()

Run = dict[str, list[float]]  # log ratios by cell


def rows(run: Run, phase: Phase = "screen") -> list[Round]:
    return [
        Round(number, phase, cell, cell.split(maxsplit=1)[0], 1.0, 1.0, d, 0.0, 16)
        for cell, found in run.items()
        for number, d in enumerate(found)
    ]


def replay(drawn: gate_rules.Drawn) -> dict[str, str]:
    """What the gate says of each cell."""
    kernel_of = {cell: cell.split(maxsplit=1)[0] for cell in drawn.screen}
    screen = {cell: d[: compare.SCREEN_ROUNDS] for cell, d in drawn.screen.items()}
    chosen = decide.worth_a_look(screen, kernel_of, SPREAD, 0.05)
    confirm = {cell: drawn.confirm[cell][: decide.FIRST_LOOK] for cell in chosen}
    for cell in set(chosen) - decide.decided(confirm, kernel_of, SPREAD, 0.05):
        confirm[cell] = drawn.confirm[cell][: compare.CONFIRM_ROUNDS]
    verdicts = decide.verdicts(screen, confirm, kernel_of, SPREAD, 0.05)
    return {verdict.cell: verdict.says for verdict in verdicts}


def test_enough_was_recorded() -> None:
    assert len(recorded()) >= 25
    assert min(len(run) for run in recorded()) >= 35


@pytest.mark.parametrize("trials", often(6, 40))
def test_identical_sides_are_hardly_ever_slower(trials: int) -> None:
    said = [replay(gate_rules.draw(seed, 0)[0]) for seed in range(trials)]
    assert sum("slower" in one.values() for one in said) <= trials / 40
    told = [says for one in said for says in one.values()]
    assert told.count("not slower") > 0.9 * len(told)
    assert told.count("faster") < 0.002 * len(told)


@pytest.mark.parametrize("trials", often(4, 20))
@pytest.mark.parametrize(("percent", "least"), [(5, 0.93), (7, 0.96), (10, 0.97)])
def test_a_slowdown_is_found_and_only_where_it_is(percent: int, least: float, trials: int) -> None:
    found = alarms = slow = same = 0
    for seed in range(trials):
        drawn, slowed = gate_rules.draw(seed, percent)
        said = replay(drawn)
        slow += len(slowed)
        found += sum(said[cell] == "slower" for cell in slowed)
        same += len(said) - len(slowed)
        alarms += sum(says == "slower" for cell, says in said.items() if cell not in slowed)
    assert found >= least * slow
    assert alarms <= same / 400


def test_the_same_seed_gives_the_same_verdicts() -> None:
    assert replay(gate_rules.draw(3, 5)[0]) == replay(gate_rules.draw(3, 5)[0])


@pytest.mark.parametrize("percent", [0, 5, 10])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=campaign)])
def test_the_study_of_the_rules_ends_with_those_of_the_gate(seed: int, percent: int) -> None:
    drawn, slowed = gate_rules.draw(seed, percent)
    assert gate_rules.judge(gate_rules.RULES[-1], drawn)[0] == replay(drawn)
    design, _ = gate_rules.judge(gate_rules.DESIGN, drawn)
    assert sum(design[cell] == "slower" for cell in slowed) <= 12


def test_the_default_spread_is_wide_enough_for_what_was_recorded() -> None:
    found = calibration.spread([rows(run) for run in recorded()])
    assert set(found) == set(gate_trials.KERNELS)
    assert max(found.values()) <= SPREAD.default
