"""What differs between the sides' environments: it may be why a time or a count changed."""

import re
from collections.abc import Mapping, Sequence

from bench.gate.checkouts import LOCK, Side
from bench.worker.messages import Software

MOST = 6
"""So many packages are named; of the others it is said how many there are."""

PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)[ \t]*(?:;[ \t]*([^\\\n]+))?", re.MULTILINE)
"""A package's name, its version, and for which machines and Pythons that is."""

Pins = Mapping[str, Mapping[str, str]]
"""The versions of each package by what they are for, "" for everything."""


def differences(sides: Sequence[Side], made_of: Sequence[Software], *, locked: bool) -> list[str]:
    """A sentence on the processes, and one on the locks, where they differ."""
    said = []
    if facts := _changes(*map(_facts, made_of)):
        said.append(f"the sides' processes differ: {facts}")
    if pins := _of_locks(sides):
        where = "each side ran with its own"
        if not locked:
            where = "both ran with the packages that are here (--env locked compares them)"
        said.append(f"the sides' locks differ: {pins}; {where}")
    return said


def _facts(software: Software) -> dict[str, str]:
    blas = [f"{b.get('version')} for {b.get('architecture') or '?'}" for b in software.blas]
    return {"Python": software.python, "NumPy": software.numpy, "BLAS": ", ".join(blas)}


def _of_locks(sides: Sequence[Side]) -> str:
    """What the sides' locks differ in; "" for nothing."""
    base, head = map(_pins, sides)
    if bool(base) != bool(head):
        lacking = sides[bool(base)]
        empty = "names no packages" if (lacking.folder / LOCK).is_file() else "does not exist"
        return f"the {lacking.name}'s {LOCK} {empty}"
    several = {n for n in {*base, *head} if len({**base.get(n, {}), **head.get(n, {})}) > 1}
    flat = [
        {
            f"{name} ({marker})" if name in several and marker else name: version
            for name, versions in pins.items()
            for marker, version in versions.items()
        }
        for pins in (base, head)
    ]
    return _changes(*flat)


def _pins(side: Side) -> Pins:
    """The packages of a side's lock; none where it has no lock. A lock for several Pythons names a
    package more than once.
    """
    lock = side.folder / LOCK
    text = lock.read_text(encoding="utf-8", errors="replace") if lock.is_file() else ""
    found: dict[str, dict[str, str]] = {}
    for name, version, marker in PIN.findall(text):
        found.setdefault(name, {})[marker.strip()] = version
    return found


def _changes(base: Mapping[str, str], head: Mapping[str, str]) -> str:
    """Like "numpy 2.3.1 -> 2.4.0, pandas gone": from base to head."""
    found = []
    for name in sorted({*base, *head}):
        before, after = base.get(name), head.get(name)
        if before != after:
            new, gone = f"{name} {after} new", f"{name} gone"
            both = f"{name} {before} -> {after}"
            found.append(new if before is None else gone if after is None else both)
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return ", ".join(found[:MOST]) + more
