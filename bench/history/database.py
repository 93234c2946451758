"""Runs into the database, and series out of it."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from sqlite3 import Connection
from statistics import median
from typing import Literal

from bench.data.machine import Machine
from bench.data.records import CellRow, Round
from bench.data.series import Kept, Series, Subject
from bench.history import machines, schema
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats.interval import left_out
from bench.stats.run_data import RunData

Added = Literal["added", "updated", "unchanged"]

QUANTITIES = {
    "time": ("time_s", "time_low_s", "time_high_s"),
    "instructions": ("instructions", "", ""),
}
"""What is kept of a cell, where it has it: the columns of cells.csv with the number and its
interval."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of a run."""

    subject: Subject
    value: float
    low: float | None
    high: float | None
    kernel_hash: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which series are meant: all, without a word of it."""

    kernels: Sequence[str] = ()
    case: str = ""  # a part of the label
    machine: str = ""  # the beginning of its hash, or a part of its host's name
    latest: int = 200  # runs of each series, at most


def of_run(run: RunData) -> tuple[Kept, list[Entry]]:
    """A run as it is kept, and its numbers."""
    kept = of_machine(run.machine, run.folder.resolve().name, *_origin(run))
    entries = [
        Entry(_subject(row, quantity, kept), value, *_interval(row, columns[1:]), row.kernel_hash)
        for row in run.cells
        for quantity, columns in QUANTITIES.items()
        if (value := getattr(row, columns[0], None)) is not None
    ]
    return kept, entries


def _subject(row: CellRow, quantity: str, kept: Kept) -> Subject:
    case = Case(row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer)
    place = row.device, row.threads, row.cache
    return Subject(kept.machine, kept.source, quantity, row.kernel, case, *place)


def _interval(row: CellRow, columns: Sequence[str]) -> tuple[float | None, float | None]:
    low, high = (getattr(row, name, None) for name in columns)
    return low, high


def of_head(
    machine: Machine, name: str, commit: str, rounds: Sequence[Round], cells: Sequence[Cell]
) -> tuple[Kept, list[Entry]]:
    """The head side of a comparison: of each of its cells the median over the rounds. `commit` is
    the head's, or `worktree` for the files as they are.
    """
    kept = of_machine(machine, name, machine.started, machines.began_s(machine))
    kept = replace(kept, source="gate")
    if commit != "worktree":
        kept = replace(kept, commit=commit, clean=True)
    seconds: dict[str, list[float]] = {}
    for row in rounds:
        seconds.setdefault(row.cell, []).append(row.head_s)
    entries = []
    for cell in cells:
        if ordered := sorted(seconds.get(cell.label, ())):
            out = left_out(len(ordered))
            low, high = (None, None) if out is None else (ordered[out], ordered[-1 - out])
            how = cell.name, cell.case, "", cell.threads, cell.cache  # which device is not recorded
            subject = Subject(kept.machine, "gate", "time", *how)
            entries.append(Entry(subject, median(ordered), low, high, ""))
    return kept, entries


def _origin(run: RunData) -> tuple[str, float]:
    """What is the same of a run however often it went on, and when it began."""
    first = min(run.visits, key=lambda visit: visit.visit, default=None)
    if first is not None:
        return repr((first.at_s, first.kernel, first.n_units, first.batch)), first.at_s
    began = machines.began_s(run.machine)
    return repr((began, run.cells)), began


def of_machine(machine: Machine, name: str, origin: str, at_s: float) -> Kept:
    """What a history keeps of a run's machine; `origin` is what tells the run from all others."""
    key = hashlib.sha256(repr((machine.host, machine.fingerprint, origin)).encode())
    return Kept(
        key=key.hexdigest()[:16],
        name=name,
        source="run",
        at_s=at_s,
        commit=machine.commit or "",
        clean=bool(machine.clean),
        machine=machines.key(machine),
        host=machine.host,
        lock=machines.lock(machine),
        facts=machines.facts(machine),
        packages=machine.packages,
    )


def add(path: Path, kept: Kept, entries: Sequence[Entry], wait_s: float = 60.0) -> Added:
    """Keep a run, in one transaction. The same run once more changes nothing; one that went on
    since, or that is estimated in another way now, takes the place of what was kept of it.
    Raises BadInput.
    """
    digest = hashlib.sha256(repr((kept, sorted(map(repr, entries)))).encode()).hexdigest()[:16]
    with schema.writing(path, wait_s) as database:
        before = database.execute("SELECT id, digest FROM run WHERE key = ?", [kept.key]).fetchone()
        if before and before[1] == digest:
            return "unchanged"
        if before:
            database.execute("DELETE FROM run WHERE id = ?", before[:1])
        run = database.execute(
            "INSERT INTO run (key, digest, name, source, at_s, commit_hash, clean, machine, host,"
            " lock, facts, packages) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(kept.key, digest, kept.name, kept.source, kept.at_s, kept.commit, kept.clean),
                *(kept.machine, kept.host, kept.lock),
                *(json.dumps(dict(words)) for words in (kept.facts, kept.packages)),
            ],
        ).lastrowid
        database.executemany(
            "INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?, ?, ?)",
            [
                (_subject_id(database, e.subject), run, e.value, e.low, e.high, e.kernel_hash)
                for e in entries
            ],
        )
    return "updated" if before else "added"


def runs(database: Connection) -> dict[int, Kept]:
    """All runs by their numbers in the file, the earliest first."""
    rows = database.execute(
        "SELECT id, key, name, source, at_s, commit_hash, clean, machine, host, lock, facts,"
        " packages FROM run ORDER BY at_s, key"
    )
    return {
        row[0]: Kept(*row[1:-2], *map(json.loads, row[-2:]))  # facts and packages
        for row in rows
    }


def series(path: Path, asked: Asked) -> Iterator[Series]:
    """The series that are asked for, by machine, layer and kernel. Raises BadInput."""
    with schema.reading(path) as database:
        kept = runs(database)
        order = {number: place for place, number in enumerate(kept)}
        in_order = list(kept) == sorted(kept)  # of time, too, as they were added
        hosts = {run.machine: run.host for run in kept.values()}
        for number, subject in _subjects(database):
            if not _meant(subject, hosts.get(subject.machine, ""), asked):
                continue
            rows = database.execute(
                "SELECT run, value, low, high, kernel_hash FROM value WHERE subject = ?"
                " ORDER BY run",
                [number],
            ).fetchall()
            if not in_order:
                rows.sort(key=lambda row: order[row[0]])
            if rows := rows[-asked.latest :]:
                numbers, values, lows, highs, hashes = zip(*rows, strict=True)
                yield Series(
                    subject,
                    [kept[number] for number in numbers],
                    values,
                    [nan if low is None else low for low in lows],
                    [nan if high is None else high for high in highs],
                    hashes,
                )


def _subjects(database: Connection) -> Iterator[tuple[int, Subject]]:
    rows = database.execute(
        "SELECT id, machine, source, quantity, kernel, device, threads, cache, n_in, n_units,"
        " batch, precision, activation, layer FROM subject"
        " ORDER BY machine, layer, n_in, n_units, batch, kernel, id"
    ).fetchall()
    for number, machine, source, quantity, kernel, device, threads, cache, *case in rows:
        yield (
            number,
            Subject(machine, source, quantity, kernel, Case(*case), device, threads, cache),
        )


def _meant(subject: Subject, host: str, asked: Asked) -> bool:
    return (
        (not asked.kernels or subject.kernel in asked.kernels)
        and asked.case in subject.label
        and (subject.machine.startswith(asked.machine) or asked.machine in host)
    )


def _subject_id(database: Connection, subject: Subject) -> int:
    case = subject.case
    words = [
        *(subject.machine, subject.source, subject.quantity, subject.kernel),
        *(case.n_in, case.n_units, case.batch, case.precision, case.activation, case.layer),
        *(subject.device, subject.threads, subject.cache),
    ]
    database.execute(
        "INSERT OR IGNORE INTO subject (machine, source, quantity, kernel, n_in, n_units, batch,"
        " precision, activation, layer, device, threads, cache)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        words,
    )
    (number,) = database.execute(
        "SELECT id FROM subject WHERE machine = ? AND source = ? AND quantity = ? AND kernel = ?"
        " AND n_in = ? AND n_units = ? AND batch = ? AND precision = ? AND activation = ?"
        " AND layer = ? AND device = ? AND threads = ? AND cache = ?",
        words,
    ).fetchone()
    return int(number)
