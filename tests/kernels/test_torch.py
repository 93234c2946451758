"""The half of kernels/torch_linear.py that needs a GPU, unchanged, on a double of PyTorch.

This shows that its own logic is right: the order of the work and what is waited for. It ran on a
double only (tests/doubles/torch_double.py), never on a GPU. Its other half is tested with the real
PyTorch, where that is installed (tests/test_kernels.py).
"""

import ast
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import an_open, visit
from cupy_double import ELEMENTWISE_NS, MATMUL_NS, MEMSET_NS, Machine
from torch_double import Tensor, Torch

import kernels
from bench.ipc.arrays import Arrays
from bench.judge import answers, check, inputs
from bench.plan.case import Case
from bench.worker import messages
from bench.worker.server import Server
from kernels import HOST, Layer, Step, Unavailable, Unsupported, torch_graph, torch_linear

# more examples than units, so that a mix-up of the two axes can't pass
CASE = Case(n_in=6, n_units=5, batch=9, precision="float32", activation="relu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with two GPUs, and PyTorch."""
    machine = Machine(devices=2)
    torch_linear._open_device.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", Torch(machine))
    return machine


def arrays(case: Case = CASE) -> Arrays:
    return inputs.draw(case, 0, kernels.DTYPES[case.precision])


def prepared(case: Case = CASE, device: int = 0) -> Step:
    drawn = arrays(case)
    layer = Layer(drawn.W, drawn.b, case.activation, case.precision)
    # loaded anew each time, and with it the devices that it has opened
    step: Step = kernels.load("torch_linear").prepare(layer, case.batch, device)
    return step


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("precision", ["float64", "float32", "tf32", "float16"])
def test_it_is_right_after_a_fence(activation: str, precision: str) -> None:
    case = Case(6, 5, 9, precision, activation)
    step = prepared(case)
    x = step.send(arrays(case).A_in)
    for _ in range(2):
        out = step.launch(x)
        step.device.fence(out)
        found = step.fetch(out)
        assert check.check(found, case, found.dtype.type, answers.expected(arrays(case))) < 1
    step.close()


@pytest.mark.usefixtures("machine")
def test_it_is_not_there_before() -> None:
    step = prepared()
    out = step.launch(step.send(arrays().A_in))
    assert np.isnan(step.fetch(out)).all()
    step.device.fence(out)
    assert np.isfinite(step.fetch(out)).all()


@pytest.mark.usefixtures("machine")
def test_marks_around_launches_are_exactly_the_devices_work_apart() -> None:
    step = prepared()
    x = step.send(arrays().A_in)
    step.device.fence(None)
    step.launch(x)  # keeps the device busy, so that no gap comes between the marks
    start = step.device.mark(None)
    for _ in range(3):
        out = step.launch(x)
    seconds = step.device.seconds(start, step.device.mark(out))
    assert seconds == pytest.approx(3 * (MATMUL_NS + ELEMENTWISE_NS) * 1e-9, rel=1e-12)
    assert np.isfinite(step.fetch(out)).all()


def test_a_layer_is_on_the_device_when_prepare_returns(machine: Machine) -> None:
    prepared()
    assert machine.stream._queue == []


def test_nothing_is_queued_on_the_null_stream(machine: Machine) -> None:
    step = prepared()
    step.device.flush()
    step.device.mark(step.launch(step.send(arrays().A_in)))
    assert machine.null_stream._ends_ns == 0
    assert machine.stream is not machine.null_stream


@pytest.mark.usefixtures("machine")
def test_inputs_that_are_read_only_or_not_contiguous_are_sent() -> None:
    step = prepared()
    A_in = np.asfortranarray(arrays().A_in)
    A_in.flags.writeable = False
    out = step.launch(step.send(A_in))
    step.device.fence(out)
    assert check.check(step.fetch(out), CASE, np.float32, answers.expected(arrays())) < 1


def test_the_device_that_is_asked_for_is_the_one_that_is_used(machine: Machine) -> None:
    step = prepared(device=1)
    assert machine.device == 1
    assert step.device.name == "cuda:1 Simulated GPU at 0000:1B:00.0"


@pytest.mark.usefixtures("machine")
def test_one_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="no CUDA device 2: PyTorch sees 2"):
        prepared(device=2)


@pytest.mark.usefixtures("machine")
def test_one_that_does_not_work_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(one: Tensor, other: Tensor) -> Tensor:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED")

    monkeypatch.setattr(Tensor, "__matmul__", broken)
    with pytest.raises(Unavailable, match="device 0 doesn't work in PyTorch: CUDA error: CUBLAS_"):
        prepared()


def test_precisions_are_what_they_are_called(machine: Machine) -> None:
    for precision, switch in (("float32", "ieee"), ("tf32", "tf32"), ("float16", "ieee")):
        prepared(Case(6, 5, 9, precision, "relu"))
        matmul = sys.modules["torch"].matmul
        assert matmul.fp32_precision == switch
        assert not matmul.allow_fp16_reduced_precision_reduction
        assert not matmul.allow_bf16_reduced_precision_reduction


def test_memory_is_what_the_driver_and_pytorch_have_free(machine: Machine) -> None:
    device = prepared().device
    machine.free, machine.unused = 1000, 200
    assert device.free_bytes() == 1200
    device.release()
    assert (machine.free, machine.unused) == (1200, 0)


def test_a_flush_overwrites_the_cache_in_order_with_the_work(machine: Machine) -> None:
    device = prepared().device
    device.flush()  # has its buffer, and keeps the device busy, from now on
    start = device.mark(None)
    for _ in range(3):
        device.flush()
    assert device.seconds(start, device.mark(None)) == pytest.approx(3 * MEMSET_NS * 1e-9)
    free = machine.free
    device.release()
    assert machine.free >= free + 4096


def test_without_a_gpu_it_computes_here_and_has_no_tf32(machine: Machine) -> None:
    machine.devices = 0
    with pytest.raises(Unsupported, match="precision tf32: PyTorch has it on a GPU only"):
        prepared(Case(6, 5, 9, "tf32", "relu"))


@pytest.mark.usefixtures("machine")
def test_weights_of_8_bits_are_left_to_the_cpu() -> None:
    with pytest.raises(Unsupported, match="precision int8: with inputs in float32 PyTorch has it"):
        prepared(Case(6, 5, 9, "int8", "relu"))


def test_with_the_real_pytorch_the_input_is_not_copied_on_the_cpu() -> None:
    torch: Any = pytest.importorskip("torch", reason="needs PyTorch: make setup KERNELS=all")
    if torch.cuda.is_available():
        pytest.skip("needs a PyTorch that sees no GPU")
    step = prepared()
    assert step.device is HOST
    A_in = arrays().A_in
    x = step.send(A_in)
    assert np.shares_memory(x.numpy(), A_in)
    assert step.launch(x).data_ptr() == step.launch(x).data_ptr()


def test_the_double_offers_nothing_that_the_kernel_does_not_use() -> None:
    used = {
        node.attr
        for source in Path(kernels.__file__).parent.glob("torch_*.py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    used |= {"float64", "float32", "float16"}  # by a precision's name
    torch = Torch(Machine())
    offered = {
        name
        for thing in (torch, torch.cuda, torch.cuda.CUDAGraph(), Tensor)
        for name in dir(thing)
        if not name.startswith("_")
    }
    assert offered - used == {"matmul"} - used


def test_its_switches_are_held_and_its_stream_is_put_back(machine: Machine) -> None:
    step = prepared()
    device: Any = step.device
    assert isinstance(device, kernels.Streamed)
    assert isinstance(device, kernels.Watched)
    own = machine.stream
    machine.null_stream.use()
    assert device.restore() == ""
    assert machine.stream is own
    torch: Any = sys.modules["torch"]
    torch.matmul.fp32_precision = "tf32"
    machine.device = 1
    assert device.restore() == (
        "CUDA's current device from 0 to 1 and PyTorch's arithmetic of float32 from ieee to tf32"
    )
    assert (torch.matmul.fp32_precision, machine.device) == ("ieee", 0)
    tf32: Any = prepared(Case(6, 5, 9, "tf32", "relu")).device
    assert tf32.restore() == ""
    assert torch.matmul.fp32_precision == "tf32"


def test_what_it_drains_and_spoils(machine: Machine) -> None:
    step = prepared()
    device: Any = step.device
    out = step.launch(step.send(arrays().A_in))
    assert device.spoil(out)
    device.drain(out)
    assert (step.fetch(out) == torch_linear.SPOILT).all()
    for host in (
        Tensor(machine, np.ones((2, 2))),
        None,
    ):  # not on a device: nothing to wait for or to overwrite
        device.drain(host)
        assert not device.spoil(host)
    machine.device = 1
    with pytest.raises(RuntimeError, match="its output is on CUDA device 1"):
        device.drain(Tensor(machine, machine.cupy.empty(1, "float32")))


class TestGraph:
    """kernels/torch_graph.py: the same layer, replayed."""

    @pytest.mark.parametrize("precision", ["float32", "float64"])
    def test_its_answers_are_right_for_each_input(self, precision: str, machine: Machine) -> None:
        case = Case(6, 5, 9, precision, "relu")
        drawn = arrays(case)
        layer = Layer(drawn.W, drawn.b, case.activation, case.precision)
        step = torch_graph.prepare(layer, case.batch)
        before = machine.allocations
        out = step.launch(None)
        assert machine.allocations == before
        for factor in (1.0, -16.0):
            out = step.launch(step.send(drawn.A_in * factor))
            step.device.fence(out)
            parts = answers.expected(
                replace(drawn, A_in=drawn.A_in * drawn.A_in.dtype.type(factor))
            )
            dtype = kernels.DTYPES[precision]
            assert check.check(step.fetch(out), case, dtype, parts) < 1

    def test_a_launch_is_one_short_call(self, machine: Machine) -> None:
        drawn = arrays()
        layer = Layer(drawn.W, drawn.b, CASE.activation, CASE.precision)
        took = []
        for prepare in (torch_linear.prepare, torch_graph.prepare):
            step = prepare(layer, CASE.batch)
            x = step.send(drawn.A_in)
            step.device.fence(step.launch(x))
            before = machine.now_ns
            step.launch(x)
            took.append(machine.now_ns - before)
        assert took[1] < took[0]

    def test_without_a_gpu_it_is_unavailable(self, machine: Machine) -> None:
        machine.devices = 0
        drawn = arrays()
        with pytest.raises(Unavailable, match="needs a GPU, and PyTorch sees none"):
            torch_graph.prepare(Layer(drawn.W, drawn.b, "relu"), CASE.batch)

    def test_a_whole_visit_finds_nothing_wrong(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch_linear.CudaDevice, "warm_s", 0.0)
        worker = Server(clock=machine.clock, sleep=machine.sleep)
        reply = visit(worker, an_open("torch_graph", CASE))
        assert isinstance(reply, messages.Closed), reply
