"""The same cells through pytest-benchmark's own fixture, for those who live there.

    pytest bench/suite.py --benchmark-only [--sweep quick] [-k numpy_matmul]

A round is one launch and its fence: what `latency_s` is in cells.csv, taken pytest-benchmark's way.
Its numbers for small layers hold one call of a Python function more. Every answer is checked first;
kernel, shape, FLOPs and device go into `extra_info`. Cells that need longer than the sweep's
`launch_limit_s` for a launch are skipped, and so are kernels that can't run here.
"""

import time
from typing import Any

import pytest

import kernels
from bench.judge import answers, check, inputs
from bench.plan import sweep, weights
from bench.plan.case import Case
from bench.stats import prediction
from bench.terminal import errors

taken: dict[str, dict[Case, float]] = {}
"""Seconds of a launch of each kernel's cases so far: what larger ones are predicted from."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each kernel on each case, the least work first."""
    chosen = _chosen(metafunc.config)
    cases = chosen.cases()
    ids = [f"{c.layer}{'-' if c.layer else ''}{c.n_in}x{c.n_units}-b{c.batch}" for c in cases]
    metafunc.parametrize("kernel", sweep.which(chosen.kernels, kernels.names()))
    metafunc.parametrize("case", cases, ids=ids)


def _chosen(config: pytest.Config) -> sweep.Sweep:
    try:
        return sweep.read(config.getoption("--sweep"))
    except errors.BadInput as error:
        raise pytest.UsageError(str(error)) from error


def test_forward(benchmark: Any, kernel: str, case: Case, pytestconfig: pytest.Config) -> None:
    """Check one cell's answer, then let pytest-benchmark time its launches."""
    chosen = _chosen(pytestconfig)
    limit_s = chosen.launch_limit_s
    seen = taken.setdefault(kernel, {})
    if (prediction.predict(case, seen) or 0.0) > limit_s:
        pytest.skip(f"a launch is predicted to take over {limit_s} s")
    dtype = kernels.DTYPES[case.precision]
    own = chosen.weights.get(case.layer)
    drawn = inputs.draw(case, 0, dtype, weights.load(own, case, dtype) if own else None)
    layer = kernels.Layer(drawn.W, drawn.b, case.activation, case.precision)
    try:
        step = kernels.load(kernel).prepare(layer, case.batch)
    except (kernels.Unavailable, kernels.Unsupported) as reason:
        pytest.skip(str(reason))
    x = step.send(drawn.A_in)
    launch, fence = step.launch, step.device.fence

    def launch_and_fence() -> Any:
        out = launch(x)
        fence(out)
        return out

    check.check(step.fetch(launch_and_fence()), case, dtype, answers.expected(drawn))
    start = time.perf_counter()
    launch_and_fence()
    seen[case] = time.perf_counter() - start
    benchmark.extra_info |= {
        "kernel": kernel,
        "layer": case.layer,
        "n_in": case.n_in,
        "n_units": case.n_units,
        "batch": case.batch,
        "precision": case.precision,
        "activation": case.activation,
        "flops": case.flops,
        "device": step.device.name,
    }
    benchmark(launch_and_fence)
    step.close()
