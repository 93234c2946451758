"""A Dask cluster whose three workers are threads of this process: started at once, and as right."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any


@cache
def connect() -> tuple[Any, ...]:
    """Make it this process's cluster, where Dask is installed; what is there stays. It is kept from
    being collected, which would end it.
    """
    if find_spec("distributed") is None:
        return ()
    distributed: Any = import_module("distributed")
    cluster = distributed.LocalCluster(
        n_workers=3,
        threads_per_worker=1,
        processes=False,
        scheduler_kwargs={"dashboard": False, "dashboard_address": ":0"},
    )
    return cluster, distributed.Client(cluster)
