"""The headline against the truth, on a simulated machine that misbehaves as real ones do.

The clock is simulated, so the truth is exact: work slowed by a neighbour in two visits of three,
launches held up now and then, all else exact.
"""

import random
from dataclasses import replace
from typing import Any

import pytest
from asked import an_open
from devices import HostClock, Pending, SimulatedDevice, prepare_on
from numpy.typing import NDArray

import kernels
from bench.measure import visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.adjust import Estimate
from bench.stats.measured import Measured, of_visit
from bench.stats.times import times
from bench.worker import messages
from bench.worker.server import Server

CASE = Case(n_in=4, n_units=3, batch=2, precision="float32", activation="relu")
CELL = Cell("sim", CASE, 0, 1, "warm")

PROBE_S = 4e-5
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
        """The speed probe on this machine, itself not quite steady."""
        return [PROBE_S * self.factor * (1 + 0.01 * self.random.random())]


def measured(machine: NoisyMachine, visits: int) -> Estimate:
    """What visits to one cell tell, made through the worker as the harness makes them."""
    worker = Server(clock=machine.clock, sleep=machine.clock.sleep)
    device = _Timed(machine)
    worker._kernels["sim"] = kernels.Kernel("sim", "0", "", prepare_on(device))
    worker._speed_probe = machine  # type: ignore[assignment]
    good = Measured()
    for number in range(1, visits + 1):
        machine.factor = NEIGHBOUR if machine.random.random() < 0.65 else 1.0
        asked = an_open("sim", CASE, key=number, offset=number % 64)
        opened = worker.answer(asked)
        assert isinstance(opened, messages.Opened), opened
        count = min(max(round(visit.VISIT_S / (opened.loops * opened.launch_s)), 1), visit.BLOCKS)
        told = worker.answer(messages.Measure(number, opened.loops, count))
        assert isinstance(told, messages.Times)
        worker.cells.pop(number)
        row = replace(visit.refusal(CELL, number, number, "ok", ""), device="cpu")
        good.add(row, of_visit(visit._time_blocks(number, opened.loops, told)))
    return times({CELL: good}).by_cell[CELL]


class _Timed(SimulatedDevice):
    """The machine's launches with a synchronous host's marks."""

    def __init__(self, machine: NoisyMachine) -> None:
        super().__init__(machine.clock, 0, 0)
        self.machine = machine

    def launch(self, values: NDArray[Any]) -> Pending:
        return self.machine.launch(values)


@pytest.mark.parametrize(
    ("work_ticks", "visits", "off"),
    [
        (2_000, 20, 0.005),
        (100_000, 40, 0.005),
        (10_000_000, 40, 0.005),
        (1_000_000_000, 40, 0.01),  # a visit is one launch, and each is held up
    ],
    ids=["2 us", "100 us", "10 ms", "1 s"],
)
def test_the_headline_is_true_on_a_machine_that_misbehaves(
    work_ticks: int, visits: int, off: float
) -> None:
    time = measured(NoisyMachine(work_ticks % 7, work_ticks), visits)
    truth = work_ticks * 1e-9
    assert abs(time.value - truth) <= max(off * truth, 100e-9)
    assert time.low < truth < time.high
    # without the probe it would be the neighbour's time
    assert time.as_found > 1.3 * truth
