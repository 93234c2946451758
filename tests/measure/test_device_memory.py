"""What is known of a device between visits, whoever's process worked on it."""

import time

import pytest

from bench.measure.device_memory import DeviceMemory
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.worker import messages

LIGHT, HEAVY, NEW = (Cell("k", Case(n, n, 1, "float32", "relu"), 0, 1, "warm") for n in (1, 2, 3))
OTHER = Cell("another", LIGHT.case, 0, 1, "warm")
BOARD = "board:0"


def at(mhz: float | None) -> messages.DeviceState:
    return messages.DeviceState(mhz, None, None, None, ())


def test_nothing_is_known_of_a_device_before_it_was_reached() -> None:
    memory = DeviceMemory()
    memory.worked(LIGHT, BOARD, at(1980.0))
    assert memory.warmth(OTHER) == {"rested_s": None, "load_mhz": None}


def test_a_cells_own_clock_then_the_highest_of_its_device() -> None:
    memory = DeviceMemory()
    memory.worked(LIGHT, BOARD, at(1980.0))
    memory.worked(HEAVY, BOARD, at(1700.0))
    memory.worked(OTHER, BOARD)
    memory.worked(OTHER, BOARD, at(None))
    clocks = [memory.warmth(cell)["load_mhz"] for cell in (LIGHT, HEAVY, NEW, OTHER)]
    assert clocks == [1980.0, 1700.0, 1980.0, 1980.0]


def test_a_device_rests_until_any_kernel_works_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    memory = DeviceMemory()
    memory.worked(LIGHT, BOARD)
    memory.worked(OTHER, "cpu")
    now = 103.0
    memory.worked(OTHER, BOARD)
    now = 105.0
    assert memory.warmth(NEW)["rested_s"] == 2.0
