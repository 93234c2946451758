"""Is the headline true? Work whose time is known, timed by us and by others.

A kernel that is a serial chain of multiplications (a power modulo a prime, exponent by exponent)
takes a time that nothing but its length decides. What a call takes is calibrated apart, in a
process that does nothing else: straight-line code without a loop, between two readings of the
clock, kept only where the speed probe found the machine quiet. Then the same kernel is timed by
this harness, timeit, pytest-benchmark and pyperf, in turn, with the other core idle and with it
loaded.

    python -m bench.studies.truth [TURNS]

Needs pyperf: .venv/bin/python -m pip install -r locks/study.txt
"""

import json
import math
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.studies import run, write
from bench.worker import limits, speed_probe

BITS = (24, 300, 30_000, 3_000_000, 30_000_000)
"""Lengths of the exponent: about 1 us, 10 us, 1 ms, 0.1 s and 1 s."""

SECONDS = 2.0
"""About how long each tool may take for a kernel, where its own rules let it."""

SLOWER = 1.1
"""A calibration beside which the speed probe took so many times its tenth percentile is dropped."""

CALL = "pow(3, E, 1_000_003)"

KERNEL = '''"""A layer of one weight, after a chain of multiplications as long as an exponent."""

import numpy as np

from kernels import Step

E = (1 << {bits}) // 3


def prepare(layer, batch, device=0):
    w, b = float(layer.W[0, 0]), float(layer.b[0, 0])

    def launch(x):
        {call}
        return x * w + b

    return Step(
        launch,
        send=lambda A_in: float(A_in[0, 0]),
        fetch=lambda out: np.array([[out]], layer.W.dtype),
    )
'''

SETUP = """E = (1 << {bits}) // 3
w, b, y = 0.5, 0.25, 1.5
def launch(x):
    {call}
    return x * w + b
"""


def calibrate(bits: int) -> float:
    """Seconds of one call, alone, without a loop, where the machine was quiet."""
    names: dict[str, Any] = {}
    exec(SETUP.format(bits=bits, call=CALL), names)  # noqa: S102 - our own text
    straight = 1000 if bits < 1000 else 10 if bits < 100_000 else 1
    body = textwrap.indent("launch(y)\n" * straight, "    ")
    exec(f"def many():\n{body}", names)  # noqa: S102
    probe = speed_probe.SpeedProbe(1)
    seconds: list[float] = []
    slowness: list[float] = []
    ends = time.perf_counter() + SECONDS
    while time.perf_counter() < ends or len(seconds) < 5:
        (before,) = probe.seconds()
        start = time.perf_counter()
        names["many"]()
        seconds.append((time.perf_counter() - start) / straight)
        slowness.append(max(before, *probe.seconds()))
    quiet = SLOWER * sorted(slowness)[len(slowness) // 10]
    return median(s for s, slow in zip(seconds, slowness, strict=True) if slow <= quiet)


def ours(bits: int, folder: Path) -> dict[str, float]:
    """Our headline."""
    file = folder / f"chain_{bits}.py"
    file.write_text(KERNEL.format(bits=bits, call=CALL))
    case = Case(1, 1, 1, "float64", "linear")
    planned = Cell(str(file), case, 0, limits.usable_cores(), "warm")
    times = run([planned], max(SECONDS, 2 * 12 * bits * 4e-8), seed=1)
    return {"bench": times.by_cell[planned].value}


def timeits(bits: int, folder: Path) -> dict[str, float]:
    """What `python -m timeit` reports: the best of five."""
    done = subprocess.run(
        [sys.executable, "-m", "timeit", "-u", "nsec", "-s", SETUP.format(bits=bits, call=CALL),
         "launch(y)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    best = done.stdout.split("best of")[1].split(":")[1].split()[0]
    return {"timeit": float(best) / 1e9}


def benchmarks(bits: int, folder: Path) -> dict[str, float]:
    """pytest-benchmark's minimum and median."""
    test, report = folder / f"test_{bits}.py", folder / "report.json"
    setup = SETUP.format(bits=bits, call=CALL)
    test.write_text(f"{setup}\ndef test_it(benchmark):\n    benchmark(launch, y)\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test),
         f"--benchmark-max-time={SECONDS}", f"--benchmark-json={report}", "-c", "/dev/null"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    stats = json.loads(report.read_text())["benchmarks"][0]["stats"]
    return {f"pytest-benchmark {what}": stats[what] for what in ("min", "median")}


def pyperfs(bits: int, folder: Path) -> dict[str, float]:
    """The mean of pyperf, with fewer processes than its twenty."""
    report = folder / "pyperf.json"
    report.unlink(missing_ok=True)
    few = (
        ["-p", "5", "-n", "2", "-w", "1"] if bits < 1_000_000 else ["-p", "2", "-n", "1", "-w", "0"]
    )
    subprocess.run(
        [sys.executable, "-m", "pyperf", "timeit", "-q", *few, "-o", str(report),
         "-s", SETUP.format(bits=bits, call=CALL), "launch(y)"],
        check=True, capture_output=True,
    )  # fmt: skip
    runs = json.loads(report.read_text())["benchmarks"][0]["runs"]
    return {"pyperf mean": mean(v for one in runs for v in one.get("values", []))}


TOOLS: tuple[Callable[[int, Path], dict[str, float]], ...] = (ours, timeits, benchmarks, pyperfs)


@contextmanager
def neighbour(*, there: bool) -> Iterator[None]:
    """Another process that keeps one core busy, or none."""
    if not there:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            yield
        finally:
            busy.kill()


def main(turns: int) -> None:
    """Write results/studies/truth.csv, print the biases."""
    found: dict[tuple[str, int, str], list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(turns):
            for bits in BITS:
                before = calibrate(bits)
                for loaded in (False, True):
                    with neighbour(there=loaded):
                        told = [pair for tool in TOOLS for pair in tool(bits, folder).items()]
                    truth = math.sqrt(before * calibrate(bits))
                    for tool, seconds in told:
                        key = ("loaded" if loaded else "idle", bits, tool)
                        found[key].append((seconds, truth))
                print(f"turn {turn + 1} of {turns}, {bits} bits", file=sys.stderr)
    rows: list[dict[str, Any]] = []
    for (core, bits, tool), pairs in found.items():
        biases = sorted(seconds - truth for seconds, truth in pairs)
        truth = median(truth for _, truth in pairs)
        rows.append(
            {
                "other_core": core,
                "bits": bits,
                "truth_s": truth,
                "tool": tool,
                "turns": len(pairs),
                "bias_s": median(biases),
                "bias_percent": 100 * median(biases) / truth,
                "lowest_percent": 100 * biases[0] / truth,
                "highest_percent": 100 * biases[-1] / truth,
            }
        )
    write("truth", rows)
    for row in rows:
        print(
            f"{row['other_core']:6} {row['truth_s']:.3g} s {row['tool']:24}"
            f" {row['bias_percent']:+6.2f} % ({row['lowest_percent']:+.2f} to"
            f" {row['highest_percent']:+.2f}); {1e9 * row['bias_s']:+.0f} ns"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) == 2 else 5)
