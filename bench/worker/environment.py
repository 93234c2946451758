"""The environment of a worker: how many threads, and where `bench` and `kernels` are."""

import os
from pathlib import Path

from bench import ROOT

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "PJRT_NPROC",  # XLA's, and with it JAX's
)
"""What libraries read how many threads they may use from. PyTorch reads OpenMP's."""


def environment(
    threads: int, kernels_at: Path | None = None, hash_seed: int | None = None
) -> dict[str, str]:
    """The environment of a worker: how many threads, and where `bench` and `kernels` are.

    `kernels_at` is where `kernels` is, if not in this checkout; `hash_seed` that of Python's
    hashes, which decide how its dictionaries lie in memory (none: another one each time).

    OpenBLAS threads spin on after a product, for work that may come. OPENBLAS_THREAD_TIMEOUT is
    the power of two of clock cycles that they do; 2**20 is far longer than the gap between two
    launches, and leaves a visit less to wait for (`quiet_s` in visits.csv). A value that the user
    has set is kept.
    """
    places = [str(kernels_at or ""), str(ROOT), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, places))
    # PYTHONWARNINGS=error would make errors of what libraries only remark on
    own = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    return {
        "OPENBLAS_THREAD_TIMEOUT": "20",
        **own,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": path,
        **({} if hash_seed is None else {"PYTHONHASHSEED": str(hash_seed)}),
    }
