"""What Linux says of a core's caches for data, the nearest first."""

import os
from dataclasses import dataclass
from pathlib import Path

CORES = Path("/sys/devices/system/cpu")
"""In the folder of each core, one for each of its caches."""

LINE = 64
"""Bytes of a cache line."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache: its level (1 is the nearest), its bytes, the places that a line may have in it
    (`ways`), and how many of the cores that this process may use share it.
    """

    level: int
    size: int
    ways: int
    cores: int = 1

    @property
    def sets(self) -> int:
        """How many groups of `ways` lines it consists of."""
        return max(self.size // (LINE * self.ways), 1)

    @property
    def share(self) -> int:
        """Bytes for each core, if all use it."""
        return self.size // self.cores


def data_caches(cores: Path = CORES) -> tuple[Cache, ...]:
    """The caches that hold data, by level, of the first core that this process may use; empty where
    the system doesn't say.
    """
    if not hasattr(os, "sched_getaffinity"):  # not on Linux
        return ()
    folder = cores / f"cpu{min(os.sched_getaffinity(0))}" / "cache"
    caches = [_cache(index) for index in sorted(folder.glob("index*"))]
    return tuple(sorted((c for c in caches if c is not None), key=lambda cache: cache.level))


def _cache(index: Path) -> Cache | None:
    try:
        kind, level, size, ways, cores = (
            (index / name).read_text().strip()
            for name in ("type", "level", "size", "ways_of_associativity", "shared_cpu_list")
        )
        if kind == "Instruction":
            return None
        kib = int(size.removesuffix("K"))
        cache = Cache(int(level), kib * 1024, max(int(ways), 1), _usable(cores))
    except (OSError, ValueError):
        return None
    return cache if cache.size > 0 else None


def _usable(cores: str) -> int:
    """How many of the cores in a list such as 0-3,8 this process may use; at least one."""
    listed: set[int] = set()
    for part in cores.split(","):
        first, _, last = part.partition("-")
        listed |= set(range(int(first), int(last or first) + 1))
    return max(len(listed & os.sched_getaffinity(0)), 1)
