"""The layer over a Dask cluster: each worker process holds blocks of W's columns, and keeps them.

    on the workers    block = g(A_in @ W[:, some columns] + b[:, some columns])
    then              the blocks are gathered and stand side by side in one array

A layer too large for one machine's memory is split over the memories of many. `prepare` hands W out
once, block by block; after that only A_in goes to the workers and the output comes back, which are
small beside W. The gathering is inside the launch: an answer in pieces on several machines is none.
No worker holds more than its own blocks, and where these are more than its memory they are so small
that it can put some on its disk and go on (Dask calls it spilling).

What it costs: some milliseconds a launch, whatever the layer, for messages between this process, a
scheduler and the workers; and Python and the libraries in each worker (100 MB). Starting a cluster
of its own takes seconds, once a process of the harness, before anything is timed. Dask remembers
results by name: the same function of the same arguments is not computed again unless `pure=False`
says so, and a benchmark without that measures how fast an answer is remembered.

What it shows: what it takes to spread a layer over machines, and how large it must be to be worth
it. For a layer that fits into one of them, `numpy_matmul` is faster.

The work is done in other processes. Without a scheduler that is named these are children of this
one, a worker for each thread that the run is given (`--threads`), whose CPU time counts as this
kernel's, and the device is `cpu`. With

    DASK_SCHEDULER_ADDRESS=tcp://host:8786 python -m bench run --kernel dask_matmul ...

they are the cluster's, and the device's name says how many; what they do besides, nobody here sees.
Workers need NumPy and Dask of the versions here, and nothing of this project.

W comes as an array. Where that is larger than this machine's memory let it be a file that is mapped
(`np.memmap`): a block at a time is read from it. The harness draws its own layers in memory and
checks answers there, so it measures none that is larger than about a third of it: such a cell is
`out_of_memory`, and its reason says what was needed.
"""

import atexit
import contextlib
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Host, Layer, Step, Unavailable, Unsupported, library, supported

PART = 10
"""A block takes no more than this part of its worker's memory."""

EVICTION_BYTES = 2**28
"""More than a processor's caches hold."""


class Cluster(Host):
    """The workers. A launch returns with the whole output, so there is nothing to wait for."""

    def __init__(self, client: Any, workers: dict[str, Any]) -> None:
        self._client = client
        if f"-{OWN}-" not in client.id:
            threads = sum(facts["nthreads"] for facts in workers.values())
            self.name = f"Dask cluster of {len(workers)} workers with {threads} threads"

    def flush(self) -> None:
        super().flush()
        self._client.run(lambda: np.ones(EVICTION_BYTES, np.uint8).sum())


OWN = "own"
"""In the name of the connection to a cluster that was started here."""

CLUSTER = """
import sys, dask, distributed
# what each worker looks at many times a second, while others are measured
dask.config.set({
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,  # it drops copies of A_in
})
cluster = distributed.LocalCluster(
    n_workers=int(sys.argv[1] or distributed.system.CPU_COUNT),
    threads_per_worker=1,
    scheduler_kwargs={"dashboard": False, "dashboard_address": ":0"},
)
print(cluster.scheduler_address, flush=True)
sys.stdin.read()  # until the process that wants it ends
"""


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W (n_in, n_units) and b (1, n_units) go to the workers, some columns to each."""
    if layer.precision not in ("float64", "float32"):
        raise Unsupported(f"precision {layer.precision}: NumPy has no fast product in it")
    # not those of kernels/_activations.py: workers elsewhere have no such file
    activations: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "linear": lambda z: z,
        "relu": lambda z: np.maximum(z, 0, out=z),
        "sigmoid": lambda z: 0.5 * np.tanh(0.5 * z) + 0.5,
        "tanh": lambda z: np.tanh(z, out=z),
    }
    g, dtype = supported("activation", layer.activation, activations), DTYPES[layer.precision]
    client = _client()
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise Unavailable(f"the Dask scheduler at {client.scheduler.address} has no workers")

    def some_units(A_in: NDArray[Any], W: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        z = A_in @ W
        z += b
        return g(z)

    def put(array: NDArray[Any], worker: str) -> Any:
        return client.scatter(np.array(array, dtype, order="C"), workers=[worker], hash=False)

    blocks = [
        (put(layer.W[:, columns], worker), put(layer.b[:, columns], worker), worker)
        for columns, worker in _split(layer, workers)
    ]

    def send(array: NDArray[Any]) -> Any:
        return client.scatter(np.array(array, dtype), broadcast=True, hash=False)

    def launch(A_in: Any) -> NDArray[Any]:
        parts = [
            client.submit(some_units, A_in, W, b, workers=[worker], pure=False)
            for W, b, worker in blocks
        ]
        return np.concatenate(client.gather(parts), axis=1)

    return Step(launch, send=send, device=Cluster(client, workers), close=blocks.clear)


def _split(layer: Layer, workers: dict[str, Any]) -> list[tuple[slice, str]]:
    """Which columns each worker gets: as many for each, in blocks that leave it room."""
    limits = [facts["memory_limit"] for facts in workers.values() if facts["memory_limit"]]
    share = layer.W.nbytes / len(workers)
    each = max(math.ceil(share * PART / min(limits)), 1) if limits else 1
    ends = np.linspace(0, layer.n_units, len(workers) * each + 1).astype(int).tolist()
    columns = (slice(start, end) for start, end in pairwise(ends) if start < end)
    return list(zip(columns, cycle(workers), strict=False))


def _client() -> Any:
    """The connection that this process has to a cluster; the first time one is made, to the
    scheduler that is named or to a cluster of its own.
    """
    library("dask", "dask_matmul")
    distributed: Any = library("distributed", "dask_matmul")
    with contextlib.suppress(ValueError):  # there is none yet
        return distributed.default_client()
    # it draws how long it waits before it tries again, and Python's numbers are not its own
    for name in ("distributed.comm.core", "distributed.utils_comm"):
        library(name, "dask_matmul").random = random.Random()  # type: ignore[attr-defined]
    named = os.environ.get("DASK_SCHEDULER_ADDRESS")
    scheduler = named or _start()
    try:
        return distributed.Client(scheduler, name="" if named else OWN)
    except (OSError, ValueError) as error:
        raise Unavailable(f"no Dask scheduler answers at {scheduler}: {error}") from error


def _start() -> str:
    """Start a scheduler and a worker for each thread -> the scheduler's address.

    All of it in other processes: a scheduler draws random numbers and sets variables of the
    environment, which are this process's to keep.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, threads],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    assert process.stdout is not None
    if address := process.stdout.readline().strip():
        return address
    raise Unavailable(f"a Dask cluster can't be started here: exit code {process.wait()}")
