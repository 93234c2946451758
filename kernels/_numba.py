"""What kernels share that Numba compiles: whether it can, and where it keeps what it has compiled.

Compiling takes seconds, so the result is kept: beside the kernels, or in the user's cache. Where
neither can be written (a checkout that is read-only, a user without a home), it is kept in a folder
of this user's below the temporary one, and where that can't be either, it isn't kept.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from kernels import Unavailable, library

Function = TypeVar("Function", bound=Callable[..., Any])


def compiler_for(kernel: str) -> ModuleType:
    """Numba, ready to compile. Raises Unavailable where it isn't there, or is told not to work."""
    numba = library("numba", kernel)
    if numba.config.DISABLE_JIT:
        said = "NUMBA_DISABLE_JIT is set: the interpreter would run the loop, and not Numba"
        raise Unavailable(f"{said}: unset NUMBA_DISABLE_JIT")
    if (layer := numba.config.THREADING_LAYER) != "default":
        try:
            numba.get_num_threads()  # starts the threads
        except (ValueError, ImportError, RuntimeError) as error:
            said = f"NUMBA_THREADING_LAYER={layer} asks for threads that can't be had ({error})"
            raise Unavailable(f"{said}: unset it, or install that library") from error
    return numba


def allowed_features() -> set[str]:
    """What of the CPU's features, by LLVM's names, Numba may use: all that it has, unless the
    variables NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say otherwise.
    """
    import numba
    from llvmlite import binding

    asked: str | None = getattr(numba.config, "CPU_FEATURES", None)
    if asked is None:
        return {name for name, there in binding.get_host_cpu_features().items() if there}
    return {word[1:] for word in asked.split(",") if word[:1] == "+"}


def njit(*signature: Any, **options: Any) -> Callable[[Function], Function]:
    """numba.njit, with a cache where there can be one."""
    import numba

    compiler: Any = numba.njit
    compiled: Callable[[Function], Function] = compiler(
        *signature, cache=_cache_found(), error_model="numpy", **options
    )
    return compiled


@cache
def _cache_found() -> bool:
    """Whether there is somewhere to keep what is compiled; the temporary folder, if need be."""
    import numba

    config: Any = numba.config
    if _keeps(numba):
        return True
    config.CACHE_DIR = _temporary()
    if config.CACHE_DIR and _keeps(numba):
        return True
    config.CACHE_DIR = ""
    return False


def _keeps(numba: ModuleType) -> bool:
    """Whether Numba finds a folder that it can write for functions of this one."""
    try:
        numba.njit(cache=True)(_anything)
    except (RuntimeError, OSError):  # "no locator available"; OSError: no home to look in
        return False
    return True


def _anything() -> None:
    pass


def _temporary() -> str:
    """A folder that nobody else can write: what is in it will be run. Empty where there is none."""
    try:
        folder = Path(tempfile.gettempdir()) / f"numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return ""
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return str(folder) if own and not found.st_mode & 0o022 else ""
