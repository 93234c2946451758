"""The contract between a kernel and the harness, with all that has to fit through it."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from asked import an_open, ask, visit
from devices import TICK, HostClock, SimulatedDevice, UnfencedDevice, prepare_on
from numpy.typing import NDArray

import kernels
from bench import ROOT
from bench.ipc.arrays import Arrays
from bench.judge import inputs
from bench.measure import worker_process
from bench.plan.case import Case
from bench.worker import messages
from bench.worker.server import Server

FILES = ROOT / "tests" / "doubles" / "kernel_files"
CASE = Case(n_in=24, n_units=16, batch=8, precision="float32", activation="relu")


def arrays(case: Case = CASE) -> Arrays:
    return inputs.draw(case, 0, np.float32)


def layer(case: Case = CASE) -> kernels.Layer:
    drawn = arrays(case)
    return kernels.Layer(drawn.W, drawn.b, case.activation, case.precision)


def answer() -> NDArray[Any]:
    drawn = arrays()
    z: NDArray[Any] = drawn.A_in.astype(np.float64) @ drawn.W + drawn.b
    relu: NDArray[Any] = np.maximum(z, 0)
    return relu


@pytest.mark.parametrize("name", ["python_loop", "numpy_dot", "numpy_matmul"])
def test_a_step_runs_as_the_contract_says(name: str) -> None:
    step = kernels.load(name).prepare(layer(), CASE.batch)
    x = step.send(arrays().A_in)
    step.device.fence(None)
    start = step.device.mark(None)
    out = step.launch(x)
    stop = step.device.mark(out)
    assert step.device.seconds(start, stop) > 0
    found = step.fetch(out)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, answer(), rtol=1e-5, atol=1e-6)
    step.close()


def test_the_loop_takes_its_input_as_lists() -> None:
    step = kernels.load("python_loop").prepare(layer(), CASE.batch)
    assert isinstance(step.send(arrays().A_in), list)


CONTRACT_1 = {
    *("CONTRACT", "Kernel", "library", "load", "names"),
    *("ACTIVATIONS", "DTYPES", "Layer", "ShapeError", "Step", "Unavailable", "Unsupported"),
    *("HOST", "Device", "Host", "Rated", "Rates", "Watched"),
}
"""What every `kernels` package of contract 1 has, those of older commits too."""


def test_the_harness_asks_of_an_older_commits_kernels_only_what_they_have() -> None:
    assert kernels.CONTRACT == 1
    assert set(kernels.__all__) >= CONTRACT_1
    files = {*(ROOT / "bench" / "worker").glob("*.py"), ROOT / "bench" / "suite.py"}
    # a process of its own, beside this checkout's kernels always
    for file in files - {ROOT / "bench" / "worker" / "tune.py"}:
        tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for node in tree:
            match node:
                case ast.Attribute(ast.Name("kernels"), name):
                    assert name in CONTRACT_1, f"{file.name}, line {node.lineno}"
                case ast.ImportFrom(module="kernels", names=imported):
                    assert {alias.name for alias in imported} <= CONTRACT_1, file.name


def simulated(device: SimulatedDevice) -> Server:
    """A worker that knows one kernel, `sim`, on the device and its host's clock."""
    worker = Server(clock=device.clock, sleep=device.clock.sleep)
    worker._kernels["sim"] = kernels.Kernel("sim", "0", "", prepare_on(device))
    return worker


@pytest.mark.parametrize(
    ("work", "launch", "truth"),
    [
        (50_000, 7_000, 50_000),  # the device is the bottleneck
        (3_000, 11_000, 11_000),  # the host is: launch-bound
        (2_000_000, 7_000, 2_000_000),  # one launch fills a block
    ],
)
def test_the_simulated_device_is_timed_to_the_tick(work: int, launch: int, truth: int) -> None:
    worker = simulated(SimulatedDevice(HostClock(), work, launch))
    opened = worker.answer(an_open("sim", CASE))
    assert isinstance(opened, messages.Opened), opened
    times = worker.answer(messages.Measure(1, opened.loops, 5))
    assert isinstance(times, messages.Times)
    assert [round(s * opened.loops / TICK) for s in times.seconds] == [truth * opened.loops] * 5
    trip = worker.answer(messages.RoundTrips(1, 3))
    assert isinstance(trip, messages.Trips)
    assert round(trip.launch / TICK) == launch
    assert round(trip.latency / TICK) == launch + work
    assert isinstance(worker.answer(messages.Close(1)), messages.Closed)


def test_without_its_fence_the_simulated_device_is_shown_wrong() -> None:
    worker = simulated(UnfencedDevice(HostClock(), 50_000, 7_000))
    refused = visit(worker, an_open("sim", CASE))
    assert isinstance(refused, messages.Refused)
    assert refused.status == "wrong"
    assert "nan" in refused.reason
    assert not worker.cells


def test_a_fetch_that_waits_does_not_hide_a_fence_that_does_not() -> None:
    class Waiting(UnfencedDevice):
        def read(self, out: Any) -> NDArray[Any]:
            SimulatedDevice.fence(self, out)
            return super().read(out)

    worker = simulated(Waiting(HostClock(), 50_000, 7_000))
    assert isinstance(worker.answer(an_open("sim", CASE)), messages.Opened)
    refused = worker.answer(messages.RoundTrips(1, 1))
    assert isinstance(refused, messages.Refused)
    assert refused.status == "wrong"
    assert "the fence returned" in refused.reason


def test_a_cold_block_is_one_launch_with_the_caches_flushed_outside_the_clock() -> None:
    device = SimulatedDevice(HostClock(), 50_000, 7_000)
    worker = simulated(device)
    opened = worker.answer(an_open("sim", CASE, cache="cold"))
    assert isinstance(opened, messages.Opened)
    assert opened.loops == 1
    worker.answer(messages.Measure(1, 1, 1))  # the first one looks into what the flush does
    before = device.flushes
    times = worker.answer(messages.Measure(1, 1, 4))
    assert isinstance(times, messages.Times)
    assert device.flushes == before + 4
    assert [round(s / TICK) for s in times.seconds] == [50_000] * 4


def test_a_first_launch_far_over_the_limit_is_the_only_one() -> None:
    device = SimulatedDevice(HostClock(), 10_000_000_000, 7_000)
    refused = simulated(device).answer(an_open("sim", CASE, limit_s=6.0))
    assert isinstance(refused, messages.Refused)
    assert (refused.status, refused.reason) == ("skipped", "took 10 s for its first launch")
    assert device.clock.ticks < 11e9
    honest = SimulatedDevice(HostClock(), 5_000_000_000, 7_000)
    assert isinstance(simulated(honest).answer(an_open("sim", CASE, limit_s=6.0)), messages.Opened)


def test_one_kernel_can_be_held_twice_in_one_worker() -> None:
    worker = Server()
    other = Case(n_in=5, n_units=7, batch=3, precision="float64", activation="tanh")
    for key, case in ((1, CASE), (2, CASE), (3, other)):
        assert isinstance(worker.answer(an_open("numpy_matmul", case, key=key)), messages.Opened)
    for key in (1, 3, 2, 1):
        times = worker.answer(messages.Measure(key, 1, 1))
        assert isinstance(times, messages.Times)
    assert worker.cells[1].out is not worker.cells[2].out
    for key in (1, 2, 3):
        assert isinstance(worker.answer(messages.Close(key)), messages.Closed)


needs_jax = pytest.mark.skipif(
    find_spec("jax") is None, reason="needs JAX, which has no wheels for this machine"
)


@pytest.fixture(scope="module")
def process() -> Iterator[worker_process.WorkerProcess]:
    worker = worker_process.WorkerProcess(threads=2)
    yield worker
    worker.kill()


@needs_jax
def test_jax_on_the_cpu_is_one_more_kernel(process: worker_process.WorkerProcess) -> None:
    for _ in range(3):
        opened = ask(process, an_open("jax_dense", CASE), 120)
        assert isinstance(opened, messages.Opened), opened
        times = process.call(messages.Measure(1, opened.loops, 2), 60)
        assert isinstance(times, messages.Times), times
        assert isinstance(process.call(messages.RoundTrips(1, 1), 60), messages.Trips)
        closed = process.call(messages.Close(1), 60)
        assert isinstance(closed, messages.Closed), closed
        assert closed.quiet


@needs_jax
def test_jax_without_its_fence_is_refused(process: worker_process.WorkerProcess) -> None:
    case = Case(1500, 1500, 256, "float32", "relu")
    opened = ask(process, an_open(str(FILES / "jax_unfenced.py"), case), 120)
    assert isinstance(opened, messages.Opened), opened
    refused = process.call(messages.RoundTrips(1, 1), 120)
    assert isinstance(refused, messages.Refused)
    assert refused.status == "wrong"
    assert "the fence returned" in refused.reason


def outcome(process: worker_process.WorkerProcess, kernel: str, cache: str = "warm") -> Any:
    """What ends a visit of a kernel: Closed or Refused."""
    opened = ask(process, an_open(kernel, CASE, cache=cache), 120)
    if not isinstance(opened, messages.Opened):
        return opened
    for request in (messages.Measure(1, opened.loops, 2), messages.RoundTrips(1, 2)):
        reply = process.call(request, 60)
        if isinstance(reply, messages.Refused):
            return reply
    return process.call(messages.Close(1), 60)


needs_mlx = pytest.mark.skipif(
    find_spec("mlx") is None, reason="needs MLX, which has no wheels for this machine"
)


@needs_mlx
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_lazy_library_whose_launches_are_fenced_is_one_more_kernel(
    cache: str, process: worker_process.WorkerProcess
) -> None:
    for _ in range(2):
        closed = outcome(process, "mlx_dense", cache)
        assert isinstance(closed, messages.Closed), closed


@needs_mlx
def test_one_that_says_that_it_is_eager_is_refused(process: worker_process.WorkerProcess) -> None:
    refused = outcome(process, str(FILES / "mlx_eager.py"))
    assert isinstance(refused, messages.Refused)
    assert refused.status == "wrong"
    assert "its device says that it is eager" in refused.reason


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_one_that_computes_where_it_is_read_is_refused(
    cache: str, process: worker_process.WorkerProcess
) -> None:
    pytest.importorskip("dask.array", reason="needs dask")
    refused = outcome(process, str(FILES / "dask_dense.py"), cache)
    assert isinstance(refused, messages.Refused)
    assert refused.status == "wrong"
    assert "its fetch does" in refused.reason
