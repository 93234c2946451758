"""A CSV file -> rows of records.py, or one line that says what is wrong with it and where.

Nothing is guessed: a number is written in digits, a row is a line, and each column keeps the rules
that stand beside its record. A column of many rows is read at once, which is what makes a million
rows a matter of seconds; only where that fails is it read again, value by value, for the place.
"""

import csv
import gc
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from bench.data import older
from bench.data.records import (
    BOUNDS,
    SEPARATOR,
    SPAN,
    WORDS,
    Block,
    CellRow,
    Round,
    Verdict,
    Visit,
)
from bench.terminal import text
from bench.terminal.errors import BadInput

Row = TypeVar("Row", Visit, Block, CellRow, Round, Verdict)

AT_ONCE = 10_000
"""Rows that are read together: few enough to need little memory."""

DIGITS = frozenset("0123456789+-.eE")
"""Python's own int and float take blanks, underscores and other scripts' digits, too."""

LONGEST = 60
"""Characters of a bad value that are shown."""


def read(path: Path, row: type[Row]) -> list[Row]:
    """All rows of the file, a half-written last line left out. Raises BadInput."""
    lines = csv.reader(_lines(path), strict=True)
    rows: list[Row] = []
    collects = gc.isenabled()
    gc.disable()  # looking for garbage among a million rows takes as long as reading them
    try:
        header = next(lines, [])
        _check_header(path, header, row)
        columns = [_column(name, kind) for name, kind in typing.get_type_hints(row).items()]
        columns = columns[: len(header)]
        while values := list(islice(lines, AT_ONCE)):
            rows += _rows(path, row, columns, values, len(rows) + 2)
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


@dataclass(frozen=True, slots=True)
class _Column:
    """A column's values from their text."""

    name: str
    kind: Any
    optional: bool
    words: dict[str, str]  # those that may stand in it; none: any
    low: float
    high: float

    def parse(self, texts: Sequence[str]) -> Sequence[Any]:
        """Raises ValueError with what they should have been."""
        if self.words:
            try:
                return [self.words[value] for value in texts]
            except KeyError:
                raise ValueError(f"one of {', '.join(self.words)}") from None
        if self.kind in (str, tuple[str, ...]):
            together = "".join(texts)
            if text.UNSEEN.search(together):
                raise ValueError("text on one line without control characters")
            if "'" in together:
                texts = [text.unguarded(value) for value in texts]
            if self.kind is str:
                return texts
            return [tuple(value.split(SEPARATOR)) if value else () for value in texts]
        numbers = self._numbers([value for value in texts if value] if self.optional else texts)
        if len(numbers) == len(texts):
            return numbers
        left = iter(numbers)
        return [next(left) if value else None for value in texts]

    def _numbers(self, texts: Sequence[str]) -> list[Any]:
        needed = "a whole number" if self.kind is int else "a finite number"
        if not DIGITS.issuperset("".join(texts)):
            raise ValueError(needed)
        try:
            numbers = list(map(self.kind, texts))
        except ValueError:
            raise ValueError(needed) from None
        if numbers and not self.low <= min(numbers) <= max(numbers) <= self.high:
            raise ValueError(f"{needed} from {self.low:g} to {self.high:g}")
        return numbers


def _column(name: str, kind: Any) -> _Column:
    optional = isinstance(kind, types.UnionType)
    if optional:
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    words = WORDS.get(name, ())
    low, high = BOUNDS.get(name, (0, 2**63 - 1) if kind is int else BOUNDS["*"])
    return _Column(name, kind, optional, {word: word for word in words}, low, high)


def _rows(
    path: Path, row: type[Row], columns: list[_Column], values: list[list[str]], first: int
) -> Iterator[Row]:
    try:
        by_column = zip(*values, strict=True)
        parsed = [c.parse(texts) for c, texts in zip(columns, by_column, strict=True)]
    except ValueError:
        _refuse(path, columns, values, first)
    return map(row, *parsed)


def _refuse(
    path: Path, columns: list[_Column], values: list[list[str]], first: int
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


def _check(path: Path, rows: Sequence[Visit | Block | CellRow | Round | Verdict]) -> None:
    """What no single value shows."""
    lines: dict[int, int] = {}
    for line, row in enumerate(rows, 2):
        if isinstance(row, Block):
            if row.quantity == "time" and row.seconds < SPAN[0]:
                impossible = f"launches can't have taken {row.seconds:g} s"
                raise BadInput(f"{path}, line {line}, column seconds: {impossible}")
        elif isinstance(row, Visit) and lines.setdefault(row.visit, line) != line:
            twice = f"{row.visit} stands in line {lines[row.visit]} already"
            raise BadInput(f"{path}, line {line}, column visit: {twice}")


def _shown(value: str) -> str:
    return repr(value if len(value) <= LONGEST else f"{value[:LONGEST]}…")
