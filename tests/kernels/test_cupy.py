"""kernels/_cupy.py and the kernels of the GPU, unchanged, on a double of CuPy.

This shows that their own logic is right: the order of the work, what is waited for, what is said
where there is no GPU. They ran on a double only (tests/doubles/cupy_double.py), never on a GPU.
"""

import ast
import ctypes
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cupy_double
import numpy as np
import pytest
from asked import an_open
from cupy_double import (
    COPY_NS,
    ELEMENTWISE_NS,
    HOST_NS,
    MATMUL_NS,
    MEMSET_NS,
    REPLAY_NS,
    Machine,
)

import kernels
from bench import ROOT
from bench.ipc.arrays import Arrays
from bench.judge import answers, check, inputs
from bench.plan.case import Case
from bench.worker import messages, timing
from bench.worker.server import Server
from kernels import ACTIVATIONS, Layer, Step, Unavailable, Unsupported, _cupy
from kernels._nvidia import FLOPS_PER_CYCLE
from kernels.cupy_fused import ACTIVATE
from kernels.nvmath_fused import EPILOG

FOLDER = Path(kernels.__file__).parent
NAMES = ("cupy_matmul", "cupy_fused", "nvmath_fused", "nvmath_graph")
GPU_CHECK = sorted((ROOT / "tests" / "gpu").glob("*.py"))
SOURCES = [
    *(FOLDER / f"{name}.py" for name in ("_cupy", "_activations", *NAMES)),
    ROOT / "tests" / "doubles" / "device_cheats.py",
]

# more examples than units, so that a mix-up of the two axes can't pass
CASE = Case(n_in=6, n_units=5, batch=9, precision="float32", activation="relu")
# what a launch costs the host (a call of the library each, or a replay), and the device
CALLS_NS = {
    "cupy_matmul": 3 * HOST_NS,
    "cupy_fused": 2 * HOST_NS,
    "nvmath_fused": HOST_NS,
    "nvmath_graph": REPLAY_NS,
}
WORK_NS = {
    "cupy_matmul": MATMUL_NS + 2 * ELEMENTWISE_NS,  # a product, a bias, a relu
    "cupy_fused": MATMUL_NS + ELEMENTWISE_NS,
    "nvmath_fused": MATMUL_NS,
    "nvmath_graph": MATMUL_NS,
}
LAUNCH_NS = WORK_NS["cupy_matmul"]

every_kernel = pytest.mark.parametrize("name", NAMES)


def arrays(case: Case = CASE) -> Arrays:
    return inputs.draw(case, 0, kernels.DTYPES[case.precision])


def prepared(case: Case = CASE, device: int = 0, name: str = "cupy_matmul") -> Step:
    drawn = arrays(case)
    layer = Layer(drawn.W, drawn.b, case.activation, case.precision)
    step: Step = kernels.load(name).prepare(layer, case.batch, device)
    return step


def nanoseconds(seconds: float) -> int:
    whole = round(seconds * 1e9)
    assert seconds == pytest.approx(whole / 1e9, rel=1e-12)
    return whole


TABLES: tuple[Iterable[str], ...] = (ACTIVATIONS, ACTIVATE, EPILOG, EPILOG)
DOES = [
    (name, activation, precision)
    for name, activations in zip(NAMES, TABLES, strict=True)
    for activation in activations
    for precision in FLOPS_PER_CYCLE[(9, 0)]
    if "nvmath" not in name or precision != "float64"  # cuBLASLt has no bias for it
]


class TestAnswers:
    """The layer's answer, once it has been waited for."""

    @pytest.mark.usefixtures("machine")
    @pytest.mark.parametrize(("name", "activation", "precision"), DOES)
    @pytest.mark.parametrize("shape", [(6, 5, 9), (64, 7, 1), (3, 1, 8), (1, 1, 1)])
    def test_it_is_right_after_a_fence(
        self, name: str, activation: str, precision: str, shape: tuple[int, int, int]
    ) -> None:
        case = Case(*shape, precision, activation)
        step = prepared(case, name=name)
        x = step.send(arrays(case).A_in)
        step.device.fence(None)
        for _ in range(2):
            out = step.launch(x)
            step.device.fence(out)
            parts = answers.expected(arrays(case))
            dtype = kernels.DTYPES[precision]
            assert check.check(step.fetch(out), case, dtype, parts) < 2
        step.close()

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_each_unit_has_its_own_bias_even_where_there_are_as_many_examples(
        self, name: str
    ) -> None:
        case = Case(6, 7, 7, "float32", "linear")
        step = prepared(case, name=name)
        out = step.launch(step.send(arrays(case).A_in))
        step.device.fence(out)
        check.check(step.fetch(out), case, np.float32, answers.expected(arrays(case)))

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_it_is_not_there_before(self, name: str) -> None:
        step = prepared(name=name)
        out = step.launch(step.send(arrays().A_in))
        assert np.isnan(step.fetch(out)).all()
        step.device.fence(out)
        assert np.isfinite(step.fetch(out)).all()

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_it_is_there_at_the_time_of_a_later_mark(self, name: str) -> None:
        step = prepared(name=name)
        start = step.device.mark(None)
        out = step.launch(step.send(arrays().A_in))
        step.device.seconds(start, step.device.mark(out))
        assert np.isfinite(step.fetch(out)).all()

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_the_next_launch_uses_the_same_buffer(self, name: str) -> None:
        step = prepared(name=name)
        x = step.send(arrays().A_in)
        assert step.launch(x) is step.launch(x)

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_layers_that_are_not_contiguous_are_sent_in_c_order(self, name: str) -> None:
        drawn = arrays()
        layer = Layer(np.asfortranarray(drawn.W), drawn.b, "relu")
        step = kernels.load(name).prepare(layer, CASE.batch)
        out = step.launch(step.send(np.asfortranarray(drawn.A_in)))
        step.device.fence(out)
        assert check.check(step.fetch(out), CASE, np.float32, answers.expected(drawn)) < 1

    @every_kernel
    def test_a_layer_is_on_the_device_when_prepare_returns(
        self, name: str, machine: Machine
    ) -> None:
        prepared(name=name)
        assert machine.stream._queue == []

    @every_kernel
    def test_nothing_is_queued_on_the_null_stream(self, name: str, machine: Machine) -> None:
        step = prepared(name=name)
        step.device.flush()
        step.device.mark(step.launch(step.send(arrays().A_in)))
        assert machine.null_stream._ends_ns == 0
        assert machine.stream is not machine.null_stream

    @every_kernel
    def test_a_launch_allocates_nothing_and_moves_nothing(
        self, name: str, machine: Machine
    ) -> None:
        step = prepared(name=name)
        x = step.send(arrays().A_in)
        before = machine.allocations, machine.transfers
        for _ in range(3):
            step.launch(x)
        assert (machine.allocations, machine.transfers) == before


class TestTransfers:
    """Inputs and outputs go through page-locked memory, in order with the work."""

    @pytest.mark.usefixtures("machine")
    @pytest.mark.parametrize("name", ["cupy_matmul", "cupy_fused"])
    def test_two_inputs_sent_in_a_row_are_two(self, name: str) -> None:
        step = prepared(name=name)
        drawn = arrays()
        first, second = step.send(drawn.A_in), step.send(drawn.A_in * 2)
        for x, factor in ((first, 1.0), (second, 2.0)):
            out = step.launch(x)
            step.device.fence(out)
            parts = answers.expected(replace(drawn, A_in=drawn.A_in * np.float32(factor)))
            assert check.check(step.fetch(out), CASE, np.float32, parts) < 1

    def test_of_two_outputs_the_first_stays_as_it_was_fetched(self, machine: Machine) -> None:
        step = prepared()
        drawn = arrays()
        out = step.launch(step.send(drawn.A_in))
        step.device.fence(out)
        first = step.fetch(out)
        kept = first.copy()
        out = step.launch(step.send(drawn.A_in * 2))
        step.device.fence(out)
        assert not np.array_equal(step.fetch(out), kept)
        assert np.array_equal(first, kept)

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_an_input_may_change_once_it_was_sent(self, name: str) -> None:
        step = prepared(name=name)
        drawn = arrays()
        A_in = drawn.A_in.copy()
        x = step.send(A_in)
        A_in.fill(0)
        out = step.launch(x)
        step.device.fence(out)
        assert check.check(step.fetch(out), CASE, np.float32, answers.expected(drawn)) < 1

    @every_kernel
    def test_each_crosses_the_bus_once(self, name: str, machine: Machine) -> None:
        step = prepared(name=name)
        before = machine.transfers
        x = step.send(arrays().A_in)
        assert machine.transfers == before + 1
        out = step.launch(x)
        step.device.fence(out)
        step.fetch(out)
        assert machine.transfers == before + 2

    @every_kernel
    @pytest.mark.parametrize("threads", ["3", "1", "", "0", "many"])
    def test_a_large_input_goes_in_pieces_that_are_copied_by_the_threads_it_was_given(
        self, name: str, threads: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        monkeypatch.setattr(_cupy, "PIECE_BYTES", 2 * CASE.n_in * 4)  # of nine rows: five pieces
        _cupy._copiers.cache_clear()
        step = prepared(name=name)
        drawn = arrays()
        for factor in (1.0, 2.0):  # the second may not overwrite what has yet to leave
            before = machine.transfers
            A_in = drawn.A_in * factor
            x = step.send(A_in)
            A_in.fill(0)
            assert machine.transfers == before + 5
            out = step.launch(x)
            step.device.fence(out)
            parts = answers.expected(replace(drawn, A_in=drawn.A_in * np.float32(factor)))
            assert check.check(step.fetch(out), CASE, np.float32, parts) < 1
        assert _cupy._copiers()._max_workers == (3 if threads == "3" else 1)
        _cupy._copiers.cache_clear()

    @pytest.mark.usefixtures("machine")
    def test_an_input_of_another_kind_is_refused_piece_by_piece_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_cupy, "PIECE_BYTES", 24)
        with pytest.raises(TypeError, match="Cannot cast"):
            prepared().send(arrays().A_in * 1j)


class TestPrecisions:
    """What each one takes, and what is said where it can't be had."""

    def test_float32_is_not_cut_off_to_tf32(self, machine: Machine) -> None:
        machine.float32 = cupy_double.TF32  # as with CUPY_TF32=1 in the environment
        prepared()
        assert machine.float32 == cupy_double.DEFAULT

    @pytest.mark.parametrize("name", ["cupy_matmul", "cupy_fused"])
    def test_tf32_is_turned_on_for_its_own_products_only(self, name: str, machine: Machine) -> None:
        case = Case(512, 5, 9, "tf32", "linear")
        drawn = arrays(case)
        full, cut = (
            prepared(Case(512, 5, 9, "float32", "linear"), name=name),
            prepared(case, name=name),
        )
        answers = []
        for step in (full, cut, full):
            out = step.launch(step.send(drawn.A_in))
            assert machine.float32 == cupy_double.DEFAULT
            step.device.fence(out)
            answers.append(step.fetch(out).copy())
        assert np.array_equal(answers[0], answers[2])
        assert not np.array_equal(answers[0], answers[1])

    def test_tf32_is_turned_off_again_where_a_product_fails(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        step = prepared(Case(6, 5, 9, "tf32", "relu"))
        x = step.send(arrays().A_in)
        monkeypatch.setattr(machine.cupy, "matmul", raising(RuntimeError("CUBLAS")))
        with pytest.raises(RuntimeError, match="CUBLAS"):
            step.launch(x)
        assert machine.float32 == cupy_double.DEFAULT

    @every_kernel
    @pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
    def test_an_old_card_has_none(self, name: str, precision: str, machine: Machine) -> None:
        machine.capability = "75"
        said = f"precision {precision} needs compute capability 8.0, this is 7.5"
        with pytest.raises(Unsupported, match=f"^{re.escape(said)}$"):
            prepared(Case(6, 5, 9, precision, "relu"), name=name)

    @pytest.mark.usefixtures("machine")
    def test_tf32_that_the_environment_turns_off_is_not_called_tf32(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
        with pytest.raises(Unsupported, match="NVIDIA_TF32_OVERRIDE=0"):
            prepared(Case(6, 5, 9, "tf32", "relu"))
        prepared()

    @pytest.mark.usefixtures("machine")
    def test_bfloat16_without_its_library_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "ml_dtypes", None)
        with pytest.raises(Unavailable, match="pip install ml_dtypes"):
            prepared(Case(6, 5, 9, "bfloat16", "relu"))

    @pytest.mark.usefixtures("machine")
    def test_bfloat16_comes_back_as_the_float32_that_holds_it(self) -> None:
        step = prepared(Case(6, 5, 9, "bfloat16", "relu"))
        out = step.launch(step.send(arrays().A_in))
        step.device.fence(out)
        assert step.fetch(out).dtype == np.float32


class Without:
    """A finder for sys.meta_path, by which one package is not installed."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, *_: object) -> None:
        if name == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class TestNvmath:
    """cuBLASLt through nvmath-python."""

    def test_without_it_the_reason_has_the_line_to_type(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in machine.nvmath.modules():
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(sys, "meta_path", [Without("nvmath"), *sys.meta_path])
        with pytest.raises(Unavailable) as caught:
            prepared(name="nvmath_fused")
        assert str(caught.value) == (
            "nvmath-python is not installed: .venv/bin/python -m pip install nvmath-python "
            "(with CuPy for CUDA 12: nvmath-python 'cuda-bindings<13')"
        )

    @pytest.mark.usefixtures("driver")
    def test_one_that_cannot_be_imported_says_why(
        self, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "DynamicLibNotFoundError: libcublasLt.so.13"
        (tmp_path / "nvmath").mkdir()
        (tmp_path / "nvmath" / "__init__.py").write_text(f"raise RuntimeError({text!r})", "utf-8")
        for module in machine.nvmath.modules():
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(Unavailable, match=f"^nvmath can't be imported: {text}$"):
            prepared(name="nvmath_fused")

    @pytest.mark.usefixtures("machine")
    def test_tuning_leaves_pythons_random_numbers_alone(self) -> None:
        before = random.getstate()
        prepared(name="nvmath_fused")
        assert random.getstate() == before

    @pytest.mark.parametrize("failing", ["plan", "autotune"])
    def test_a_plan_that_fails_is_freed(
        self, failing: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        freed = []

        def free(call: object) -> None:
            freed.append(call)

        monkeypatch.setattr(cupy_double.Matmul, failing, raising(ValueError("no algorithm")))
        monkeypatch.setattr(cupy_double.Matmul, "free", free)
        before = random.getstate()
        with pytest.raises(ValueError, match="no algorithm"):
            prepared(name="nvmath_fused")
        assert len(freed) == 1
        assert random.getstate() == before

    def test_the_fastest_algorithm_is_kept_for_the_next_visit(self, machine: Machine) -> None:
        for _ in range(3):
            step = prepared(name="nvmath_fused")
            out = step.launch(step.send(arrays().A_in))
            step.device.fence(out)
            check.check(step.fetch(out), CASE, np.float32, answers.expected(arrays()))
            step.close()
        assert machine.tuned == 1
        for other in (
            replace(CASE, batch=8),
            replace(CASE, activation="linear"),
            replace(CASE, precision="float16"),
        ):
            prepared(other, name="nvmath_fused")
        assert machine.tuned == 4

    def test_what_is_kept_is_the_algorithm_alone_and_not_without_end(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_cupy, "MOST_KEPT", 2)
        step = prepared(name="nvmath_fused")
        gpu = _cupy.open_device(0)
        assert gpu.kept((6, 5, 9, "float32", "relu")) == ("fastest",)
        step.close()
        del step
        gpu.release()
        assert machine.free == 2**30, "memory of the device was kept"
        for batch in (7, 8):
            prepared(replace(CASE, batch=batch), name="nvmath_fused")
        assert gpu.kept((6, 5, 9, "float32", "relu")) is None

    @pytest.mark.usefixtures("machine")
    def test_close_frees_the_plan(self) -> None:
        step = prepared(name="nvmath_fused")
        x = step.send(arrays().A_in)
        step.launch(x)
        step.close()
        with pytest.raises(AssertionError):
            step.launch(x)


class TestThroughTheHarness:
    """The worker that measures every other kernel measures these, and can't tell the difference."""

    @every_kernel
    @pytest.mark.parametrize("cache", ["warm", "cold"])
    def test_a_visit_from_open_to_close(self, name: str, cache: str, machine: Machine) -> None:
        worker = Server(clock=machine.clock, sleep=machine.sleep)
        case = Case(6, 5, 9, "float32", "relu")
        opened = worker.answer(an_open(name, case, cache=cache))
        assert isinstance(opened, messages.Opened), opened
        assert opened.device == "cuda:0 Simulated GPU at 0000:17:00.0"
        times = worker.answer(messages.Measure(1, opened.loops, 3))
        assert isinstance(times, messages.Times), times
        assert [round(s * opened.loops * 1e9) for s in times.seconds] == pytest.approx(
            [opened.loops * WORK_NS[name]] * 3, abs=HOST_NS if cache == "cold" else 0
        )
        if cache == "warm":
            trips = worker.answer(messages.RoundTrips(1, 3))
            assert isinstance(trips, messages.Trips), trips
            assert nanoseconds(trips.launch) == CALLS_NS[name]
            first_call_ns = min(HOST_NS, CALLS_NS[name])
            assert nanoseconds(trips.latency) == first_call_ns + WORK_NS[name]
        closed = worker.answer(messages.Close(1))
        assert isinstance(closed, messages.Closed), closed
        again = worker.answer(an_open(name, case, cache=cache))
        assert isinstance(again, messages.Opened), again

    @every_kernel
    def test_too_little_memory_is_a_status_and_the_next_cell_runs(
        self, name: str, machine: Machine
    ) -> None:
        worker = Server(clock=machine.clock, sleep=machine.sleep)
        machine.free = 100_000
        large = worker.answer(an_open(name, Case(300, 300, 9, "float32", "relu")))
        assert isinstance(large, messages.Refused)
        assert large.status == "out_of_memory"
        assert "Out of memory allocating" in large.reason
        small = worker.answer(an_open(name, Case(6, 5, 9, "float32", "relu")))
        assert isinstance(small, messages.Opened), small


class TestClock:
    """Marks are points in the stream's own time."""

    @pytest.mark.usefixtures("machine")
    @every_kernel
    def test_marks_around_launches_are_exactly_the_devices_work_apart(self, name: str) -> None:
        step = prepared(name=name)
        x = step.send(arrays().A_in)
        step.device.fence(None)
        step.launch(x)  # keeps the device busy, so that no gap comes between the marks
        start = step.device.mark(None)
        for _ in range(3):
            out = step.launch(x)
        stop = step.device.mark(out)
        assert nanoseconds(step.device.seconds(start, stop)) == 3 * WORK_NS[name]

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
        _cupy.proved.cache_clear()
        yield
        _cupy.proved.cache_clear()

    def test_without_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ctypes, "CDLL", raising(OSError("no such file")))
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
            for path in (*SOURCES, *GPU_CHECK)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
        }
        machine = Machine()
        cupy, stream = machine.cupy, machine.stream
        array = cupy.empty(1, "float32")
        advanced = machine.modules()["nvmath.linalg.advanced"]
        offered = {
            name
            for thing in (
                *(cupy, cupy.cuda, cupy.cuda.runtime, cupy.cuda.Device(0), cupy.cuda.Event()),
                *(stream, array, array.data, cupy.get_default_memory_pool(), machine.cupyx),
                machine.cupyx.profiler,
                *(cupy._core, cupy._core._routines_linalg, advanced.Matmul.func),
                machine.modules()["nvmath.linalg"].ComputeType,
            )
            for name in dir(thing)
            if not name.startswith("_")
        }
        used |= {
            "Matmul",
            "MatmulEpilog",
            "ComputeType",
            "profiler",
            "benchmark",
        }  # imported by name
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
