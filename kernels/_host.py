"""The CPU as a device: its clock, its memory and its caches."""

import contextlib
import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

POWERCAP = Path("/sys/class/powercap")


class Host:
    """The CPU. A launch returns when the work is done, so there is nothing to wait for.

    A library that computes on the CPU but returns before the work is done subclasses this and
    overrides `fence` alone: a mark is a fence and then a look at the clock, so it is right as well.
    Then every launch is fenced, because a lazy library computes only what is looked at. One that
    computes whatever was launched, in order, may say so with `eager`: its launches then follow each
    other, and only the last one of a block is waited for.
    """

    name = "cpu"
    warm_s = 0.002
    eager = False

    def fence(self, out: Any) -> None:
        """Nothing to wait for."""

    def mark(self, out: Any) -> float:
        self.fence(out)
        return time.perf_counter()

    def seconds(self, start: float, stop: float) -> float:
        return stop - start

    def free_bytes(self) -> int:
        """On Linux the kernel's "available" memory, or what control groups leave if that is less;
        on other systems the free pages.
        """
        meminfo = Path("/proc/meminfo")
        if meminfo.exists():
            fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
            available = int(fields["MemAvailable"].split()[0]) * 1024
            return min([available, *_left_by_limits()])
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def joules(self) -> float | None:
        """Energy of all processors' packages, from RAPL's counters (Linux, powercap); None where
        they can't be read: most systems let only root read them, and virtual machines have none.
        """
        packages = POWERCAP.glob("intel-rapl:*[0-9]")  # AMD's processors have the same name there
        try:
            microjoules = [
                int((place / "energy_uj").read_text())
                for place in packages
                if place.name.count(":") == 1  # those inside a package are part of it
            ]
        except (OSError, ValueError):
            return None
        return sum(microjoules) / 1e6 if microjoules else None

    def release(self) -> None:
        """Hand memory that the C library holds unused back to the system, where it can (glibc)."""
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)

    def flush(self) -> None:
        """Write a buffer of twice the last-level cache's size, which evicts the layer from it."""
        np.ndarray.fill(_eviction_buffer(), 0)


HOST = Host()

NO_LIMIT = 2**62
"""Control groups of version 1 tell a number above this where there is none."""


def _left_by_limits(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Bytes that the memory limit of each control group around this process leaves."""
    left = []
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            top, files, prefix = root, ("memory.max", "memory.current"), ""
        elif "memory" in controllers.split(","):  # version 1
            top, prefix = root / "memory", "total_"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # in a container the path may be that of the host; its own group is then at the top
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, KeyError, ValueError):  # no limit, or not told
                if (limit := int((folder / files[0]).read_text())) > NO_LIMIT:
                    continue  # what it holds takes long to find out, and limits nothing
                used = int((folder / files[1]).read_text())
                rows = (folder / "memory.stat").read_text().splitlines()
                counts = dict(row.split() for row in rows)
                # contents of files count as used, and are given up when needed
                files_kept = sum(
                    int(counts[f"{prefix}{age}_file"]) for age in ("active", "inactive")
                )
                left.append(max(limit - used + files_kept, 0))
    return left


def _eviction_buffer() -> NDArray[np.uint8]:
    if not _buffers:
        _buffers.append(np.empty(2 * _last_level_cache_bytes(), np.uint8))
    return _buffers[0]


_buffers: list[NDArray[np.uint8]] = []


def _last_level_cache_bytes() -> int:
    """The largest cache that Linux lists for the first core, or 64 MiB where it lists none."""
    files = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    units = {"K": 2**10, "M": 2**20}
    sizes = [int(text[:-1]) * units[text[-1]] for text in (f.read_text().strip() for f in files)]
    return max(sizes, default=64 * 2**20)
