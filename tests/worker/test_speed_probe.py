"""The speed probe: fixed work, on a made-up clock and for real."""

import threading
import time
from collections import deque
from itertools import count
from pathlib import Path

import cheats
import numpy as np
import pytest
from asked import an_open

import kernels
from bench.plan.case import Case
from bench.worker import messages, speed_probe
from bench.worker.server import Server


def test_the_least_of_the_repeats_counts() -> None:
    # a start and a stop for each: 5, 3, 4 and 6 seconds
    clock = deque([0.0, 5.0, 10.0, 13.0, 20.0, 24.0, 30.0, 36.0])
    assert speed_probe.SpeedProbe(1, work=lambda: None, clock=clock.popleft).seconds() == [3.0]


def test_the_calling_thread_is_timed_alone_and_then_a_thread_a_core() -> None:
    order: list[int] = []
    together = threading.Barrier(2, timeout=10)

    def work() -> None:
        order.append(threading.get_ident())
        if threading.current_thread() is not threading.main_thread():
            together.wait()

    assert len(speed_probe.SpeedProbe(3, work).seconds()) == 3
    assert order[: speed_probe.REPEATS] == [threading.get_ident()] * speed_probe.REPEATS
    assert len(set(order)) == 3


def test_of_many_cores_a_sample_is_timed() -> None:
    assert len(speed_probe.SpeedProbe(128, work=lambda: None).seconds()) == speed_probe.MOST


def test_the_real_work_takes_time_and_gives_the_lock_away() -> None:
    seconds = speed_probe.SpeedProbe(2).seconds()
    assert len(seconds) == 2
    assert all(0 < s < 1 for s in seconds)


def test_what_a_kernel_puts_in_the_clocks_place_or_the_works_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*values: object) -> float:
        raise AssertionError(values)

    monkeypatch.setattr(time, "thread_time", fail)
    monkeypatch.setattr(np, "add", fail)
    readings = speed_probe.SpeedProbe(2).seconds()
    assert all(0 < s < 1 for s in readings)


@pytest.mark.parametrize("clock", ["thread_time", "process_time"])
def test_a_kernel_that_stops_the_clocks_is_timed_all_the_same(
    clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(layer: kernels.Layer, batch: int, device: int = 0) -> kernels.Step:
        monkeypatch.setattr(time, clock, lambda: 0.0)
        return cheats.numpy()(layer, batch, device)

    told = timed(prepare)
    assert all(0 < s < 1 for reading in told.probe_s for s in reading)
    assert 0 < told.cores_busy < 10
    assert 0 < told.measured_s < 60


def timed(prepare: cheats.Prepare) -> messages.Times:
    """What a worker's visit to a kernel tells."""
    worker = Server()
    worker._kernels["k"] = kernels.Kernel("k", "0", "", prepare)
    case = Case(n_in=4, n_units=3, batch=2, precision="float32", activation="relu")
    opened = worker.answer(an_open("k", case))
    assert isinstance(opened, messages.Opened)
    told = worker.answer(messages.Measure(1, opened.loops, 3))
    assert isinstance(told, messages.Times)
    return told


def test_an_error_of_the_work_is_not_swallowed() -> None:
    calls = count()

    def work() -> None:
        if next(calls) > 0:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        speed_probe.SpeedProbe(2, work).seconds()


@pytest.mark.parametrize(
    ("cores_busy", "longest"),
    [(1.0, 5.0), (1.2, 5.0), (1.3, 9.0), (2.0, 9.0)],
)
def test_only_cores_that_the_blocks_kept_busy_matter(cores_busy: float, longest: float) -> None:
    readings = speed_probe.Readings(speed_probe.SpeedProbe(1))
    readings.seconds = [[4.0, 9.0], [7.0, 7.0], [5.0, 1.0]]
    assert readings.slowest(cores_busy) == longest


def test_readings_know_what_they_cost() -> None:
    readings = speed_probe.Readings(speed_probe.SpeedProbe(2))
    start = time.perf_counter()
    readings()
    readings()
    assert 0 < readings.took_s <= time.perf_counter() - start
    assert readings.cpu_s > 0
    assert [len(reading) for reading in readings.seconds] == [2, 2]


def test_waiting_is_summed_over_the_threads(tmp_path: Path) -> None:
    for task, line in {"11": "100 2000000000 7", "12": "50 500000000 3"}.items():
        (tmp_path / task).mkdir()
        (tmp_path / task / "schedstat").write_text(line + "\n")
    assert speed_probe.waited_s(tmp_path) == 2.5


@pytest.mark.parametrize("line", [None, "", "12", "a b c"])
def test_where_the_system_does_not_say_nothing_is_claimed(tmp_path: Path, line: str | None) -> None:
    (tmp_path / "1").mkdir()
    if line is not None:
        (tmp_path / "1" / "schedstat").write_text(line)
    assert speed_probe.waited_s(tmp_path) is None
    assert speed_probe.waited_s(tmp_path / "none") is None
