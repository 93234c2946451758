"""A process that counts: `python -P -m bench.count.child FOLDER`, alone or under Valgrind.

Reads its task from the folder and adds a line for each case to the file of what it found, so that
what was counted is there whatever happens to the next case. Nothing is timed here, and no answer is
checked: who counts has visited the same cells on the same sides, where both is done.
"""

import gc
import platform
import resource
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import threadpoolctl

import kernels
from bench.count import callgrind, events, perf
from bench.count.events import Counted, Events, Line, Started, Task, Uncounted
from bench.ipc.arrays import Arrays
from bench.judge import inputs
from bench.plan.case import Case
from bench.terminal import text
from bench.worker.given import aligned_copy

WARM = (3, 50)
"""Launches before the first that counts, at least and at most: Python's interpreter adapts to what
it runs in the first ones, and libraries prepare in the very first."""

WARM_FLOPS = 2e5
"""About how many operations these are together. Never by the clock: how often something was done
before must be the same in each process."""

LONG_FLOPS = 1e7
"""A launch of more operations needs one before it: beside them, what the interpreter still adapts
is nothing, and under Valgrind each takes seconds."""

TOGETHER = 1e6
"""About how many instructions are counted at a time; a launch of more is counted once: the longer
it is, the steadier. (Fused multiply-adds, which Valgrind works out one by one, take it long.)"""

LAUNCHES = 50
"""At most so many launches at a time."""

SEVERAL = 3
"""So many times are short launches counted."""

NOTHINGS = 12
"""So many times it is counted what counting itself takes: the interpreter adapts to it, too."""

HELD_BYTES = 2**28
"""Cells whose arrays are so large together are opened at once: to switch counting on and off costs
a second each time."""


class CantCount(Exception):
    """A kernel whose work can't be counted; the text says why."""


class Source(Protocol):
    """What counts: Valgrind or the CPU."""

    def begin(self) -> None:
        """What is counted comes now."""

    def end(self) -> None:
        """Nothing is counted until the next begin."""

    def count(self, work: Callable[[], object]) -> Events:
        """Do the work -> what was counted."""


COUNTERS: dict[str, Callable[[Path], Source]] = {
    "callgrind": callgrind.Callgrind,
    "perf": lambda _: perf.Perf(),
}
"""By the word of a task."""


def main(folder: Path) -> None:
    """Do the task of the folder."""
    task = msgspec.json.decode((folder / events.TASK).read_bytes(), type=Task)
    with (folder / events.FOUND).open("wb") as file:

        def say(line: Line) -> None:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()

        try:
            counter = COUNTERS[task.source](folder)
            kernel = kernels.load(task.kernel)
        except Exception as error:  # noqa: BLE001 - a kernel's file may raise anything
            for place in range(len(task.cases)):
                say(Uncounted(place, _said(error)))
            return
        say(Started(facts()))
        places = list(enumerate(task.cases))
        while places:
            opened: list[Opened] = []
            while places and sum(cell.case.bytes for cell in opened) < HELD_BYTES:
                place, case = places.pop(0)
                try:
                    opened.append(open_cell(place, case, task.seed, kernel))
                except Exception as error:  # noqa: BLE001 - whatever a kernel raises is its result
                    say(Uncounted(place, _said(error)))
            if opened:
                for line in _together(opened, counter, kernel.hash):
                    say(line)


@dataclass(frozen=True, slots=True)
class Opened:
    """A cell that has been launched before, and what the kernel had started by itself by then."""

    place: int
    case: Case
    step: kernels.Step
    x: Any
    company: "Company"


def facts() -> dict[str, str]:
    """What this process is made of, as far as it decides which instructions run."""
    libraries = threadpoolctl.threadpool_info()
    return {
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": ", ".join(
            f"{info['internal_api']} {info['version']} {info.get('architecture') or ''}".strip()
            for info in libraries
        ),
    }


def _said(error: Exception) -> str:
    own = (CantCount, callgrind.NoValgrind, perf.NoCounters)
    words = " ".join(str(error).split())
    return text.short(words if isinstance(error, own) else f"{type(error).__name__}: {words}")


def open_cell(place: int, case: Case, seed: int, kernel: kernels.Kernel) -> Opened:
    """Ready and warm a cell. Raises CantCount, and whatever the kernel raises."""
    drawn = inputs.draw(case, seed, kernels.DTYPES[case.precision])
    given = Arrays(
        *(aligned_copy(array, i) for i, array in enumerate((drawn.A_in, drawn.W, drawn.b)))
    )
    layer = kernels.Layer(given.W, given.b, case.activation, case.precision)
    company = Company()
    step = kernel.prepare(layer, case.batch, 0)
    if step.device.name != kernels.HOST.name:
        where = f"it computes on {step.device.name}"
        raise CantCount(f"{where}, and only this machine's own instructions can be counted")
    x = step.send(given.A_in)
    least, most = WARM if case.flops < LONG_FLOPS else (1, 1)
    for _ in range(max(min(int(WARM_FLOPS / case.flops), most), least)):
        launch_all(step, x, 1)
    company.refuse()  # before Valgrind is asked to count what it may not see
    return Opened(place, case, step, x, company)


def _together(cells: Sequence[Opened], counter: Source, digest: str) -> Iterator[Line]:
    """Count cells that are open, with counting switched on once for all."""
    gc.collect()
    gc.freeze()
    gc.disable()  # a count never pays for another's garbage
    counter.begin()
    try:
        for _ in range(NOTHINGS):
            nothing = counter.count(lambda: launch_all(cells[0].step, None, 0))
        for cell in cells:
            try:
                launches, times = _times(cell, counter, nothing)
                cell.step.close()
            except Exception as error:  # noqa: BLE001 - as above
                yield Uncounted(cell.place, _said(error))
            else:
                yield Counted(cell.place, digest, launches, tuple(times))
    finally:
        counter.end()
        gc.enable()


def launch_all(step: kernels.Step, x: Any, launches: int) -> None:
    """So many launches, the last of them complete. What this costs itself is taken off again."""
    out, launch = None, step.launch
    for _ in repeat(None, launches):
        out = launch(x)
    step.device.fence(out)


def _times(cell: Opened, counter: Source, nothing: Events) -> tuple[int, list[Events]]:
    """Count launches several times -> how many each time, and each time's events a launch."""
    step, x = cell.step, cell.x
    once = counter.count(lambda: launch_all(step, x, 1))
    if once.instructions > TOGETHER:
        cell.company.refuse()
        return 1, [once.less(nothing, 1)]
    launches = min(int(TOGETHER / max(once.less(nothing, 1).instructions, 1)), LAUNCHES)
    times = []
    for _ in range(SEVERAL):
        counted = counter.count(lambda: launch_all(step, x, launches))
        times.append(counted.less(nothing, launches))
    cell.company.refuse()
    return launches, times


class Company:
    """What a kernel starts beside the thread that launches."""

    def __init__(self) -> None:
        self._started = _started.copy()
        self._faults = _faults()

    def refuse(self) -> None:
        """Raise CantCount where a part of the work was, or may be, done elsewhere."""
        started = _started - self._started
        if started["thread"] or len(list(Path("/proc/self/task").glob("*"))) > 1:
            raise CantCount("it works in threads: what they do depends on how they meet")
        if started["process"] or _faults() != self._faults or _children():
            raise CantCount("it starts processes, whose instructions are not counted")


_started: Counter[str] = Counter()

STARTS = {
    "_thread.start_new_thread": "thread",
    **dict.fromkeys(("os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"), "process"),
}
"""Audit events (docs.python.org, Audit events table) -> what begins."""


def watch() -> None:
    """From here on, note what Python starts."""

    def hook(event: str, _: Any) -> None:
        if event in STARTS:
            _started[STARTS[event]] += 1

    sys.addaudithook(hook)
    # before Python 3.12 no audit event tells of a thread; a thread of `threading` calls this itself
    threading.setprofile(lambda *_: _started.update(["thread"]))


def _faults() -> int:
    """Page faults of children that ended: none without any, whoever started them."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


def _children() -> bool:
    """Whether there are any now; False where the system doesn't say (CONFIG_PROC_CHILDREN)."""
    return any(path.read_text().strip() for path in Path("/proc/self/task").glob("*/children"))


if __name__ == "__main__":
    watch()
    main(Path(sys.argv[1]))
