"""The CPU's ceilings, as `python -m bench.worker.cpu_peaks PRECISION THREADS` measures them.

In a process of its own, so that the thread settings are those of the workers; it takes some
seconds. NumPy's best product and copy are always taken. With Numba there are loops beside them that
do one thing only (`bench.worker.cpu_loops`): multiply-adds in registers, and reading and copying at
each level of the memory, on all threads that kernels have. The threads note the time every few
microseconds, and the rate is that of the best moment of all of them together: on a busy machine
there are moments in which they have the cores to themselves.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import psutil

from bench.data.machine import MEMORY, NUMPYS, WIDENED
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

PRODUCT_S, LOOP_S = 0.3, 0.05
"""For how long a product or a copy, and a loop, are tried."""

CHUNK_S = 4e-5
"""About how long a thread works between two looks at the clock, which take some 30 ns."""

MOMENT_S, LONG_MOMENT_S = 5e-4, 5e-3
"""What counts as a moment: far longer than a chunk. In memory it is longer, so that what a cache
still has of it makes no difference."""

MEMORY_CHUNK, CALLS = 2**18, 5
"""Bytes of memory that a thread comes to between two looks at the clock, and how often it comes to
all of its part."""

PAGE = 4096

LEAST_CACHE = 4096
"""Bytes of a core's share of a cache that a loop of its own can be told by."""

Clock = Callable[[], float]


def measure(precision: str, threads: int, clock: Clock = time.perf_counter) -> Iterator[CpuPeaks]:
    """What can be measured here with so many threads: without the loops, which a CPU that LLVM
    takes for another might not survive, then with them.

    Of float16, bfloat16 and int8 NumPy has no product worth the name. Their multiply-adds are those
    of the CPU's own instructions, or float32's where these are faster or the only ones.
    """
    numpys = precision in NUMPYS
    product = max(_product(n, precision, clock) for n in SIZES) if numpys else 0.0
    caches = data_caches()
    loops, lacking = _loops()
    memory = np.empty(_memory_bytes(caches, threads) // PAGE * PAGE + PAGE, np.uint8)
    memory = memory[-memory.ctypes.data % PAGE :]
    copied = _numpy_copy(memory, threads, clock)
    yield CpuPeaks(product, copied, lacking=lacking or "the loops' process ended early")
    if loops is None:
        return
    work = _Loops(loops, precision if numpys else WIDENED, threads, memory)
    ways = {"" if numpys else WIDENED: work}
    if not numpys:
        from bench.worker.cpu_instructions import fastest

        try:
            own = fastest(precision)
        except Unavailable as error:
            ways, lacking = {}, str(error)
        else:
            ways |= {own: _Loops(loops, precision, threads, memory)} if own != WIDENED else {}

    def most() -> tuple[float, str]:
        """The rate of the fastest way, and what it is called."""
        both = (loops.RAISE, loops.RAISE_HALF)
        rates = [(way.multiply_adds(what), by) for by, way in ways.items() for what in both]
        return max(rates, default=(0.0, ""))

    # before and after the levels: another program may hold a core for a while
    before = most()
    sizes = pieces(caches, len(memory) // threads)
    levels = {name: work.level(name, size) for name, size in sizes}
    registers, by = max(before, most())
    yield CpuPeaks(product, copied, registers, levels, lacking, by)


def _product(n: int, precision: str, clock: Clock) -> float:
    """FLOP/s of NumPy's product of two square matrices."""
    A, B = np.ones((2, n, n), precision)
    out = np.empty_like(A)
    return 2 * n**3 / shortest(lambda: np.matmul(A, B, out=out), PRODUCT_S, clock)


def pieces(caches: Sequence[Cache], largest: int) -> list[tuple[str, int]]:
    """How many bytes each thread uses again and again at each level: L1 and so on, then memory.

    More than the level before holds of them, so that nothing is left there when it is used again,
    and far less than this level holds, because others may use it, too. A level that has no more
    room for a core than the one before can't be told from it, and is left out. A thread's part of
    the memory is `largest`.
    """
    chosen, before = [], 0
    for cache in caches:
        if cache.share < LEAST_CACHE:
            continue
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


def best_moment(stamps: Any, moment_s: float) -> float:
    """Chunks a second that all threads together did in the best moment that lasted so long.

    stamps: (threads, chunks + 1), when each thread had done each chunk, in nanoseconds. Where the
    threads did not work at the same time for so long, it is the time in which all did.
    """
    begin, end = stamps[:, 0].max(), stamps[:, -1].min()
    moment = min(moment_s * 1e9, end - begin)
    if moment <= 0:  # one had ended before another began
        return 0.0
    starts = np.linspace(begin, end - moment, stamps.shape[1])
    chunks = np.arange(stamps.shape[1])
    done = sum(
        np.interp(starts + moment, times, chunks) - np.interp(starts, times, chunks)
        for times in stamps
    )
    return float(np.max(done) / moment * 1e9)


class _Loops:
    """The loops of one precision, on all threads and on the memory that is theirs."""

    def __init__(self, loops: "ModuleType", precision: str, threads: int, memory: Any) -> None:
        self._loops, self._threads = loops, threads
        self._one = loops.ONE[precision]
        self._run = loops.compiled(precision)
        self._out = loops.results(threads)
        self._part = len(memory) // threads // PAGE * PAGE
        self._at = loops.addresses([memory.ctypes.data + n * self._part for n in range(threads)])
        half = self._whole(self._part // 2)
        self._stamps(loops.COPY, 1, 1, (self._at + half, self._at), half)
        self._stamps(loops.COPY, 1, 1, (self._at, self._at + half), half)

    def multiply_adds(self, what: int) -> float:
        """FLOP/s of all threads."""
        numbers = self._loops.numbers(what, self._one.itemsize)
        return 2.0 * float(numbers) * self._turns_per_s(what, self._at, 0)

    def level(self, name: str, size: int) -> tuple[float, float]:
        """Bytes/s of all threads that read, and that copy, in a piece of memory of `size` each."""
        loops, whole = self._loops, self._whole(size)
        half = self._whole(size // 2)
        rate = self._once if name == MEMORY else self._turns_per_s
        apart = self._at + whole // loops.PLACES
        read = max(rate(loops.READ, self._at, whole), rate(loops.READ_APART, apart, whole)) * whole
        copied = max(rate(way, self._at + half, half) for way in (loops.COPY, loops.COPY_PAST))
        return read, 2 * half * copied

    def _turns_per_s(self, what: int, target: Any, size: int) -> float:
        """Turns that all threads do in a second, again and again in the same place."""
        turns = 1
        while self._shortest_s(what, turns, target, size) < CHUNK_S:
            turns *= 2
        chunks = round(LOOP_S / CHUNK_S)
        return turns * best_moment(
            self._stamps(what, turns, chunks, (self._at, target), size), MOMENT_S
        )

    def _shortest_s(self, what: int, turns: int, target: Any, size: int) -> float:
        stamps = self._stamps(what, turns, 10, (self._at, target), size)
        return float((stamps[:, 1:] - stamps[:, :-1]).min() * 1e-9)

    def _once(self, what: int, target: Any, size: int) -> float:
        """The same where each place is come to once in a call, and a turn is the whole piece."""
        chunk = self._whole(min(MEMORY_CHUNK, size))
        chunks = size // chunk
        calls = [
            self._stamps(what, 1, chunks, (self._at, target), chunk, chunk) for _ in range(CALLS)
        ]
        return max(best_moment(stamps, LONG_MOMENT_S) for stamps in calls) / chunks

    def _whole(self, size: int) -> int:
        unit: int = self._loops.UNIT
        return size // unit * unit

    def _stamps(
        self,
        what: int,
        turns: int,
        chunks: int,
        places: tuple[Any, Any],
        size: int,
        step: int = 0,
    ) -> Any:
        """When each thread had done each of its chunks, as `best_moment` takes it."""
        stamps = np.zeros((self._threads, chunks + 1), np.int64)
        self._run(what, turns, *places, size, step, self._one, self._out, stamps)
        return stamps


def _loops() -> "tuple[ModuleType | None, str]":
    """bench.worker.cpu_loops, or why Numba isn't to be had."""
    try:
        compiler_for("numba_packed")
        from bench.worker.cpu_instructions import check_vectors

        check_vectors()
    except Unavailable as error:
        return None, str(error)
    from bench.worker import cpu_loops

    return cpu_loops, ""


def _memory_bytes(caches: Sequence[Cache], threads: int) -> int:
    """As much as fits no cache, and leaves most of the free memory to others. There may be as many
    of a cache as there are threads that don't share it.
    """
    largest = max((max(cache.size, threads * cache.share) for cache in caches), default=0)
    free: int = psutil.virtual_memory().available
    return min(max(MEMORY_BYTES, 4 * largest), free // 4)


def _numpy_copy(memory: Any, threads: int, clock: Clock) -> float:
    """Bytes/s of copies, as many at a time as there are threads: NumPy itself copies with one."""
    part = len(memory) // threads
    half = part // 2
    parts = [memory[n * part : n * part + 2 * half] for n in range(threads)]

    def copy(part: Any) -> None:
        part[:half] = part[half:]

    with ThreadPoolExecutor(threads) as pool:
        # a page is near the thread that is the first to write it
        list(pool.map(lambda part: part.fill(1), parts))
        seconds = shortest(lambda: list(pool.map(copy, parts)), LOOP_S, clock)
    return float(2 * half * threads / seconds)


def main(precision: str, threads: str) -> None:
    """Measure, and print what is known as lines of JSON, the last of which has all."""
    for peaks in measure(precision, int(threads)):
        print(msgspec.json.encode(peaks).decode(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
