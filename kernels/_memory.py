"""Where numba_packed's arrays lie in memory, and at how many places one example reads W at a time.

With one example all of W is read once, from its first byte to its last. A core that reads at one
place at a time depends on its own guesses of what comes next, and they end with a page of 4096
bytes. Then the next page's address has to be looked up, unless the system gives memory in large
pages; and Intel's guesses begin anew, in large pages too: their "Optimization Reference Manual"
says of the second-level cache's prefetcher that it follows up to 32 streams of accesses, one
forward in each page of 4096 bytes. At four places far apart three streams go on while one turns a
page.

Measured on Zen 4, where W doesn't fit the second-level caches (`bench.studies.one_example`): in
small pages four places take less time than one, in large pages a little more. Four neighbouring
pages are slower than one, there; and asking for W's numbers ahead of their use gained nothing. On
an Intel CPU this was not measured. There one place took 1.17 to 1.20 times as long as libraries
that read four rows of W or more; and M. Stuchlik's "Counting Bytes Faster Than You'd Think
Possible" (2024) found that eight pages in turn are read 1.15 to 1.3 times as fast as one on a Xeon
E3-1271 v3.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels._caches import LINE, Cache

PLACES = 4
"""How many, where it is more than one."""

MAPS, CPU = Path("/proc/self/smaps"), Path("/proc/cpuinfo")
"""What Linux says of this process's memory, and of the CPU."""


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An empty array that begins at the beginning of a cache line: no vector lies across two."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype).reshape(shape)


def places(W: NDArray[Any], caches: Sequence[Cache], threads: int, asked: int = 0) -> int:
    """1 or PLACES: at how many places each thread reads W, for one example; `asked` decides unless
    it is 0. A W that the threads' second-level caches hold is read at one.
    """
    if len(caches) < 2 or W.nbytes <= threads * caches[1].share:
        return 1
    if asked:
        return asked
    return PLACES if _made_by_intel() or in_small_pages(W) else 1


def in_small_pages(array: NDArray[Any]) -> bool:
    """Whether Linux has most of an array, which has been written, in pages of the usual size.

    It says so of whole mappings, of which an array of some megabytes has one of its own.
    """
    address, inside = array.ctypes.data, False
    size = large = 0
    try:
        with MAPS.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, *values = line.split()
                if "-" in name:  # a mapping begins: first-end permissions and so on
                    first, end = (int(number, 16) for number in name.split("-"))
                    inside = first <= address < end
                elif inside and name == "Rss:":
                    size = int(values[0])
                elif inside and name == "AnonHugePages:":
                    large = int(values[0])
                    break
    except (OSError, ValueError):
        return False
    return 2 * large < size


def _made_by_intel() -> bool:
    try:
        with CPU.open(encoding="ascii", errors="replace") as lines:
            return any("GenuineIntel" in line for line in lines if line.startswith("vendor_id"))
    except OSError:
        return False
