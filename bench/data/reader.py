"""A CSV file -> rows of records.py, or one line that says what is wrong with it and where.

Nothing is guessed: a number is written in digits, a row is a line, and each column keeps the rules
that stand beside its record. A column of many rows is read at once, which is what makes a million
rows a matter of seconds; only where that fails is it read again, value by value, for the place.
"""

import csv
import gc
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from itertools import islice
from pathlib import Path
from typing import TypeVar

from bench.data import columns, older
from bench.data.columns import Column
from bench.data.records import SPAN, Block, CellRow, Count, Round, Verdict, Visit
from bench.terminal.errors import BadInput

Row = TypeVar("Row", Visit, Block, CellRow, Round, Verdict, Count)

AT_ONCE = 10_000
"""Rows that are read together: few enough to need little memory."""

LONGEST = 60
"""Characters of a bad value that are shown."""


def read(path: Path, row: type[Row]) -> list[Row]:
    """All rows of the file, a half-written last line left out. Raises BadInput."""
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise BadInput(f"{path} can't be read: it is no file, move it away")
    lines = csv.reader(_lines(path), strict=True)
    rows: list[Row] = []
    collects = gc.isenabled()
    gc.disable()  # looking for garbage among a million rows takes as long as reading them
    try:
        header = next(lines, [])
        _check_header(path, header, row)
        known = columns.of(row)[: len(header)]
        while values := list(islice(lines, AT_ONCE)):
            rows += _rows(path, row, known, values, len(rows) + 2)
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}, line {lines.line_num + 1}: can't be read: {error}") from error
    except csv.Error as error:
        raise BadInput(f"{path}, line {lines.line_num}: {error}") from error
    finally:
        if collects:
            gc.enable()
    _check(path, rows)
    if row is Visit and "predicted_s" not in header:
        return typing.cast("list[Row]", [*older.with_predictions(typing.cast("list[Visit]", rows))])
    return rows


def _lines(path: Path) -> Iterator[str]:
    """The whole lines. All end alike: a mixture is the trace of an editor or a bad copy."""
    with path.open("rb") as file:
        windows = file.readline().endswith(b"\r\n")
        file.seek(0)
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            if (windows or b"\r" in line) and not (windows and _windows(line)):
                raise BadInput(f"{path}, line {number}: doesn't end as the lines before it do")
            yield line.decode()


def _windows(line: bytes) -> bool:
    return line.endswith(b"\r\n") and line.count(b"\r") == 1


def _check_header(path: Path, header: list[str], row: type[Row]) -> None:
    """Every column, in order; one with a default came later, and an older file ends before it."""
    columns = [field.name for field in fields(row)]
    needed = sum(field.default is MISSING for field in fields(row))
    for have, want in zip(header, columns, strict=False):
        if have != want:
            raise BadInput(f"{path}, line 1: {_shown(have)} should be {want!r}")
    if not needed <= len(header) <= len(columns):
        raise BadInput(f"{path}, line 1: {len(header)} columns should be {len(columns)}")


def _rows(
    path: Path, row: type[Row], columns: Sequence[Column], values: list[list[str]], first: int
) -> Iterator[Row]:
    try:
        by_column = zip(*values, strict=True)
        parsed = [c.parse(texts) for c, texts in zip(columns, by_column, strict=True)]
    except ValueError:
        _refuse(path, columns, values, first)
    return map(row, *parsed)


def _refuse(
    path: Path, columns: Sequence[Column], values: list[list[str]], first: int
) -> typing.NoReturn:
    """Name the first place that is wrong."""
    for line, texts in enumerate(values, first):
        if len(texts) != len(columns):
            raise BadInput(f"{path}, line {line}: {len(texts)} values, should be {len(columns)}")
        for column, value in zip(columns, texts, strict=True):
            try:
                column.parse([value])
            except ValueError as error:
                place = f"{path}, line {line}, column {column.name}"
                raise BadInput(f"{place}: {_shown(value)} is not {error}") from None
    raise AssertionError("what is wrong together is wrong somewhere")


def _check(path: Path, rows: Sequence[Visit | Block | CellRow | Round | Verdict | Count]) -> None:
    """What no single value shows."""
    if rows and isinstance(rows[0], Visit):
        _check_visits(path, typing.cast("Sequence[Visit]", rows))
    elif rows and isinstance(rows[0], Block):
        _check_blocks(path, typing.cast("Sequence[Block]", rows))


def _check_visits(path: Path, visits: Sequence[Visit]) -> None:
    """A number belongs to one visit, and a pass has one good visit of a cell: of two runs in one
    file nobody could say which is meant.
    """
    lines: dict[int, int] = {}
    passes: dict[tuple[object, ...], int] = {}
    for line, row in enumerate(visits, 2):
        if lines.setdefault(row.visit, line) != line:
            twice = f"{row.visit} stands in line {lines[row.visit]} already"
            raise BadInput(f"{path}, line {line}, column visit: {twice}")
        if row.status != "ok":
            continue
        case = row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer
        key = row.pass_number, row.kernel, row.device_index, row.threads, row.cache, *case
        if passes.setdefault(key, line) != line:
            cell = f"{row.kernel} has a visit to this cell in pass {row.pass_number}"
            raise BadInput(
                f"{path}, line {line}, column pass_number: {cell} in line {passes[key]} already"
            )


def _check_blocks(path: Path, blocks: Sequence[Block]) -> None:
    """Launches take time, and no block stands there twice."""
    before: Block | None = None
    trips: set[str] = set()  # those of this visit
    seen: set[int] = set()
    for line, row in enumerate(blocks, 2):
        if before is None or row.visit != before.visit:
            trips.clear()
            if row.visit in seen:
                apart = f"the blocks of visit {row.visit} don't stand together"
                raise BadInput(f"{path}, line {line}, column visit: {apart}")
            seen.add(row.visit)
        if row.quantity != "time":
            if row.quantity in trips:
                twice = f"visit {row.visit} has one already"
                raise BadInput(f"{path}, line {line}, column quantity: {twice}")
            trips.add(row.quantity)
        elif row.seconds < SPAN[0]:
            impossible = f"launches can't have taken {row.seconds:g} s"
            raise BadInput(f"{path}, line {line}, column seconds: {impossible}")
        # neighbours share the reading of the probe that is between them
        elif row == before and row.probe_after_s != row.probe_before_s:
            raise BadInput(f"{path}, line {line}: the block of line {line - 1} once more")
        before = row


def _shown(value: str) -> str:
    return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")
