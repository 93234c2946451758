"""Which of a device's users are not of this run."""

import contextlib
from collections.abc import Mapping
from functools import cache

import psutil


def share(users: Mapping[int, float] | None) -> float | None:
    """What processes other than this run's used, of what each did; None where that isn't known."""
    if users is None:
        return None
    return sum(used for number, used in users.items() if not _of_this_run(number))


def _of_this_run(number: int) -> bool:
    """Whether the harness has started the process, as it has this one, which works for it behind a
    keeper. One that has ended disturbs no more; one that Linux hides is somebody else's.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(number)
        return process == psutil.Process() or _harness() in process.parents()
    return not psutil.pid_exists(number)


@cache
def _harness() -> psutil.Process | None:
    return next(iter(psutil.Process().parents()[1:]), None)
