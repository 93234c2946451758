"""Which environment variables a run records."""

import pytest

from bench.machine.variables import changing
from bench.worker.environment import THREAD_VARIABLES


@pytest.mark.parametrize(
    "name",
    [
        "NUMBA_DISABLE_JIT",
        "NUMBA_OPT",
        "NUMBA_CPU_FEATURES",
        "NUMBA_THREADING_LAYER",
        "JAX_DISABLE_JIT",
        "JAX_DEBUG_NANS",
        "XLA_FLAGS",
        "ATEN_CPU_CAPABILITY",
        "ONEDNN_MAX_CPU_ISA",
        "OPENBLAS_CORETYPE",
        "MKL_DEBUG_CPU_TYPE",
        "MKL_CBWR",
        "MLX_DISABLE_COMPILE",
        "DASK_SCHEDULER_ADDRESS",
        "BLIS_JC_NT",
        "NPY_DISABLE_CPU_FEATURES",
        "OMP_THREAD_LIMIT",
        "OMP_PROC_BIND",
        "KMP_AFFINITY",
        "CUDA_LAUNCH_BLOCKING",
        "NVIDIA_TF32_OVERRIDE",
        "PYTHONMALLOC",
        "PYTHONDEVMODE",
        "LD_PRELOAD",
    ],
)
def test_what_changes_what_runs_is_recorded(name: str) -> None:
    assert changing({name: "1", "HOME": "/"}) == {name: "1"}
    assert changing({name: ""}) == {}


@pytest.mark.parametrize(
    "name",
    [
        *THREAD_VARIABLES,
        "NUMBA_CACHE_DIR",
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_PLATFORMS",
        "XLA_PYTHON_CLIENT_PREALLOCATE",
        "ONEDNN_VERBOSE",
        "MKL_VERBOSE",
        "MALLOC_ARENA_MAX",
        "PYTHONPATH",
        "PYTHONWARNINGS",
        "MPLBACKEND",
        "FORCE_COLOR",
        "GIT_DIR",
        "PIP_CONSTRAINT",
    ],
)
def test_what_changes_nothing_is_not(name: str) -> None:
    assert changing({name: "1"}) == {}
