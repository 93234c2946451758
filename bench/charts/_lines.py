"""Panels of lines that share their axes, each line labelled at its end: what most charts are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import units
from bench.charts import _colours, _fit, _key, _page, _words

ONE_ROW = 4  # more panels stand in two rows
AXIS_BOTTOM = 0.3  # inches
TITLE_SIZE = 16.0
ROW = _fit.SIZE * _fit.LEADING / 72
NUDGE = 0.16  # inches that a tick's label may stand beside its tick
Levels = list[list[tuple[float, float]]]


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


def draw(page: _page.Page, panels: list[Panel], x: X, y: Y, *, joined: bool = True) -> Figure:
    """The panels, in one row or two, on what is left of the page."""
    first = 0 if len(panels) <= ONE_ROW else len(panels) // 2  # the shorter row on top
    grid = [row for row in (panels[:first], panels[first:]) if row]
    layout = _Layout(page, grid, [_ends(row) for row in grid], x, y)
    if not layout.fits:
        _key.write(page, _key_of(page, panels))
        layout = replace(layout, ends=[[] for _ in grid])
    for r, row in enumerate(grid):
        for c, panel in enumerate(row):
            axes = _axes(layout, r, c)
            _paint(page, axes, panel, joined=joined)
            _label(page, axes, [end for end in layout.ends[r] if end.column == c])
    middle = (page.left + layout.axis_left + page.right - layout.gutters[-1]) / 2
    how: dict[str, Any] = {"color": page.theme.muted}
    page.write(middle, page.bottom + 0.08, x.title, ha="center", **how)
    middle = (layout.bottom + page.top - layout.heading) / 2
    page.write(page.left, middle, y.title, rotation=90, va="center", **how)
    return page.figure


@dataclass(frozen=True, slots=True)
class _End:
    """Where a line ends, and so where its label belongs."""

    text: str
    kernel: str  # empty: of a guide
    column: int
    x: float
    y: float


def _ends(row: list[Panel]) -> list[_End]:
    """The last point of each line, in the last panel of this row that has the line."""
    ends: dict[str, _End] = {}
    for column, panel in enumerate(row):
        for line in panel.lines:
            known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y > 0]
            if known:
                text = _words.broken(line.kernel)
                ends[line.kernel] = _End(text, line.kernel, column, *max(known))
        for guide in panel.guides:
            ends[guide.text] = _End(guide.text, "", column, guide.x[-1], guide.y[-1])
    return list(ends.values())


@dataclass(frozen=True)
class _Layout:
    """Where the panels are, in inches, and what their axes share."""

    page: _page.Page
    grid: list[list[Panel]]
    ends: list[list[_End]]  # the lines to label, a list a row of panels; none with a legend
    along: X
    up: Y

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.grid for panel in row]

    @cached_property
    def x(self) -> tuple[float, float]:
        places = [x for p in self.panels for line in p.lines for x in line.x]
        return _padded(min(places), max(places), 0.04, 1.15)

    @cached_property
    def y(self) -> tuple[float, float]:
        """From the lowest interval to the highest, or the guides; at least about two decades."""
        if self.up.share:
            return 0.0, 108.0
        lines = [line for panel in self.panels for line in panel.lines]
        numbers = [n for line in lines for part in (line.y, line.low, line.high) for n in part]
        numbers += [n for panel in self.panels for guide in panel.guides for n in guide.y]
        known = [n for n in numbers if n > 0 and math.isfinite(n)]
        low, high = _padded(min(known), max(known), 0.05, 1.5)
        middle = math.sqrt(low) * math.sqrt(high)
        return min(low, middle / 8), max(high, middle * 8)

    @cached_property
    def axis_left(self) -> float:
        """The room for the labels of the ticks, and for the axis's title."""
        ticks = [100.0] if self.up.share else _fit.log_ticks(*self.y, 99)
        return 0.42 + max(_fit.width_of(self.up.say(tick)) for tick in ticks)

    def title(self, panel: Panel) -> str:
        """A panel's title over as many lines as it needs."""
        lines = _fit.wrapped(panel.title, self.wide + self.gap - 0.1, TITLE_SIZE, "bold")
        return "\n".join(lines)

    @cached_property
    def heading(self) -> float:
        """The height that the panels' titles take."""
        lines = max(self.title(panel).count("\n") + 1 for panel in self.panels)
        return lines * TITLE_SIZE * _fit.LEADING / 72 + 0.1

    @cached_property
    def gap(self) -> float:
        """Between panels with no label between them: the outer ticks' labels reach into it."""
        said = [self.along.say(tick) for tick in self.along.ticks]
        return max(0.3, (_fit.width_of(said[0]) + _fit.width_of(said[-1])) / 2 + 0.05)

    @cached_property
    def gutters(self) -> list[float]:
        """The room right of each column of panels: for its widest label, or just a gap."""
        rooms = [self.gap] * len(self.grid[-1])
        for row, ends in zip(self.grid, self.ends, strict=True):
            for end in ends:
                # Right of the last panel of a short row there is nothing in the way.
                if end.column < len(row) - 1 or len(row) == len(rooms):
                    room = _fit.width_of(end.text, weight="bold") + 0.3
                    rooms[end.column] = max(rooms[end.column], room)
        return rooms

    @cached_property
    def wide(self) -> float:
        room = self.page.right - self.page.left - self.axis_left - sum(self.gutters)
        return room / len(self.grid[-1])

    def place(self, x: float) -> float:
        """Inches from a panel's left edge."""
        low, high = self.x
        return self.wide * math.log(x / low) / math.log(high / low)

    @cached_property
    def ticks(self) -> Levels:
        """Where each tick's label stands, on one line or on two, with the tick it belongs to.

        A label may step aside a little; one that finds no room on either line is left out, and its
        tick stays.
        """
        levels: Levels = [[], []]
        edges = [math.inf, math.inf]  # where the last label of each line begins, from the right
        for tick in sorted(self.along.ticks, reverse=True):
            half = _fit.width_of(self.along.say(tick)) / 2 + 0.045
            middle = self.place(tick) + (NUDGE / 2 if tick == self.along.ticks[-1] else 0.0)
            level = next((i for i in (0, 1) if middle + half <= edges[i] + NUDGE), None)
            if level is not None:
                aside = min(middle, edges[level] - half)
                edges[level] = aside - half
                levels[level].append((tick, aside))
        return levels

    @cached_property
    def bottom(self) -> float:
        """The lowest panels' lower edge: the axis's title and the labels of its ticks are below."""
        return self.page.bottom + AXIS_BOTTOM + (1 + bool(self.ticks[1])) * ROW + 0.1

    @cached_property
    def tall(self) -> float:
        return (self.page.top - self.bottom) / len(self.grid) - self.heading

    @property
    def fits(self) -> bool:
        """Whether the labels leave panels wide enough, and find height enough beside them."""
        most = max(
            sum(_height(end) for end in row if end.column == column)
            for row in self.ends
            for column in {end.column for end in row}
        )
        return self.wide >= 1.6 and most <= self.tall + ROW


def _height(end: _End) -> float:
    return (end.text.count("\n") + 1) * ROW


def _padded(low: float, high: float, part: float, least: float) -> tuple[float, float]:
    """A log range with room at both ends: a part of its length, and at least a factor."""
    factor = max((high / low) ** part, least)
    return low / factor, high * factor


def _axes(layout: _Layout, r: int, c: int) -> Axes:
    """An empty panel: its title, its axes, and the labels of its ticks."""
    page, wide, tall = layout.page, layout.wide, layout.tall
    left = page.left + layout.axis_left + c * wide + sum(layout.gutters[:c])
    bottom = page.top - (r + 1) * (tall + layout.heading)
    axes = page.axes(left, bottom, wide, tall)
    axes.set_xscale("log", base=2)
    axes.set_xlim(*layout.x)
    _fit.fix_ticks(axes.xaxis, layout.along.ticks, [""] * len(layout.along.ticks))
    if r == len(layout.grid) - 1:
        for level, labels in enumerate(layout.ticks):
            for tick, x in labels:
                y = bottom - 0.12 - level * ROW
                how: dict[str, Any] = {"ha": "center", "va": "top", "color": page.theme.muted}
                page.write(left + x, y, layout.along.say(tick), **how)
    heights = [0.0, 25.0, 50.0, 75.0, 100.0]
    if not layout.up.share:
        axes.set_yscale("log")
        heights = _fit.log_ticks(*layout.y, int(tall / 0.3))
    axes.set_ylim(*layout.y)
    _fit.fix_ticks(axes.yaxis, heights, [layout.up.say(height) for height in heights])
    axes.tick_params(labelleft=c == 0)
    page.write(
        left, bottom + tall + 0.1, layout.title(layout.grid[r][c]), TITLE_SIZE, weight="bold"
    )
    return axes


def _key_of(page: _page.Page, panels: list[Panel]) -> list[_key.Entry]:
    """An entry for each line and guide."""
    kernels = dict.fromkeys(line.kernel for panel in panels for line in panel.lines)
    guides = {guide.text: guide for panel in panels for guide in panel.guides}
    return [
        *(
            _key.Entry(_words.name_of(kernel), page.theme.text(kernel), page.drawn(kernel))
            for kernel in kernels
        ),
        *(
            _key.Entry(text.replace("\n", " "), page.theme.muted, _dashed(page, guide))
            for text, guide in guides.items()
        ),
    ]


def _dashed(page: _page.Page, guide: Guide) -> dict[str, Any]:
    return {"color": page.theme.muted, "linewidth": 1.5, "linestyle": guide.dash}


def _paint(page: _page.Page, axes: Axes, panel: Panel, *, joined: bool) -> None:
    """The guides, then each line with its interval at each point."""
    for guide in panel.guides:
        axes.plot(guide.x, guide.y, **_dashed(page, guide))
    for line in panel.lines:
        y = np.asarray(line.y, float)
        spread = None
        if line.low and line.high:
            low, high = (np.asarray(side, float) for side in (line.low, line.high))
            spread = np.fmax([y - low, high - y], 0)
        how = page.drawn(line.kernel) | ({} if joined else {"linestyle": "none"})
        axes.errorbar(line.x, y, yerr=spread, label=line.kernel, capsize=5, elinewidth=2, **how)


def _label(page: _page.Page, axes: Axes, ends: list[_End]) -> None:
    """Names right of the panel, as near to the ends of their lines as they can be."""
    to_inches = page.figure.dpi_scale_trans.inverted()
    (_, low), (right, high) = to_inches.transform(axes.get_window_extent().get_points())
    points = [to_inches.transform(axes.transData.transform((end.x, end.y))) for end in ends]
    places = _fit.apart([y for _, y in points], [_height(end) for end in ends], low, high + ROW)
    for end, (x, y), place in zip(ends, points, places, strict=True):
        colour = page.theme.line(end.kernel) if end.kernel else page.theme.muted
        leader = {"color": colour, "linewidth": 1, "linestyle": "dotted"}
        page.stroke([x, max(x, right), right + 0.2], [y, y, place], **leader)
        colour = page.theme.text(end.kernel) if end.kernel else page.theme.muted
        weight = "bold" if end.kernel else "normal"
        page.write(right + 0.25, place, end.text, va="center", color=colour, weight=weight)
