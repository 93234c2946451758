"""Is one example of a large layer as fast as the memory can be read?

    python -m bench.studies.one_example reading [SECONDS]
    python -m bench.studies.one_example places [SECONDS]

`reading`: numba_packed by turns with loops that read as many bytes as W has, and do nothing else:
both in bytes a second, and the one over the faster of the others. `places`: reading W at four
places at a time over reading it at one, in memory with small pages and with large ones.

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
        shares, reads, weights = _read_by_turns(width, budget_s / 2)
        low, middle, high = (float(x) for x in np.quantile(shares, (0.05, 0.5, 0.95)))
        rows.append(
            {
                "width": width,
                "turns": len(shares),
                "weights_gbyte_per_s": float(np.median(weights)) / 1e9,
                "read_gbyte_per_s": float(np.median(reads)) / 1e9,
                "weights_over_read": middle,
                "low": low,
                "high": high,
            }
        )
    write("one_example_reading", rows)
    for row in rows:
        print(
            f"{row['width']} units, one example: W at {row['weights_gbyte_per_s']:.1f} GB/s, as"
            f" many bytes read at {row['read_gbyte_per_s']:.1f} GB/s;"
            f" of that {row['weights_over_read']:.0%}"
            f" (90 % of {row['turns']} turns: {row['low']:.0%} to {row['high']:.0%})"
        )


def _read_by_turns(width: int, budget_s: float) -> tuple[list[float], list[float], list[float]]:
    """The share of the reading's rate that a launch next to it reached, and both in bytes/s."""
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
    ways = ((cpu_loops.READ, at), (cpu_loops.READ_APART, at + part // _memory.PLACES))
    reads, weights = [], []
    ends = time.perf_counter() + budget_s
    while time.perf_counter() < ends:
        begin = time.perf_counter()
        step.launch(A_in)
        weights.append(numbers.nbytes / (time.perf_counter() - begin))
        took = []
        for what, beside in ways:
            begin = time.perf_counter()
            read(what, 1, at, beside, part, 0, np.float32(1), out, stamps)
            took.append(time.perf_counter() - begin)
        reads.append(part * threads / min(took))
    return [w / r for w, r in zip(weights, reads, strict=True)], reads, weights


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
