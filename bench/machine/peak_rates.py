"""What this machine can do: its peak rates of arithmetic and memory, measured and as stated.

The CPU's are measured by `bench.worker.cpu_peaks` in a process of its own, in some seconds at
the start of a run and at its end; the best ever seen on the same machine is kept, because a peak
read while a neighbour was busy is too low. Those of other devices come from their workers
(`bench.worker.device_peaks`), and the best is kept likewise. A rate that the device can't have is
neither believed nor kept, wherever it comes from: a copied file, or a clock that was wrong once,
must not make every later run blind.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bench.data.machine import (
    LARGEST_RATE,
    MEMORY,
    NUMPYS,
    WIDENED,
    Cpu,
    Level,
    Machine,
    Peaks,
)
from bench.worker import environment
from bench.worker.messages import CpuPeaks

LEVELS = ("L1", "L2", "L3", "L4", MEMORY)
"""The names that a level may have."""

FLOPS_PER_CYCLE = {"avx512f": 64, "avx2": 32, "sve": 32, "asimd": 16}
"""Float32 operations a core and cycle: two fused multiply-adds on full vectors of 16, 8, 8, 4
numbers, the most that any CPU with the flag does."""

TIMES = {"float64": 0.5, "float32": 1.0, "float16": 2.0, "bfloat16": 2.0, "int8": 4.0}
"""So many times as many numbers of a precision, where an instruction takes them as they are."""

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
    that no CPU has, and where they can't be measured (no memory) and never were.
    """
    if precision not in TIMES:
        return None
    return _joined(_measured(precision, threads), precision, threads, machine, kept)


def known(precision: str, threads: int, machine: Machine, kept: Path) -> Peaks | None:
    """The CPU's peaks as the file `kept` has them; measured where it lacks this machine's."""
    nothing = _joined(CpuPeaks(0.0, 0.0), precision, threads, machine, kept)
    if nothing is not None and nothing.registers_flop_per_s:
        return nothing
    return of_cpu(precision, threads, machine, kept)


def _joined(
    now: CpuPeaks, precision: str, threads: int, machine: Machine, kept: Path
) -> Peaks | None:
    numpys = precision in NUMPYS
    shared = precision if numpys else WIDENED  # bytes are bytes, and float32's product a floor
    name = f"{machine.fingerprint} {shared} {threads}"

    def believable(precision: str) -> tuple[float | None, None]:
        stated = theoretical(precision, threads, machine.cpu)
        return BOOST * stated if stated else None, None

    best = _best_ever(name, ([now.product], [now.copy]), believable(shared), kept)
    if not (all(best) if numpys else best[1]):
        return None
    own = f"{machine.fingerprint} {precision} {threads} registers"
    registers = _best_ever(own, ([now.registers], [0.0]), believable(precision), kept)[0]
    by = now.by
    if registers and not numpys:
        nothing, most = ([0.0], [0.0]), believable(shared)
        widened = _best_ever(f"{name} registers", nothing, most, kept)[0]
        registers, by = max((registers, by), (max(widened, best[0]), WIDENED))
    levels: list[Level] = []
    least = [0.0, 0.0]
    for level in reversed(LEVELS):
        read, copied = now.levels.get(level, (0.0, 0.0))
        rates = _best_ever(f"{name} {level}", ([read], [copied]), (None, None), kept)
        if all(rates):
            # what a level does, a nearer one does, too, even if it was measured at a bad moment
            least = [max(pair) for pair in zip(rates, least, strict=True)]
            levels.insert(0, Level(level, least[0], least[1]))
    whose = WIDENED if by == WIDENED else precision
    known = numpys or by  # which instruction it is
    stated = theoretical(whose, threads, machine.cpu) if known else None
    return Peaks(
        precision,
        best[0] if numpys else None,
        best[1],
        stated,
        registers_flop_per_s=registers or None,
        levels=tuple(levels),
        lacking="" if registers else now.lacking,
        registers_by=by if registers else "",
    )


def _measured(precision: str, threads: int) -> CpuPeaks:
    """What can be measured now, by a child: all that it said before it failed, if it does."""
    command = [sys.executable, "-m", "bench.worker.cpu_peaks", precision, str(threads)]
    try:
        said = subprocess.run(
            command,
            env=environment.environment(threads),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except subprocess.CalledProcessError as error:
        said = error.stdout or ""
    except OSError:
        said = ""
    try:
        # the last line: what starts with every Python here may have printed, too
        return msgspec.json.decode(said.splitlines()[-1], type=CpuPeaks)
    except (IndexError, ValueError):
        return CpuPeaks(0.0, 0.0)


def theoretical(precision: str, threads: int, cpu: Cpu) -> float | None:
    """FLOP/s from the vector flags, the stated clock and the cores used; None if unknown."""
    flags = [flag for flag in FLOPS_PER_CYCLE if flag in cpu.vector_flags]
    if not flags or not cpu.mhz:
        return None
    per_cycle = FLOPS_PER_CYCLE[flags[0]] * TIMES[precision]
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
