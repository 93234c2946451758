"""All cells' visits together: what is adjusted and what is left alone."""

import math
from dataclasses import replace
from statistics import median

import pytest

from bench.data.records import Block
from bench.data.speed_history import History, Trait
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.measured import Measured, of_visit
from bench.stats.times import Times, launch_bound, times

GPU = "cuda:0 made-up GPU at 0000:17:00.0"
FLOOR_S = 5e-5
SLOWER = 1.6
VISITS = 20

LOOP, DOT, ON_GPU = (
    Cell(kernel, Case(8, 8, 1, "float32", "relu"), 0, 2, "warm")
    for kernel in ("python_loop", "numpy_dot", "cupy_matmul")
)


def visits(
    start: int = 1,
    *,
    busy: float = 0.5,
    device: str = "cpu",
    launch_s: float = 0.5e-3,
    left_s: float = 0.3e-3,
    probed: bool = True,
    follows: bool = True,
) -> Measured:
    """Visits of a millisecond a launch, so many of them on a busy machine."""
    result = Measured()
    for i in range(VISITS):
        number = start + 10 * i
        slower = SLOWER if (i * 7 + start) % 20 < 20 * busy else 1.0
        second = 1e-3 * (slower if follows else 1.0) * (1 + 1e-6 * i)
        probe_s = FLOOR_S * slower if probed else None
        row = replace(refusal(LOOP, number, i + 1, "ok", ""), device=device)
        latency_s = launch_s + left_s
        trips = [Block(number, "launch", 1, launch_s), Block(number, "latency", 1, latency_s)]
        blocks = [
            Block(number, "time", 8, second * (1 + 1e-7 * j), *[probe_s] * 4) for j in range(10)
        ]
        result.add(row, of_visit([*blocks, *trips]))
    return result


def run(earlier: History | None = None, **changes: Measured) -> Times:
    """Two kernels on a busy machine, and what a test adds or changes."""
    measured = {LOOP: visits(1), DOT: visits(2)}
    by_name = {cell.kernel: cell for cell in (LOOP, DOT, ON_GPU)}
    return times(measured | {by_name[name]: its for name, its in changes.items()}, earlier)


def test_a_cpus_cell_is_given_for_a_core_left_alone() -> None:
    for estimate in run().by_cell.values():
        assert estimate.value == pytest.approx(1e-3, rel=0.03)
        assert estimate.as_found > 1.2e-3
        assert estimate.slope == pytest.approx(1.0, abs=0.1)
        assert estimate.known


def test_each_visit_has_its_number_adjusted_and_as_found() -> None:
    told = run()
    assert list(told.visit_s) == list(told.found_s) == sorted(told.visit_s)
    assert len(told.visit_s) == 2 * VISITS
    assert max(told.visit_s.values()) < 1.1e-3
    assert max(told.found_s.values()) == pytest.approx(1e-3 * SLOWER, rel=1e-4)
    # the cells' numbers are those of their visits
    mine = [told.visit_s[n] for n in range(1, 10 * VISITS, 10)]
    assert told.by_cell[LOOP].value == pytest.approx(median(mine))


def test_a_gpus_own_time_is_left_alone() -> None:
    estimate = run(cupy_matmul=visits(3, device=GPU, follows=False)).by_cell[ON_GPU]
    assert estimate.value == estimate.as_found == pytest.approx(1e-3, rel=1e-4)
    assert estimate.slope == 0.0


def test_a_launch_bound_cell_is_the_hosts_and_is_adjusted() -> None:
    estimate = run(cupy_matmul=visits(3, device=GPU, launch_s=1.2e-3)).by_cell[ON_GPU]
    assert estimate.value == pytest.approx(1e-3, rel=0.05)
    assert estimate.as_found > 1.2e-3


def test_a_cell_that_no_probe_stood_beside_is_as_found() -> None:
    told = run(numpy_dot=visits(2, probed=False))
    assert told.by_cell[DOT].value == told.by_cell[DOT].as_found > 1.2e-3
    assert told.by_cell[LOOP].value == pytest.approx(1e-3, rel=0.03)


def test_a_gpus_cell_that_is_steady_is_left_alone_though_its_launches_are_slow() -> None:
    estimate = run(cupy_matmul=visits(3, device=GPU, launch_s=1.2e-3, follows=False)).by_cell[
        ON_GPU
    ]
    assert estimate.value == estimate.as_found


def test_a_run_without_a_probe_is_as_found() -> None:
    told = run(python_loop=visits(1, probed=False), numpy_dot=visits(2, probed=False))
    for estimate in told.by_cell.values():
        assert estimate.value == estimate.as_found
    assert told.visit_s == told.found_s
    assert math.isnan(told.state.floor_s)
    assert told.history == History()


def test_cells_without_a_good_visit_are_not_there() -> None:
    told = run(cupy_matmul=Measured())
    assert set(told.by_cell) == {LOOP, DOT}
    assert times({}).by_cell == times({LOOP: Measured()}).by_cell == {}


def test_a_history_is_handed_on_and_helps() -> None:
    first = run()
    assert first.history.floor_s == pytest.approx(FLOOR_S)
    assert set(first.history.kernels) == {"python_loop", "numpy_dot"}
    never_alone = {"python_loop": visits(1, busy=1.0), "numpy_dot": visits(2, busy=1.0)}
    told = run(first.history, **never_alone)
    assert told.state.source == "earlier"
    for estimate in told.by_cell.values():
        assert estimate.value == pytest.approx(1e-3, rel=0.1)
    unaware = run(None, **never_alone)
    assert unaware.by_cell[LOOP].value == pytest.approx(1e-3 * SLOWER, rel=0.05)
    # what this run didn't see is kept
    known = History(FLOOR_S / 2, {"absent": Trait(0.5, 0.1, 0.0)})
    assert run(known).history.kernels["absent"] == known.kernels["absent"]
    assert run(known).history.floor_s == FLOOR_S / 2


@pytest.mark.parametrize(
    ("device", "launch_s", "left_s", "bound"),
    [
        (GPU, 0.9e-3, 0.3e-3, "yes"),
        (GPU, 0.5e-3, 0.3e-3, "no"),
        (GPU, 1.99e-3, 0.01e-3, "no"),  # the launch itself waited for the work
        (GPU, 0.9e-3, 0.6e-3, "no"),  # the device still works when a launch has returned
        ("cpu", 0.9e-3, 0.3e-3, "no"),
        (GPU, 0.9e-3, None, ""),
    ],
)
def test_what_is_launch_bound(
    device: str, launch_s: float, left_s: float | None, bound: str
) -> None:
    measured = visits(busy=0.0, device=device, launch_s=launch_s, left_s=left_s or 0.3e-3)
    if left_s is None:
        del measured.trips["latency"]
    assert launch_bound(measured) == bound
    assert launch_bound(Measured()) == ""
