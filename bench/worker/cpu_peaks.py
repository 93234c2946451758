"""The CPU's ceilings, as `python -m bench.worker.cpu_peaks PRECISION THREADS` measures them.

In a process of its own, so that the thread settings are those of the workers; it takes a second or
two. NumPy's best product
and copy are always taken. With Numba there are loops beside them that do one thing only
(`bench.worker.cpu_loops`): multiply-adds in registers, and reading and copying at each level of the
memory, on all threads that kernels have. Each is the best of many tries that last milliseconds: on
a busy machine, some of them have the cores to themselves.
"""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from bench.worker.messages import CpuPeaks
from kernels import Unavailable
from kernels._caches import Cache, data_caches
from kernels._numba import compiler_for

if TYPE_CHECKING:
    from types import ModuleType

SIZES = (1024, 2048)
"""Square products whose rate is taken for NumPy's best."""

MEMORY_BYTES = 2**28
"""A piece of memory that fits no cache, unless a cache is said to be larger than a quarter."""

PRODUCT_S, LOOP_S = 0.3, 0.06
"""For how long a product and a loop are tried; a try that lasts as long isn't made longer."""

TRY_S = 0.002
"""A try of a loop lasts at least so long: waking the threads takes some microseconds."""

GAIN = 1.1
"""A rate that is so many times the one before shows that much of a try was waiting."""

LEAST_TRIES = 3

PAGE = 4096

Clock = Callable[[], float]


def measure(precision: str, threads: int, clock: Clock = time.perf_counter) -> CpuPeaks:
    """All that can be measured here with so many threads, of float32 or float64."""
    import numpy as np

    products = []
    for n in SIZES:
        A, B = np.ones((2, n, n), precision)
        out = np.empty_like(A)
        seconds = shortest(lambda A=A, B=B, out=out: np.matmul(A, B, out=out), PRODUCT_S, clock)  # type: ignore[misc]
        products.append(2 * n**3 / seconds)
    caches = data_caches()
    loops, lacking = _loops()
    memory = np.empty(_memory_bytes(caches) // PAGE * PAGE + PAGE, np.uint8)
    memory = memory[-memory.ctypes.data % PAGE :]
    copied = _numpy_copy(memory, threads, clock)
    if loops is None:
        return CpuPeaks(max(products), copied, lacking=lacking)
    work = _Loops(loops, precision, threads, memory, clock)
    return CpuPeaks(
        max(products),
        copied,
        max(work.multiply_adds(loops.RAISE), work.multiply_adds(loops.RAISE_HALF)),
        {name: work.level(size) for name, size in pieces(caches, len(memory) // threads)},
    )


def pieces(caches: Sequence[Cache], largest: int) -> list[tuple[str, int]]:
    """How many bytes each thread uses again and again at each level: L1 and so on, then memory.

    More than the level before holds of them, so that nothing is left there when it is used again,
    and far less than this level holds, because others may use it, too. A level that has no more
    room for a core than the one before can't be told from it, and is left out. A thread's part of
    the memory is `largest`.
    """
    chosen, before = [], 0
    for cache in caches:
        if before == 0:
            chosen.append((f"L{cache.level}", cache.share * 3 // 4))
        elif cache.share >= 2 * before:
            piece = min((before + cache.share) // 2, 4 * before)
            chosen.append((f"L{cache.level}", piece))
        before = max(before, cache.share)
    fitting = [(name, size) for name, size in chosen if size <= largest]
    return [*fitting, ("memory", largest)]


def shortest(work: Callable[[], Any], seconds: float, clock: Clock) -> float:
    """The shortest time of `work`, tried for about so many seconds."""
    ends, best = clock() + seconds, float("inf")
    while True:
        start = clock()
        work()
        now = clock()
        best = min(best, now - start)
        if now > ends:
            return best


def rate(work: Callable[[int], Any], amount: float, clock: Clock) -> float:
    """The most that `work(turns)` did in a second, where a turn does `amount`.

    The turns are doubled until a try is long enough and gains nothing by being longer: on a busy
    machine the threads wait for a core before they begin.
    """
    ends, turns, tries, best = clock() + LOOP_S, 1, 0, 0.0
    while tries < LEAST_TRIES or clock() < ends:
        start = clock()
        work(turns)
        seconds = clock() - start
        reached = amount * turns / seconds if seconds >= TRY_S else 0.0
        tries += 1
        if seconds < TRY_S or (reached > GAIN * best and seconds < LOOP_S):
            turns, tries = 2 * turns, 0
        best = max(best, reached)
    return best


class _Loops:
    """The loops of one precision, on all threads and on the memory that is theirs."""

    def __init__(
        self, loops: "ModuleType", precision: str, threads: int, memory: Any, clock: Clock
    ) -> None:
        self._loops, self._threads, self._clock = loops, threads, clock
        self._one = memory.dtype.type(1).astype(precision)
        self._run = loops.compiled(precision)
        self._out = loops.results(threads)
        self._part = len(memory) // threads // PAGE * PAGE
        self._at = loops.addresses([memory.ctypes.data + n * self._part for n in range(threads)])
        # the first to write a page has it near
        half = self._halves(self._part)
        self._do(loops.COPY, 1, self._at + half, self._at, half)
        self._do(loops.COPY, 1, self._at, self._at + half, half)

    def multiply_adds(self, what: int) -> float:
        """FLOP/s of all threads."""
        numbers = self._loops.numbers(what, self._one.itemsize)
        one_turn = 2.0 * numbers * self._threads
        return rate(
            lambda turns: self._do(what, turns, self._at, self._at, 0), one_turn, self._clock
        )

    def level(self, size: int) -> tuple[float, float]:
        """Bytes/s of all threads that read or copy as many bytes each."""
        loops = self._loops
        size = min(size, self._part) // loops.UNIT * loops.UNIT
        half = self._halves(size)
        read = rate(
            lambda turns: self._do(loops.READ, turns, self._at, self._at, size),
            size * self._threads,
            self._clock,
        )
        ways = (loops.COPY, loops.COPY_PAST)
        copied = (
            rate(
                lambda turns, way=way: self._do(way, turns, self._at, self._at + half, half),  # type: ignore[misc]
                2 * half * self._threads,
                self._clock,
            )
            for way in ways
        )
        return read, max(copied)

    def _halves(self, size: int) -> int:
        unit: int = self._loops.UNIT
        return size // 2 // unit * unit

    def _do(self, what: int, turns: int, source: Any, target: Any, size: int) -> None:
        self._run(what, turns, source, target, size, self._one, self._out)


def _loops() -> "tuple[ModuleType | None, str]":
    """bench.worker.cpu_loops, or why Numba isn't to be had."""
    try:
        compiler_for("numba_packed")
    except Unavailable as error:
        return None, str(error)
    from bench.worker import cpu_loops

    return cpu_loops, ""


def _memory_bytes(caches: Sequence[Cache]) -> int:
    """As much as fits no cache, and leaves most of the free memory to others."""
    largest = max((cache.size for cache in caches), default=0)
    free: int = psutil.virtual_memory().available
    return min(max(MEMORY_BYTES, 4 * largest), free // 4)


def _numpy_copy(memory: Any, threads: int, clock: Clock) -> float:
    """Bytes/s of copies, as many at a time as there are threads: NumPy itself copies with one."""
    part = len(memory) // threads
    half = part // 2
    parts = [memory[n * part : n * part + 2 * half] for n in range(threads)]
    memory[:] = 1

    def copy(part: Any) -> None:
        part[:half] = part[half:]

    with ThreadPoolExecutor(threads) as pool:
        seconds = shortest(lambda: list(pool.map(copy, parts)), LOOP_S, clock)
    return float(2 * half * threads / seconds)


def main(precision: str, threads: str) -> None:
    """Measure, and print it as JSON."""
    print(msgspec.json.encode(measure(precision, int(threads))).decode())  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
