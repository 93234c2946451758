"""What a device promises, on clocks that do as they are told: who keeps it, and who doesn't."""

import random
from typing import Any

import numpy as np
import pytest
from devices import TICK, HostClock, SimulatedDevice, UnfencedDevice, step_on

import kernels
from bench.worker import device_checks
from kernels import Step


def rate(device: SimulatedDevice, launch_s: float = 1e-4) -> float:
    return device_checks.clock_rate(step_on(device), 0, launch_s, device.clock)


@pytest.mark.parametrize(("work", "launch"), [(400_000, 2_000), (10, 9_000), (30_000_000, 10)])
@pytest.mark.parametrize("launch_s", [1e-6, 1e-3])
def test_an_honest_clock_agrees(work: int, launch: int, launch_s: float) -> None:
    assert rate(SimulatedDevice(HostClock(), work, launch), launch_s) == 1.0


class Scaled(SimulatedDevice):
    """Its seconds are so many times as long."""

    def __init__(self, factor: float, work: int = 400_000) -> None:
        super().__init__(HostClock(), work, 2_000)
        self.factor = factor

    def seconds(self, start: int, stop: int) -> float:
        return self.factor * super().seconds(start, stop)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1 / 60, 0.5, 0.85, 1.05, 2.0, 1e3, 1e9])
@pytest.mark.parametrize("work", [1_000, 400_000, 50_000_000])
def test_one_in_another_unit_or_at_another_rate_does_not(factor: float, work: int) -> None:
    assert rate(Scaled(factor, work)) == pytest.approx(factor, rel=0.03)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_on_a_machine_without_a_free_core_only_what_is_undisturbed_speaks(factor: float) -> None:
    """For 3 s this process gets a core for a twentieth of the time, and never for a whole try."""

    class Starved(Scaled):
        waited = 0.0

        def fence(self, out: Any) -> None:
            super().fence(out)
            if self.clock() < 3:
                self.clock.ticks += 40_000_000
                self.waited += 0.04

    device = Starved(factor)
    seen = device_checks.clock_rate(
        step_on(device), 0, 1e-4, device.clock, waited_s=lambda: device.waited
    )
    assert seen == pytest.approx(factor, rel=0.03)


class FarAway(SimulatedDevice):
    """Every wait for it takes a while longer, as under WSL; it counts all or part of its work."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(HostClock(), 20_000, 2_000)
        self.factor = factor

    def fence(self, out: Any) -> None:
        super().fence(out)
        self.clock.ticks += 150_000

    def seconds(self, start: int, stop: int) -> float:
        seconds = self.factor * super().seconds(start, stop)
        self.clock.ticks += 150_000
        return seconds


def test_a_long_way_to_the_device_is_no_part_of_its_work() -> None:
    assert rate(FarAway(), 1e-5) == 1.0


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.75])
def test_and_no_excuse_for_work_that_is_not_counted(factor: float) -> None:
    assert rate(FarAway(factor), 1e-5) < 0.9


@pytest.mark.parametrize("seed", range(5))
def test_on_a_busy_machine_an_honest_clock_agrees_sooner_or_later(seed: int) -> None:
    chance = random.Random(seed)

    class Disturbed(SimulatedDevice):
        """Half of the time another process has the core for 4 ms before a fence returns."""

        def fence(self, out: Any) -> None:
            super().fence(out)
            self.clock.ticks += 4_000_000 * chance.randrange(2)

    assert rate(Disturbed(HostClock(), 400_000, 2_000)) == 1.0


def test_one_good_try_may_be_chance() -> None:
    class Once(Scaled):
        readings = 0

        def seconds(self, start: int, stop: int) -> float:
            self.readings += 1
            self.factor = 1.0 if self.readings == 3 else 0.6
            return super().seconds(start, stop)

    assert rate(Once(1.0, work=50_000_000)) == pytest.approx(0.6, rel=0.03)


def test_marks_that_are_passed_early_miss_the_work() -> None:
    class EarlyMarks(SimulatedDevice):
        def mark(self, out: Any) -> int:
            return self.clock.ticks

    assert rate(EarlyMarks(HostClock(), 400_000, 2_000)) == pytest.approx(2 / 402, rel=0.5)


def test_an_honest_fence_leaves_nothing_undone() -> None:
    device = SimulatedDevice(HostClock(), 400_000, 2_000)
    found = device_checks.left_undone(step_on(device), 0, 4, 4e-4, device.clock, device.clock.sleep)
    assert found == 0.0


def test_an_honest_but_slow_fetch_is_no_lie() -> None:
    class SlowFetch(SimulatedDevice):
        def read(self, out: Any) -> Any:
            self.clock.ticks += 5_000_000
            return super().read(out)

    device = SlowFetch(HostClock(), 400_000, 2_000)
    found = device_checks.left_undone(step_on(device), 0, 4, 4e-4, device.clock, device.clock.sleep)
    assert found == 0.0


@pytest.mark.parametrize("loops", [1, 8])
def test_a_fence_that_returns_early_is_found_out(loops: int) -> None:
    class Waiting(UnfencedDevice):
        def read(self, out: Any) -> Any:
            SimulatedDevice.fence(self, out)
            return super().read(out)

    device = Waiting(HostClock(), 400_000, 2_000)
    late = device_checks.left_undone(
        step_on(device), 0, loops, 2e-6, device.clock, device.clock.sleep
    )
    assert late == pytest.approx(loops * 400_000 * TICK, rel=0.01)


def not_started(device: Any) -> float:
    step = Step(device.launch, device=device)
    return device_checks.not_started(step, 0, 4e-4, device.clock)


class Lazy(SimulatedDevice):
    """Works when it is asked for an output, and on that one alone."""

    def launch(self, values: Any) -> Any:
        return [False]

    def fence(self, out: Any) -> None:
        if out is not None and not out[0]:
            out[0] = True
            self.clock.ticks += self.work_ticks


def test_a_lazy_device_that_says_it_is_eager_is_found_out() -> None:
    left = not_started(Lazy(HostClock(), 400_000, 2_000))
    assert left == pytest.approx((device_checks.KEPT - 1) * 400_000 * TICK)


def test_an_eager_one_has_started_all() -> None:
    assert not_started(SimulatedDevice(HostClock(), 400_000, 2_000)) == 0.0


class Flushing(kernels.Host):
    """Does something else in place of a flush."""

    def __init__(self, instead: Any) -> None:
        self._instead = instead

    def flush(self) -> None:
        self._instead()


@pytest.mark.parametrize(
    "instead",
    [lambda: None, lambda: np.zeros(2**26, np.uint8), lambda: np.ones(1000).sum()],
    ids=["nothing", "zeros that are never touched", "a little"],
)
def test_a_flush_that_flushes_nothing_is_seen(instead: Any) -> None:
    assert not device_checks.flushes(Flushing(instead))


def test_the_hosts_flush_is_one() -> None:
    assert device_checks.flushes(kernels.HOST)


@pytest.mark.parametrize(
    ("times", "flushes"), [((1.5, 1.4, 1.7), True), ((1.5, 1.4, 1.5, 9.0), False)]
)
def test_a_busy_machine_gets_three_tries(
    times: tuple[float, ...],
    flushes: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = iter(times)
    monkeypatch.setattr(device_checks, "_slower_after", lambda _: next(readings))
    assert device_checks.flushes(kernels.HOST) is flushes


@pytest.mark.parametrize(("flush_ticks", "flushes"), [(1_000, True), (30_000, True), (0, False)])
def test_a_flush_that_is_work_is_told_from_none_however_small_the_cache(
    flush_ticks: int,
    flushes: bool,  # noqa: FBT001
) -> None:
    """The marks alone take 5 us, as on a GPU; a small cache is flushed in a fifth of that."""

    class Small(SimulatedDevice):
        def mark(self, out: Any) -> int:
            self.clock.ticks += 5_000
            return super().mark(out)

        def flush(self) -> None:
            self.busy_until = max(self.busy_until, self.clock.ticks) + flush_ticks

    assert device_checks.flushes(Small(HostClock(), 0, 0)) is flushes
