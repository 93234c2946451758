"""On a real GPU: times against CuPy's own, answers against float64, transfers, memory, a cold run.

`make gpu-check` runs these. They are the first thing to run wherever a GPU is at hand: nothing else
shows that CuPy and CUDA do what the double of them does.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import device_cheats
import numpy as np
import pandas as pd
import pytest
from asked import an_open, error, visit

import kernels
from bench import ROOT
from bench.ipc.arrays import Arrays
from bench.judge import answers, check, inputs
from bench.plan.case import Case
from bench.studies import clocks
from bench.worker import messages, timing
from bench.worker.server import Server
from kernels import Layer, Step, Unavailable, Unsupported
from kernels._cupy import CudaDevice
from kernels.cupy_fused import ACTIVATE
from kernels.nvmath_fused import EPILOG

pytestmark = pytest.mark.gpu


NAMES = ("cupy_matmul", "cupy_fused", "nvmath_fused", "nvmath_graph")
SHAPES = (  # n_in, n_units, batch: odd ones, single ones, and as many units as examples
    *((1, 1, 1), (1, 1000, 1), (1000, 1, 7), (3, 5, 7), (7, 7, 7), (17, 33, 65)),
    *((255, 257, 129), (1000, 1000, 1), (4096, 4, 2), (4, 4096, 3), (512, 512, 512)),
)

Numbers = Callable[[str], None]
TABLES: dict[str, Iterable[str]] = dict(
    zip(NAMES, (kernels.ACTIVATIONS, ACTIVATE, EPILOG, EPILOG), strict=True)
)
every_kernel = pytest.mark.parametrize("name", NAMES)


def prepared(name: str, case: Case) -> tuple[Step, Arrays]:
    """A kernel on a case; skips, with the reason, what it doesn't do or can't do here."""
    drawn = inputs.draw(case, 0, kernels.DTYPES[case.precision])
    layer = Layer(drawn.W, drawn.b, case.activation, case.precision)
    try:
        step: Step = kernels.load(name).prepare(layer, case.batch, 0)
    except (Unsupported, Unavailable) as why:
        pytest.skip(str(why))
    return step, drawn


def device_seconds(step: Step, x: Any) -> float:
    """Seconds a launch as the harness takes them: the middle of five blocks."""
    first, _ = timing.blocks(step, x, 1, 3, lead=True)
    loops = max(int(0.02 / min(first)), 1)
    times, _ = timing.blocks(step, x, loops, 5, lead=True)
    return sorted(times)[2]


@every_kernel
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_large_layer_takes_what_cupys_own_profiler_says(
    name: str, precision: str, gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    from cupyx.profiler import benchmark

    case = Case(width, width, width, precision, "relu")
    step, drawn = prepared(name, case)
    x = step.send(drawn.A_in)
    step.device.fence(None)
    step.launch(x)
    # the profiler waits before each call, and the gap until the GPU is told of it counts as its
    # work: 0.02 ms on an H100, so a call of 0.3 ms would read 7 % too long
    launches = max(int(5e-3 / device_seconds(step, x)), 1)

    def several() -> None:
        for _ in range(launches):
            step.launch(x)

    theirs = []
    ours = []
    for _ in range(3):  # in turn, so that a clock that drifts drifts for both
        ours.append(device_seconds(step, x))
        with gpu.stream:  # its events are on the current stream, and libraries leave another one
            result = benchmark(several, (), n_repeat=20, n_warmup=3)
        theirs.append(float(np.median(result.gpu_times)) / launches)
    step.close()
    numbers(
        f"{np.median(ours) * 1e3:.4g} ms, CuPy's profiler {np.median(theirs) * 1e3:.4g} ms,"
        f" {case.flops / np.median(ours) / 1e12:.3g} TFLOP/s"
    )
    assert np.median(ours) == pytest.approx(np.median(theirs), rel=0.05)


@pytest.mark.parametrize("clock", ["PyTorch's events", "nvbench, batch"])
@pytest.mark.parametrize("name", ["cupy_matmul", "nvmath_fused"])
def test_a_second_clock_agrees(
    name: str, clock: str, gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    case = Case(width, width, width, "float32", "relu")
    theirs = clocks.apart(clock, name, case)
    if theirs.seconds is None:
        pytest.skip(theirs.why)
    ours = clocks.apart("harness", name, case)
    assert ours.seconds is not None, ours.why
    numbers(f"{1e6 * ours.seconds:.4g} us, {clock} {1e6 * theirs.seconds:.4g} us on {gpu.name}")
    assert ours.seconds < 50e-6 or theirs.seconds == pytest.approx(ours.seconds, rel=0.02)


def test_events_and_the_hosts_clock_agree_on_a_long_block(
    gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    step, drawn = prepared("cupy_matmul", Case(width, width, width, "float32", "relu"))
    x = step.send(drawn.A_in)
    loops = max(int(0.3 / device_seconds(step, x)), 1)
    device = step.device
    device.fence(step.launch(x))
    start, first = time.perf_counter(), device.mark(None)
    for _ in range(loops):
        out = step.launch(x)
    last = device.mark(out)
    device.fence(out)
    host = time.perf_counter() - start
    by_events = device.seconds(first, last)
    numbers(f"{by_events:.4f} s by events, {host:.4f} s on the host")
    assert by_events == pytest.approx(host, rel=0.05)


@every_kernel
@pytest.mark.parametrize("precision", kernels.DTYPES)
def test_answers_agree_with_float64_on_awkward_shapes(
    name: str, precision: str, gpu: CudaDevice, numbers: Numbers
) -> None:
    done = []
    for activation in TABLES[name]:
        for shape in SHAPES:
            case = Case(*shape, precision, activation)
            if precision == "tf32" and case.batch * case.n_units < 200:
                continue  # its limit is for the RMS of many errors; one may be twice as large
            step, drawn = prepared(name, case)
            out = step.launch(step.send(drawn.A_in))
            step.device.fence(out)
            dtype = kernels.DTYPES[precision]
            done.append(check.check(step.fetch(out), case, dtype, answers.expected(drawn)))
            step.close()
    numbers(f"{len(done)} layers, RMS error at most {max(done):.2f} of what {precision} gives")


@every_kernel
def test_tf32_is_another_arithmetic_than_float32(
    name: str, gpu: CudaDevice, numbers: Numbers
) -> None:
    answers = {}
    for precision in ("float32", "tf32", "float64"):
        exact = precision == "float64"
        case = Case(1024, 256, 256, precision, "linear")
        step, drawn = prepared("cupy_matmul" if exact else name, case)
        out = step.launch(step.send(drawn.A_in))
        step.device.fence(out)
        answers[precision] = step.fetch(out).astype(np.float64)
        step.close()
    errors = {p: np.sqrt(np.mean((a - answers["float64"]) ** 2)) for p, a in answers.items()}
    numbers(f"RMS error {errors['float32']:.2g} in float32, {errors['tf32']:.2g} in tf32")
    assert errors["tf32"] > 10 * errors["float32"]


def test_a_replayed_graph_gives_the_same_bits_and_spares_the_host_the_launch(
    gpu: CudaDevice, numbers: Numbers
) -> None:
    answers, launch_s = {}, {}
    for name in ("nvmath_fused", "nvmath_graph"):
        step, drawn = prepared(name, Case(64, 64, 1, "float32", "relu"))
        x = step.send(drawn.A_in)
        step.device.fence(step.launch(x))
        trips = [timing.round_trip(step, drawn.A_in) for _ in range(50)]
        launch_s[name] = min(trip.launch for trip in trips)
        out = step.launch(x)
        step.device.fence(out)
        answers[name] = step.fetch(out)
        step.close()
    numbers(", ".join(f"{name} {s * 1e6:.3g} us on the host" for name, s in launch_s.items()))
    assert (answers["nvmath_fused"] == answers["nvmath_graph"]).all()
    assert launch_s["nvmath_graph"] < launch_s["nvmath_fused"]


def visited(prepare: Callable[..., Step], case: Case, cache: str = "warm") -> messages.Reply:
    """A whole visit to a kernel that is in no file -> the reply that ended it."""
    worker = Server()
    worker._kernels["k"] = kernels.Kernel("k", "0" * 12, "", prepare)
    return visit(worker, an_open("k", case, cache=cache))


SMALL = Case(64, 64, 1, "float32", "relu")


@pytest.mark.parametrize("cache", ["warm", "cold"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_an_honest_kernel_is_not_taken_for_a_cheat(
    cache: str, size: str, gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    case = Case(width, width, width, "float32", "relu") if size == "large" else SMALL
    reply = visited(device_cheats.honest, case, cache)
    assert isinstance(reply, messages.Closed), reply
    numbers(f"error {error(case, reply):.2g}")


@pytest.mark.parametrize("what", device_cheats.WRONG)
def test_a_cheat_is_caught(what: str, gpu: CudaDevice, numbers: Numbers) -> None:
    prepare, cache, _, _ = device_cheats.WRONG[what]
    if what == "on another device" and gpu.cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs a second device")
    reply = visited(prepare, SMALL, cache)
    assert isinstance(reply, messages.Refused), "it passed"
    numbers(reply.reason)
    assert reply.status in ("wrong", "error"), reply


def test_a_side_stream_that_waits_its_turn_is_caught_where_the_work_is_long(
    gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    case = Case(width, width, width, "float32", "relu")
    reply = visited(device_cheats.on_a_side_stream_in_order, case)
    assert isinstance(reply, messages.Refused), "it passed"
    numbers(reply.reason)
    assert reply.status == "wrong", reply


def test_transfers_go_at_the_speed_of_the_bus(
    gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    import cupyx

    step, drawn = prepared("cupy_matmul", Case(width, width, width, "float32", "relu"))
    pinned = cupyx.empty_pinned(drawn.A_in.shape, drawn.A_in.dtype)
    pinned[...] = drawn.A_in
    x = step.send(drawn.A_in)
    gpu.fence(None)
    seconds = []
    for _ in range(10):
        start = gpu.mark(None)
        x.set(pinned, stream=gpu.stream)
        seconds.append(gpu.seconds(start, gpu.mark(None)))
    trips = [timing.round_trip(step, drawn.A_in) for _ in range(5)]
    size = drawn.A_in.nbytes / 1e9
    bus, send, fetch = (
        size / t for t in (min(seconds), min(t.send for t in trips), min(t.fetch for t in trips))
    )
    numbers(f"GB/s: bus {bus:.3g}, send {send:.3g} (with a copy on the host), fetch {fetch:.3g}")
    assert 0.5 < bus < 1000
    assert 0.05 * bus < send < 1.1 * bus
    assert 0.05 * bus < fetch < 2 * bus  # the other direction may be the faster one


@every_kernel
def test_out_of_memory_is_a_status_and_the_next_cell_runs(
    name: str, gpu: CudaDevice, width: int, numbers: Numbers
) -> None:
    worker = Server()
    pool = gpu.cupy.get_default_memory_pool()
    gpu.release()
    pool.set_limit(size=width * width)  # bytes: a quarter of W
    try:
        refused = worker.answer(an_open(name, Case(width, width, 8, "float32", "relu")))
    finally:
        pool.set_limit(size=0)
    assert isinstance(refused, messages.Refused), refused
    if refused.status == "unavailable":
        pytest.skip(refused.reason)
    assert refused.status == "out_of_memory", refused
    numbers(refused.reason)
    opened = worker.answer(an_open(name, Case(64, 64, 8, "float32", "relu")))
    assert isinstance(opened, messages.Opened), opened
    assert isinstance(worker.answer(messages.Close(1)), messages.Closed)


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_a_run_from_the_command_line_measures_every_kernel(
    cache: str,
    gpu: CudaDevice,
    tmp_path: Path,
    numbers: Numbers,
    request: pytest.FixtureRequest,
) -> None:
    budget = request.config.getoption("--gpu-budget", default="20s")
    chosen = [f"--kernel={name}" for name in NAMES]
    out = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "run", "--sweep=quick", "--widths=512"),
            *("--batches=64", f"--budget={budget}", f"--cache={cache}", f"--out={out}", *chosen),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells = pd.read_csv(out / "cells.csv").set_index("kernel")
    states = cells.status.to_dict()
    numbers(", ".join(f"{name} {states[name]} {cells.time_s[name]:.3g} s" for name in NAMES))
    assert states["cupy_matmul"] == states["cupy_fused"] == "ok", cells.reason.to_dict()
    for name in ("nvmath_fused", "nvmath_graph"):
        assert states[name] in ("ok", "unavailable"), cells.reason[name]
    assert set(cells.device[cells.status == "ok"]) == {gpu.name}
