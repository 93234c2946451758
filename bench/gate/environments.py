"""What differs between the sides' environments: it may be why a time or a count changed."""

import re
from collections.abc import Mapping, Sequence

from bench.gate.checkouts import LOCK, Side
from bench.worker.messages import Software

MOST = 6
"""So many packages are named; of the others it is said how many there are."""

PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", re.MULTILINE)


def differences(sides: Sequence[Side], made_of: Sequence[Software], *, locked: bool) -> list[str]:
    """A sentence on the processes, and one on the locks, where they differ."""
    said = []
    if facts := _changes(*map(_facts, made_of)):
        said.append(f"the sides' processes differ: {facts}")
    if pins := _changes(*map(_pins, sides)):
        where = "each side ran with its own"
        if not locked:
            where = "both ran with the packages that are here (--env locked compares them)"
        said.append(f"the sides' locks differ: {pins}; {where}")
    return said


def _facts(software: Software) -> dict[str, str]:
    blas = [f"{b.get('version')} for {b.get('architecture') or '?'}" for b in software.blas]
    return {"Python": software.python, "NumPy": software.numpy, "BLAS": ", ".join(blas)}


def _pins(side: Side) -> dict[str, str]:
    """The packages of a side's lock and their versions; none where it has no lock."""
    lock = side.folder / LOCK
    text = lock.read_text(encoding="utf-8", errors="replace") if lock.is_file() else ""
    return dict(PIN.findall(text))


def _changes(base: Mapping[str, str], head: Mapping[str, str]) -> str:
    """Like "numpy 2.3.1 -> 2.4.0, pandas gone": from base to head."""
    found = []
    for name in sorted({*base, *head}) if base and head else []:
        before, after = base.get(name), head.get(name)
        if before != after:
            new, gone = f"{name} {after} new", f"{name} gone"
            both = f"{name} {before} -> {after}"
            found.append(new if before is None else gone if after is None else both)
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return ", ".join(found[:MOST]) + more
