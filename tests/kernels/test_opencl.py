"""A real device with memory, a queue and events of its own: OpenCL on the CPU, through the harness.

PoCL compiles for the CPU at hand and computes behind the host's back; where its compiler is older
than the CPU it can't, and its tests are skipped (Debian's pocl-opencl-icd knows more CPUs than the
wheel's). Oclgrind simulates a device on any CPU, as slowly
as a simulator does, and computes when it is waited for.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from asked import an_open, ask
from campaign import campaign
from commands import bench

import kernels
from bench import ROOT
from bench.judge import inputs
from bench.measure.worker_process import WorkerProcess
from bench.plan.case import Case
from bench.worker import messages

if Path(
    "/etc/OpenCL/vendors"
).is_dir():  # the system's PoCL may know a CPU that the wheel's doesn't
    os.environ.setdefault("OCL_ICD_VENDORS", "/etc/OpenCL/vendors")
cl = pytest.importorskip("pyopencl", reason="needs pyopencl[pocl,oclgrind]")

FILE = ROOT / "tests" / "doubles" / "kernel_files" / "opencl_dense.py"


@dataclass(frozen=True)
class Found:
    """An OpenCL device: which it is, and a layer that keeps it busy for some milliseconds."""

    index: int
    busy: Case


POCL, SIMULATOR = "Portable Computing Language", "Oclgrind"


def find(platform: str) -> Found:
    """The platform's device; skips where it isn't there or can't compile."""
    devices = [device for each in cl.get_platforms() for device in each.get_devices()]
    needed = f"the OpenCL platform {platform}: pyopencl[pocl,oclgrind]"
    for index, device in enumerate(devices):
        if device.platform.name != platform:
            continue
        try:
            cl.Program(cl.Context([device]), "__kernel void nothing() {}").build()
        except cl.RuntimeError as error:
            reason = [line for line in str(error).splitlines() if line.startswith("error")]
            needed = f"a CPU that {platform}'s compiler knows: {' '.join(reason)}"
            continue  # another version of it may know the CPU
        width = 512 if platform == POCL else 16
        return Found(index, Case(width, width, width, "float32", "relu"))
    pytest.skip(f"needs {needed}")


@pytest.fixture(scope="module", params=[POCL, pytest.param(SIMULATOR, marks=campaign)])
def found(request: pytest.FixtureRequest) -> Found:
    return find(request.param)


@pytest.fixture
def best() -> Found:
    """The faster one that works here."""
    try:
        return find(POCL)
    except pytest.skip.Exception:
        return find(SIMULATOR)


@pytest.fixture(scope="module")
def process() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(threads=2)
    yield worker
    worker.kill()


@pytest.mark.parametrize(
    ("shape", "activation"),
    [
        ((24, 16, 8), "linear"),
        ((24, 16, 8), "sigmoid"),
        ((7, 5, 1), "tanh"),
        ((3, 1, 9), "relu"),
    ],
)
def test_a_visit_exercises_transfers_events_and_fences(
    activation: str,
    shape: tuple[int, int, int],
    found: Found,
    process: WorkerProcess,
) -> None:
    opened = ask(
        process, an_open(str(FILE), Case(*shape, "float32", activation), device=found.index), 60
    )
    assert isinstance(opened, messages.Opened), opened
    assert opened.device.startswith(f"opencl:{found.index} ")
    times = process.call(messages.Measure(1, opened.loops, 3), 60)
    assert isinstance(times, messages.Times), times
    trips = process.call(messages.RoundTrips(1, 1), 60)
    assert isinstance(trips, messages.Trips), trips
    assert trips.send > 0
    assert trips.fetch > 0
    closed = process.call(messages.Close(1), 60)
    assert isinstance(closed, messages.Closed), closed


def test_work_is_done_behind_the_hosts_back(found: Found, process: WorkerProcess) -> None:
    opened = ask(process, an_open(str(FILE), found.busy, device=found.index), 60)
    assert isinstance(opened, messages.Opened), opened
    trips = process.call(messages.RoundTrips(1, 3), 60)
    assert isinstance(trips, messages.Trips), trips
    assert trips.launch < trips.latency
    assert isinstance(process.call(messages.Close(1), 60), messages.Closed)


def changed(old: str, new: str, folder: Path) -> Path:
    """A copy of the kernel with a mistake."""
    text = FILE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = folder / FILE.name
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def fenced(path: Path, found: Found) -> bool:
    """Whether all work is done when the kernel's fence returns."""
    drawn = inputs.draw(found.busy, 0, np.float32)
    layer = kernels.Layer(drawn.W, drawn.b, found.busy.activation)
    step = kernels.load(str(path)).prepare(layer, found.busy.batch, found.index)
    out = step.launch(step.send(drawn.A_in))
    mark = step.device.mark(out)
    step.device.fence(out)
    done: bool = mark.command_execution_status == cl.command_execution_status.COMPLETE
    step.device.seconds(mark, mark)
    return done


def test_when_its_fence_returns_all_work_is_done(found: Found) -> None:
    assert fenced(FILE, found)


def test_without_its_fence_it_is_not(found: Found, tmp_path: Path) -> None:
    assert not fenced(changed("self.queue.finish()", "pass", tmp_path), found)


def test_without_its_fence_the_harness_refuses_it(process: WorkerProcess, tmp_path: Path) -> None:
    found = find(POCL)  # the simulator has done nothing later, either: it computes when asked
    path = changed("self.queue.finish()", "pass", tmp_path)
    opened = ask(process, an_open(str(path), found.busy, device=found.index), 60)
    assert isinstance(opened, messages.Opened), opened
    refused = process.call(messages.RoundTrips(1, 1), 60)
    assert isinstance(refused, messages.Refused), refused
    assert refused.status == "wrong"
    assert "the fence returned" in refused.reason


@campaign
def test_with_its_nanoseconds_taken_for_something_longer_it_is_refused(
    found: Found, process: WorkerProcess, tmp_path: Path
) -> None:
    path = changed("/ 1e9", "/ 5e9", tmp_path)
    opened = ask(process, an_open(str(path), found.busy, device=found.index), 60)
    assert isinstance(opened, messages.Opened), opened
    refused = process.call(messages.Measure(1, 2, 3), 60)
    assert isinstance(refused, messages.Refused), refused
    assert "its marks missed" in refused.reason


@campaign
def test_a_run_measures_it_beside_a_kernel_of_numpy(
    best: Found, tmp_path: Path, cells_alone: None
) -> None:
    out = tmp_path / "run"
    options = ["--kernel", str(shutil.copy(FILE, tmp_path)), "--kernel", "numpy_matmul"]
    options += [
        "--device",
        str(best.index),
        "--budget",
        "4s",
        "--target",
        "0.9",
        "--out",
        str(out),
    ]
    done = bench(
        "run", "--no-charts", "--sweep", "quick", "--widths", "4", "--batches", "2", *options
    )
    assert done.code == 0, done
    cells = pd.read_csv(out / "cells.csv").set_index("kernel")
    assert list(cells.status) == ["ok", "ok"]
    assert cells.device["opencl_dense"].startswith(f"opencl:{best.index} ")
    assert cells.send_s["opencl_dense"] > 0
    assert cells.fetch_s["opencl_dense"] > 0
