"""The layer over a Dask cluster of real worker processes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import an_open, ask, error

import kernels
from bench.judge import answers, check, inputs
from bench.measure.worker_process import WorkerProcess
from bench.plan.case import Case
from bench.worker import messages
from kernels import Layer, Unavailable

dask: Any = pytest.importorskip("dask", reason="needs Dask: make setup KERNELS=dask_matmul")
distributed: Any = pytest.importorskip(
    "distributed", reason="needs Dask distributed: make setup KERNELS=dask_matmul"
)

LIMIT = 400 * 2**20
"""Bytes of memory that each worker has; Python and the libraries take a quarter of it."""

QUIET = {"dashboard": False, "dashboard_address": ":0"}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Three workers, each a process, and this process's connection to them."""
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, memory_limit=LIMIT, scheduler_kwargs=QUIET
        ) as cluster,
        distributed.Client(cluster, direct_to_workers=True) as client,
    ):
        yield client


def prepared(layer: Layer, batch: int) -> kernels.Step:
    step: kernels.Step = kernels.load("dask_matmul").prepare(layer, batch)
    return step


@pytest.mark.parametrize(
    "case",
    [
        Case(1, 1, 1, "float32", "linear"),  # two workers have nothing to do
        Case(7, 5, 1, "float32", "relu"),
        Case(13, 10, 17, "float64", "tanh"),
        Case(200, 1031, 67, "float32", "sigmoid"),
    ],
    ids=str,
)
def test_three_workers_give_the_answer_whether_or_not_they_divide_the_width(
    client: Any, case: Case
) -> None:
    dtype = kernels.DTYPES[case.precision]
    drawn = inputs.draw(case, 0, dtype)
    step = prepared(Layer(drawn.W, drawn.b, case.activation, case.precision), case.batch)
    x = step.send(drawn.A_in)
    for _ in range(2):
        found = step.fetch(step.launch(x))
        assert check.check(found, case, dtype, answers.expected(drawn)) < 1
    workers = {worker for each in client.who_has().values() for worker in each}
    assert len(workers) == 3  # A_in is everywhere
    step.close()


def test_workers_need_nothing_of_this_project(client: Any) -> None:
    ones = np.ones((2, 2), np.float32)
    step = prepared(Layer(ones, ones[:1], "sigmoid"), 2)
    step.launch(step.send(ones))
    assert not any(client.run(lambda: "kernels" in sys.modules).values())


def sparse(folder: Path, n_in: int, n_units: int) -> tuple[Layer, Any, Any]:
    """A layer in a file with holes, which takes neither memory nor disk: all rows of W but two are
    zeros. With it an input, and what the output should be.
    """
    W = np.memmap(folder / "W", np.float32, "w+", shape=(n_in, n_units))
    generator = np.random.default_rng(0)
    W[0], W[-1] = generator.normal(size=(2, n_units))
    b = generator.normal(size=(1, n_units)).astype(np.float32)
    A_in = np.zeros((2, n_in), np.float32)
    A_in[:, 0], A_in[:, -1] = (1, 2), (3, 4)
    exact = A_in[:, :1].astype(float) * W[0] + A_in[:, -1:] * W[-1] + b
    return Layer(W, b, "relu"), A_in, np.maximum(exact, 0)


def test_a_layer_larger_than_a_workers_memory_runs_and_is_held_nowhere_whole(
    client: Any, tmp_path: Path
) -> None:
    layer, A_in, exact = sparse(tmp_path, 10_500, 10_007)
    assert layer.W.nbytes > LIMIT
    step = prepared(layer, 2)
    found = step.fetch(step.launch(step.send(A_in)))
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)
    sizes = client.nbytes(summary=False)
    held = {worker: sum(sizes[key] for key in keys) for worker, keys in client.has_what().items()}
    assert sum(held.values()) > layer.W.nbytes
    assert max(held.values()) < 0.4 * layer.W.nbytes
    step.close()


@pytest.mark.campaign
def test_one_that_is_larger_than_all_memory_of_the_workers_is_spilled(tmp_path: Path) -> None:
    limit = 600 * 2**20
    layer, A_in, exact = sparse(tmp_path, 13_000, 13_001)
    assert limit < layer.W.nbytes
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit=limit, scheduler_kwargs=QUIET
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        step = prepared(layer, 2)
        x = step.send(A_in)
        for _ in range(3):
            np.testing.assert_allclose(step.launch(x), exact, rtol=1e-6, atol=1e-6)
        (on_disk,) = client.run(lambda dask_worker: len(dask_worker.data.disk)).values()
        assert on_disk > 0
        step.close()


def visited(worker: WorkerProcess, case: Case) -> str:
    """The device of a whole visit, whose answers the judge found right."""
    asked = an_open("dask_matmul", case)
    opened = ask(worker, asked, 120)
    assert isinstance(opened, messages.Opened), opened
    for request in (messages.Measure(1, opened.loops, 2), messages.RoundTrips(1, 2)):
        reply = worker.call(request, 60)
        assert not isinstance(reply, messages.Refused), reply
    closed = worker.call(messages.Close(1), 60)
    assert error(case, closed) < 1
    assert isinstance(closed, messages.Closed)
    assert closed.quiet
    assert not worker.left_busy()
    return opened.device


def test_the_harness_measures_a_cluster_that_is_named(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", client.scheduler.address)
    worker = WorkerProcess(threads=1)
    try:
        device = visited(worker, Case(24, 17, 8, "float32", "relu"))
    finally:
        worker.kill()
    assert device == "Dask cluster of 3 workers with 3 threads"


def test_the_harness_measures_a_cluster_of_its_own_with_a_worker_a_thread() -> None:
    worker = WorkerProcess(threads=1)
    try:
        assert visited(worker, Case(24, 17, 8, "float32", "relu")) == "cpu"
        assert visited(worker, Case(64, 64, 1, "float64", "tanh")) == "cpu"
    finally:
        worker.kill()


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise ValueError

    monkeypatch.setattr(distributed, "default_client", none)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    ones = np.ones((1, 1), np.float32)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}),
        pytest.raises(Unavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9: "),
    ):
        prepared(Layer(ones, ones), 1)


def test_one_without_workers_is_unavailable() -> None:
    ones = np.ones((1, 1), np.float32)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, scheduler_kwargs=QUIET) as cluster,
        distributed.Client(cluster),
        pytest.raises(Unavailable, match=r"the Dask scheduler at .* has no workers"),
    ):
        prepared(Layer(ones, ones), 1)
