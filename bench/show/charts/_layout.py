"""Where panels of lines stand on a page, in inches, and what is written around them."""

import math
from dataclasses import dataclass
from functools import cached_property

from bench.show.charts import _fit, _page, _words
from bench.show.charts._panels import Panel, X, Y

AXIS_BOTTOM = 0.3  # inches
TITLE_SIZE = 16.0
ROW = _fit.SIZE * _fit.LEADING / 72
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
            known = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y > 0]
            if known:
                text = _words.broken(line.kernel)
                ends[line.kernel] = End(text, line.kernel, column, *max(known))
        for guide in panel.guides:
            ends[guide.text] = End(guide.text, "", column, guide.x[-1], guide.y[-1])
    return list(ends.values())


@dataclass(frozen=True)
class Layout:
    """Where the panels are, in inches, and what their axes share."""

    page: _page.Page
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
            sum(height(end) for end in row if end.column == column)
            for row in self.ends
            for column in {end.column for end in row}
        )
        return self.wide >= 1.6 and most <= self.tall + ROW


def height(end: End) -> float:
    return (end.text.count("\n") + 1) * ROW


def _padded(low: float, high: float, part: float, least: float) -> tuple[float, float]:
    """A log range with room at both ends: a part of its length, and at least a factor."""
    factor = max((high / low) ** part, least)
    return low / factor, high * factor
