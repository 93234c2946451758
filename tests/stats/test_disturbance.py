"""Which visits count: by the machine's state alone."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.records import Visit
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import disturbance

exact = settings(deadline=None, derandomize=True, database=None, max_examples=100)
slownesses = st.dictionaries(
    st.integers(1, 200), st.floats(1e-6, 1e3) | st.just(math.inf), min_size=1, max_size=40
)


def visit(**known: Any) -> Visit:
    """A visit of a tenth of a second to a machine whose control takes 2 s."""
    row = refusal(Cell("k", Case(1, 1, 1, "float32", "relu"), 0, 2, "warm"), 1, 1, "ok", "")
    return replace(row, **({"control_s": 2.0, "measured_s": 0.05, "wall_s": 0.1} | known))


@pytest.mark.parametrize(
    ("known", "slowness"),
    [
        ({}, 2.0),
        ({"waited_s": 0.025}, 3.0),  # half of what was measured
        ({"steal_s": 0.01}, 2.2),  # a tenth of the visit
        ({"throttled_s": 0.05}, 3.0),
        ({"suspended_s": 2.0}, math.inf),
        ({"stepped_s": -0.5}, math.inf),
        ({"stepped_s": 4e-5}, 2.0),  # network time at work
        ({"waited_s": 0.025, "steal_s": 0.05}, 4.0),
    ],
)
def test_what_slows_a_machine_adds_up(known: dict[str, float], slowness: float) -> None:
    assert disturbance.slowness(visit(**known)) == pytest.approx(slowness)


def test_of_a_visit_of_which_nothing_is_known_nothing_is_claimed() -> None:
    row = refusal(Cell("k", Case(1, 1, 1, "float32", "relu"), 0, 2, "warm"), 1, 1, "ok", "")
    assert disturbance.slowness(row) == 1.0


def test_the_rule_sees_the_machine_and_not_the_kernel() -> None:
    # everything that a kernel's speed or answer could change
    seen = {"control_s", "measured_s", "waited_s", "steal_s", "throttled_s", "wall_s"}
    seen |= {"suspended_s", "stepped_s"}
    plain = visit()
    for field in fields(Visit):
        if field.name not in seen:
            changed: dict[str, Any] = {field.name: 123456}
            other = replace(plain, **changed)
            assert disturbance.slowness(other) == disturbance.slowness(plain)


def test_a_tenth_more_than_the_quiet_level_is_disturbed() -> None:
    values = [1.0] * 15 + [1.09, 1.11, 1.5, 2.0, math.inf]
    limit = disturbance.limit(values)
    assert limit == pytest.approx(1.1)
    kept = disturbance.kept(dict(enumerate(values)), limit)
    assert kept == list(range(16))


def test_one_lucky_visit_does_not_set_the_level() -> None:
    assert disturbance.limit([0.5, *[1.0] * 20]) == pytest.approx(1.1)


def test_without_visits_there_is_no_limit() -> None:
    assert disturbance.limit([]) == math.inf


@pytest.mark.parametrize(
    ("slownesses", "kept"),
    [
        ([1, 9, 9, 9, 9, 9, 9], 1),  # one quiet visit does without the others
        ([9, 7, 7.5, 8], 2),  # without one, those as quiet as the least disturbed
        ([9], 1),
        ([math.inf, 9], 1),
        ([math.inf, math.inf], 2),
        ([], 0),
    ],
)
def test_without_a_quiet_visit_the_least_disturbed_sets_the_level(
    slownesses: list[float], kept: int
) -> None:
    chosen = disturbance.kept(dict(enumerate(slownesses)), limit=1.1)
    assert [slownesses[p] for p in chosen] == sorted(slownesses)[:kept]


@exact
@given(slownesses, st.floats(1e-6, 1e3))
def test_what_is_kept_is_never_slower_than_what_is_not(
    values: dict[int, float], limit: float
) -> None:
    kept = disturbance.kept(values, limit)
    assert kept == sorted(set(kept))
    assert kept
    out = [values[p] for p in values if p not in kept]
    assert all(values[p] <= least for p in kept for least in out)
    assert all(value > limit for value in out)
    if any(value <= limit for value in values.values()):
        assert all(values[p] <= limit for p in kept)  # a quiet visit is never joined by another


@exact
@given(slownesses, st.floats(1e-3, 1e3))
def test_the_unit_of_the_control_does_not_matter(values: dict[int, float], unit: float) -> None:
    scaled = {p: unit * value for p, value in values.items()}
    limit, scaled_limit = disturbance.limit(values.values()), disturbance.limit(scaled.values())
    if all(abs(value / limit - 1) > 1e-9 for value in values.values() if math.isfinite(limit)):
        assert disturbance.kept(scaled, scaled_limit) == disturbance.kept(values, limit)
