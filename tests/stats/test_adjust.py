"""What holds exactly of the estimate for a busy machine, and what a kernel can't buy."""

import dataclasses
import json
import math

import msgspec
import numpy as np
import pytest
from busy_machine import ALONE_S, BLOCKS, FLOOR_S, Floats, blocks_of, noisy, switching

from bench.stats.adjust import Estimate, History, Trait, estimate, ratio
from bench.stats.adjust.block_table import tabulate
from bench.stats.adjust.floors import OFF, floors
from bench.stats.adjust.numbers import ALIKE
from bench.stats.adjust.slopes import LEAST, MOST


def plain(seconds: Floats) -> float:
    """The median over visits of a fast block: of ten, between the second and the third fastest."""
    fast = np.sort(np.log(seconds), axis=1)[:, 1:3].mean(axis=1)
    return math.exp(np.median(fast))


def test_a_constant_probe_leaves_the_plain_median_over_visits() -> None:
    generator = np.random.default_rng(0)
    seconds = noisy(generator, (21, 4, BLOCKS))
    result = estimate(blocks_of(np.zeros_like(seconds), seconds))
    for i, cell in enumerate(result.estimates):
        assert cell.value == pytest.approx(plain(seconds[:, i]), rel=1e-9)
        assert cell.as_found == pytest.approx(cell.value, rel=1e-9)
    assert result.state.busy == 0.0
    assert result.state.source == "run"


def test_times_twice_as_long_give_estimates_twice_as_long() -> None:
    generator = np.random.default_rng(1)
    slowdown = switching(generator, 20, 4, 0.6)
    seconds = noisy(generator, slowdown.shape) * np.exp(slowdown)
    once, twice = estimate(blocks_of(slowdown, seconds)), estimate(blocks_of(slowdown, 2 * seconds))
    for a, b in zip(once.estimates, twice.estimates, strict=True):
        for quantity in ("value", "low", "high", "as_found"):
            assert getattr(b, quantity) == pytest.approx(2 * getattr(a, quantity), rel=1e-9)
        assert b.slope == pytest.approx(a.slope, abs=1e-9)


def test_a_probe_twice_as_long_changes_nothing() -> None:
    generator = np.random.default_rng(2)
    slowdown = switching(generator, 20, 4, 0.6)
    seconds = noisy(generator, slowdown.shape) * np.exp(slowdown)
    given = blocks_of(slowdown, seconds)
    slower = dataclasses.replace(
        given,
        probe_before=2 * given.probe_before,
        probe_after=2 * given.probe_after,
        probe_elsewhere=2 * given.probe_elsewhere,
    )
    for a, b in zip(estimate(given).estimates, estimate(slower).estimates, strict=True):
        assert b.value == pytest.approx(a.value, rel=1e-9)


@pytest.mark.parametrize("busy", [0.0, 0.5, 0.9, 0.98])
def test_six_visits_are_enough_for_an_interval(busy: float) -> None:
    generator = np.random.default_rng(3)
    slowdown = switching(generator, 6, 12, busy)
    seconds = noisy(generator, slowdown.shape) * np.exp(0.9 * slowdown)
    for cell in estimate(blocks_of(slowdown, seconds)).estimates:
        assert cell.known
        assert 0 < cell.low < cell.value < cell.high < math.inf


def test_visits_of_one_block_have_an_interval() -> None:
    generator = np.random.default_rng(4)
    slowdown = switching(generator, 8, 6, 0.5)[:, :, :1]
    seconds = noisy(generator, slowdown.shape) * np.exp(slowdown)
    for cell in estimate(blocks_of(slowdown, seconds)).estimates:
        assert 0 < cell.low < cell.value < cell.high < math.inf


def test_a_single_visit_has_a_number_and_no_known_interval() -> None:
    slowdown = np.zeros((1, 1, 1))
    (cell,) = estimate(blocks_of(slowdown, np.full(slowdown.shape, 1e-3))).estimates
    assert cell.value == pytest.approx(1e-3)
    assert not cell.known


@pytest.mark.parametrize("busy", [0.1, 0.5, 0.9])
def test_the_neighbour_is_taken_off(busy: float) -> None:
    generator = np.random.default_rng(5)
    slowdown = switching(generator, 40, 12, busy)
    seconds = noisy(generator, slowdown.shape) * np.exp(0.9 * slowdown)
    for cell in estimate(blocks_of(slowdown, seconds)).estimates:
        assert cell.value == pytest.approx(ALONE_S, rel=0.06)
        assert cell.low < ALONE_S < cell.high


@pytest.mark.parametrize("slope", [0.0, 0.4, 1.0])
def test_times_without_noise_are_adjusted_exactly(slope: float) -> None:
    generator = np.random.default_rng(12)
    slowdown = np.where(generator.random((12, 4, 6)) < 0.5, 0.4, 0.0)
    given = blocks_of(slowdown, 1e-3 * np.exp(slope * slowdown))
    # each block's own reading on both sides
    given = dataclasses.replace(given, probe_after=given.probe_before)
    for cell in estimate(given).estimates:
        assert cell.value == pytest.approx(1e-3, rel=1e-6)
        assert cell.slope == pytest.approx(slope, abs=1e-6)


def test_a_devices_own_times_are_left_alone() -> None:
    generator = np.random.default_rng(6)
    slowdown = switching(generator, 15, 4, 0.5)
    seconds = noisy(generator, slowdown.shape)
    given = blocks_of(slowdown, seconds, on_device=True)
    given = dataclasses.replace(given, probe_before=np.full(slowdown.size, np.nan))
    result = estimate(given)
    for i, cell in enumerate(result.estimates):
        assert cell.value == pytest.approx(cell.as_found, rel=1e-9)
        assert cell.value == pytest.approx(plain(seconds[:, i]), rel=1e-9)
    assert result.history == History()
    assert math.isnan(result.state.floor_s)


@pytest.mark.parametrize("busy", [0.0, 0.3, 0.9, 0.98])
@pytest.mark.parametrize(("visits", "gain"), [(6, 1.6), (30, 1.1)])
def test_a_kernel_gains_little_by_keeping_its_own_probe_slow(
    busy: float, visits: int, gain: float
) -> None:
    """Its probe takes twice as long, its time doesn't: it would like to be told half its time.

    In few visits to a busy machine that might have been the neighbour, in part.
    """
    generator = np.random.default_rng(7)
    slowdown = switching(generator, visits, 12, busy)
    seconds = noisy(generator, slowdown.shape) * np.exp(slowdown)
    kernels = ("loop", "cheat", *["loop", "dot"] * 5)
    honest = estimate(blocks_of(slowdown, seconds, kernels=kernels)).estimates[1]
    slowdown[:, 1] += 0.7
    cheating = estimate(blocks_of(slowdown, seconds, kernels=kernels)).estimates[1]
    assert honest.value / cheating.value < gain
    assert LEAST <= cheating.slope <= MOST


def test_a_kernel_gains_nothing_by_making_others_look_disturbed() -> None:
    """Another kernel's cells keep their own slopes and their own share of the machine's state."""
    generator = np.random.default_rng(8)
    slowdown = switching(generator, 20, 12, 0.5)
    seconds = noisy(generator, slowdown.shape) * np.exp(slowdown)
    kernels = ("loop", "cheat", *["loop", "dot"] * 5)
    before = estimate(blocks_of(slowdown, seconds, kernels=kernels)).estimates
    slowdown[:, 1] += 0.7
    after = estimate(blocks_of(slowdown, seconds, kernels=kernels)).estimates
    for i in (0, *range(2, 12)):
        assert after[i].value == pytest.approx(before[i].value, rel=0.02)


def test_a_run_that_was_never_left_alone_says_so_and_earlier_runs_help() -> None:
    generator = np.random.default_rng(9)
    slowdown = generator.normal(0.6, 0.12, (20, 6, BLOCKS))
    seconds = noisy(generator, slowdown.shape) * np.exp(0.9 * slowdown)
    given = blocks_of(slowdown, seconds)
    alone = estimate(given)
    assert alone.state.source == "fastest"
    assert alone.history.floor_s is None
    traits = {kernel: Trait(0.9, 0.03, 0.0) for kernel in ("loop", "dot")}
    known = estimate(given, History(FLOOR_S, traits))
    assert known.state.source == "earlier"
    for cell in known.estimates:
        assert cell.value == pytest.approx(ALONE_S, rel=0.1)
        assert cell.low < ALONE_S < cell.high
    assert known.history.floor_s == pytest.approx(FLOOR_S)


def test_a_floor_lies_between_what_earlier_runs_saw_and_the_fastest_state_of_this_one() -> None:
    generator = np.random.default_rng(16)
    slowdown = 0.01 + np.abs(generator.normal(0, 0.3, (2, 20, 6, BLOCKS))).sum(axis=0)
    table = tabulate(blocks_of(slowdown, np.exp(slowdown)))
    near, far = (floors(table, History(floor_s)) for floor_s in (FLOOR_S, FLOOR_S / 1.3))
    assert near.source == far.source == "earlier"
    assert near.error.max() < OFF / 2 <= far.error.min()


def test_moments_of_a_higher_clock_are_no_floor() -> None:
    generator = np.random.default_rng(17)
    slowdown = np.abs(generator.normal(0, 0.003, (20, 6, BLOCKS)))
    slowdown[generator.random(slowdown.shape) < 0.002] = -0.04
    floor = floors(tabulate(blocks_of(slowdown, np.exp(slowdown))), History())
    assert floor.source == "run"
    assert floor.run == pytest.approx(math.log(FLOOR_S), abs=0.003)
    assert floor.error.max() < 0.03


def test_a_history_survives_json() -> None:
    generator = np.random.default_rng(10)
    slowdown = switching(generator, 10, 4, 0.5)
    seconds = noisy(generator, slowdown.shape) * np.exp(slowdown)
    history = estimate(blocks_of(slowdown, seconds)).history
    text = json.dumps(dataclasses.asdict(history))
    assert msgspec.json.decode(text, type=History) == history


def test_a_history_keeps_what_a_run_did_not_see() -> None:
    before = History(
        FLOOR_S / 1.01, {"absent": Trait(0.5, 0.1, 0.02)}, {"gone": Trait(0.6, 0.1, 0.02)}
    )
    quiet = np.zeros((20, 2, BLOCKS))
    after = estimate(blocks_of(quiet, np.full(quiet.shape, 1e-3)), before).history
    assert after.floor_s == before.floor_s
    assert set(after.kernels) == {"absent", "dot", "loop"}
    assert set(after.cells) == {"gone", "cell 0", "cell 1"}
    assert after.kernels["absent"] == before.kernels["absent"]
    assert after.cells["gone"] == before.cells["gone"]


def test_slopes_that_earlier_runs_saw_are_remembered() -> None:
    generator = np.random.default_rng(13)
    slowdown = switching(generator, 40, 4, 0.5)
    seconds = noisy(generator, slowdown.shape) * np.exp(0.3 * slowdown)
    history = estimate(blocks_of(slowdown, seconds)).history
    assert history.cells["cell 0"].slope == pytest.approx(0.3, abs=0.1)
    # three visits, all busy, say nothing of slopes
    few = 0.5 + generator.normal(0, 0.01, (3, 4, BLOCKS))
    given = blocks_of(few, noisy(generator, few.shape) * np.exp(0.3 * few))
    for cell in estimate(given, history).estimates:
        assert cell.value == pytest.approx(ALONE_S, rel=0.1)


def test_a_run_of_few_readings_tells_later_ones_nothing() -> None:
    before = History(FLOOR_S, {"absent": Trait(0.5, 0.1, 0.02)})
    lucky = np.full((6, 2, BLOCKS), math.log(0.7))
    assert estimate(blocks_of(lucky, np.full(lucky.shape, 1e-3)), before).history == before


def test_a_ratio_holds_both_intervals() -> None:
    generator = np.random.default_rng(11)
    slowdown = switching(generator, 30, 4, 0.5)
    seconds = (
        noisy(generator, slowdown.shape) * np.exp(slowdown) * np.array([3.0, 1, 1, 1])[:, None]
    )
    slow, fast, *_ = estimate(blocks_of(slowdown, seconds)).estimates
    speedup = ratio(slow, fast)
    assert speedup.value == slow.value / fast.value == pytest.approx(3.0, rel=0.05)
    assert slow.low / fast.high <= speedup.low < 3 < speedup.high <= slow.high / fast.low


def test_a_cell_without_blocks_has_no_number() -> None:
    given = blocks_of(np.zeros((6, 2, 2)), np.full((6, 2, 2), 1e-3))
    more = dataclasses.replace(
        given, names=[*given.names, "none"], kernels=[*given.kernels, "new"], on_device=[False] * 3
    )
    result = estimate(more)
    assert math.isnan(result.estimates[2].value)
    assert result.estimates[2].visits == 0
    assert result.estimates[0] == estimate(given).estimates[0]


def test_a_visit_has_one_cell() -> None:
    given = blocks_of(np.zeros((6, 2, 2)), np.full((6, 2, 2), 1e-3))
    with pytest.raises(ValueError, match="two cells"):
        estimate(dataclasses.replace(given, visit=np.zeros_like(given.visit)))


def test_times_and_readings_are_above_nothing() -> None:
    given = blocks_of(np.zeros((6, 2, 2)), np.full((6, 2, 2), 1e-3))
    for name in ("seconds", "probe_before", "probe_after", "probe_elsewhere"):
        for bad in (0.0, math.nan):
            values = getattr(given, name).copy()
            values[3] = bad
            with pytest.raises(ValueError, match="not above 0"):
                estimate(dataclasses.replace(given, **{name: values}))


def alone(log_seconds: Floats) -> tuple[Estimate, ...]:
    """Estimates on a machine that is left alone, from (visits, cells) times of a block each."""
    seconds = np.exp(log_seconds)[:, :, None]
    return estimate(blocks_of(np.zeros_like(seconds), seconds)).estimates


@pytest.mark.parametrize("alike", [0.0, 0.2])
@pytest.mark.parametrize("visits", [6, 7, 10, 20, 50, 100])
def test_the_interval_holds_the_truth_as_often_as_it_says(visits: int, alike: float) -> None:
    # skewed, as times are, and each visit somewhat like the one before; the true median is 1
    logs = np.random.default_rng(visits).normal(size=(visits, 2000))
    for i in range(1, visits):
        logs[i] = alike * logs[i - 1] + (1 - alike**2) ** 0.5 * logs[i]
    held = [cell.low <= 1 <= cell.high for cell in alone(0.5 * logs)]
    assert np.mean(held) >= 0.94


def width(sides: list[float]) -> float:
    (cell,) = alone(np.array(sides)[:, None])
    return math.log(cell.high / cell.low)


def test_visits_like_their_neighbours_tell_less() -> None:
    by_turns = [-1.0, 1.0] * 20
    mixed = np.random.default_rng(1).permutation(by_turns).tolist()
    widths = [width(sides) for sides in (by_turns, mixed, sorted(by_turns))]
    assert widths == sorted(widths)
    assert widths[2] > 2 * widths[1]


def test_few_visits_are_taken_to_be_as_alike_as_recorded_ones() -> None:
    typical = ((1 + ALIKE) / (1 - ALIKE)) ** 0.5
    spans_all = 2 * 1.05  # of six visits the interval needs all, and a little more
    for few in ([-1.0, 1.0] * 3, [-1.0] * 3 + [1.0] * 3):
        assert width(few) == pytest.approx(spans_all * typical, rel=0.2)


def test_the_order_of_visits_moves_the_interval_alone() -> None:
    generator = np.random.default_rng(12)
    logs = generator.normal(size=(15, 1))
    (before,), (after,) = alone(logs), alone(generator.permutation(logs))
    assert after.value == before.value
    assert after.low != before.low


def test_half_width_is_relative_to_the_estimate() -> None:
    assert Estimate("", 2.0, 1.5, 3.5, 6, 2.0, 0.0, 0.0).half_width == 0.5
