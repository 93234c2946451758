"""A GPU's visits are set aside by what its driver told, never by what the host did."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import Book, run_of

from bench.data.records import THROTTLES, Visit
from bench.show import table
from bench.stats.device_disturbance import LOST, USED, disturbances, seen
from bench.stats.measured import LEAST

exact = settings(deadline=None, derandomize=True, database=None, max_examples=100)
GPU = "cuda:0 Simulated at 0000:17:00.0"
ALONE = {"launch": 0.1, "latency": 1.2}  # the device works on when a launch has returned
BOUND = {"launch": 0.9, "latency": 1.0}
HELD = tuple(word for word in THROTTLES if word != "power cap")

states = st.fixed_dictionaries(
    {
        "device_mhz": st.none() | st.floats(210, 1980),
        "device_throttled": st.lists(st.sampled_from(THROTTLES), max_size=2).map(tuple),
        "device_others": st.none() | st.floats(0, 1),
    }
)
hosts = st.fixed_dictionaries(
    {
        "waited_s": st.none() | st.floats(0, 2),
        "steal_s": st.floats(0, 1),
        "throttled_s": st.floats(0, 1),
        "control_s": st.floats(1e-5, 1e-3),
    }
)


def book_of(*visits: dict[str, Any], trip: dict[Any, float] = ALONE) -> Book:
    """A GPU cell's visits, each of a second."""
    book = Book()
    for number, known in enumerate(visits, start=1):
        row: dict[str, Any] = {"device": GPU, "device_mhz": 1980.0} | known
        row |= {"measured_s": 1.0, "wall_s": 1.0}
        book.good("cupy_matmul", number, 1.0 + number / 1000, trip=trip, **row)
    return book


def counted(book: Book) -> list[int]:
    """The numbers of the visits that count."""
    (cell,) = run_of(book.visits, book.blocks).by_cell.values()
    return [visit.visit for visit in cell.counted]


@pytest.mark.parametrize(
    ("disturbed", "words"),
    [
        ({"device_mhz": 1980 * (1 - LOST) - 1}, "the GPU's clock was lower than it otherwise is"),
        ({"device_others": USED + 0.01}, "other processes used the GPU"),
        *(({"device_throttled": (word,)}, "the power supply held the GPU back") for word in HELD),
        ({"device_throttled": ("power cap", "power brake"), "device_mhz": 700.0}, "held the GPU"),
        ({"suspended_s": 60.0}, "the machine slept, or its clock was set"),
    ],
)
def test_what_the_driver_told_sets_a_visit_aside_and_the_table_says_why(
    disturbed: dict[str, Any], words: str
) -> None:
    book = book_of(*[{}] * 4, disturbed, *[{}] * 4)
    assert counted(book) == [1, 2, 3, 4, 6, 7, 8, 9]
    said = str(table.state(run_of(book.visits, book.blocks)))
    assert said.startswith("1 visit does not count: in 1 ")
    assert words in said
    assert book.cell("cupy_matmul").disturbed == 1


@pytest.mark.parametrize(
    "harmless",
    [
        {"device_mhz": 1980 * (1 - LOST) + 1},
        {"device_mhz": 2100.0},
        {"device_mhz": None},
        {"device_throttled": ("power cap",)},
        {"device_others": USED},
        {"waited_s": 0.9},
        {"steal_s": 0.9, "throttled_s": 0.5},
        {"control_s": 1.0},
    ],
)
def test_what_is_normal_or_the_hosts_sets_no_visit_aside(harmless: dict[str, Any]) -> None:
    book = book_of(*[{}] * 4, harmless, *[{}] * 4)
    assert len(counted(book)) == 9
    assert book.cell("cupy_matmul").waited == 0


def test_a_card_at_its_power_limit_is_in_its_normal_state() -> None:
    assert (
        len(counted(book_of(*[{"device_mhz": 1400.0, "device_throttled": ("power cap",)}] * 9)))
        == 9
    )


def test_a_hot_card_is_compared_with_its_cool_visits_and_counts_where_there_are_no_others() -> None:
    hot = {"device_mhz": 900.0, "device_throttled": ("too warm, says the driver",)}
    assert counted(book_of(*[hot] * 20, *[{}] * LEAST)) == list(range(21, 21 + LEAST))
    assert len(counted(book_of(*[hot] * 9))) == 9
    assert len(counted(book_of(*[hot] * 9, *[{}] * (LEAST - 1)))) == 9 + LEAST - 1


def test_causes_are_counted_apart_and_said_once() -> None:
    book = book_of(*[{}] * 8, {"device_mhz": 345.0}, {"device_mhz": 345.0}, {"device_others": 0.8})
    assert table.state(run_of(book.visits, book.blocks)) == (
        "3 visits do not count: in 2 the GPU's clock was lower than it otherwise is under that"
        " load; in 1 other processes used the GPU."
    )


@exact
@given(st.lists(st.tuples(states, hosts), min_size=1, max_size=20), st.randoms())
def test_a_devices_cell_is_judged_by_the_device_alone(
    visits: list[tuple[dict[str, Any], dict[str, Any]]], random: Any
) -> None:
    told = [state for state, _ in visits]
    quiet = counted(book_of(*told))
    assert quiet == counted(book_of(*({**state, **host} for state, host in visits)))
    assert len(quiet) >= min(len(visits), LEAST)
    shuffled = random.sample(range(len(told)), len(told))  # in whichever order they came
    again = counted(book_of(*(told[place] for place in shuffled)))
    assert sorted(shuffled[number - 1] + 1 for number in again) == quiet


@exact
@given(st.lists(st.tuples(states, hosts), min_size=1, max_size=20))
def test_a_launch_bound_cell_is_judged_by_the_host_alone(
    visits: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    plain = counted(book_of(*(host for _, host in visits), trip=BOUND))
    assert plain == counted(book_of(*({**s, **host} for s, host in visits), trip=BOUND))


@exact
@given(st.lists(states, min_size=1, max_size=20))
def test_an_undisturbed_visit_always_counts_and_a_disturbed_one_never_before_it(
    told: list[dict[str, Any]],
) -> None:
    book = book_of(*told)
    much = {n: sum(by.values()) for n, by in disturbances(_seen(book.visits)).items()}
    good = set(counted(book))
    assert all(much[number] <= max(much[n] for n in good) for number in good)
    assert all(much[other] > max(much[n] for n in good) for other in much.keys() - good)


def _seen(visits: list[Visit]) -> dict[int, Any]:
    return {visit.visit: seen(visit) for visit in visits}


def test_no_visit_is_judged_by_its_times() -> None:
    book = book_of(*[{}] * 9)
    book.blocks = [replace(b, seconds=b.seconds * (50 if b.visit == 5 else 1)) for b in book.blocks]
    assert len(counted(book)) == 9
