"""What panels of lines are made of: lines, guides, axes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.show.charts import _colours
from bench.terminal import units


@dataclass(frozen=True, slots=True)
class Line:
    """What one kernel does: a point a measured place, NaN where there is no number."""

    kernel: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()  # its interval
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Guide:
    """A thin grey line that is not measured here: a ceiling, a slope."""

    text: str
    x: Sequence[float]
    y: Sequence[float]
    dash: _colours.Dash = (0, (6, 2, 1, 2))


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    lines: list[Line]
    guides: list[Guide] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class X:
    """The axis that is shared by all panels, with a tick at each place in `ticks` (log scale)."""

    title: str
    ticks: Sequence[float]
    say: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Y:
    """The other axis: on a log scale unless it shows a share, from 0 to 100 %."""

    title: str
    say: Callable[[float], str] = lambda number: units.si(number, digits=1)
    share: bool = False


def of_rows(rows: pd.DataFrame, x: str, y: str, places: Sequence[float]) -> list[Line]:
    """A line a kernel from rows of cells.csv, broken where a place has no number; with the interval
    that stands beside the number, if it has one there.
    """
    lines = []
    for key, mine in rows.groupby("kernel", sort=False):
        at = mine.set_index(x).reindex(list(places))

        def numbers(name: str, at: pd.DataFrame = at) -> list[float]:
            return [float(v) for v in at[name]] if name in at else []

        seconds = y.removesuffix("_s") if y in ("time_s", "latency_s") else None
        low, high = (f"{seconds}_{s}_s" if seconds else f"{y}_{s}" for s in ("low", "high"))
        lines.append(Line(str(key), list(places), numbers(y), numbers(low), numbers(high)))
    return lines
