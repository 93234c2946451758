"""Rows as a file may hold them: what a column doesn't take never reaches the disk.

A kernel, its device and its worker hand over what they like. A text is put on one line and cut; a
number that its column doesn't take makes an `error` of the visit, which says what it was. So a
reader finds nothing to refuse in what was written, whatever it was made from.
"""

import math
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from bench.data import columns
from bench.data.records import SPAN, Block, CellRow, Visit
from bench.terminal import text

Row = TypeVar("Row", Visit, Block, CellRow)


def visit(row: Visit, blocks: Sequence[Block]) -> tuple[Visit, list[Block]]:
    """A visit and its blocks that the files take, the same ones where they do already."""
    row = _texts(row)
    troubles = [*_troubles(row), *(trouble for block in blocks for trouble in _of_block(block))]
    if not troubles:
        return row, list(blocks)
    if row.status == "ok":
        row = replace(row, status="error", reason=text.short(troubles[0]))
    return _without(row), []


def derived(row: CellRow) -> CellRow:
    """A row of cells.csv, without the numbers that are too large or too small for any file."""
    return _without(_texts(row))


def _texts(row: Row) -> Row:
    """The row, its texts short and on one line."""
    changed: dict[str, Any] = {}
    for column in columns.of(type(row)):
        value = getattr(row, column.name)
        if column.kind is str and not column.words and not column.takes(value):
            changed[column.name] = text.short(
                value if isinstance(value, str) else reprlib.repr(value)
            )
    return replace(row, **changed) if changed else row


def _troubles(row: Visit | Block) -> Iterator[str]:
    """What the row's file would not take, in words."""
    for column in columns.of(type(row)):
        value = getattr(row, column.name)
        if not column.takes(value):
            yield f"{column.name} is {reprlib.repr(value)}, should be {column.needed}"


def _of_block(block: Block) -> Iterator[str]:
    troubles = list(_troubles(block))
    yield from troubles
    if not troubles and block.quantity == "time" and block.seconds < SPAN[0]:
        yield f"a launch can't have taken {block.seconds:g} s: the device's clock is too coarse"


def _without(row: Row) -> Row:
    """The row without what its file would not take: empty, or else the nearest that it takes."""
    changed: dict[str, Any] = {}
    for column in columns.of(type(row)):
        value = getattr(row, column.name)
        if not column.takes(value):
            changed[column.name] = None if column.optional else _nearest(column, value)
    return replace(row, **changed)


def _nearest(column: columns.Column, value: Any) -> Any:
    if column.words:
        return next(iter(column.words))
    if column.kind == tuple[str, ...]:
        return ()
    number = value if isinstance(value, int | float) and not math.isnan(value) else column.low
    return column.kind(min(max(number, column.low), column.high))
