"""What each column of a run's files may hold: the rules that the reader and the writer share."""

import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.data.records import BOUNDS, SEPARATOR, WORDS
from bench.terminal import text

DIGITS = frozenset("0123456789+-.eE")
"""Python's own int and float take blanks, underscores and other scripts' digits, too."""


@dataclass(frozen=True, slots=True)
class Column:
    """The rules of one column."""

    name: str
    kind: Any
    optional: bool
    words: dict[str, str]  # those that may stand in it; none: any
    low: float
    high: float

    def parse(self, texts: Sequence[str]) -> Sequence[Any]:
        """The values of a column's texts. Raises ValueError with what they should have been."""
        if self.words:
            try:
                return [self.words[value] for value in texts]
            except KeyError:
                raise ValueError(self.needed) from None
        if self.kind in (str, tuple[str, ...]):
            together = "".join(texts)
            if text.UNSEEN.search(together):
                raise ValueError(self.needed)
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
        if not DIGITS.issuperset("".join(texts)):
            raise ValueError(self._number)
        try:
            numbers = list(map(self.kind, texts))
        except ValueError:
            raise ValueError(self._number) from None
        if numbers and not self.low <= min(numbers) <= max(numbers) <= self.high:
            raise ValueError(self.needed)
        return numbers

    @property
    def _number(self) -> str:
        return "a whole number" if self.kind is int else "a finite number"

    @property
    def needed(self) -> str:
        """What has to stand in it, in words."""
        if self.words:
            return f"one of {', '.join(self.words)}"
        if self.kind in (str, tuple[str, ...]):
            return "text on one line without control characters"
        return f"{self._number} from {self.low:g} to {self.high:g}"

    def takes(self, value: Any) -> bool:
        """Whether the reader will accept the value once it is written."""
        if value is None:
            return self.optional
        if self.words:
            return type(value) is str and value in self.words
        if self.kind is str:
            return type(value) is str and text.short(value) == value
        if self.kind == tuple[str, ...]:
            return type(value) is tuple and all(map(_word, value))
        if type(value) is not int and (self.kind is int or type(value) is not float):
            return False
        return bool(self.low <= value <= self.high)


def _word(value: Any) -> bool:
    return type(value) is str and value == text.short(value) and SEPARATOR not in f" {value};"


def of(row: type) -> tuple[Column, ...]:
    """The columns of a row's file, in order."""
    return _of(row)


@cache
def _of(row: type) -> tuple[Column, ...]:
    return tuple(_column(name, kind) for name, kind in typing.get_type_hints(row).items())


def _column(name: str, kind: Any) -> Column:
    optional = isinstance(kind, types.UnionType)
    if optional:
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    words = WORDS.get(name, ())
    low, high = BOUNDS.get(name, (0, 2**63 - 1) if kind is int else BOUNDS["*"])
    return Column(name, kind, optional, {word: word for word in words}, low, high)
