"""A run's directory: append visits and blocks, read them back.

    results/<run>/sweep.toml    what was asked
                  machine.json  what it ran on, and how the run ended
                  visits.csv    a row a visit         } the truth: only appended to
                  blocks.csv    a row a block         }
                  cells.csv     a row a cell, derived; written again whenever it is out of date

A visit's blocks are written before the visit, each in one write: a visit whose row is there is
complete, and blocks without a visit are the trace of a kill and are dropped.
"""

import contextlib
import csv
import errno
import fcntl
import io
import os
import shutil
import typing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from bench.data import fit, reader
from bench.data import machine as machine_file
from bench.data.machine import Machine
from bench.data.records import SEPARATOR, Block, CellRow, Count, Round, Verdict, Visit
from bench.plan.sweep import Sweep, dumps, read
from bench.terminal import errors, signals, text
from bench.terminal.errors import BadInput

if typing.TYPE_CHECKING:
    import pandas as pd

Row = TypeVar("Row", Visit, Block, CellRow, Round, Verdict, Count)


class Run:
    """An open run directory, ours alone as a context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            trouble = "is in use by another run: wait for it or"
            if not isinstance(error, BlockingIOError):
                trouble = f"can't be locked ({error.strerror}):"
            raise BadInput(f"{folder} {trouble} take another --out") from error

    @classmethod
    def create(cls, folder: Path, sweep: Sweep) -> "Run":
        """Make the directory. Raises BadInput where it exists or can't be written."""
        if folder.exists():
            raise BadInput(f"{folder} exists: take another --out, or go on with --resume {folder}")
        # under its own name it is whole: a kill leaves a run that can be resumed, or none
        half = folder.with_name(f".half.{os.getpid()}")
        try:
            with _made(folder):
                half.mkdir(parents=True)
                (half / FILES[Visit]).write_text(_header(Visit), encoding="utf-8")
                (half / FILES[Block]).write_text(_header(Block), encoding="utf-8")
                (half / "sweep.toml").write_text(dumps(sweep), encoding="utf-8")
                half.rename(folder)
        except BadInput:
            shutil.rmtree(half, ignore_errors=True)
            raise
        try:
            return cls(folder)
        except BadInput:  # a file system without locks
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def resume(cls, folder: Path) -> tuple["Run", Sweep]:
        """Open a run to go on with it, without the half-written end that a kill may have left."""
        for name in ("sweep.toml", FILES[Visit], FILES[Block]):
            if not (folder / name).is_file():
                raise BadInput(f"{folder} is not a run: it has no {name}")
            with (folder / name).open("rb") as file:
                if name != "sweep.toml" and file.readline().endswith(b"\r\n"):
                    trouble = "has Windows line ends, and what is added would not: convert it first"
                    raise BadInput(f"{folder / name} {trouble}")
        sweep = read(str(folder / "sweep.toml"))
        _refuse_older(folder / FILES[Visit], columns(Visit))
        _refuse_older(folder / FILES[Block], columns(Block))
        run = cls(folder)
        for row in (Visit, Block):
            with run._written(FILES[row]):
                _drop_half_line(folder / FILES[row])
        return run, sweep

    def append(self, visit: Visit, blocks: Sequence[Block]) -> None:
        """Add a finished visit, its blocks first, as far as the files take them (`fit.visit`).
        A signal waits until all of it is there.

        Raises BadInput where the disk is full or the like: what is there already stays valid.
        """
        visit, blocks = fit.visit(visit, blocks)
        with signals.held():
            with self._written(FILES[Block]):
                _append(self.folder / FILES[Block], blocks)
            with self._written(FILES[Visit]):
                _append(self.folder / FILES[Visit], [visit])

    def append_unvisited(self, rows: Sequence[Visit]) -> None:
        """Add the rows of cells that were not visited, all of them at once."""
        fitted = [fit.visit(row, [])[0] for row in rows]
        with signals.held(), self._written(FILES[Visit]):
            _append(self.folder / FILES[Visit], fitted)

    def write_sweep(self, sweep: Sweep) -> None:
        """Write sweep.toml whole: what is asked for from now on."""
        with self._written("sweep.toml"):
            replace(self.folder / "sweep.toml", dumps(sweep))

    def write_machine(self, machine: Machine) -> None:
        """Write machine.json whole."""
        with self._written("machine.json"):
            replace(self.folder / "machine.json", machine_file.dumps(machine))

    def _written(self, name: str) -> AbstractContextManager[None]:
        return _written(self.folder / name, f"then go on with --resume {self.folder}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Let others have the directory."""
        os.close(self._lock)


FILES: dict[type, str] = {
    Visit: "visits.csv",
    Block: "blocks.csv",
    CellRow: "cells.csv",
    Round: "rounds.csv",
    Verdict: "verdicts.csv",
    Count: "counts.csv",
}


def columns(row: type[Row]) -> list[str]:
    """The columns of a row's file, in order."""
    return [field.name for field in fields(row)]


def write_cells(folder: Path, cells: Iterable[CellRow]) -> None:
    """Write cells.csv whole, so that no reader ever sees half of it."""
    path = folder / FILES[CellRow]
    with _written(path, f"then python -m bench plot {folder}: what was measured is kept"):
        replace(path, cells_text(cells))


def cells_text(cells: Iterable[CellRow]) -> str:
    """All of cells.csv."""
    return _header(CellRow) + _lines(map(fit.derived, cells))


def write_counts(folder: Path, counts: Iterable[Count]) -> None:
    """Write counts.csv whole. Raises BadInput where that can't be."""
    with _written(folder / FILES[Count], f"then go on with --resume {folder} --count"):
        replace(folder / FILES[Count], _header(Count) + _lines(counts))


@contextmanager
def comparison(folder: Path) -> Iterator[None]:
    """A comparison's directory, there before anything is measured for it, and gone again where
    nothing was written. Raises BadInput where it can't be made.
    """
    with _made(folder):
        folder.mkdir(parents=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it holds what was found
            folder.rmdir()


def write_comparison(
    folder: Path,
    rounds: Iterable[Round],
    verdicts: Iterable[Verdict],
    counts: Sequence[Count],
    machine: Machine,
    junit: str,
) -> None:
    """Write what a comparison found into its directory. Raises BadInput where that can't be."""
    with _written(folder, "or take another --out"):
        replace(folder / FILES[Round], _header(Round) + _lines(rounds))
        replace(folder / FILES[Verdict], _header(Verdict) + _lines(verdicts))
        if counts:
            replace(folder / FILES[Count], _header(Count) + _lines(counts))
        replace(folder / "machine.json", machine_file.dumps(machine))
        replace(folder / "junit.xml", junit)


def _header(row: type[Row]) -> str:
    return ",".join(columns(row)) + "\n"


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of the file in one step."""
    half = path.with_suffix(path.suffix + ".half")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)
"""Why a folder can't be made where none ever could."""


@contextmanager
def _written(path: Path, then: str) -> Iterator[None]:
    """Inside, a file that can't be written is one line that names it and the remedy: BadInput."""
    try:
        yield
    except OSError as error:
        remedy = errors.WRITABLE.get(error.errno or 0, "make it writable")
        raise BadInput(f"{path} can't be written ({error.strerror}): {remedy}, {then}") from error


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The same for a new folder."""
    try:
        yield
    except OSError as error:
        remedy = errors.WRITABLE.get(error.errno or 0, "make it writable")
        remedy += ", or take another --out"
        if error.errno in NO_PLACE:
            remedy = "take another --out"
        name = errors.shown(folder)
        raise BadInput(f"{name} can't be written ({error.strerror}): {remedy}") from error


def _lines(rows: Iterable[Row]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows([_cell(value) for value in astuple(row)] for row in rows)
    return lines.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        value = SEPARATOR.join(value)
    if isinstance(value, str):
        # on one line, so that half of one can be told; and no spreadsheet's formula
        return text.guarded(text.plain(value))
    # seven digits are far below any interval here, and a third of the bytes of seventeen
    return f"{value:.7g}" if isinstance(value, float) and value < 1e9 else value


def as_written(rows: Iterable[Row]) -> list[Row]:
    """Rows as they are read again: their numbers have so many digits as the file."""
    return [type(row)(*map(_rounded, astuple(row))) for row in rows]


def _rounded(value: Any) -> Any:
    return float(_cell(value)) if isinstance(value, float) else value


def _refuse_older(path: Path, columns: Sequence[str]) -> None:
    """Raise BadInput where the file ends before newer columns, which new rows would have."""
    with path.open(encoding="utf-8", errors="replace") as file:
        known = file.readline().rstrip("\n").split(",")
    if len(known) < len(columns) and known == list(columns[: len(known)]):
        older = f"{path} is of an older version and has no column {columns[len(known)]}"
        raise BadInput(f"{older}: it can be drawn, but start a new run")


def _append(path: Path, rows: Sequence[Row]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND)  # never anew: it would lack its header
    try:
        left = _lines(rows).encode()
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def _drop_half_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)


def load(folder: Path, row: type[Row]) -> list[Row]:
    """All rows of one of a run's files, a half-written last line left out.

    Raises BadInput with file, line and column for anything else that isn't as `row` says.
    """
    return reader.read(folder / FILES[row], row)


def frame(folder: Path) -> "pd.DataFrame":
    """cells.csv as a DataFrame, each row checked first."""
    return table(load(folder, CellRow))


def table(cells: Sequence[CellRow]) -> "pd.DataFrame":
    """Cells as a DataFrame, each column with its type: no number is NaN, no text is empty."""
    import pandas as pd

    kinds = typing.get_type_hints(CellRow)
    numbers = {int: "int64", float | None: "float64"}
    dtypes = {name: numbers.get(kind, "str") for name, kind in kinds.items()}
    return pd.DataFrame(
        {name: pd.Series([getattr(c, name) for c in cells], dtype=dtypes[name]) for name in kinds}
    )


def machine(folder: Path) -> Machine:
    """machine.json of a run; nothing is known where it has none. Raises BadInput."""
    path = folder / "machine.json"
    return machine_file.read(path) if os.path.lexists(path) else Machine()
