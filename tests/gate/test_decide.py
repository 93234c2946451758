"""The gate's verdicts, on rounds whose truth is known."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from campaign import campaign, often
from numpy.typing import NDArray

from bench.data.records import Says, Verdict
from bench.gate import compare, decide
from bench.plan import sweep

SCREEN, CONFIRM = 10, 40
SPREAD = decide.Spread()
CELLS = [f"cell {i}" for i in range(12)]
KERNELS = dict.fromkeys(CELLS, "numpy_dot")

Noise = Callable[[np.random.Generator, int], NDArray[np.float64]]
Rounds = Mapping[str, Sequence[float]]


def steady(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    """The spread of a round as measured: 1.5 % on one core in half-millisecond blocks."""
    return generator.normal(0.0, 0.015, n)


def run(seed: int, slowed: Mapping[str, float], noise: Noise = steady) -> list[Verdict]:
    """A whole gate on made-up rounds; `slowed` holds cells' true slowdowns."""
    generator = np.random.default_rng(seed)
    offset = {cell: generator.normal(0.0, SPREAD.default) for cell in CELLS}

    def rounds(cell: str, n: int) -> list[float]:
        truth = math.log1p(slowed.get(cell, 0.0)) + offset[cell]
        found: list[float] = (truth + noise(generator, n)).tolist()
        return found

    screen = {cell: rounds(cell, SCREEN) for cell in CELLS}
    confirm = {
        cell: rounds(cell, decide.FIRST_LOOK)
        for cell in decide.worth_a_look(screen, KERNELS, SPREAD, 0.05)
    }
    for cell in set(confirm) - decide.decided(confirm, KERNELS, SPREAD, 0.05):
        confirm[cell] += rounds(cell, CONFIRM - decide.FIRST_LOOK)
    return decide.verdicts(screen, confirm, KERNELS, SPREAD, 0.05)


def said(verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {verdict.cell: verdict.says for verdict in verdicts}


@pytest.mark.parametrize("runs", often(15, 100))
def test_identical_sides_are_not_slower_in_any_run(runs: int) -> None:
    for seed in range(runs):
        verdicts = run(seed, {})
        assert {v.says for v in verdicts} <= {"not slower", "can't tell"}
        assert sum(v.says == "not slower" for v in verdicts) >= 10


@pytest.mark.parametrize("runs", often(4, 15))
@pytest.mark.parametrize(("slowdown", "least"), [(0.05, 0.9), (0.07, 0.99), (0.10, 1.0)])
def test_a_slowdown_of_half_the_cells_is_found(slowdown: float, least: float, runs: int) -> None:
    slowed = dict.fromkeys(CELLS[::2], slowdown)
    found = [said(run(seed, slowed)) for seed in range(runs)]
    assert np.mean([f[cell] == "slower" for f in found for cell in slowed]) >= least
    assert not any(f[cell] == "slower" for f in found for cell in CELLS if cell not in slowed)


def test_a_slowdown_and_a_gain_are_mirror_images() -> None:
    slower = said(run(1, {"cell 3": 0.2}))
    faster = said(run(1, {"cell 3": -0.2}))
    assert (slower["cell 3"], faster["cell 3"]) == ("slower", "faster")
    assert [v for c, v in slower.items() if c != "cell 3"] == [
        v for c, v in faster.items() if c != "cell 3"
    ]


@pytest.mark.parametrize(
    ("rounds", "says"),
    [(compare.CONFIRM_ROUNDS, "slower"), (decide.FIRST_LOOK, "slower"), (12, "can't tell")],
)
def test_all_the_cells_of_the_gate_can_be_slower_at_either_look(rounds: int, says: str) -> None:
    settled = sweep.read("gate")
    count = len(settled.cases()) * len(settled.kernels)
    confirm = {f"cell {i}": [0.2 + n / 1e4 for n in range(rounds)] for i in range(count)}
    kernel_of = dict.fromkeys(confirm, "k")
    verdicts = decide.verdicts(confirm, confirm, kernel_of, SPREAD, 0.05)
    assert {verdict.says for verdict in verdicts} == {says}


def test_every_verdict_is_reachable_at_the_configured_rounds() -> None:
    reached = {v.says for v in run(2, {"cell 1": 0.3, "cell 2": -0.3})}
    shaky = run(2, {}, lambda generator, n: generator.normal(0.0, 0.3, n))
    assert reached | {v.says for v in shaky} == {"slower", "not slower", "can't tell", "faster"}


def test_twelve_cells_at_once_can_all_be_slower() -> None:
    verdicts = run(3, dict.fromkeys(CELLS, 0.15))
    assert {v.says for v in verdicts} == {"slower"}
    assert decide.outcome(verdicts, None) == "slower"


def heavy(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    noise: NDArray[np.float64] = 0.015 * generator.standard_t(2, n)
    return noise


def one_wild_round(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    noise = steady(generator, n)
    noise[0] += 2.0
    return noise


def step(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Both arms change speed half-way; their ratio hardly does."""
    return steady(generator, n) + np.where(np.arange(n) < n // 2, 0.005, -0.005)


def half_a_neighbour(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    """For half the rounds a neighbour makes all much less steady."""
    return steady(generator, n) * np.where(np.arange(n) < n // 2, 1, 8)


def drift(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    """The arms' ratio wanders from half a percent below to half a percent above."""
    return steady(generator, n) + np.linspace(-0.005, 0.005, n)


def stuck_clock(generator: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.zeros(n)


@pytest.mark.parametrize("runs", often(5, 25))
@pytest.mark.parametrize(
    "noise", [heavy, one_wild_round, step, drift, half_a_neighbour, stuck_clock]
)
def test_trouble_never_makes_identical_sides_slower(noise: Noise, runs: int) -> None:
    for seed in range(runs):
        assert "slower" not in said(run(seed, {}, noise)).values()


@campaign
def test_a_slowdown_that_could_have_been_seen_is_seen_in_nineteen_of_twenty() -> None:
    visible = [v.visible for v in run(5, {}, lambda g, n: g.normal(0.0, 0.03, n))]
    typical = float(np.median([v for v in visible if v]))
    slowed = dict.fromkeys(CELLS[::2], typical)
    found = [
        said(run(seed, slowed, lambda g, n: g.normal(0.0, 0.03, n)))[cell] == "slower"
        for seed in range(10)
        for cell in slowed
    ]
    assert 0.9 < np.mean(found) < 1


def test_where_rounds_are_too_unsteady_the_smallest_visible_slowdown_says_so() -> None:
    calm, shaky = run(4, {}), run(4, {}, lambda generator, n: generator.normal(0.0, 0.5, n))
    assert max(v.visible or 9 for v in calm) < 0.06
    assert sum(v.says == "can't tell" for v in shaky) >= 10  # of twelve
    assert min(v.visible for v in shaky if v.says == "can't tell" and v.visible) > 0.05


def test_the_margin_grows_with_what_identical_runs_differ_by() -> None:
    known = decide.Spread(default=0.001, by_kernel={"python_loop": 0.02, "numpy_dot": 0.0001})
    assert known.margin("python_loop", 0.05) == pytest.approx(decide.SPREADS * 0.02)
    assert known.margin("numpy_dot", 0.05) == pytest.approx(math.log1p(0.05 / 3))
    assert known.margin("not calibrated", 0.05) == pytest.approx(decide.SPREADS * 0.02)
    assert SPREAD.margin("k", 0.05) == pytest.approx(decide.SPREADS * SPREAD.default)
    assert SPREAD.margin("k", 0.06) == pytest.approx(math.log1p(0.02))
    rounds = {"cell": [0.05] * 40}
    for spread, says in ((SPREAD, "slower"), (decide.Spread(default=0.02), "can't tell")):
        (verdict,) = decide.verdicts({"cell": [0.05] * 10}, rounds, {"cell": "k"}, spread, 0.05)
        assert verdict.says == says


def test_what_moved_or_cannot_be_told_is_confirmed_the_slowest_first() -> None:
    screen = {
        "calm": [0.001, -0.001] * 5,
        "slower": [0.03] * 10,
        "much slower": [0.2] * 10,
        "faster": [-0.03] * 10,
        "shaky": [0.2, -0.2] * 5,
    }
    chosen = decide.worth_a_look(screen, dict.fromkeys(screen, "k"), SPREAD, 0.05)
    assert chosen == ["much slower", "slower", "shaky", "faster"]


def test_few_rounds_have_no_interval_and_no_verdict() -> None:
    (verdict,) = decide.verdicts({"cell": [0.0] * 5}, {}, {"cell": "k"}, SPREAD, 0.05)
    assert verdict.says == "can't tell"
    assert (verdict.change_low, verdict.change_high, verdict.visible) == (None, None, None)


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ([0.001, -0.001] * 10, None),
        ([0.02, 0.021] * 10, None),  # that it moved is weighed, not refused
        ([0.2, -0.2] * 10, "too unsteady"),
        ([0.6, 0.0] * 10, "too unsteady"),
        ([-0.6, 0.0] * 10, "too unsteady"),
        ([0.001, -0.001] * 2, "4 rounds are too few to judge by"),
    ],
)
def test_a_machine_that_misbehaves_is_not_judged_by(
    control: list[float], words: str | None
) -> None:
    said = decide.trouble(control, SPREAD, 0.05)
    assert (said is None) == (words is None)
    assert words is None or words in str(said)


@pytest.mark.parametrize(
    ("control", "off"),
    [
        ([0.001, -0.001] * 10, 0.0),
        ([0.02, 0.021] * 10, 0.021),
        ([-0.031, -0.03] * 10, 0.031),
        ([0.03, 0.001] * 10, 0.0),
    ],
)
def test_fixed_work_has_moved_where_all_of_its_interval_has(
    control: list[float], off: float
) -> None:
    assert decide.moved(control, SPREAD) == off
    assert decide.moved([-d for d in control], SPREAD) == off
    assert decide.moved(control, decide.Spread(by_kernel={"k": 0.04})) == 0


@pytest.mark.parametrize(
    ("cells", "cell_rounds", "count"), [(43, 43 * 14, 43), (43, 43 * 13, 40), (5, 1, 1), (0, 9, 1)]
)
def test_no_more_cells_are_confirmed_than_could_be_found_slower(
    cells: int, cell_rounds: float, count: int
) -> None:
    assert decide.affordable(cells, cell_rounds) == count


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (["not slower", "faster"], "not slower"),
        (["faster"], "faster"),
        (["not slower", "can't tell"], "can't tell"),
        (["can't tell", "slower", "faster"], "slower"),
        ([], "can't tell"),
    ],
)
def test_a_run_says_the_worst_of_its_verdicts(says: list[Says], outcome: Says) -> None:
    verdicts = [Verdict("c", "k", s, 0, 0, 0, 0, 10) for s in says]
    assert decide.outcome(verdicts, None) == outcome
    assert decide.outcome(verdicts, "the machine is too noisy") == "can't tell"


@pytest.mark.parametrize(
    ("asked", "slowdown", "says"), [(0.3, 0.101, "slower"), (0.3, 0.099, "not slower")]
)
def test_red_begins_at_a_third_of_what_is_asked_about(
    asked: float, slowdown: float, says: str
) -> None:
    rounds = {"cell": [math.log1p(slowdown)] * 40}
    (verdict,) = decide.verdicts({"cell": [0.1] * 10}, rounds, {"cell": "k"}, SPREAD, asked)
    assert verdict.says == says


def test_what_too_few_rounds_could_not_have_shown_is_not_claimed() -> None:
    rounds = {f"cell {i}": [0.2, -0.2] * 4 for i in range(3)}  # 2**-8 is too much for three cells
    screen = {cell: [0.2, -0.2] * 5 for cell in rounds}
    for verdict in decide.verdicts(screen, rounds, dict.fromkeys(rounds, "k"), SPREAD, 0.05):
        assert (verdict.says, verdict.visible) == ("can't tell", None)


def test_a_cleared_cell_could_have_shown_what_was_asked_about() -> None:
    (verdict,) = decide.verdicts({"cell": [0.02, -0.02] * 8}, {}, {"cell": "k"}, SPREAD, 0.05)
    assert verdict.says == "not slower"
    # half of the interval, and the margin
    margin = SPREAD.margin("k", 0.05)
    assert verdict.visible == pytest.approx(math.expm1(0.02 + margin))
    (verdict,) = decide.verdicts({"cell": [-0.2, 0.02] * 6}, {}, {"cell": "k"}, SPREAD, 0.05)
    assert (verdict.says, verdict.visible) == ("not slower", 0.05)


def test_a_change_beyond_doubt_in_too_few_rounds_for_so_many_cells_is_not_near_the_limit() -> None:
    rounds = {f"k {n}": [0.2] * 7 for n in range(40)}
    found = decide.verdicts(rounds, rounds, dict.fromkeys(rounds, "k"), SPREAD, slower_than=0.05)
    assert {(v.says, v.untold) for v in found} == {("can't tell", "few rounds")}
