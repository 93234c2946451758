"""How much of the machine a process may take: its cores, and its memory."""

import math
import os
import resource
from pathlib import Path

from bench.worker import cgroups

RESERVE_BYTES = 2**28
"""Free memory that no kernel gets: the harness and the rest of the machine live on it."""

STATUS = Path("/proc/self/status")

DRIVER = Path("/dev/nvidiactl")
"""There where NVIDIA's driver is."""


def limit(free_bytes: int) -> None:
    """Have this process's allocations fail before it takes the machine's last bytes.

    RLIMIT_DATA counts what a process may write to and shares with nobody. Address space that is
    only reserved isn't counted: JAX runs under it on a CPU. CUDA has not been tried, so there is no
    limit where its driver is; if memory runs out there, Linux ends the worker first
    (`bench.worker.keeper`).
    """
    if not STATUS.exists() or DRIVER.exists():
        return
    sizes = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    used = int(sizes["VmData"].split()[0]) * 1024
    allowed = used + max(free_bytes - RESERVE_BYTES, 0)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        allowed = min(allowed, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


NO_MEMORY = ("out of memory", "alloc_failed", "resource_exhausted")
"""How libraries say it that raise no MemoryError: CUDA's runtime and PyTorch, cuBLAS, JAX."""


def is_memory(error: Exception, said: str) -> bool:
    """Whether an error with these words is a lack of memory, here or on a device."""
    return isinstance(error, MemoryError) or any(words in said.lower() for words in NO_MEMORY)


def usable_cores() -> int:
    """Cores that this process may keep busy: its affinity, and the quotas of its containers."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cgroups.quota()
    return cores if quota is None else min(cores, math.ceil(quota))
