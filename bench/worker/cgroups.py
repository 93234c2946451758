"""The control groups around this process, through which Linux gives it a share of the CPU.

A quota may be set at any level: by a container's runtime at what looks like the top from inside, by
systemd or a batch system below it. Each group from the process's own up to the top of what is
mounted is looked at, in version 2 and version 1.
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROC = Path("/proc/self")


def groups(proc: Path = PROC) -> list[Path]:
    """The folders of all groups that may hold this process's CPU time back, its own first."""
    try:
        return list(_groups((proc / "cgroup").read_text(), (proc / "mountinfo").read_text()))
    except (OSError, ValueError):
        return []


@cache
def _groups(own_lines: str, mounts: str) -> tuple[Path, ...]:
    own = [line.split(":", 2) for line in own_lines.splitlines()]
    found: dict[Path, None] = {}
    for line in mounts.splitlines():
        controllers, root, top = _mount(line)
        for _, names, path in (fields for fields in own if len(fields) == 3):
            if controllers is not None and _same(names, controllers):
                found |= dict.fromkeys(_upwards(top, os.path.relpath(path, root)))
    return tuple(found)


def quota(proc: Path = PROC) -> float | None:
    """Cores' worth of time that the tightest of these groups may use; None without a limit."""
    limits = []
    for folder in groups(proc):
        try:
            if (folder / "cpu.max").exists():
                most, period = (folder / "cpu.max").read_text().split()
            else:
                most, period = (
                    (folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
                )
            if int(most) > 0:  # version 1 says -1 for no limit, version 2 says max
                limits.append(int(most) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return min(limits, default=None)


def throttled_s(proc: Path = PROC) -> float:
    """Seconds, of all cores together, that these groups were held back since they began."""
    total = 0.0
    for folder in groups(proc):
        try:
            lines = [line.split() for line in (folder / "cpu.stat").read_text().splitlines()]
            values = {name: int(value) for name, value in lines}
        except (OSError, ValueError):
            continue
        total += values.get("throttled_usec", 0) / 1e6 + values.get("throttled_time", 0) / 1e9
    return total


def _mount(line: str) -> tuple[frozenset[str] | None, str, Path]:
    """A line of mountinfo -> controllers (none for version 2; None: no such mount), root, top."""
    front, _, back = line.partition(" - ")
    fields, kind = front.split(), back.split()
    if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
        return None, "", Path()
    controllers = frozenset(kind[-1].split(",")) if kind[0] == "cgroup" else frozenset[str]()
    return controllers, fields[3], Path(fields[4])


def _same(names: str, controllers: frozenset[str]) -> bool:
    """Whether a line of /proc/self/cgroup is about the CPU's groups of this mount."""
    return not controllers if names == "" else "cpu" in names.split(",") and "cpu" in controllers


def _upwards(top: Path, inside: str) -> Iterator[Path]:
    """The groups from the process's own up to the top; the top alone where its own is not seen."""
    inner = Path(inside)
    if ".." not in inner.parts and (top / inner).is_dir():
        while inner != Path():
            yield top / inner
            inner = inner.parent
    yield top
