"""The parent of processes that count: one a kernel, side and repeat, as many at once as there are
cores. Counts don't change when others work, so that costs nothing but patience.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.count import events
from bench.count.events import Counted, Line, Started, Task, Uncounted
from bench.count.sources import Source
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal.errors import BadInput
from bench.worker.environment import environment
from bench.worker.limits import usable_cores

STEP_S = 0.02
"""How often the processes are looked at."""

LIKE_MEMORY = """
import ctypes, os, sys
ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE, of linux/personality.h
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a command with its memory laid out alike each time, where the system allows that."""

SAME_SEED = 0
"""Of the inputs, and of Python's hashes."""


@dataclass(frozen=True, slots=True)
class Where:
    """Whose kernels are counted, and by which interpreter."""

    name: str
    folder: Path | None = None  # of the `kernels` package; none: this checkout's
    python: str = sys.executable


@dataclass(frozen=True, slots=True)
class Counts:
    """What the processes of one side found."""

    processes: dict[Cell, list[Counted]]  # a cell's counts, one for each process that has one
    reasons: dict[Cell, str]  # why a cell has none, or too few
    facts: dict[str, dict[str, str]]  # what the processes of each kernel were made of


@dataclass
class _Job:
    """One process: a kernel's cells of one side."""

    where: Where
    kernel: str
    cells: Sequence[Cell]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    lines: list[Line] = field(default_factory=list)
    death: str = ""

    def start(self, source: Source, *, simulate: bool) -> None:
        self.folder.mkdir()
        cases: tuple[Case, ...] = tuple(cell.case for cell in self.cells)
        task = Task(source.kind, self.kernel, cases, SAME_SEED)
        (self.folder / events.TASK).write_bytes(msgspec.json.encode(task))
        command = [
            *(sys.executable, "-I", "-S", "-c", LIKE_MEMORY),
            *source.starting(str(self.folder), simulate=simulate),
            self.where.python,
            *("-P", "-m", "bench.count.child", str(self.folder)),
        ]
        own = environment(1, self.where.folder, SAME_SEED) | dict(source.environment)
        # a file beside the kernels that a process has written would be there for the next one only
        own |= {"PYTHONDONTWRITEBYTECODE": "1"}
        with (self.folder / "printed").open("wb") as printed:
            try:
                self.process = subprocess.Popen(
                    command,
                    env=own,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=printed,
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
            except OSError as error:
                raise BadInput(f"can't start a process ({error.strerror})") from error

    def kill(self) -> None:
        """End it and all that it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def read(self, *, late: bool) -> None:
        """What it found, and how it ended."""
        assert self.process is not None
        with contextlib.suppress(OSError):
            for line in (self.folder / events.FOUND).read_bytes().splitlines():
                with contextlib.suppress(msgspec.DecodeError):  # half of a line
                    self.lines.append(msgspec.json.decode(line, type=Line))
        if late:
            self.death = "there was no time to count it"
        elif code := self.process.returncode:
            self.death = _death(code, self.folder)


UNKNOWN = re.compile(r"unhandled instruction bytes: *((?:0x[0-9A-F]+ ?)+)", re.IGNORECASE)
"""What Valgrind writes of an instruction that it doesn't know."""


def _death(code: int, folder: Path) -> str:
    logs = "".join(
        path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("valgrind.*.log")
    )
    if code == -signal.SIGILL and (unknown := UNKNOWN.search(logs)) is not None:
        first = " ".join(unknown[1].split()[:4])
        return f"Valgrind does not know an instruction that it uses ({first} ...), SIGILL"
    printed = (folder / "printed").read_text(encoding="utf-8", errors="replace").strip()
    last = f": {printed.splitlines()[-1][:200]}" if printed else ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"the process that counted it was killed by {signal.Signals(-code).name}{last}"
        return f"the process that counted it was killed by signal {-code}{last}"
    return f"the process that counted it ended with exit code {code}{last}"


def count(
    cells: Sequence[Cell],
    places: Sequence[Where],
    source: Source,
    deadline: float,
    *,
    simulate: bool = False,
    repeats: int = 1,
    watch: Callable[[float], None] = lambda left_s: None,
) -> list[Counts]:
    """Count the cells' launches at each place, in `repeats` processes each.

    What isn't counted by the `deadline`, of the monotonic clock, isn't counted. `watch` is told the
    seconds that are left. A cell that can't be counted has a reason.
    """
    kernels = dict.fromkeys(cell.kernel for cell in cells)
    with tempfile.TemporaryDirectory(prefix="bench-count-", ignore_cleanup_errors=True) as name:
        jobs = [
            _Job(where, kernel, _cheapest_first(cells, kernel), Path(name) / f"{number:04}")
            for number, (_, kernel, where) in enumerate(
                (repeat, kernel, where)
                for repeat in range(repeats)
                for kernel in kernels
                for where in places
            )
        ]
        _run(jobs, source, deadline, watch, simulate=simulate)
    return [_together([job for job in jobs if job.where == where], cells) for where in places]


def replaced(first: Counts, more: Counts) -> Counts:
    """The first, with what was counted anew in its place; both of one side."""
    return Counts(
        first.processes | more.processes, first.reasons | more.reasons, more.facts | first.facts
    )


def _cheapest_first(cells: Iterable[Cell], kernel: str) -> list[Cell]:
    """A kernel's cells: where time runs out, the most of them have been counted."""
    return sorted((c for c in cells if c.kernel == kernel), key=lambda cell: cell.case.flops)


def _run(
    jobs: Sequence[_Job],
    source: Source,
    deadline: float,
    watch: Callable[[float], None],
    *,
    simulate: bool,
) -> None:
    """Run the processes, as many at once as there are cores, until the deadline."""
    waiting, running = list(jobs), list[_Job]()
    try:
        while waiting or running:
            left_s = deadline - time.monotonic()
            while waiting and len(running) < usable_cores() and left_s > 0:
                running.append(waiting.pop(0))
                running[-1].start(source, simulate=simulate)
            for job in list(running):
                assert job.process is not None
                if job.process.poll() is not None or left_s <= 0:
                    running.remove(job)
                    late = job.process.poll() is None
                    job.kill()
                    job.read(late=late)
            if left_s <= 0:
                break
            watch(left_s)
            time.sleep(STEP_S)
    finally:
        for job in running:
            job.kill()


def _together(jobs: Sequence[_Job], cells: Sequence[Cell]) -> Counts:
    """What the processes of one side found, by cell."""
    processes: dict[Cell, list[Counted]] = defaultdict(list)
    reasons: dict[Cell, str] = {}
    facts: dict[str, dict[str, str]] = {}
    for job in jobs:
        seen = set[Cell]()
        for line in job.lines:
            match line:
                case Started():
                    facts[job.kernel] = line.facts
                case Counted() if line.place < len(job.cells):
                    processes[job.cells[line.place]].append(line)
                    seen.add(job.cells[line.place])
                case Uncounted() if line.place < len(job.cells):
                    reasons[job.cells[line.place]] = line.reason
                    seen.add(job.cells[line.place])
        for cell in job.cells:
            if cell not in seen:
                reasons.setdefault(cell, job.death or "there was no time to count it")
    of_these = [cell for cell in cells if cell in processes]
    return Counts({cell: processes[cell] for cell in of_these}, reasons, facts)
