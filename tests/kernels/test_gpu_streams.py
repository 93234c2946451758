"""Streams and switches of a GPU's library, on the double of CuPy: held, put back, and no way out.

All of it ran on a double only (tests/doubles/cupy_double.py), never on a GPU.
"""

from collections.abc import Callable
from typing import Any

import cupy_double
import device_cheats
import numpy as np
import pytest
from asked import an_open, judged, visit
from cupy_double import MATMUL_NS, TF32, Machine
from device_cheats import Parts

import kernels
from bench.plan.case import Case
from bench.worker import cheat_checks, device_peaks, messages
from bench.worker.server import Server
from bench.worker.streams import fence_all
from kernels import Layer, Step, _cupy

CASE = Case(6, 5, 9, "float32", "relu")


def worker_with(machine: Machine, prepare: Callable[..., Step]) -> Server:
    worker = Server(clock=machine.clock, sleep=machine.sleep)
    worker._kernels["k"] = kernels.Kernel("k", "0" * 12, "", prepare)
    return worker


def visited(worker: Server, kernel: str = "k", cache: str = "warm") -> messages.Reply:
    """A whole visit -> the reply that ended it."""
    return visit(worker, an_open(kernel, CASE, cache=cache))


class TestCurrentStream:
    """CuPy's current stream is the device's own, whatever else was current for a while."""

    def test_after_a_with_block_of_another_it_is_current_again(self, machine: Machine) -> None:
        gpu = _cupy.open_device(0)
        with machine.cupy.cuda.Stream(non_blocking=True):
            assert machine.stream is not gpu.stream
        assert machine.stream is gpu.stream

    def test_a_kernel_that_makes_another_current_leaves_the_next_one_the_right_one(
        self, machine: Machine
    ) -> None:
        def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
            parts = Parts(layer, batch, device)

            def close() -> None:
                parts.cupy.cuda.Stream(non_blocking=True).use()

            return parts.step(parts.compute, close=close)

        worker = worker_with(machine, prepare)
        assert isinstance(visited(worker), messages.Closed)
        assert isinstance(visited(worker, "cupy_matmul"), messages.Closed)
        assert machine.stream is _cupy.open_device(0).stream

    def test_a_ceiling_is_measured_on_the_devices_own_stream(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(device_peaks, "SIZES", (256,))
        monkeypatch.setattr(device_peaks, "TAKE_S", 1e-3)
        monkeypatch.setattr(_cupy.CudaDevice, "warm_s", 0.0)
        monkeypatch.setattr(cupy_double, "MATMUL_NS", 1)

        def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
            step = device_cheats.honest(layer, batch, device)
            machine.cupy.cuda.Stream(non_blocking=True).use()
            return step

        machine.flop_per_ns = 2_000  # 2.56e12 a second are stated
        reply = worker_with(machine, prepare).answer(messages.AskPeaks("k", "float32", 0))
        assert isinstance(reply, messages.DevicePeaks)
        assert reply.peaks.measured_flop_per_s == pytest.approx(2e12, rel=0.01)


def set_tf32(machine: Machine) -> None:
    machine.float32 = TF32


def set_limit(machine: Machine) -> None:
    machine.limit = 2**20


def set_device(machine: Machine) -> None:
    machine.device = 1


def set_math_mode(machine: Machine) -> None:
    machine.math_mode = 3


CHANGES = {
    "TF32": (set_tf32, "the arithmetic of CuPy's float32 products"),
    "limit": (set_limit, "the limit of CuPy's memory pool from 0 to 1048576"),
    "device": (set_device, "CUDA's current device from 0 to 1"),
}


class TestSwitches:
    """A kernel that turns a switch of the library is an error that names it; it is turned back."""

    @pytest.mark.parametrize("when", ["in prepare", "while it ran"])
    @pytest.mark.parametrize("what", CHANGES)
    def test_it_is_named_and_turned_back(self, what: str, when: str, machine: Machine) -> None:
        change, words = CHANGES[what]
        machine.devices = 2

        def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
            parts = Parts(layer, batch, device)
            if when == "in prepare":
                change(machine)

            def fetch(out: Any) -> Any:
                change(machine)
                return parts.bus.fetch(out)

            return parts.step(parts.compute, fetch=fetch)

        reply = visited(worker_with(machine, prepare))
        assert isinstance(reply, messages.Refused)
        assert (reply.status, reply.reason) == ("error", f"it changed {words} {when}")
        assert (machine.float32, machine.limit, machine.device) == (1, None, 0)

    def test_cublas_math_mode_is_put_back(self, machine: Machine) -> None:
        gpu = _cupy.open_device(0)
        set_math_mode(machine)
        assert gpu.restore() == ""
        assert machine.math_mode == 0

    def test_tf32_for_its_own_products_is_no_change(self, machine: Machine) -> None:
        worker = worker_with(machine, device_cheats.honest)
        request = an_open("cupy_matmul", Case(64, 64, 16, "tf32", "relu"))
        assert isinstance(worker.answer(request), messages.Opened)
        assert isinstance(worker.answer(messages.Close(1)), messages.Closed)


def times_nothing(layer: Layer, batch: int, device: int = 0) -> Step:
    """Reads what its output held, times 0, as a product does that is added to nothing."""
    parts = Parts(layer, batch, device)

    def launch(A_in: Any) -> Any:
        out = parts.out
        held = out._values
        parts.gpu.stream._add(0, lambda: np.multiply(held, 0, out=held), out)
        kept = machine_copy(parts, out)
        parts.compute(A_in)
        return parts.cupy.add(out, kept, out=out)

    return parts.step(launch)


def machine_copy(parts: Parts, array: Any) -> Any:
    copy = parts.cupy.empty(array.shape, array.dtype)
    copy.data.copy_from_device_async(array.data, array.nbytes, parts.gpu.stream)
    return copy


def two_buffers(layer: Layer, batch: int, device: int = 0) -> Step:
    """Writes into one buffer and into the other in turn."""
    parts = Parts(layer, batch, device)
    buffers = [parts.out, parts.cupy.empty(parts.out.shape, parts.out.dtype)]

    def launch(A_in: Any) -> Any:
        parts.out = buffers[0]
        buffers.reverse()
        return parts.compute(A_in)

    return parts.step(launch)


def answer_on_the_host(layer: Layer, batch: int, device: int = 0) -> Step:
    """Fetches in its launch: the output is a NumPy array."""
    parts = Parts(layer, batch, device)

    def launch(A_in: Any) -> Any:
        out = parts.compute(A_in)
        parts.gpu.fence(out)
        return parts.bus.fetch(out)

    return parts.step(launch, fetch=np.asarray)


HONEST = {
    "reads what its output held, times 0": times_nothing,
    "two buffers in turn": two_buffers,
    "answers on the host": answer_on_the_host,
}


class TestCheats:
    """Ways to be fast on a GPU without the work (tests/doubles/device_cheats.py)."""

    @pytest.mark.parametrize("cache", ["warm", "cold"])
    def test_an_honest_kernel_passes(self, cache: str, machine: Machine) -> None:
        reply = visited(worker_with(machine, device_cheats.honest), cache=cache)
        assert isinstance(reply, messages.Closed), reply

    @pytest.mark.parametrize("what", device_cheats.WRONG)
    def test_each_is_caught(self, what: str, machine: Machine) -> None:
        prepare, cache, status, words = device_cheats.WRONG[what]
        machine.devices = 2
        reply = visited(worker_with(machine, prepare), cache=cache)
        assert isinstance(reply, messages.Refused), reply
        assert reply.status == status
        assert words in reply.reason

    def test_what_another_worker_has_examined_is_not_queued_up_behind_other_work(
        self, machine: Machine
    ) -> None:
        took = []
        for examined in (False, True):
            start, worker = machine.now_ns, worker_with(machine, device_cheats.honest)
            reply = visit(worker, an_open("k", CASE, examined=examined))
            assert isinstance(reply, messages.Closed), reply
            took.append(machine.now_ns - start)
        assert took[0] - took[1] > cheat_checks.AHEAD * cupy_double.MEMSET_NS

    def test_outputs_are_handed_over_once_whether_before_the_cell_is_closed_or_then(
        self, machine: Machine
    ) -> None:
        worker = worker_with(machine, device_cheats.honest)
        for early in (True, False):
            opened = worker.answer(an_open("k", CASE))
            assert isinstance(opened, messages.Opened), opened
            worker.answer(messages.Measure(1, opened.loops, 3))
            if early:
                handed = worker.answer(messages.HandOver(1))
                assert handed == messages.HandedOver(("first", "last", "other"))
            transfers = machine.transfers
            closed = worker.answer(messages.Close(1))
            assert isinstance(closed, messages.Closed), closed
            assert closed.outputs == ("first", "last", "other")
            assert isinstance(judged(CASE, closed), messages.Closed)
            assert (machine.transfers == transfers) == early

    @pytest.mark.parametrize("what", HONEST)
    def test_what_an_honest_kernel_may_do_is_not_taken_for_a_cheat(
        self, what: str, machine: Machine
    ) -> None:
        reply = visited(worker_with(machine, HONEST[what]))
        assert isinstance(reply, messages.Closed), reply

    @pytest.mark.parametrize(
        "trouble", [MemoryError("none left"), RuntimeError("CUDA out of memory")]
    )
    def test_no_room_to_keep_the_device_busy_is_no_fault_of_the_kernel(
        self, trouble: Exception, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flush(device: _cupy.CudaDevice) -> None:
            raise trouble

        monkeypatch.setattr(_cupy.CudaDevice, "flush", flush)
        assert isinstance(visited(worker_with(machine, device_cheats.honest)), messages.Closed)

    def test_only_what_lies_in_one_piece_on_the_device_is_overwritten(
        self, machine: Machine
    ) -> None:
        gpu = _cupy.open_device(0)
        a = machine.cupy.ones((4, 4), "float32")
        halves = cupy_double.Array(machine, a._values[:, :2], a)
        host = np.ones(3)
        assert [gpu.spoil(out) for out in (halves, host, None, a)] == [False, False, False, True]
        gpu.drain(host)
        assert (a._values > 1e28).all()
        assert (host == 1).all()

    def test_a_side_stream_for_work_so_short_that_nobody_waits_for_it(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on an H100, where it passed: the launch takes longer than the work."""
        monkeypatch.setattr(cupy_double, "MATMUL_NS", 2_000)
        monkeypatch.setattr(cupy_double, "ELEMENTWISE_NS", 1_000)
        reply = visited(worker_with(machine, device_cheats.on_a_side_stream))
        assert isinstance(reply, messages.Refused), reply
        assert "its work is not on its device's stream" in reply.reason
        assert isinstance(visited(worker_with(machine, device_cheats.honest)), messages.Closed)

    def test_a_side_stream_that_waits_its_turn_is_caught_by_what_its_marks_missed(
        self, machine: Machine
    ) -> None:
        reply = visited(worker_with(machine, device_cheats.on_a_side_stream_in_order))
        assert isinstance(reply, messages.Refused), reply
        assert "its marks missed" in reply.reason

    def test_the_fence_of_the_whole_device_waits_for_every_stream(self, machine: Machine) -> None:
        gpu = _cupy.open_device(0)
        a = machine.cupy.ones((2, 2), "float32")
        with machine.cupy.cuda.Stream(non_blocking=True):
            machine.cupy.matmul(a, a)
        gpu.fence(None)
        before = machine.now_ns
        fence_all(gpu, None)
        assert machine.now_ns - before > MATMUL_NS / 2


class TestGraph:
    """kernels/nvmath_graph.py beyond what it has in common with the others."""

    def test_a_launch_is_one_short_call(self, machine: Machine) -> None:
        steps = {}
        for name in ("nvmath_fused", "nvmath_graph"):
            layer = device_layer()
            step = kernels.load(name).prepare(layer, 9)
            step.device.fence(None)
            before = machine.now_ns
            step.launch(None)
            steps[name] = machine.now_ns - before
            step.close()
        assert steps["nvmath_graph"] < steps["nvmath_fused"]

    def test_freeing_a_call_that_was_only_captured_fails_as_it_did_on_an_h200(
        self, machine: Machine
    ) -> None:
        step = kernels.load("nvmath_fused").prepare(device_layer(), 9)
        _cupy.open_device(0).captured(lambda: step.launch(None))
        with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
            step.close()

    def test_a_capture_that_fails_frees_the_plan_and_leaves_the_stream_usable(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuses(self: Any, stream: Any) -> None:
            raise NotImplementedError("not during a capture")

        freed: list[bool] = []
        matmul = machine.modules()["nvmath.linalg.advanced"].Matmul.func
        monkeypatch.setattr(matmul, "free", lambda call: freed.append(True))
        monkeypatch.setattr("cupy_double.Graph.upload", refuses)
        with pytest.raises(NotImplementedError):
            kernels.load("nvmath_graph").prepare(device_layer(), 9)
        assert freed == [True]
        assert machine.stream._captured is None


def device_layer() -> Layer:
    return Layer(np.ones((6, 5), np.float32), np.ones((1, 5), np.float32), "relu")
