"""Is one example of a large layer as fast as the memory can be read?

    python -m bench.studies.one_example reading [SECONDS]
    python -m bench.studies.one_example places [SECONDS]

`reading`: numba_packed by turns with loops that read as many bytes as W has, and do nothing else:
both in bytes a second, and the one over whichever of the others is faster in the middle of all
turns. `places`: reading W at four places at a time over reading it at one, in memory with small
pages and with large ones.

Float32, relu, all usable cores.
"""

import math
import mmap
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from bench.studies import write
from bench.worker import cpu_loops, cpu_peaks, limits
from kernels import Layer, _memory, numba_packed


def reading(budget_s: float) -> None:
    """Write results/studies/one_example_reading.csv, print it."""
    rows = []
    for width in (4096, 8192):
        bytes_, took = _read_by_turns(width, budget_s / 2)
        middles = np.median(took, axis=0)
        fastest = int(np.argmin(middles[:, 1]))  # of the ways to read
        shares = took[:, fastest, 1] / took[:, fastest, 0]
        low, middle, high = (float(x) for x in np.quantile(shares, (0.05, 0.5, 0.95)))
        weights, read = bytes_ / middles[fastest] / 1e9
        rows.append(
            {
                "width": width,
                "turns": len(took),
                "weights_gbyte_per_s": float(weights),
                "read_gbyte_per_s": float(read),
                "places_read": (1, _memory.PLACES)[fastest],
                "weights_over_read": middle,
                "low": low,
                "high": high,
            }
        )
    write("one_example_reading", rows)
    for row in rows:
        print(
            f"{row['width']} units, one example: W at {row['weights_gbyte_per_s']:.1f} GB/s, as"
            f" many bytes read at {row['read_gbyte_per_s']:.1f} GB/s, at {row['places_read']}"
            f" place(s) at a time; of that {row['weights_over_read']:.0%}"
            f" (90 % of {row['turns']} turns: {row['low']:.0%} to {row['high']:.0%})"
        )


def _read_by_turns(width: int, budget_s: float) -> tuple[int, Any]:
    """The bytes of W, and of each turn and both ways to read, at one place at a time and at PLACES,
    the seconds of a launch and those of reading as many bytes after it.
    """
    threads = limits.usable_cores()
    numbers = np.full((width, width), 1 / width, np.float32)
    layer = Layer(numbers, np.zeros((1, width), np.float32), "relu")
    step = numba_packed.prepare(layer, 1)
    A_in = np.ones((1, width), np.float32)
    memory = np.ones(numbers.nbytes + cpu_peaks.PAGE, np.uint8)
    first = memory.ctypes.data + -memory.ctypes.data % cpu_peaks.PAGE
    part = numbers.nbytes // threads // cpu_loops.UNIT * cpu_loops.UNIT
    at = cpu_loops.addresses([first + n * part for n in range(threads)])
    out, stamps = cpu_loops.results(threads), np.zeros((threads, 2), np.int64)
    read = cpu_loops.compiled("float32")

    def reading(what: int, beside: Any) -> Callable[[], Any]:
        return lambda: read(what, 1, at, beside, part, 0, np.float32(1), out, stamps)

    ways = (
        reading(cpu_loops.READ, at),
        reading(cpu_loops.READ_APART, at + part // _memory.PLACES),
    )
    turns = []
    ends = time.perf_counter() + budget_s
    while time.perf_counter() < ends:
        turn = []
        for way in ways:  # each after a launch, which leaves nothing of the other's in the caches
            begin = time.perf_counter()
            step.launch(A_in)
            middle = time.perf_counter()
            way()
            turn.append((middle - begin, time.perf_counter() - middle))
        turns.append(turn)
    return numbers.nbytes, np.array(turns)


def places(budget_s: float) -> None:
    """Write results/studies/one_example_places.csv, print it."""
    rows: list[dict[str, Any]] = []
    for width in (2048, 4096, 8192):
        for pages, advice in (("small", mmap.MADV_NOHUGEPAGE), ("large", mmap.MADV_HUGEPAGE)):
            one, four = (_one_example(width, count, advice) for count in (1, _memory.PLACES))
            took = []
            ends = time.perf_counter() + budget_s / 6
            while time.perf_counter() < ends:
                took.append((_seconds(one), _seconds(four)))
            ratios = [with_four / with_one for with_one, with_four in took]
            low, middle, high = (float(x) for x in np.quantile(ratios, (0.25, 0.5, 0.75)))
            rows.append(
                {
                    "width": width,
                    "pages": pages,
                    "turns": len(took),
                    "one_us": float(np.median([first for first, _ in took])) * 1e6,
                    "four_over_one": middle,
                    "low": low,
                    "high": high,
                }
            )
    write("one_example_places", rows)
    for row in rows:
        print(row)


def _one_example(width: int, count: int, advice: int) -> Callable[[], Any]:
    """A launch that reads W at so many places, in memory with such pages."""
    numbers = np.full((width, width), 1 / width, np.float32)
    layer = Layer(numbers, np.zeros((1, width), np.float32), "relu")

    def mapped(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
        size = max(math.prod(shape), 1)
        memory = mmap.mmap(-1, size * dtype.itemsize, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(advice)
        return np.frombuffer(memory, dtype, size)[: math.prod(shape)].reshape(shape)

    with (
        mock.patch.object(numba_packed, "aligned", mapped),
        mock.patch.object(_memory, "places", return_value=count),
    ):
        step = numba_packed.prepare(layer, 1)
    A_in = np.ones((1, width), np.float32)
    step.launch(A_in)
    return lambda: step.launch(A_in)


def _seconds(launch: Callable[[], Any]) -> float:
    """What a launch takes, in the mean of a millisecond or more."""
    begin, count = time.perf_counter(), 0
    while (now := time.perf_counter()) < begin + 1e-3:
        launch()
        count += 1
    return (now - begin) / count


if __name__ == "__main__":
    which = {study.__name__: study for study in (reading, places)}[sys.argv[1]]
    which(float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
