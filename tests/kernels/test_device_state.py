"""What a device was doing while a cell ran: NVML's words, and when the harness looks."""

import gc
import inspect
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from asked import an_open
from devices import TICK, Board, HostClock, prepare_on

import kernels
from bench.data.records import THROTTLES
from bench.measure.visit import TRIPS_S, VISIT_S, _device_columns
from bench.plan.case import Case
from bench.worker import device_checks, messages, timing
from bench.worker.server import Server
from kernels import DeviceState, Step, _nvml

BUS = "0000:17:00.0"


class NVMLError(Exception):
    """As pynvml's."""


class Nvml:
    """A double of pynvml with one device; every name that it has is pynvml's."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVMLError = NVMLError

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"sm": 1980, "mem": 2619, "gpu": 64, "mw": 698_250, "why": 0}
        self.answers["mj"] = 12_345_678
        self.library = True
        self.users: list[Any] | None = None  # what each process used
        self.listed = [os.getpid()]

    def _answer(self, name: str) -> int:
        if (answer := self.answers.get(name)) is None:
            raise NVMLError("Not Supported")
        return int(answer)

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's names
        if not self.library:
            raise NVMLError("NVML Shared Library Not Found")

    def nvmlDeviceGetHandleByPciBusId(self, pciBusId: str) -> str:  # noqa: N802
        if pciBusId != BUS:
            raise NVMLError("Not Found")
        return "the device"

    def nvmlDeviceGetClockInfo(self, handle: str, type: int) -> int:  # noqa: A002, N802
        return self._answer({self.NVML_CLOCK_SM: "sm", self.NVML_CLOCK_MEM: "mem"}[type])

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._answer("gpu")

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return self._answer("mw")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        return self._answer("mj")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return self._answer("why")

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid) for pid in self.listed]

    def nvmlDeviceGetProcessUtilization(self, handle: str, timeStamp: int) -> list[Any]:  # noqa: N802
        if self.users is None:
            raise NVMLError("Not Found")
        assert abs(time.time() - timeStamp / 1e6 - _nvml.WINDOW_S) < 60
        return [SimpleNamespace(pid=pid, smUtil=used) for pid, used in self.users]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    double = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", double)
    return double


def state_of(bus: str = BUS) -> DeviceState:
    monitor = _nvml.monitor(bus)
    assert monitor is not None
    return monitor.state()


class TestNvml:
    """kernels/_nvml.py on a double of pynvml."""

    @pytest.mark.usefixtures("nvml")
    def test_clocks_temperature_and_watts(self) -> None:
        assert state_of() == DeviceState(1980.0, 2619.0, 64.0, 698.25, ())

    @pytest.mark.parametrize(
        ("bits", "words"),
        [
            (0x00, ()),
            (0x01, ()),  # idle
            (0x02, ()),  # clocks that somebody set
            (0x112, ()),
            (0x04, ("power cap",)),
            (0x08, ("hardware slowdown",)),
            (0x20, ("too warm, says the driver",)),
            (0x40, ("too warm, says the hardware",)),
            (0x80, ("power brake",)),
            (0x05, ("power cap",)),
            (0x48, ("hardware slowdown", "too warm, says the hardware")),
        ],
    )
    def test_what_holds_the_clock_back_is_said_in_words(
        self, nvml: Nvml, bits: int, words: tuple[str, ...]
    ) -> None:
        nvml.answers["why"] = bits
        assert state_of().throttled == words

    def test_a_card_that_does_not_tell_everything_tells_the_rest(self, nvml: Nvml) -> None:
        nvml.answers |= {"mw": None, "why": None, "mem": None}
        assert state_of() == DeviceState(1980.0, None, 64.0, None, ())

    def test_what_each_process_used_is_told_and_asked_for_once_a_second(
        self, nvml: Nvml, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        clocks = SimpleNamespace(monotonic=lambda: now, time=time.time)
        monkeypatch.setattr(_nvml, "time", clocks)
        monitor = _nvml.monitor(BUS)
        assert monitor is not None
        assert monitor.state().users is None
        nvml.users = [(os.getpid(), 80), (17, 12), (18, 2**31)]
        assert monitor.state().users is None
        now += _nvml.WINDOW_S
        assert monitor.state().users == {os.getpid(): 0.8, 17: 0.12}
        nvml.listed, now = [17], now + _nvml.WINDOW_S  # a container with numbers of its own
        assert monitor.state().users is None

    def test_energy_is_told_in_joules_where_the_card_tells_it(self, nvml: Nvml) -> None:
        monitor = _nvml.monitor(BUS)
        assert monitor is not None
        assert monitor.joules() == 12_345.678
        nvml.answers["mj"] = None
        assert monitor.joules() is None

    def test_a_device_is_found_by_its_bus_id_and_by_nothing_else(self, nvml: Nvml) -> None:
        assert _nvml.monitor(BUS) is not None
        assert _nvml.monitor("0000:18:00.0") is None

    def test_without_the_drivers_library_there_is_no_monitor(self, nvml: Nvml) -> None:
        nvml.library = False
        assert _nvml.monitor(BUS) is None

    def test_without_the_module_there_is_no_monitor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        assert _nvml.monitor(BUS) is None

    def test_the_double_has_pynvmls_names_values_and_parameters(self) -> None:
        pynvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
        for name in (name for name in vars(Nvml) if name.lower().startswith("nvml")):
            ours, theirs = getattr(Nvml, name), getattr(pynvml, name)
            if inspect.isfunction(ours):
                # NVML's decorator hides the parameters of a function, not their number
                real = inspect.signature(inspect.unwrap(theirs)).parameters
                assert len(inspect.signature(ours).parameters) - 1 == len(real), name
            elif not inspect.isclass(ours):
                assert ours == theirs, name
        assert issubclass(pynvml.NVMLError, Exception)

    def test_the_reasons_are_nvmls_bits(self) -> None:
        pynvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
        benign = (
            pynvml.nvmlClocksEventReasonGpuIdle
            | pynvml.nvmlClocksEventReasonApplicationsClocksSetting
            | pynvml.nvmlClocksEventReasonSyncBoost
            | pynvml.nvmlClocksEventReasonDisplayClockSetting
        )
        assert sum(_nvml.REASONS) == pynvml.nvmlClocksEventReasonAll & ~benign


ASK = (
    "import sys; from kernels import _nvml; m = _nvml.monitor(sys.argv[1]); print(m and m.state())"
)


@pytest.mark.usefixtures("stub_driver")
class TestRealModule:
    """The same with the real pynvml, on a stub of NVML's library (tests/doubles/stub_nvml.c)."""

    def asked(self, bus: str) -> str:
        pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
        command = [sys.executable, "-c", ASK, bus]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def test_all_that_it_tells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_REASONS", "0x45")
        reasons = ("power cap", "too warm, says the hardware")
        assert self.asked(BUS) == str(DeviceState(1980.0, 2619.0, 71.0, 698.25, reasons))

    def test_what_a_card_lacks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_LACKS", "nvmlDeviceGetPowerUsage")
        assert self.asked(BUS) == str(DeviceState(1980.0, 2619.0, 71.0, None, ()))

    def test_another_bus_id_and_a_library_in_trouble(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.asked("0000:18:00.0") == "None"
        monkeypatch.setenv("STUB_LACKS", "nvmlInitWithFlags")
        assert self.asked(BUS) == "None"


def board(work_ticks: int = 1_000_000) -> Board:
    return Board(HostClock(), work_ticks, launch_ticks=2_000)


def step_on(device: Board) -> Step:
    return Step(device.launch, fetch=device.read, device=device)


class TestWhen:
    """A device is looked at under load, and no time counts what looking costs."""

    def test_blocks_look_once_with_work_queued(self) -> None:
        device = board()
        timing.blocks(step_on(device), 0, 4, 3, lead=True, meanwhile=lambda: look(device))
        assert device.looks == [True]

    def test_cold_blocks_look_once_at_the_last_launch(self) -> None:
        device = board()
        timing.cold_blocks(step_on(device), 0, 3, meanwhile=lambda: look(device))
        assert device.looks == [True]
        assert device.flushes == 3

    @pytest.mark.parametrize("slow", [0, 50_000_000])
    def test_a_slow_look_changes_no_time(self, slow: int) -> None:
        device = board()
        device.look_ticks = slow
        seconds, _ = timing.blocks(
            step_on(device), 0, 4, 3, lead=True, meanwhile=lambda: look(device)
        )
        assert seconds == pytest.approx([1e-3] * 3)
        (*_, last), _ = timing.cold_blocks(step_on(device), 0, 2, meanwhile=lambda: look(device))
        assert last == pytest.approx(1e-3, abs=3 * device.launch_ticks * TICK)


def look(device: Board) -> None:
    device.state()


CASE = Case(24, 16, 8, "float32", "relu")


def worker_on(device: Any, monkeypatch: pytest.MonkeyPatch) -> Server:
    kernel = kernels.Kernel("board", "0" * 12, "", prepare_on(device))
    monkeypatch.setattr(kernels, "load", lambda name: kernel)
    return Server(clock=device.clock, sleep=device.clock.sleep)


def opened(worker: Server, request: messages.Open) -> messages.Opened:
    reply = worker.answer(request)
    assert isinstance(reply, messages.Opened), reply
    return reply


def measured(worker: Server, loops: int = 4) -> messages.Times:
    reply = worker.answer(messages.Measure(1, loops, 3))
    assert isinstance(reply, messages.Times), reply
    return reply


class TestWorker:
    """The state's way from a device to a row."""

    @pytest.mark.parametrize("cache", ["warm", "cold"])
    def test_a_device_that_tells_its_state_is_asked_under_load(
        self, monkeypatch: pytest.MonkeyPatch, cache: str
    ) -> None:
        device = board()
        device.held_back = ("power cap",)
        device.users = {os.getpid(): 0.75, 1: 0.25}
        worker = worker_on(device, monkeypatch)
        opened(worker, an_open("board", CASE, cache=cache))
        assert measured(worker).state == messages.DeviceState(
            1500.0, 900.0, 61.0, 250.5, ("power cap",), 0.25
        )
        assert device.looks == [True]

    def test_looking_is_no_reason_to_doubt_the_marks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        doubts: list[float] = []
        device = board()
        device.look_ticks = 10**9
        worker = worker_on(device, monkeypatch)

        def agrees(*_: Any) -> float:
            doubts.append(0.0)
            return 1.0

        opened(worker, an_open("board", CASE))
        monkeypatch.setattr(device_checks, "clock_rate", agrees)
        measured(worker)
        assert not doubts

    def test_the_cpu_has_no_state(self) -> None:
        worker = Server()
        opened(worker, an_open("numpy_matmul", CASE))
        assert measured(worker).state is None

    def test_a_row_has_the_state_in_its_columns(self) -> None:
        told = _device_columns(
            messages.DeviceState(1500.0, None, 61.0, 250.5, ("power cap", "power brake"))
        )
        assert told == {
            "device_mhz": 1500.0,
            "device_memory_mhz": None,
            "device_celsius": 61.0,
            "device_watts": 250.5,
            "device_others": None,
            "device_throttled": ("power cap", "power brake"),
        }
        assert _device_columns(None) == {}

    def test_the_words_of_a_row_are_known_ones(self) -> None:
        assert set(_nvml.REASONS.values()) < set(THROTTLES)
        state = messages.DeviceState(1500.0, None, 61.0, 250.5, ("power cap", "a; b", "moon"))
        assert _device_columns(state)["device_throttled"] == ("power cap", "other")

    def test_a_number_that_the_file_may_not_hold_is_left_out(self) -> None:
        told = _device_columns(messages.DeviceState(1e300, -1.0, -300.0, float("inf"), ()))
        assert set(told.values()) == {None, ()}


class TestWarmUp:
    """A device that has just worked is warm."""

    def warmed(
        self, monkeypatch: pytest.MonkeyPatch, rested_s: float | None, first: Callable[..., Any]
    ) -> float:
        device = board()
        device.warm_s = 0.3
        worker = worker_on(device, monkeypatch)
        first(device)
        start = device.clock()
        opened(worker, an_open("board", CASE, rested_s=rested_s))
        return device.clock() - start

    def test_it_warms_up_for_as_long_as_it_rested(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nothing(_: Board) -> None:
            pass

        unknown = self.warmed(monkeypatch, None, nothing)
        long_ago = self.warmed(monkeypatch, 60.0, nothing)
        just_now = self.warmed(monkeypatch, 0.05, nothing)
        assert unknown == long_ago
        assert 0.3 <= long_ago < 0.35
        assert 0.05 <= just_now < 0.1

    def test_never_for_less_than_three_blocks(self) -> None:
        device = board()
        device.warm_s = 0.3
        timing.warm_up(step_on(device), 0, 1, device.clock, timing.Rest(0.0))
        assert device.clock() == pytest.approx(3e-3, rel=0.1)


def warm_up_launches(
    mhz: Callable[[float], float | None],
    monkeypatch: pytest.MonkeyPatch,
    load_mhz: float | None = 1980.0,
    rested_s: float = 0.1,
) -> int:
    """How many launches of a millisecond a visit spends on warming up alone."""
    device = board()
    device.warm_s = 0.3
    device.mhz = mhz
    worker = worker_on(device, monkeypatch)
    spent: list[int] = []
    warm_up = timing.warm_up

    def counted(*given: Any) -> float:
        before = device.launches
        seconds = warm_up(*given)
        spent.append(device.launches - before)
        return seconds

    monkeypatch.setattr(timing, "warm_up", counted)
    opened(worker, an_open("board", CASE, rested_s=rested_s, load_mhz=load_mhz))
    return sum(spent)


class TestWarmUpByItsClock:
    """A device that tells its clock warms up until that is what it is under load."""

    def test_a_clock_that_stands_where_it_is_under_load_needs_no_launch(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert warm_up_launches(lambda _: 1980.0, monkeypatch) == 0

    def test_a_clock_that_rises_is_waited_for_and_no_longer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def rising(worked_s: float) -> float:
            return min(345.0 + 40_000 * worked_s, 1980.0)

        launches = warm_up_launches(rising, monkeypatch, rested_s=60.0)
        assert 30 <= launches <= 50  # it is there after 41 ms

    def test_a_clock_that_falls_under_load_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def falling(worked_s: float) -> float:
            return max(1980.0 - 5_000 * worked_s, 1500.0)

        # longer than it rested: it falls only while there is load
        launches = warm_up_launches(falling, monkeypatch, load_mhz=1500.0, rested_s=0.01)
        assert 70 <= launches <= 100  # within 3 % after 87 ms

    def test_a_clock_that_never_comes_there_is_given_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert 290 <= warm_up_launches(lambda _: 1200.0, monkeypatch, rested_s=60.0) <= 310
        assert 290 <= warm_up_launches(lambda _: 2500.0, monkeypatch) <= 310

    @pytest.mark.parametrize(("mhz", "load_mhz"), [(None, 1980.0), (1980.0, None)])
    def test_where_a_clock_is_not_known_time_decides(
        self, mhz: float | None, load_mhz: float | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert 95 <= warm_up_launches(lambda _: mhz, monkeypatch, load_mhz=load_mhz) <= 105

    @pytest.mark.parametrize("work_ticks", [5_000, 20_000, 200_000, 1_000_000])
    def test_at_least_half_of_a_visit_measures(
        self, work_ticks: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On the simulated clock: what Python and the operating system need comes on top."""
        device = board(work_ticks)
        device.warm_s = 0.3
        device.look_ticks = 500_000
        worker = worker_on(device, monkeypatch)
        monkeypatch.setattr(device_checks, "clock_rate", lambda *_: 1.0)  # a first visit's alone
        known_s = work_ticks * TICK
        start = device.clock()
        loops = opened(
            worker, an_open("board", CASE, rested_s=0.08, load_mhz=1500.0, launch_s=known_s)
        ).loops
        blocks = max(round(VISIT_S / (loops * known_s)), 1)
        times = worker.answer(messages.Measure(1, loops, blocks))
        assert isinstance(times, messages.Times)
        trips = min(max(round(TRIPS_S / known_s), 1), 3)
        assert isinstance(worker.answer(messages.RoundTrips(1, trips)), messages.Trips)
        assert isinstance(worker.answer(messages.Close(1)), messages.Closed)
        share = loops * sum(times.seconds) / (device.clock() - start)
        assert share >= 0.5, f"{share:.0%} of the visit's time was measured"


def test_the_contract_leaves_state_and_ceilings_to_those_who_have_them() -> None:
    assert not isinstance(kernels.HOST, kernels.Watched)
    assert not isinstance(kernels.HOST, kernels.Rated)
    assert isinstance(board(), kernels.Watched)
    assert isinstance(board(), kernels.Rated)
    assert np.isfinite(board().warm_s)


def test_what_a_kernel_imported_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyTorch's objects were after each visit, for 40 ms; cycles are freed all the same."""
    device = board()
    alive: list[weakref.ref[Any]] = []
    libraries: list[list[Any]] = []

    class Node:
        def __init__(self) -> None:
            self.itself = self
            alive.append(weakref.ref(self))

    def prepare(layer: kernels.Layer, batch: int, device_index: int = 0) -> Step:
        if not libraries:
            libraries.append([[] for _ in range(10_000)])
        Node()
        return prepare_on(device)(layer, batch)

    kernel = kernels.Kernel("board", "0" * 12, "", prepare)
    monkeypatch.setattr(kernels, "load", lambda name: kernel)
    worker = Server(clock=device.clock, sleep=device.clock.sleep)
    try:
        for visit in range(2):
            opened(worker, an_open("board", CASE))
            assert isinstance(worker.answer(messages.Close(1)), messages.Closed)
            assert [node() for node in alive] == [None] * (visit + 1)
            tracked = {id(thing) for thing in gc.get_objects()}
            assert not any(id(thing) in tracked for thing in libraries[0])
    finally:
        gc.unfreeze()
