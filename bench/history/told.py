"""What a history says, for people: a table of series, and sentences about changes."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from bench.data.series import Change, Kept, Series
from bench.terminal import units
from bench.terminal.text import plain

MOST_ROWS = 1000
"""Of the table: nobody reads more, and Rich takes half a second for them."""


def machine(run: Kept) -> str:
    """A machine's name: the host's, or the beginning of its hash."""
    return run.host or run.machine


def day(run: Kept) -> str:
    return f"{datetime.fromtimestamp(run.at_s, UTC):%Y-%m-%d}"


def number(series: Series, at: int) -> str:
    """A series' number at a run, with half its interval."""
    value, low, high = series.values[at], series.lows[at], series.highs[at]
    text = units.si(value, "s" if series.subject.quantity == "time" else "")
    return text if math.isnan(low) else f"{text} ±{50 * (high - low) / value:.0f}%"


def percent(ratio: float) -> str:
    """1.052 -> "+5.2"."""
    return f"{100 * (ratio - 1):+z.1f}"


def size(change: Change) -> str:
    """The change with its interval: "+5.1% (+4.2 to +6.0)"."""
    return f"{percent(change.ratio)}% ({percent(change.low)} to {percent(change.high)})"


def table(every: Sequence[Series]) -> Table:
    """A row a series."""
    shown = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("machine", "cell", "runs", "first", "latest", "of", "commit"):
        shown.add_column(heading, justify="left" if heading in ("machine", "cell") else "right")
    for series in every:
        latest = series.runs[-1]
        shown.add_row(
            Text(plain(machine(latest))),
            Text(plain(series.subject.label)),
            str(len(series.runs)),
            number(series, 0),
            number(series, -1),
            day(latest),
            Text(latest.version),
        )
    return shown


def sentence(series: Series, change: Change) -> str:
    """A change, the two runs that it lies between, and what else changed there."""
    before, after = change.before, change.after
    moved, among = change.moved
    runs = (f"{run.version} ({run.name}, {day(run)})" for run in (before, after))
    parts = [
        f"{machine(after)}: {series.subject.label}: {size(change)} from {' to '.join(runs)}",
        f"{moved} of this machine's {among} series changed there" if moved > 1 else "",
        f"also changed: {', '.join(change.also)}" if change.also else "",
    ]
    return plain("; ".join(part for part in parts if part))


def recent(series: Series, change: Change, runs: int) -> bool:
    """Whether the level that a change led to began within the last so many runs of its series."""
    return change.at >= len(series.runs) - runs
