"""The headline against the truth, on a simulated machine that misbehaves as real ones do.

The clock is simulated, so the truth is exact: work slowed by a neighbour in two visits of three,
launches held up now and then, all else exact.
"""

import random
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pytest
from devices import HostClock, Pending, SimulatedDevice, prepare_on
from numpy.typing import NDArray

import kernels
from bench.data.records import Block, Visit
from bench.measure import visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import interval
from bench.stats.cell_visits import CellVisits, by_visit, gather
from bench.worker import messages
from bench.worker.server import Server

CASE = Case(n_in=4, n_units=3, batch=2, precision="float32", activation="relu")
CELL = Cell("sim", CASE, 0, 1, "warm")

CONTROL_S = 4e-5
NEIGHBOUR = 1.6
"""How much slower everything is while another one uses the same silicon."""


class NoisyMachine(SimulatedDevice):
    """Does its work in the host's own time, as a CPU does, slowed and interrupted."""

    def __init__(self, seed: int, work_ticks: int) -> None:
        super().__init__(HostClock(), 0, 0)
        self.random = random.Random(seed)
        self.ticks = work_ticks
        self.factor = 1.0

    def launch(self, values: NDArray[Any]) -> Pending:
        noise = self.factor * (1 + self.random.gauss(0, 0.002))
        held_up = 3e6 if self.random.random() < self.ticks / 5e7 else 0  # 3 ms every 50 ms or so
        self.clock.ticks += round(self.ticks * noise + held_up)
        return Pending(values, self.clock.ticks)

    def seconds(self) -> list[float]:  # type: ignore[override]
        """The control on this machine, itself not quite steady."""
        return [CONTROL_S * self.factor * (1 + 0.01 * self.random.random())]


def measured(machine: NoisyMachine, visits: int) -> CellVisits:
    """Visits to one cell, through the worker, as the harness makes them."""
    worker = Server(clock=machine.clock, sleep=machine.clock.sleep)
    device = _Timed(machine)
    worker._kernels["sim"] = kernels.Kernel("sim", "0", "", prepare_on(device))
    worker._speed_probe = machine  # type: ignore[assignment]
    rows: list[Visit] = []
    blocks: list[Block] = []
    for number in range(1, visits + 1):
        machine.factor = NEIGHBOUR if machine.random.random() < 0.65 else 1.0
        asked = messages.Open(number, "sim", CASE, 0, "warm", 0, number % 64, None, 60.0)
        opened = worker.answer(asked)
        assert isinstance(opened, messages.Opened), opened
        count = min(max(round(visit.VISIT_S / (opened.loops * opened.launch_s)), 1), visit.BLOCKS)
        times = worker.answer(messages.Measure(number, opened.loops, count))
        assert isinstance(times, messages.Times)
        worker.cells.pop(number)
        row = visit.refusal(CELL, number, number, "ok", "")
        rows.append(replace(row, control_s=times.control_s))
        blocks += [Block(number, "time", opened.loops, s) for s in times.seconds]
    (found,) = gather(rows, by_visit(blocks)).values()
    return found


class _Timed(SimulatedDevice):
    """The machine's launches with a synchronous host's marks."""

    def __init__(self, machine: NoisyMachine) -> None:
        super().__init__(machine.clock, 0, 0)
        self.machine = machine

    def launch(self, values: NDArray[Any]) -> Pending:
        return self.machine.launch(values)


@pytest.mark.parametrize(
    ("work_ticks", "visits"),
    [(2_000, 20), (100_000, 40), (10_000_000, 40), (1_000_000_000, 40)],
    ids=["2 us", "100 us", "10 ms", "1 s"],
)
def test_the_headline_is_true_on_a_machine_that_misbehaves(work_ticks: int, visits: int) -> None:
    found = measured(NoisyMachine(work_ticks % 7, work_ticks), visits)
    truth = work_ticks * 1e-9
    time = interval.of_visits(list(found.good.values()))
    assert abs(time.value - truth) <= max(0.005 * truth, 100e-9)
    # without the control it would be the neighbour's time
    assert median(found.times.values()) > 1.3 * truth
    assert np.mean([p in found.good for p in found.times]) < 0.6
