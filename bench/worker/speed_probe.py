"""Fixed work, timed beside every visit's blocks: how fast the machine itself is at that moment.

A core that shares its hardware with a neighbour computes at two thirds of its speed, for a
millisecond or for seconds, and no counter of the operating system says so. The same small work,
timed just before and just after the blocks on as many cores as the kernel may use, does. What it
takes never depends on the kernel or its answer, so visits can be judged by it
(`bench.stats.disturbance`).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from bench.worker.inputs import aligned_copy

REPEATS = 4
"""The first of them finds the caches full of the kernel's data; the least counts."""

MOST = 16
"""Cores that are timed at most: of a large machine's, a sample."""

ALONE = 1.25
"""Blocks that used less CPU time than this many times their length ran on one core only."""

TASKS = Path("/proc/self/task")

_NUMBERS = np.broadcast_to(aligned_copy(np.ones(4096, np.float32), 0), (50, 4096))


def work() -> None:
    """50 sums over the same 4096 numbers: about 40 us of loading and adding.

    It keeps a core busy in the way that kernels do, so it feels a neighbour as they do. Its 16 KB
    fit into the nearest cache, always at the same place in a page; it lets other threads run
    meanwhile and calls no library that would start some.
    """
    np.add.reduce(_NUMBERS, axis=None)


class SpeedProbe:
    """The fixed work on some cores at once."""

    def __init__(
        self,
        threads: int,
        work: Callable[[], None] = work,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._work = work
        self._clock = clock
        self._others = min(max(threads, 1), MOST) - 1
        self._pool = ThreadPoolExecutor(max(self._others, 1))

    def seconds(self) -> list[float]:
        """CPU seconds of the work on each core, that of the calling thread first.

        CPU time, because it leaves out that a thread waits for a core or for Python's lock.
        """
        others = [self._pool.submit(self._least) for _ in range(self._others)]
        return [self._least(), *(other.result() for other in others)]

    def _least(self) -> float:
        seconds = []
        for _ in repeat(None, REPEATS):
            start = self._clock()
            self._work()
            seconds.append(self._clock() - start)
        return min(seconds)


def slowest(before: list[float], after: list[float], cores_busy: float) -> float:
    """The longest time of the cores that mattered: the first where the blocks ran on one."""
    cores = 1 if cores_busy < ALONE else len(before)
    return max(before[:cores] + after[:cores])


def waited_s(tasks: Path = TASKS) -> float | None:
    """Seconds that this process's threads, ready to run, have waited for a core since they began.

    From the kernel's scheduler (Documentation/scheduler/sched-stats.rst, the second number of
    /proc/<pid>/schedstat, in nanoseconds). None where the system doesn't say.
    """
    total = 0
    try:
        for task in tasks.iterdir():
            total += int((task / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / 1e9
