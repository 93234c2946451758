"""Fixed work, timed before and after every block: how fast the machine itself is at that moment.

A core that shares its hardware with a neighbour computes at two thirds of its speed, for a
millisecond or for seconds, and no counter of the operating system says so. The same small work,
timed between every two blocks on as many cores as the kernel may use, does: a reading 20 ms away
says little of a block. What it takes never depends on the kernel or its answer, so times can be
told for a stated speed of the core (`bench.stats.adjust`).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np

from bench.worker.given import aligned_copy

REPEATS = 4
"""The first of them finds the caches full of the kernel's data; the least counts."""

MOST = 16
"""Cores that are timed at most: of a large machine's, a sample."""

ALONE = 1.25
"""Blocks that used less CPU time than this many times their length ran on one core only."""

TASKS = Path("/proc/self/task")

_NUMBERS = np.broadcast_to(aligned_copy(np.ones(4096, np.float32), 0), (50, 4096))
_SUM, _CPU_CLOCK = np.add.reduce, time.thread_time
"""Held from before kernels are imported: one may put something else in their places."""


def work() -> None:
    """50 sums over the same 4096 numbers: about 40 us of loading and adding.

    It keeps a core busy in the way that kernels do, so it feels a neighbour as they do. Its 16 KB
    fit into the nearest cache, always at the same place in a page; it lets other threads run
    meanwhile and calls no library that would start some.
    """
    _SUM(_NUMBERS, axis=None)


class SpeedProbe:
    """The fixed work on some cores at once."""

    def __init__(
        self,
        threads: int,
        work: Callable[[], None] = work,
        clock: Callable[[], float] = _CPU_CLOCK,
    ) -> None:
        self._work = work
        self._clock = clock
        self._others = min(max(threads, 1), MOST) - 1
        self._pool = ThreadPoolExecutor(max(self._others, 1))

    def seconds(self) -> list[float]:
        """CPU seconds of the work on each core, that of the calling thread first.

        CPU time, because it leaves out that a thread waits for a core or for Python's lock. The
        calling thread's core comes first, alone: together they would slow each other at times.
        """
        own = self._least()
        others = [self._pool.submit(self._least) for _ in range(self._others)]
        return [own, *(other.result() for other in others)]

    def _least(self) -> float:
        seconds = []
        for _ in repeat(None, REPEATS):
            start = self._clock()
            self._work()
            seconds.append(self._clock() - start)
        return min(seconds)


class Readings:
    """The probe's readings around blocks, one more than there are blocks, and what taking them
    cost: that is no time of the kernel's.
    """

    def __init__(
        self,
        probe: SpeedProbe,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._cpu_clock = cpu_clock
        self.seconds: list[list[float]] = []  # a reading a core, the launching thread's first
        self.took_s = 0.0
        self.cpu_s = 0.0

    def __call__(self) -> None:
        """Take one."""
        start, cpu_s = self._clock(), self._cpu_clock()
        self.seconds.append(self._probe.seconds())
        self.cpu_s += self._cpu_clock() - cpu_s
        self.took_s += self._clock() - start

    def slowest(self, cores_busy: float) -> float:
        """The longest of the first and the last reading, on the cores that mattered: the first
        alone where the blocks ran on one.
        """
        cores = 1 if cores_busy < ALONE else len(self.seconds[0])
        return max(self.seconds[0][:cores] + self.seconds[-1][:cores])


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
