"""Slowdowns that were accepted on purpose: bench/accepted.toml, reviewed like code.

    [[accepted]]
    cell = "numpy_dot * batch 1"          # as verdicts call it; * stands for anything
    reason = "the answer is now exact for tiny inputs"
    until = 2027-03-31
    up_to = "10%"                         # without it, any slowdown of these cells

An entry takes the red from the cells that it names until its day has passed. One that has expired,
or that no slowdown needs any more, is named, so that the file stays short.
"""

import datetime as dt
import fnmatch
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench import ROOT
from bench.data.records import Verdict
from bench.plan import sweep
from bench.terminal import options
from bench.terminal.errors import BadInput

FILE = ROOT / "bench" / "accepted.toml"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One slowdown, why it is accepted, and the last day on which it is."""

    cell: str
    reason: str
    until: dt.date
    up_to: str = ""

    def check(self) -> None:
        """Raise BadInput for what its field's type lets through."""
        if not self.reason.strip():
            raise BadInput(f"the entry for {self.cell!r} gives no reason")
        self.limit()

    def names(self, verdict: Verdict) -> bool:
        """Whether this is about the verdict's cell."""
        return fnmatch.fnmatchcase(verdict.cell, self.cell)

    def covers(self, verdict: Verdict) -> bool:
        """Whether the verdict is a slowdown, and no larger than was accepted."""
        return verdict.says == "slower" and verdict.size <= self.limit()

    def limit(self) -> float:
        """The largest slowdown that is accepted, as a ratio. Raises BadInput."""
        return options.percent(self.up_to, "up_to", least=0.0) if self.up_to else math.inf


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accepted: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """Verdicts with the accepted ones marked, and what is to be said of entries."""

    verdicts: list[Verdict]
    notes: list[str]


def read(path: Path = FILE) -> tuple[Entry, ...]:
    """The entries of a file; none where there is none. Raises BadInput, naming file and field."""
    if not path.exists():
        return ()
    try:
        found = msgspec.convert(tomllib.loads(sweep.text_of(path.read_bytes())), _File).accepted
        for entry in found:
            entry.check()
    except (OSError, ValueError, RecursionError, BadInput) as error:
        raise BadInput(f"{path.name}: {str(error).replace('$.', '')}") from error
    return found


def apply(
    verdicts: Sequence[Verdict], entries: Sequence[Entry], today: dt.date, *, judged: bool = True
) -> Applied:
    """Mark the slowdowns that an entry covers, and name the entries that cover none, where the run
    could be judged.
    """
    valid = [entry for entry in entries if today <= entry.until]
    done = []
    for verdict in verdicts:
        its = [entry for entry in valid if entry.names(verdict) and entry.covers(verdict)]
        done.append(replace(verdict, accepted=its[0].reason) if its else verdict)
    notes = [
        f"accepted.toml: {entry.cell!r} expired on {entry.until}: remove it, or accept it anew"
        for entry in entries
        if entry not in valid
    ]
    for entry in valid if judged else ():
        about = [verdict for verdict in verdicts if entry.names(verdict)]
        name = f"accepted.toml: {entry.cell!r}"
        if not about:
            notes.append(f"{name} names no cell that was compared here")
        elif all(verdict.says in ("not slower", "faster") for verdict in about):
            notes.append(f"{name} wasn't needed: remove it")
        notes += [
            f"{name} accepts up to {entry.up_to}, and {verdict.cell} is"
            f" {100 * verdict.size:.1f}% slower"
            for verdict in about
            if verdict.says == "slower" and not entry.covers(verdict)
        ]
    return Applied(done, notes)
