"""What good visits measured, and which of them count: by the machine's state alone."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.records import Block, Visit
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.measured import LEAST, WAITED, Measured, by_visit, of_visit, spoiled, waiting

exact = settings(deadline=None, derandomize=True, database=None, max_examples=100)
CELL = Cell("k", Case(1, 1, 1, "float32", "relu"), 0, 2, "warm")


def visit(number: int = 1, **known: Any) -> Visit:
    """A visit of a tenth of a second, half of which was measured."""
    row = replace(refusal(CELL, number, 1, "ok", ""), device="cpu")
    return replace(row, **({"measured_s": 0.05, "wall_s": 0.1} | known))


def measured(*waited: float) -> Measured:
    """A visit for each share of waiting, the first of 1 s, the second of 2 s and so on."""
    result = Measured()
    for number, share in enumerate(waited, start=1):
        blocks = [Block(number, "time", 1, float(number)), Block(number, "latency", 1, 10.0)]
        result.add(visit(number, waited_s=share * 0.05), of_visit(blocks))
    return result


@pytest.mark.parametrize(
    ("known", "share"),
    [
        ({}, 0.0),
        ({"waited_s": 0.025}, 0.5),  # half of what was measured
        ({"steal_s": 0.01}, 0.1),  # a tenth of the visit
        ({"throttled_s": 0.05}, 0.5),
        ({"waited_s": 0.025, "steal_s": 0.05}, 1.0),
        ({"waited_s": -1e-6}, 0.0),
    ],
)
def test_what_a_visit_waits_for_adds_up(known: dict[str, Any], share: float) -> None:
    assert waiting(visit(**known)) == pytest.approx(share)


def test_of_a_visit_of_which_nothing_is_known_nothing_is_claimed() -> None:
    row = refusal(CELL, 1, 1, "ok", "")
    assert waiting(row) == 0.0
    assert not spoiled(row)


@pytest.mark.parametrize(
    ("device", "latency_s", "set_aside"),
    [("gpu:0", 1.2, 0), ("gpu:0", 0.3, 4), ("cpu", 1.2, 4)],
    ids=["a GPU that works on", "a launch-bound one", "a CPU"],
)
def test_what_the_host_waits_for_is_no_part_of_a_devices_own_time(
    device: str, latency_s: float, set_aside: int
) -> None:
    result = Measured()
    for number in range(1, 11):
        quantities = {"time": 1.0, "launch": 0.1, "latency": latency_s}
        blocks = [Block(number, name, 1, s) for name, s in quantities.items()]  # type: ignore[arg-type]
        waits = 0.05 if number > 6 else 0.0
        result.add(replace(visit(number, waited_s=waits), device=device), of_visit(blocks))
    assert len(result.launches) - len(result.counted) == set_aside


@pytest.mark.parametrize(
    ("known", "is_spoiled"),
    [
        ({"suspended_s": 2.0}, True),
        ({"stepped_s": -0.5}, True),
        ({"stepped_s": 0.5}, True),
        ({"stepped_s": 4e-5}, False),  # network time at work
        ({"waited_s": 10.0}, False),
    ],
)
def test_sleep_and_a_clock_that_is_set_spoil_a_visit(
    known: dict[str, Any],
    is_spoiled: bool,  # noqa: FBT001
) -> None:
    assert spoiled(visit(**known)) == is_spoiled


def test_the_rules_see_the_machine_and_not_the_kernel() -> None:
    # everything that a kernel's speed or answer could change
    seen = {"measured_s", "waited_s", "steal_s", "throttled_s", "wall_s"}
    seen |= {"suspended_s", "stepped_s"}
    plain = visit()
    for field in fields(Visit):
        if field.name not in seen:
            changed: dict[str, Any] = {field.name: 123456}
            other = replace(plain, **changed)
            assert waiting(other) == waiting(plain)
            assert spoiled(other) == spoiled(plain)


@pytest.mark.parametrize(
    ("waited", "counted"),
    [
        ([0.0] * 6 + [0.29, 0.31, 0.5], [1, 2, 3, 4, 5, 6, 7]),
        ([0.5, 0.0, 0.2, 0.0], [1, 2, 3, 4]),  # too few others: all are needed
        ([0.9, 0.6, *[0.4] * 5, 0.5], [3, 4, 5, 6, 7, 8]),  # the least make six
        ([0.4] * 9, list(range(1, 10))),  # alike ones count alike
        ([], []),
    ],
)
def test_visits_that_waited_do_not_count_where_enough_others_are_there(
    waited: list[float], counted: list[int]
) -> None:
    assert list(measured(*waited).counted) == counted


@exact
@given(st.lists(st.floats(0, 2), max_size=30))
def test_what_counts_never_waited_longer_than_what_does_not(waited: list[float]) -> None:
    visits = measured(*waited)
    counted, rest = visits.counted, visits.launches.keys() - visits.counted.keys()
    assert len(counted) >= min(len(waited), LEAST)
    assert all(visits.waited[c] < visits.waited[r] for c in counted for r in rest)
    assert all(visits.waited[r] > WAITED for r in rest)
    if sum(share <= WAITED for share in waited) >= LEAST:
        assert all(visits.waited[c] <= WAITED * (1 + 1e-9) for c in counted)


def test_the_first_are_the_first_of_those_that_count() -> None:
    some = measured(0.5, *[0.0] * 8).first(6)
    assert list(some.launches) == list(some.counted) == [2, 3, 4, 5, 6, 7]
    assert some.device == "cpu"
    assert len(measured(0.0, 0.0).first(6).launches) == 2


def test_round_trips_are_those_of_visits_that_count_where_there_are_any() -> None:
    visits = measured(0.5, *[0.0] * 6)
    assert visits.trip_s("latency") == 10.0
    visits.trips["latency"] = {1: 99.0, 2: 7.0, 3: 9.0}
    assert visits.trip_s("latency") == 8.0
    visits.trips["latency"] = {1: 99.0}  # a slow launch makes its round trip on the first passes
    assert visits.trip_s("latency") == 99.0
    assert visits.trip_s("send") is None


def test_blocks_go_by_visit_with_the_readings_around_each() -> None:
    blocks = [
        Block(1, "time", 8, 2.0, 4e-5, 5e-5, 6e-5, 7e-5),
        Block(1, "time", 8, 1.0, 5e-5, 4e-5, 7e-5, 8e-5),
        *(Block(1, "send", 1, seconds) for seconds in (3.0, 1.0, 2.0)),
        Block(2, "send", 1, 1.0),
    ]
    visits = by_visit(blocks)
    launches = visits[1].launches
    assert launches is not None
    assert list(launches.seconds) == [2.0, 1.0]
    assert launches.fastest == 1.0
    assert list(launches.before) == [4e-5, 5e-5]
    assert list(launches.after) == [5e-5, 4e-5]
    assert sorted(launches.elsewhere) == [6e-5, 7e-5, 7e-5, 8e-5]
    assert visits[1].trips == {"send": 2.0}
    assert visits[2].launches is None


@pytest.mark.parametrize("seen", [None, 0.0, 1e-12])
@pytest.mark.parametrize("where", ["probe_before_s", "probe_after_s"])
def test_a_visit_in_which_the_clock_saw_nothing_of_the_probe_has_no_readings(
    seen: float | None, where: str
) -> None:
    whole = Block(1, "time", 8, 2.0, 4e-5, 4e-5, 5e-5, 0.0)
    changed: dict[str, Any] = {where: seen}
    launches = of_visit([whole, replace(whole, **changed)]).launches
    assert launches is not None
    assert not launches.before
    assert not launches.after
    assert list(launches.elsewhere) == [5e-5] * 2  # what was seen elsewhere still counts
