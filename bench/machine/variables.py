"""Environment variables that change what runs in a worker, or how fast.

A run records them and tells its user. Those that only say where files are, how many threads there
are (`bench.worker.environment` sets it) or how much is printed are passed over.
"""

import re
from collections.abc import Mapping

from bench.worker.environment import THREAD_VARIABLES

CHANGING = re.compile(
    r"NUMBA_(?!CACHE_|NUM_THREADS|DISABLE_PERFORMANCE_WARNINGS|WARNINGS|COLOR_SCHEME)\w+"
    r"|JAX_(?!COMPILATION_CACHE|TRACEBACK|LOG|PERSISTENT_CACHE|PLATFORM|SKIP|ENABLE_X64)\w+"
    r"|XLA_(?!PYTHON_CLIENT)\w+"
    r"|DASK_\w+|MLX_\w+|ATEN_CPU_CAPABILITY|(ONEDNN|DNNL)_(?!VERBOSE)\w+|TORCH_ALLOW_TF32\w+"
    r"|OPENBLAS_CORETYPE|BLIS_(ARCH_TYPE|[JIM][CR]_NT|PC_NT)"
    r"|MKL_(?!NUM_THREADS|VERBOSE|SERVICE|ROOT)\w+"
    r"|NPY_(DISABLE|ENABLE)_CPU_FEATURES"
    r"|OMP_(THREAD_LIMIT|PROC_BIND|PLACES|DYNAMIC|SCHEDULE|STACKSIZE|WAIT_POLICY)|(GOMP|KMP)_\w+"
    r"|CUDA_LAUNCH_BLOCKING|CUPY_(TF32|ACCELERATORS|COMPILE_WITH_PTX)|NVIDIA_TF32_OVERRIDE"
    r"|CUBLAS_\w+|CUBLASLT_(?!LOG)\w+"
    r"|PYTHON(MALLOC|DEVMODE|TRACEMALLOC|OPTIMIZE|_JIT|_GIL)"
    r"|LD_PRELOAD|DYLD_INSERT_LIBRARIES|GLIBC_TUNABLES|MALLOC_(PERTURB_|CHECK_)"
)


def changing(environment: Mapping[str, str]) -> dict[str, str]:
    """Those that are set to something, by name."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if value and CHANGING.fullmatch(name) and name not in THREAD_VARIABLES
    }
