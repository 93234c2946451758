"""Clocks side by side: each on a double of its library, and what is said where there is none."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cupy_double
import pytest
from cupy_double import HOST_NS, MATMUL_NS, Machine

from bench.plan.case import Case
from bench.studies import clocks
from bench.worker.server import Server
from kernels import _cupy

CASE = Case(6, 5, 9, "float32", "relu")
LAUNCH_S = (MATMUL_NS + 2 * cupy_double.ELEMENTWISE_NS) / 1e9


class Event(cupy_double.Event):
    """PyTorch's."""

    def elapsed_time(self, stop: "Event") -> float:
        return self._machine.cupy.cuda.get_elapsed_time(self, stop)


def own_stream(machine: Machine, pointer: int) -> cupy_double.Stream:
    """The stream of that address: a clock on another one would see nothing."""
    (stream,) = (stream for stream in machine.streams if id(stream) == pointer)
    return stream


class NvBench:
    """cuda.bench: a benchmark is run as it is registered, the results are a file."""

    def __init__(self, machine: Machine, tags: tuple[str, ...]) -> None:
        self._machine = machine
        self._tags = tags
        self._registered: list[Callable[[Any], None]] = []
        self._mean_s = 0.0

    def register(self, function: Callable[[Any], None]) -> None:
        self._registered.append(function)

    def set_stream(self, stream: Any) -> None:
        self._stream = own_stream(self._machine, stream.__cuda_stream__()[1])

    def exec(self, launcher: Callable[[Any], Any]) -> None:
        first, last = (cupy_double.Event(self._machine) for _ in range(2))
        first.record(self._stream)
        for _ in range(100):
            launcher(None)
        last.record(self._stream)
        last.synchronize()
        self._mean_s = self._machine.cupy.cuda.get_elapsed_time(first, last) / 1e3 / 100

    def run_all_benchmarks(self, arguments: list[str]) -> None:
        (function,) = self._registered
        function(self)
        data = [{"name": "value", "type": "float64", "value": str(self._mean_s)}]
        summaries = [{"tag": tag, "data": data} for tag in self._tags]
        state = {"summaries": summaries, "skip_reason": "too quick"}
        text = json.dumps({"benchmarks": [{"states": [state]}]})
        Path(arguments[arguments.index("--json") + 1]).write_text(text, encoding="utf-8")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    _cupy.proved.cache_clear()
    monkeypatch.setattr(_cupy.CudaDevice, "warm_s", 0.0)
    on_its_clock = partial(Server, clock=machine.clock, sleep=machine.sleep)
    monkeypatch.setattr(clocks, "Server", on_its_clock)
    for name, module in machine.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("ctypes.CDLL", lambda name: name)
    cuda = SimpleNamespace(
        Event=lambda *, enable_timing: Event(machine),
        ExternalStream=lambda pointer: own_stream(machine, pointer),
        stream=nullcontext,
    )

    def timed(launch: Callable[[], Any], *, return_mode: str) -> float:
        assert return_mode == "median"
        before = machine.now_ns
        launch()
        machine.cupy.cuda.Device(0).synchronize()
        return (machine.now_ns - before) / 1e6

    both = ("nv/batch/time/gpu/mean", "nv/cold/time/gpu/mean")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "triton.testing", SimpleNamespace(do_bench=timed))
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "cuda.bench", NvBench(machine, both))
    return machine


@pytest.mark.parametrize("clock", [name for name in clocks.CLOCKS if name != "host's clock"])
def test_each_reads_the_devices_work(clock: str, machine: Machine) -> None:
    del machine
    reading = clocks.reading(clock, "cupy_matmul", CASE)
    assert reading.why == ""
    assert reading.seconds == pytest.approx(LAUNCH_S, abs=10 * HOST_NS / 1e9)


def test_what_nvbench_skipped_is_no_time(machine: Machine, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bench", NvBench(machine, ()))
    reading = clocks.reading("nvbench, cold", "cupy_matmul", CASE)
    assert (reading.seconds, reading.why) == (
        None,
        "nvbench gave no nv/cold/time/gpu/mean: too quick",
    )


@pytest.mark.parametrize(
    ("clock", "library"),
    [
        ("PyTorch's events", "torch"),
        ("Triton's do_bench", "triton.testing"),
        ("nvbench, batch", "cuda.bench"),
    ],
)
def test_a_library_that_is_not_there_is_named(
    clock: str, library: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    del machine
    monkeypatch.setitem(sys.modules, library, None)
    reading = clocks.reading(clock, "cupy_matmul", CASE)
    assert reading.seconds is None
    assert reading.why.startswith(f"{library} can't be imported")


def test_a_kernel_without_a_stream_and_one_that_is_refused_say_so() -> None:
    reading = clocks.reading("nvbench, batch", "numpy_matmul", CASE)
    assert reading.why == "cpu has no CUDA stream"
    reading = clocks.reading("harness", "numpy_matmul", Case(6, 5, 9, "tf32", "relu"))
    assert reading.why.startswith("unsupported: ")


def test_side_by_side_on_the_cpu_each_in_a_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ("harness", "nvbench, batch")
    monkeypatch.setattr(clocks, "CLOCKS", {name: clocks.CLOCKS[name] for name in chosen})
    clocks.main("numpy_matmul", "8", "8", "2")
    title, _, _, *rows = capsys.readouterr().out.splitlines()
    assert title == "numpy_matmul 8x8 batch 2, float32:"
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in chosen]
    assert " µs | 1.000 | " in rows[0]
    assert rows[1].endswith(" | no time |  | cpu has no CUDA stream |")


def test_a_clock_that_never_answers_is_ended() -> None:
    reading = clocks.apart("harness", "numpy_matmul", CASE, limit_s=0.01)
    assert reading == clocks.Reading("harness", None, "gave no answer in 0.01 s")


def test_a_clock_that_breaks_says_its_last_line() -> None:
    assert "KeyError" in clocks.apart("sundial", "numpy_matmul", CASE).why
