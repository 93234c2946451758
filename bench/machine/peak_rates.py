"""What this machine can do: its peak rates of arithmetic and memory, measured and as stated.

The CPU's are measured by `python -m bench.machine.peak_rates PRECISION` in a process of its own, so
that the thread settings are those of the workers. It takes about a second at the start of a run;
the best ever seen on the same machine is kept, because a peak read while a neighbour was busy is
too low. Those of other devices come from their workers (`bench.worker.device_peaks`), and the best
is kept likewise. A rate that the device can't have is neither believed nor kept, wherever it comes
from: a copied file, or a clock that was wrong once, must not make every later run blind.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.data.machine import LARGEST_RATE, Cpu, Machine, Peaks
from bench.worker import environment

SIZES = (1024, 2048)
"""Square products whose rate is taken for the peak of arithmetic."""

COPY_BYTES = 2**28
"""A copy this large fits no cache."""

FLOPS_PER_CYCLE = {"avx512f": 64, "avx2": 32, "sve": 32, "asimd": 16}
"""Float32 operations a core and cycle: two fused multiply-adds on full vectors of 16, 8, 8, 4
numbers, the most that any CPU with the flag does."""


BOOST = 2.0
"""A CPU may go so many times above the clock that it states, which is the base clock in many a
virtual machine. Other devices state their highest."""

FORGOTTEN = 100.0
"""A kept rate that is more than so many times the one measured now is none of this machine's."""


def of_device(device: str, readings: Sequence[Peaks], kept: Path) -> Peaks:
    """The peaks of one device: the best of what was measured on it now and of what the file `kept`
    has. `device` is its name with its PCI bus id.
    """
    last = readings[-1]
    measured = (
        [peaks.measured_flop_per_s or 0.0 for peaks in readings],
        [peaks.measured_bytes_per_s or 0.0 for peaks in readings],
    )
    stated = (last.theoretical_flop_per_s, last.theoretical_bytes_per_s)
    best = _best_ever(f"{device} {last.precision}", measured, stated, kept)
    return replace(last, measured_flop_per_s=best[0] or None, measured_bytes_per_s=best[1] or None)


def of_cpu(precision: str, threads: int, machine: Machine, kept: Path) -> Peaks | None:
    """The peaks, measured now and joined with the best in the file `kept`; None for a precision
    that NumPy's BLAS doesn't have, and where they can't be measured (no memory) and never were.
    """
    if precision not in ("float64", "float32"):
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.machine.peak_rates", precision],
            env=environment.environment(threads),
            capture_output=True,
            text=True,
            check=True,
        )
        # the last line: what starts with every Python here may have printed, too
        flop_per_s, bytes_per_s = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.CalledProcessError):
        flop_per_s, bytes_per_s = 0.0, 0.0
    name = f"{machine.fingerprint} {precision} {threads}"
    stated = theoretical(precision, threads, machine.cpu)
    highest = (BOOST * stated if stated else None, None)
    best = _best_ever(name, ([flop_per_s], [bytes_per_s]), highest, kept)
    if not all(best):
        return None
    return Peaks(precision, best[0], best[1], stated)


def theoretical(precision: str, threads: int, cpu: Cpu) -> float | None:
    """FLOP/s from the vector flags, the stated clock and the cores used; None if unknown."""
    flags = [flag for flag in FLOPS_PER_CYCLE if flag in cpu.vector_flags]
    if not flags or not cpu.mhz:
        return None
    per_cycle = FLOPS_PER_CYCLE[flags[0]] / (2 if precision == "float64" else 1)
    return float(per_cycle * cpu.mhz * 1e6 * min(threads, cpu.cores_usable))


def _best_ever(
    name: str,
    measured: Sequence[Sequence[float]],
    highest: Sequence[float | None],
    kept: Path,
) -> list[float]:
    """The best rates of arithmetic and of memory, of those that the device can have: at most the
    `highest`, where it is known. 0.0: there is none.
    """
    known = _read(kept)
    best = [
        _believed(now, before, most or LARGEST_RATE)
        for now, before, most in zip(measured, known.get(name, [0.0, 0.0]), highest, strict=True)
    ]
    if any(best) or name in known:
        _write(kept, {**known, name: best})
    return best


def _believed(measured: Sequence[float], kept: float, most: float) -> float:
    now = max((rate for rate in measured if rate <= most), default=0.0)
    return max(now, kept) if kept <= min(most, FORGOTTEN * (now or most)) else now


def _read(path: Path) -> dict[str, list[float]]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {name: pair for name, pair in known.items() if _two_rates(pair)}


def _two_rates(pair: Any) -> bool:
    if not isinstance(pair, list) or [type(rate) for rate in pair] != [float, float]:
        return False
    return all(0 <= rate <= LARGEST_RATE for rate in pair)


def _write(path: Path, known: dict[str, list[float]]) -> None:
    # a checkout that can't be written measures anew each time
    with contextlib.suppress(OSError):
        path.write_text(json.dumps(known, indent=1))


def main(precision: str) -> None:
    """Measure and print [FLOP/s, bytes/s]."""
    import numpy as np

    rates = []
    for n in SIZES:
        A, B = np.ones((2, n, n), precision)
        out = np.empty_like(A)
        rates.append(2 * n**3 / _best(lambda A=A, B=B, out=out: np.matmul(A, B, out=out)))  # type: ignore[misc]
    source = np.ones(COPY_BYTES // 2, np.uint8)
    target = np.ones_like(source)
    print(json.dumps([max(rates), COPY_BYTES / _best(lambda: np.copyto(target, source))]))  # noqa: T201


def _best(work: Callable[[], Any], seconds: float = 0.4) -> float:
    """The shortest time of `work`, tried for about `seconds`."""
    ends, best = time.perf_counter() + seconds, float("inf")
    while True:
        start = time.perf_counter()
        work()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > ends:
            return best


if __name__ == "__main__":
    main(sys.argv[1])
