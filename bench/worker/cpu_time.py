"""CPU time of this process and of those that it has started."""

import contextlib
import resource
from pathlib import Path
from time import process_time  # a kernel can't put another in its place

PROC = Path("/proc")


def with_children_s(proc: Path = PROC) -> float:
    """Seconds of CPU time of this process, of its children that have ended and of those that run,
    and so on. Those that run count where the system says what they used (Linux, in
    /proc/<pid>/schedstat: Documentation/scheduler/sched-stats.rst).
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + ended.ru_utime + ended.ru_stime + _running_s(proc / "self", proc)


def _running_s(process: Path, proc: Path) -> float:
    """What the children of a process have used, and theirs."""
    used = 0.0
    with contextlib.suppress(OSError):  # one may end while it is looked at
        for task in (process / "task").iterdir():
            for child in (task / "children").read_text().split():
                for thread in (proc / child / "task").glob("*/schedstat"):
                    used += int(thread.read_text().split()[0]) / 1e9
                used += _running_s(proc / child, proc)
    return used
