"""kernels/_cupy.py and kernels/cupy_matmul.py, unchanged, on a double of CuPy.

This shows that their own logic is right: the order of the work, what is waited for, what is said
where there is no GPU. They ran on a double only (tests/cupy_double.py), never on a GPU.
"""

import ast
import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cupy_double
import numpy as np
import pytest
from cupy_double import COPY_NS, ELEMENTWISE_NS, HOST_NS, MATMUL_NS, MEMSET_NS, Machine

import kernels
from bench import check, inputs, timing
from bench.sweep import Case
from kernels import ACTIVATIONS, Layer, Step, Unavailable, _cupy

FOLDER = Path(kernels.__file__).parent
SOURCES = [FOLDER / name for name in ("_cupy.py", "cupy_matmul.py", "_activations.py")]

# more examples than units, so that a mix-up of the two axes can't pass
CASE = Case(n_in=6, n_units=5, batch=9, precision="float32", activation="relu")
LAUNCH_NS = MATMUL_NS + 2 * ELEMENTWISE_NS  # a product, a bias, a relu


def cdll(name: str | None, *, there: bool) -> Any:
    """ctypes.CDLL, but for the driver's library."""
    if name != "libcuda.so.1":
        return load_library(name)
    if there:
        return object()
    raise OSError("libcuda.so.1: cannot open shared object file: No such file or directory")


load_library = ctypes.CDLL


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An NVIDIA driver is there."""
    monkeypatch.setattr(ctypes, "CDLL", lambda name: cdll(name, there=True))
    _cupy.open_device.cache_clear()
    yield
    _cupy.open_device.cache_clear()


@pytest.fixture
def machine(driver: None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU, and CuPy."""
    machine = Machine()
    monkeypatch.setitem(sys.modules, "cupy", machine.cupy)
    return machine


def arrays(case: Case = CASE) -> inputs.Arrays:
    return inputs.draw(case, 0, kernels.DTYPES[case.precision])


def prepared(case: Case = CASE, device: int = 0) -> Step:
    drawn = arrays(case)
    layer = Layer(drawn.W, drawn.b, case.activation, case.precision)
    step: Step = kernels.load("cupy_matmul").prepare(layer, case.batch, device)
    return step


def nanoseconds(seconds: float) -> int:
    whole = round(seconds * 1e9)
    assert seconds == pytest.approx(whole / 1e9, rel=1e-12)
    return whole


class TestAnswers:
    """The layer's answer, once it has been waited for."""

    @pytest.mark.usefixtures("machine")
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("precision", ["float64", "float32", "float16"])
    def test_it_is_right_after_a_fence(self, activation: str, precision: str) -> None:
        case = Case(6, 5, 9, precision, activation)
        step = prepared(case)
        x = step.send(arrays(case).A_in)
        for _ in range(2):
            out = step.launch(x)
            step.device.fence(out)
            parts = inputs.expected(arrays(case), 0)
            dtype = kernels.DTYPES[precision]
            assert check.check(step.fetch(out), case, dtype, parts) < 1
        step.close()

    @pytest.mark.usefixtures("machine")
    def test_it_is_not_there_before(self) -> None:
        step = prepared()
        out = step.launch(step.send(arrays().A_in))
        assert np.isnan(step.fetch(out)).all()
        step.device.fence(out)
        assert np.isfinite(step.fetch(out)).all()

    @pytest.mark.usefixtures("machine")
    def test_it_is_there_at_the_time_of_a_later_mark(self) -> None:
        step = prepared()
        start = step.device.mark(None)
        out = step.launch(step.send(arrays().A_in))
        step.device.seconds(start, step.device.mark(out))
        assert np.isfinite(step.fetch(out)).all()

    @pytest.mark.usefixtures("machine")
    def test_the_next_launch_uses_the_same_buffer(self) -> None:
        step = prepared()
        x = step.send(arrays().A_in)
        assert step.launch(x) is step.launch(x)

    @pytest.mark.usefixtures("machine")
    def test_layers_that_are_not_contiguous_are_sent_in_c_order(self) -> None:
        drawn = arrays()
        layer = Layer(np.asfortranarray(drawn.W), drawn.b, "relu")
        step = kernels.load("cupy_matmul").prepare(layer, CASE.batch)
        out = step.launch(step.send(np.asfortranarray(drawn.A_in)))
        step.device.fence(out)
        assert check.check(step.fetch(out), CASE, np.float32, inputs.expected(drawn, 0)) < 1

    def test_a_layer_is_on_the_device_when_prepare_returns(self, machine: Machine) -> None:
        prepared()
        assert machine.stream._queue == []

    def test_nothing_is_queued_on_the_null_stream(self, machine: Machine) -> None:
        step = prepared()
        step.device.flush()
        step.device.mark(step.launch(step.send(arrays().A_in)))
        assert machine.null_stream._ends_ns == 0
        assert machine.stream is not machine.null_stream


class TestClock:
    """Marks are points in the stream's own time."""

    @pytest.mark.usefixtures("machine")
    def test_marks_around_launches_are_exactly_the_devices_work_apart(self) -> None:
        step = prepared()
        x = step.send(arrays().A_in)
        step.device.fence(None)
        step.launch(x)  # keeps the device busy, so that no gap comes between the marks
        start = step.device.mark(None)
        for _ in range(3):
            out = step.launch(x)
        stop = step.device.mark(out)
        assert nanoseconds(step.device.seconds(start, stop)) == 3 * LAUNCH_NS

    @pytest.mark.usefixtures("machine")
    def test_on_an_idle_device_the_gap_until_the_first_launch_counts(self) -> None:
        step = prepared()
        x = step.send(arrays().A_in)
        step.device.fence(None)
        start = step.device.mark(None)
        stop = step.device.mark(step.launch(x))
        assert nanoseconds(step.device.seconds(start, stop)) == HOST_NS + LAUNCH_NS

    @pytest.mark.usefixtures("machine")
    def test_the_harness_reads_the_devices_work(self) -> None:
        step = prepared()
        x = step.send(arrays().A_in)
        times, _ = timing.blocks(step, x, loops=4, count=3, lead=True)
        assert [nanoseconds(s) for s in times] == [LAUNCH_NS] * 3

    def test_a_round_trip_has_all_its_parts_on_the_hosts_clock(self, machine: Machine) -> None:
        step = prepared()
        trip = timing.round_trip(step, arrays().A_in, clock=machine.clock)
        assert nanoseconds(trip.send) == HOST_NS + COPY_NS
        assert nanoseconds(trip.launch) == 3 * HOST_NS
        assert nanoseconds(trip.latency) == HOST_NS + LAUNCH_NS
        assert nanoseconds(trip.fetch) == COPY_NS
        total = trip.send + trip.latency + trip.fetch
        assert trip.end_to_end == pytest.approx(total)

    def test_a_host_that_does_not_wait_reads_next_to_nothing(self, machine: Machine) -> None:
        # what a missing fence would report: the double can tell the difference
        step = prepared()
        x = step.send(arrays().A_in)
        step.device.fence(None)
        start = machine.now_ns
        step.launch(x)
        assert machine.now_ns - start == 3 * HOST_NS
        step.device.fence(None)
        assert machine.now_ns - start == HOST_NS + LAUNCH_NS

    def test_a_mark_that_was_not_waited_for_cannot_be_read(self, machine: Machine) -> None:
        device = prepared().device
        start, stop = device.mark(None), device.mark(None)
        with pytest.raises(RuntimeError, match="NotReady"):
            machine.cupy.cuda.get_elapsed_time(start, stop)
        assert device.seconds(start, stop) >= 0


class TestDevice:
    """A device's name, memory and caches."""

    @pytest.mark.usefixtures("machine")
    def test_its_name_says_which_it_is(self) -> None:
        assert prepared().device.name == "cuda:0 Simulated GPU at 0000:17:00.0"

    def test_another_device_is_used_where_it_is_asked_for(self, machine: Machine) -> None:
        machine.devices = 2
        assert prepared(device=1).device.name == "cuda:1 Simulated GPU at 0000:18:00.0"
        assert machine.device == 1

    @pytest.mark.usefixtures("machine")
    def test_its_clocks_get_time_to_settle(self) -> None:
        assert prepared().device.warm_s >= 0.1

    @pytest.mark.usefixtures("machine")
    def test_kernels_on_one_device_share_its_stream(self) -> None:
        assert prepared().device is prepared().device

    def test_free_memory_is_the_drivers_and_the_pools(self, machine: Machine) -> None:
        device = prepared().device
        machine.free, machine.unused = 1000, 234
        assert device.free_bytes() == 1234

    def test_memory_that_is_let_go_can_be_had_again(self, machine: Machine) -> None:
        step = prepared()
        device, free = step.device, step.device.free_bytes()
        del step
        assert device.free_bytes() > free

    def test_release_hands_all_unused_memory_back(self, machine: Machine) -> None:
        device = prepared().device
        device.flush()
        device.fence(None)
        assert machine.unused > 0
        assert machine.pinned_unused > 0
        device.release()
        assert machine.unused == machine.pinned_unused == 0
        assert machine.free == 2**30  # the eviction buffer, too

    def test_flush_overwrites_as_much_as_the_l2_cache_holds_in_order(
        self, machine: Machine
    ) -> None:
        device = prepared().device
        device.fence(None)
        for _ in range(2):
            free = machine.free + machine.unused
            start = device.mark(None)
            device.flush()
            took = device.seconds(start, device.mark(None))
            assert nanoseconds(took) == HOST_NS + MEMSET_NS
        assert machine.free + machine.unused == free  # the second used the first one's buffer
        buffer = device._eviction_buffer  # type: ignore[attr-defined]
        assert buffer.nbytes == 4096
        assert not buffer._values.any()

    def test_flush_works_again_after_release(self, machine: Machine) -> None:
        device = prepared().device
        for _ in range(2):
            device.flush()
            device.release()
            device.fence(None)
        assert machine.free + machine.unused == 2**30


NOT_INSTALLED = (
    "CuPy is not installed: .venv/bin/python -m pip install 'cupy-cuda13x[ctk]' for driver 580 "
    "or newer and compute capability 7.5 or newer, else 'cupy-cuda12x[ctk]'"
)


def reason(device: int = 0) -> str:
    with pytest.raises(Unavailable) as caught:
        prepared(device=device)
    return str(caught.value)


class TestUnavailable:
    """Where the kernel can't run, the reason is said."""

    @pytest.fixture(autouse=True)
    def forget(self) -> Iterator[None]:
        _cupy.open_device.cache_clear()
        yield
        _cupy.open_device.cache_clear()

    def test_without_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ctypes, "CDLL", lambda name: cdll(name, there=False))
        assert reason() == "no NVIDIA driver on this machine (libcuda.so.1 is not there)"

    @pytest.mark.usefixtures("driver")
    def test_without_cupy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cupy", None)
        assert reason() == NOT_INSTALLED

    @pytest.mark.usefixtures("driver")
    @pytest.mark.parametrize(
        "text", ["libcublas.so.13: cannot open shared object file", "No module named 'fastrlock'"]
    )
    def test_with_a_cupy_that_cannot_be_imported(
        self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "cupy.py").write_text(f"raise ImportError({text!r})", encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "cupy", raising=False)
        assert reason() == f"CuPy can't be imported: {text}"

    @pytest.mark.parametrize(("count", "device"), [(1, 1), (2, 7), (0, 0)])
    def test_without_such_a_device(self, count: int, device: int, machine: Machine) -> None:
        machine.devices = count
        assert reason(device) == f"no CUDA device {device}: this machine has {count}"

    @pytest.mark.parametrize("failing", ["getDeviceCount", "getDeviceProperties"])
    def test_with_a_driver_that_refuses(
        self, failing: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = "cudaErrorInsufficientDriver: CUDA driver version is insufficient"
        monkeypatch.setattr(machine.cupy.cuda.runtime, failing, raising(RuntimeError(said)))
        assert reason() == f"CUDA device 0 doesn't work: {said}"

    @pytest.mark.parametrize(
        ("failing", "error"),
        [
            ("matmul", RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED")),
            ("matmul", ImportError("libcublas.so.13: cannot open shared object file")),
            ("maximum", RuntimeError("Failed to find CUDA headers")),
        ],
        ids=str,
    )
    def test_with_a_cuda_that_fails_at_the_first_product_or_operation(
        self,
        failing: str,
        error: Exception,
        machine: Machine,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(machine.cupy, failing, raising(error))
        assert reason() == f"CUDA device 0 doesn't work: {error}"

    def test_with_a_cuda_that_fails_when_the_work_is_waited_for(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = "cudaErrorIllegalAddress: an illegal memory access was encountered"
        monkeypatch.setattr(cupy_double.Stream, "synchronize", raising(RuntimeError(said)))
        assert reason() == f"CUDA device 0 doesn't work: {said}"

    def test_a_device_that_works_again_is_found(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as trouble:
            trouble.setattr(machine.cupy, "matmul", raising(RuntimeError("busy")))
            reason()
        assert prepared().device.name.startswith("cuda:0 ")


def raising(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


class TestMemory:
    """Too little memory is another matter than no GPU: the harness has a status for it."""

    def test_too_little_for_the_proof_passes_through(self, machine: Machine) -> None:
        machine.free = 0
        with pytest.raises(MemoryError):
            prepared()

    def test_too_little_for_the_layer_passes_through(self, machine: Machine) -> None:
        prepared()
        machine.free = machine.unused = 0
        with pytest.raises(MemoryError, match="Out of memory allocating"):
            prepared()


class TestDouble:
    """The double is no wider than what it stands for."""

    def test_it_offers_nothing_that_the_kernels_do_not_use(self) -> None:
        used = {
            node.attr
            for path in SOURCES
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        machine = Machine()
        cupy, stream = machine.cupy, machine.stream
        array = cupy.empty(1, "float32")
        offered = {
            name
            for thing in (
                *(cupy, cupy.cuda, cupy.cuda.runtime, cupy.cuda.Device(0), cupy.cuda.Event()),
                *(stream, array, array.data, cupy.get_default_memory_pool()),
            )
            for name in dir(thing)
            if not name.startswith("_")
        }
        assert offered - used == set()

    def test_no_operation_of_numpy_passes_for_one_of_the_devices(self) -> None:
        device_array = Machine().cupy.ones((2, 2), "float32")
        operations: list[Callable[[Any], Any]] = [
            lambda a: a + 1,
            lambda a: np.ones((2, 2)) @ a,
            lambda a: a.sum(),
        ]
        for operation in operations:
            with pytest.raises((TypeError, ValueError, AttributeError)):
                operation(device_array)
