"""The clock's rules, on clocks that do as they are told."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devices import TICK, HostClock, SimulatedDevice, step_on

import kernels
from bench.worker import timing
from kernels import Step


class Uneven(SimulatedDevice):
    """Takes another number of ticks each launch, from a list; the last one for ever."""

    def __init__(self, works: list[int]) -> None:
        super().__init__(HostClock(), 0, 0)
        self.works = iter(works)

    def launch(self, values: Any) -> Any:
        self.work_ticks = next(self.works, self.work_ticks)
        return super().launch(values)


@pytest.mark.parametrize("work", [10, 999, 4_000, 250_000, 999_999, 1_000_000, 30_000_000])
def test_a_block_lasts_a_millisecond_and_no_more_than_two(work: int) -> None:
    step = step_on(SimulatedDevice(HostClock(), work, 1))
    loops, launch_s = timing.find_loops(step, 0, 1, launch_s=1.0)
    assert loops == 1 or 1e-3 <= loops * work * TICK < 2e-3
    assert launch_s == pytest.approx(work * TICK, abs=2 * TICK)


def test_one_disturbed_block_does_not_make_the_blocks_short() -> None:
    # the second launch of all is hit by something that takes 25 ms
    step = step_on(Uneven([10_000, 25_000_000, *[10_000] * 100]))
    loops, _ = timing.find_loops(step, 0, 1, launch_s=10_000 * TICK)
    assert loops == 128


def test_a_spuriously_short_first_look_does_not_hang() -> None:
    step = step_on(SimulatedDevice(HostClock(), 2_000_000, 1))
    assert timing.find_loops(step, 0, 1, launch_s=1e-9)[0] == 1


def test_warm_up_goes_on_until_three_blocks_agree() -> None:
    device = Uneven([2_000_000, 1_800_000, 1_600_000, 1_000_000, 1_000_000, 1_000_000])
    assert timing.warm_up(step_on(device), 0, 1, device.clock) == pytest.approx(1e-3)
    assert next(device.works, None) is None


@pytest.mark.parametrize(("known_s", "blocks"), [(0.0, 6), (1e-3, 4), (2e-3, 1), (0.9e-3, 6)])
def test_a_block_as_fast_as_launches_were_before_ends_the_warm_up(
    known_s: float, blocks: int
) -> None:
    ticks = [2_000_000, 1_800_000, 1_600_000, 1_000_000, 1_000_000, 1_000_000]
    device = Uneven(ticks)
    timing.warm_up(step_on(device), 0, 1, device.clock, known_s=known_s)
    assert list(device.works) == ticks[blocks:]
    device = Uneven([1_000_000] * 9)
    device.warm_s = 5e-3  # by the clock of what is warmed up, however fast it is
    timing.warm_up(step_on(device), 0, 1, device.clock, known_s=2e-3)
    assert device.clock() >= 5e-3


def test_warm_up_lasts_as_long_as_the_device_needs() -> None:
    device = SimulatedDevice(HostClock(), 1_000_000, 1)
    device.warm_s = 0.3
    timing.warm_up(step_on(device), 0, 1, device.clock)
    assert 0.3 <= device.clock() < 0.302


def test_warm_up_of_a_restless_kernel_is_capped() -> None:
    device = Uneven([1_000_000, 2_000_000] * 1_000)
    timing.warm_up(step_on(device), 0, 1, device.clock)
    assert device.clock() < timing.WARM_CAP_S + 3e-3


class Lookup(SimulatedDevice):
    """Answers what it has seen in 10 us, and what is new in `works`, one after the other."""

    def __init__(self, *works: int) -> None:
        super().__init__(HostClock(), 0, 0)
        self.works = iter(works)
        self.last = works[-1]
        self.seen = {1.0}
        self.launches = 0

    def launch(self, values: Any) -> Any:
        new = values not in self.seen
        self.seen.add(values)
        self.launches += 1
        self.work_ticks = next(self.works, self.last) if new else 10_000
        return super().launch(values)


def test_one_who_forgets_is_believed_after_three_launches_on_new_inputs() -> None:
    device = Lookup(15_000)
    assert timing.recall(step_on(device), 1.0, 1.0) == 1.0  # type: ignore[arg-type]
    assert device.launches == 3 * 4


def test_a_long_launch_is_believed_after_one() -> None:
    class Slow(SimulatedDevice):
        launches = 0

        def launch(self, values: Any) -> Any:
            self.launches += 1
            return super().launch(values)

    device = Slow(HostClock(), 20_000_000, 10)
    assert timing.recall(step_on(device), 1.0, 1.0) == 1.0  # type: ignore[arg-type]
    assert device.launches == 4


def test_how_much_faster_a_remembered_answer_is() -> None:
    device = Lookup(400_000)
    assert timing.recall(step_on(device), 1.0, 1.0) == pytest.approx(40)  # type: ignore[arg-type]


def test_nobody_is_accused_for_new_inputs_that_were_disturbed() -> None:
    device = Lookup(*[900_000] * 8, 15_000)
    assert timing.recall(step_on(device), 1.0, 1.0) == 1.0  # type: ignore[arg-type]


class Process:
    """A process whose threads keep a core busy for a while."""

    def __init__(self, busy_s: float) -> None:
        self.now, self.cpu, self.busy_s = 0.0, 0.0, busy_s

    def sleep(self, seconds: float) -> None:
        self.cpu += min(max(self.busy_s - self.now, 0.0), seconds)
        self.now += seconds

    def settle(self, limit_s: float) -> tuple[float, bool]:
        return timing.settle(limit_s, lambda: self.cpu, lambda: self.now, self.sleep, self.starved)

    def starved(self) -> bool:
        """Whether a thread wants a core that it doesn't get."""
        return False


@pytest.mark.parametrize("busy_s", [0.0, 0.05, 0.4])
def test_threads_that_spin_are_waited_for(busy_s: float) -> None:
    waited, quiet = Process(busy_s).settle(limit_s=2.0)
    assert quiet
    assert busy_s <= waited < busy_s + 0.005


def test_threads_that_want_a_core_and_have_none_are_waited_for() -> None:
    process = Process(busy_s=0.0)
    process.starved = lambda: process.now < 0.3  # type: ignore[method-assign]
    waited, quiet = process.settle(limit_s=2.0)
    assert quiet
    assert waited >= 0.3


def test_another_thread_that_runs_is_seen(tmp_path: Path) -> None:
    for thread, state in (("7", "S"), ("8", "S"), (str(threading.get_native_id()), "R")):
        (tmp_path / thread).mkdir()
        (tmp_path / thread / "stat").write_text(f"{thread} (a (strange) name) {state} 1 2 3\n")
    assert not timing.others_ready(tmp_path)
    (tmp_path / "8" / "stat").write_text("8 (a R name) R 1 2 3\n")
    assert timing.others_ready(tmp_path)
    assert not timing.others_ready(tmp_path / "nowhere")


def test_threads_that_never_rest_are_told() -> None:
    waited, quiet = Process(busy_s=60.0).settle(limit_s=2.0)
    assert not quiet
    assert waited < 2.1


def test_no_garbage_is_collected_inside_a_block() -> None:
    import gc

    states: list[bool] = []

    def launch(x: Any) -> Any:
        states.append(gc.isenabled())

    timing.blocks(Step(launch), 0, 2, 2, lead=True)
    assert states == [False] * 5
    assert gc.isenabled()


def test_garbage_collection_is_on_again_after_a_kernel_raised() -> None:
    import gc

    def launch(x: Any) -> Any:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timing.blocks(Step(launch), 0, 2, 2, lead=True)
    assert gc.isenabled()


def test_a_lead_launch_is_not_counted() -> None:
    device = SimulatedDevice(HostClock(), 1_000, 10)
    seconds, _ = timing.blocks(step_on(device), 0, 3, 1, lead=True)
    assert round(seconds[0] * 3 / TICK) == 3_000
    seconds, _ = timing.blocks(step_on(device), 0, 3, 1, lead=False)
    assert round(seconds[0] * 3 / TICK) == 3_010  # the gap that a lead launch closes


class Lazy(kernels.Host):
    """Computes an output when it is fenced."""

    def __init__(self) -> None:
        self.computed = 0

    def launch(self, values: Any) -> list[bool]:
        return [False]

    def fence(self, out: list[bool] | None) -> None:
        if out is not None and not out[0]:
            out[0] = True
            self.computed += 1


def test_every_launch_of_a_block_is_fenced_where_a_library_may_be_lazy() -> None:
    device = Lazy()
    timing.blocks(Step(device.launch, device=device), 0, 7, 3, lead=False)
    assert device.computed == 3 * 7


def test_only_the_last_one_is_where_the_device_is_eager() -> None:
    class Eager(Lazy):
        eager = True

    device = Eager()
    timing.blocks(Step(device.launch, device=device), 0, 7, 3, lead=False)
    assert device.computed == 3


def test_cold_blocks_flush_before_each_launch_and_do_not_time_it() -> None:
    order: list[str] = []

    class Recorded(SimulatedDevice):
        def flush(self) -> None:
            order.append("flush")
            super().flush()

        def mark(self, out: Any) -> int:
            order.append("mark")
            return super().mark(out)

        def launch(self, values: Any) -> Any:
            order.append("launch")
            return super().launch(values)

    device = Recorded(HostClock(), 70_000, 10)
    seconds, _ = timing.cold_blocks(step_on(device), 0, 2)
    assert order == ["flush", "mark", "launch", "mark"] * 2
    assert [round(s / TICK) for s in seconds] == [70_000] * 2


@pytest.fixture(autouse=True)
def _collection_stays_on() -> Iterator[None]:
    import gc

    yield
    assert gc.isenabled()
