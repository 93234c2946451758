"""One cell by several clocks, side by side, each in a process of its own.

    python -m bench.studies.clocks KERNEL N_IN N_UNITS BATCH [PRECISION]

The harness's own, and as independent ones PyTorch's events, Triton's do_bench and NVIDIA's nvbench
(`.venv/bin/python -m pip install -r locks/clocks.txt`). They don't measure quite the same thing;
what each of them does differently stands beside its time. nvbench holds the stream back until it
has queued its launches, so a launch that waits for its own work would never end: a process that
takes too long is ended. Written from the sources of PyTorch, Triton 3.9 and cuda-bench 0.3; ran on
doubles of them only.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench import ROOT
from bench.plan.case import Case
from bench.studies import open_here
from bench.worker import messages, timing
from bench.worker.open_cell import OpenCell
from bench.worker.server import Server

TOGETHER_S = 0.02
"""About how long the launches between two marks last together."""

REPEATS = 5

LIMIT_S = 120.0
"""A clock that takes longer is given up."""


class NoClock(Exception):
    """A clock that can't be had: says why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a clock says of a cell: seconds a launch, or why it says nothing."""

    clock: str
    seconds: float | None
    why: str = ""


def events(cell: OpenCell, number: int) -> float:
    """The harness's own: between two marks of the device, as in a run."""
    seconds, _ = timing.blocks(cell.step, cell.x, number, REPEATS, lead=True)
    return median(seconds)


def host(cell: OpenCell, number: int) -> float:
    """The host's clock around a long block and its fence."""
    step, many = cell.step, 10 * number
    step.device.fence(step.launch(cell.x))
    start = time.perf_counter()
    for _ in range(many):
        out = step.launch(cell.x)
    step.device.fence(out)
    return (time.perf_counter() - start) / many


def torch_events(cell: OpenCell, number: int) -> float:
    """PyTorch's events on the stream of the kernel's device."""
    torch, stream = _torch_stream(cell)
    found = []
    for _ in range(REPEATS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        cell.step.launch(cell.x)
        start.record(stream)
        for _ in range(number):
            cell.step.launch(cell.x)
        stop.record(stream)
        stop.synchronize()
        found.append(float(start.elapsed_time(stop)) / 1e3 / number)
    return median(found)


def do_bench(cell: OpenCell, _: int) -> float:
    """Triton's timer, on the same stream: the median of single launches."""
    torch, stream = _torch_stream(cell)
    testing = _library("triton.testing")
    with torch.cuda.stream(stream):
        milliseconds = testing.do_bench(lambda: cell.step.launch(cell.x), return_mode="median")
    return float(milliseconds) / 1e3


def nvbench_batch(cell: OpenCell, _: int) -> float:
    """Nvbench's mean over launches that were queued first and then worked off."""
    return _nvbench(cell, "nv/batch/time/gpu/mean")


def nvbench_cold(cell: OpenCell, _: int) -> float:
    """Nvbench's mean over single launches with a cold L2 cache."""
    return _nvbench(cell, "nv/cold/time/gpu/mean")


def _nvbench(cell: OpenCell, tag: str) -> float:
    stream = Stream(cell)
    bench = _library("cuda.bench")

    def layer(state: Any) -> None:
        state.set_stream(stream)
        state.exec(lambda _: cell.step.launch(cell.x))

    bench.register(layer)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "nvbench.json"
        bench.run_all_benchmarks(["clocks", "--quiet", "--devices", "0", "--json", str(file)])
        (state,) = json.loads(file.read_text(encoding="utf-8"))["benchmarks"][0]["states"]
    for summary in state["summaries"] or ():
        if summary["tag"] == tag:
            return float(summary["data"][0]["value"])
    raise NoClock(f"nvbench gave no {tag}: {state.get('skip_reason', 'no reason')}")


def _library(name: str) -> Any:
    try:
        __import__(name)
    except (ImportError, RuntimeError) as error:
        raise NoClock(f"{name} can't be imported: {error}") from error
    return sys.modules[name]


class Stream:
    """The stream of a kernel's device, as CUDA's libraries hand it to one another."""

    def __init__(self, cell: OpenCell) -> None:
        stream: Any = getattr(cell.step.device, "stream", None)
        if hasattr(stream, "cuda_stream"):  # PyTorch's
            self.pointer = int(stream.cuda_stream)
        elif hasattr(stream, "__cuda_stream__"):  # by the protocol
            _, self.pointer = stream.__cuda_stream__()
        else:
            raise NoClock(f"{cell.step.device.name} has no CUDA stream")

    def __cuda_stream__(self) -> tuple[int, int]:
        """The protocol's version, and the stream's address."""
        return 0, self.pointer


def _torch_stream(cell: OpenCell) -> tuple[Any, Any]:
    """PyTorch, and the stream of the kernel's device as one of its own."""
    stream = Stream(cell)
    torch = _library("torch")
    return torch, torch.cuda.ExternalStream(stream.pointer)


CLOCKS: dict[str, tuple[Callable[[OpenCell, int], float], str]] = {
    "harness": (events, "launches one after the other between two marks of the device"),
    "host's clock": (host, "the same on the host's clock: longer by the way of one launch"),
    "PyTorch's events": (torch_events, "the same launches on the same stream, by another library"),
    "nvbench, batch": (
        nvbench_batch,
        "queued first, then worked off: shorter where the host is too slow to keep the GPU busy",
    ),
    "nvbench, cold": (
        nvbench_cold,
        "single launches with a cold L2 cache: longer where W would have been in the cache",
    ),
    "Triton's do_bench": (
        do_bench,
        "single launches with a cold L2 cache, and the gap until the GPU is told of them",
    ),
}
"""Each clock, and what it does differently."""


def reading(clock: str, kernel: str, case: Case) -> Reading:
    """What a clock says, in this process."""
    server = Server()
    reply = open_here(server, kernel, case, LIMIT_S)
    if isinstance(reply, messages.Refused):
        return Reading(clock, None, f"{reply.status}: {reply.reason}")
    number = max(round(TOGETHER_S / reply.launch_s), 1)
    try:
        return Reading(clock, CLOCKS[clock][0](server.cells[1], number))
    except NoClock as why:
        return Reading(clock, None, str(why))


def apart(clock: str, kernel: str, case: Case, limit_s: float = LIMIT_S) -> Reading:
    """The same in a process of its own, which is ended after so many seconds."""
    sizes = map(str, (case.n_in, case.n_units, case.batch))
    command = [sys.executable, "-m", "bench.studies.clocks", kernel, *sizes, case.precision, clock]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return Reading(clock, None, f"gave no answer in {limit_s:g} s")
    with suppress(json.JSONDecodeError, TypeError, IndexError):
        return Reading(clock, **json.loads(done.stdout.splitlines()[-1]))
    said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    return Reading(clock, None, said[-1][:200])


def table(readings: list[Reading]) -> list[str]:
    """The readings as a Markdown table, each beside the first."""
    own = readings[0].seconds
    rows = ["| clock | a launch | of the harness's | what it does |", "| --- | --- | --- | --- |"]
    for one in readings:
        shown = "no time" if one.seconds is None else f"{1e6 * one.seconds:.4g} µs"
        share = "" if None in (own, one.seconds) else f"{one.seconds / own:.3f}"  # type: ignore[operator]
        rows.append(f"| {one.clock} | {shown} | {share} | {one.why or CLOCKS[one.clock][1]} |")
    return rows


def main(
    kernel: str, n_in: str, n_units: str, batch: str, precision: str = "float32", clock: str = ""
) -> None:
    """One cell by all clocks, or by the one that is named."""
    case = Case(int(n_in), int(n_units), int(batch), precision, "relu")
    if clock:
        one = reading(clock, kernel, case)
        print(json.dumps({"seconds": one.seconds, "why": one.why}))
        return
    print(f"{kernel} {case.n_in}x{case.n_units} batch {case.batch}, {case.precision}:")
    print(*table([apart(name, kernel, case) for name in CLOCKS]), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
