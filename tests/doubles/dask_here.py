"""A Dask cluster whose three workers are threads of this process: started at once, and as right."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@contextmanager
def cluster() -> Iterator[None]:
    """Inside, it is this process's cluster, where Dask is installed. Its threads end with it."""
    if find_spec("distributed") is None:
        yield
        return
    distributed: Any = import_module("distributed")
    workers = distributed.LocalCluster(
        n_workers=3,
        threads_per_worker=1,
        processes=False,
        scheduler_kwargs={"dashboard": False, "dashboard_address": ":0"},
    )
    with workers, distributed.Client(workers):
        yield
