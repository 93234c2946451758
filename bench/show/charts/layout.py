"""Where panels of lines stand on a page, in inches, and what is written around them."""

import math
from dataclasses import dataclass
from functools import cached_property

from bench.show.charts import fit
from bench.show.charts.page import Page
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Panel, X, Y
from bench.show.pictures.parts.ticks import log_ticks
from bench.terminal import units

AXIS_BOTTOM = 0.3  # inches
TITLE_SIZE = 16.0
ROW = fit.SIZE * fit.LEADING / 72
NUDGE = 0.16  # inches that a tick's label may stand beside its tick
Levels = list[list[tuple[float, float]]]


@dataclass(frozen=True, slots=True)
class End:
    """Where a line ends, and so where its label belongs."""

    text: str
    kernel: str  # empty: of a guide
    column: int
    x: float
    y: float


def ends_of(row: list[Panel]) -> list[End]:
    """The last point of each line, in the last panel of this row that has the line."""
    ends: dict[str, End] = {}
    for column, panel in enumerate(row):
        for line in panel.lines:
            if line.known:
                text = words.broken(line.kernel)
                ends[line.kernel] = End(text, line.kernel, column, *max(line.known))
        for guide in panel.guides:
            ends[guide.text] = End(guide.text, "", column, guide.x[-1], guide.y[-1])
    return list(ends.values())


@dataclass(frozen=True)
class Layout:
    """Where the panels are, in inches, and what their axes share."""

    page: Page
    grid: list[list[Panel]]
    ends: list[list[End]]  # the lines to label, a list a row of panels; none with a legend
    along: X
    up: Y

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.grid for panel in row]

    @cached_property
    def x(self) -> tuple[float, float]:
        places = [x for p in self.panels for line in p.lines for x in line.x]
        if not self.along.log:
            pad = 0.04 * (max(places) - min(places)) + 0.5
            return min(places) - pad, max(places) + pad
        return _padded(min(places), max(places), 0.04, 1.15)

    @cached_property
    def y(self) -> tuple[float, float]:
        """From the lowest interval to the highest, or the guides; at least about two decades."""
        if self.up.share:
            return self.up.ends or (0.0, 108.0)
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
        ticks = [100.0] if self.up.share else log_ticks(*self.y, 99)
        return 0.42 + max(fit.width_of(said(self.up, tick)) for tick in ticks)

    def title(self, panel: Panel) -> str:
        """A panel's title over as many lines as it needs."""
        lines = fit.wrapped(panel.title, self.wide + self.gap - 0.1, TITLE_SIZE, "bold")
        return "\n".join(lines)

    @cached_property
    def heading(self) -> float:
        """The height that the panels' titles take, and the letters of moments below them."""
        lines = max(self.title(panel).count("\n") + 1 for panel in self.panels)
        letters = ROW * any(panel.moments for panel in self.panels)
        return lines * TITLE_SIZE * fit.LEADING / 72 + 0.1 + letters

    @cached_property
    def gap(self) -> float:
        """Between panels with no label between them: the outer ticks' labels reach into it."""
        texts = list(self.along.ticks.values())
        return max(0.3, (fit.width_of(texts[0]) + fit.width_of(texts[-1])) / 2 + 0.05)

    @cached_property
    def gutters(self) -> list[float]:
        """The room right of each column of panels: for its widest label, or just a gap."""
        rooms = [self.gap] * len(self.grid[-1])
        for row, ends in zip(self.grid, self.ends, strict=True):
            for end in ends:
                # Right of the last panel of a short row there is nothing in the way.
                if end.column < len(row) - 1 or len(row) == len(rooms):
                    room = fit.width_of(end.text, weight="bold") + 0.3
                    rooms[end.column] = max(rooms[end.column], room)
        return rooms

    @cached_property
    def wide(self) -> float:
        room = self.page.right - self.page.left - self.axis_left - sum(self.gutters)
        return room / len(self.grid[-1])

    def place(self, x: float) -> float:
        """Inches from a panel's left edge."""
        low, high = self.x
        if not self.along.log:
            return self.wide * (x - low) / (high - low)
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
            half = fit.width_of(self.along.ticks[tick]) / 2 + 0.045
            middle = self.place(tick) + (NUDGE / 2 if tick == max(self.along.ticks) else 0.0)
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
            sum(height(end) for end in row if end.column == column)
            for row in self.ends
            for column in {end.column for end in row}
        )
        return self.wide >= 1.6 and most <= self.tall + ROW


def height(end: End) -> float:
    return (end.text.count("\n") + 1) * ROW


def said(axis: Y, number: float) -> str:
    """The text of a tick: without the unit, where that is what the axis is called."""
    if axis.share:
        return f"{number:.0f} %"
    return units.si(number, "" if axis.title == axis.unit else axis.unit, 1)


def _padded(low: float, high: float, part: float, least: float) -> tuple[float, float]:
    """A log range with room at both ends: a part of its length, and at least a factor."""
    factor = max((high / low) ** part, least)
    return low / factor, high * factor
