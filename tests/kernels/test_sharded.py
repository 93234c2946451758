"""The layer split over JAX's devices: eight that XLA makes of the CPU."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from asked import an_open, ask, error

from bench import ROOT
from bench.measure.worker_process import WorkerProcess
from bench.plan.case import Case
from bench.worker import messages

pytestmark = pytest.mark.skipif(
    find_spec("jax") is None, reason="needs JAX, which has no wheels for this machine"
)

EIGHT = """
import kernels
from bench.judge import answers, check, inputs
from bench.plan.case import Case

for case in (
    Case(1, 1, 1, "float32", "linear"),  # seven devices have padding alone
    Case(7, 9, 1, "float32", "relu"),
    Case(13, 8, 17, "float64", "tanh"),
    Case(200, 1031, 67, "float32", "sigmoid"),
    Case(64, 100, 3, "bfloat16", "relu"),
    Case(64, 100, 3, "float16", "relu"),
):
    dtype = kernels.DTYPES[case.precision]
    drawn = inputs.draw(case, 0, dtype)
    layer = kernels.Layer(drawn.W, drawn.b, case.activation, case.precision)
    step = kernels.load("jax_sharded").prepare(layer, case.batch)
    x = step.send(drawn.A_in)
    for _ in range(3):
        out = step.launch(x)
    step.device.fence(out)
    assert check.check(step.fetch(out), case, dtype, answers.expected(drawn)) < 1, case
    # gathered by the launch: each device has all of it
    shards = [shard.data.shape for shard in out.addressable_shards]
    assert shards == 8 * [(case.batch, case.n_units)], shards
    # and of W, an argument of the compiled function, an eighth part of the columns, rounded up
    held = [cell.cell_contents for cell in step.launch.__closure__]
    (W,) = [a for a in held if getattr(a, "shape", (0,))[0] == case.n_in > 1] or [None]
    print(case.n_units, W is not None and {shard.data.shape for shard in W.addressable_shards})
"""


def devices(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv("XLA_FLAGS", f"--xla_force_host_platform_device_count={count}")


def test_eight_devices_give_the_answer_whether_or_not_they_divide_the_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    devices(monkeypatch, 8)
    done = subprocess.run(
        [sys.executable, "-c", EIGHT],
        cwd=ROOT,
        env={**os.environ, "PJRT_NPROC": "2"},  # fewer threads than devices
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *("1 False", "9 {(7, 2)}", "8 {(13, 1)}"),
        *("1031 {(200, 129)}", "100 {(64, 13)}", "100 {(64, 13)}"),
    ]


def test_the_harness_measures_it_as_any_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    devices(monkeypatch, 3)
    worker = WorkerProcess(threads=3)
    try:
        for cache in ("warm", "cold"):
            asked = an_open("jax_sharded", Case(24, 17, 8, "float32", "relu"), cache=cache)
            opened = ask(worker, asked, 120)
            assert isinstance(opened, messages.Opened), opened
            assert opened.device == "cpu"
            times = worker.call(messages.Measure(1, opened.loops, 3), 60)
            assert isinstance(times, messages.Times), times
            trips = worker.call(messages.RoundTrips(1, 2), 60)
            assert isinstance(trips, messages.Trips), trips
            closed = worker.call(messages.Close(1), 60)
            assert error(asked.case, closed) < 1
            assert isinstance(closed, messages.Closed)
            assert closed.quiet
    finally:
        worker.kill()
