"""How much arithmetic a kernel does a second, by width: a line a kernel, a panel a batch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import units
from bench.charts import style

NUMBER = "flop_per_s"
TITLE = "Throughput of one dense layer, by width"
CEILING = "limit"
MOST_PANELS, ONE_ROW = 6, 4
MANY_KERNELS = 4  # more can't be labelled beside panels in two rows

AXIS_LEFT, AXIS_BOTTOM, PANEL_TITLE = 1.0, 0.3, 0.38  # inches
ROW = style.SIZE * style.LEADING / 72


@style.applied()
def draw(cells: pd.DataFrame, machine: Mapping[str, Any], theme: str = "light") -> Figure:
    """Throughput against width on log axes, with its interval and the machine's ceiling."""
    view = style.choose(cells, NUMBER)
    measured = view.cells[style.has_number(view.cells, NUMBER)]
    every = sorted(int(batch) for batch in measured["batch"].unique())
    many = measured["kernel"].nunique() > MANY_KERNELS
    batches = _spread(every, ONE_ROW if many and len(every) > MOST_PANELS else MOST_PANELS)
    left_out = set(every) - set(batches)
    rows = view.cells[~view.cells["batch"].isin(left_out)]
    shown = measured[~measured["batch"].isin(left_out)]
    said = ["Arithmetic done a second, estimate with 95 % interval", view.said]
    if left_out:
        said.append(f"{len(batches)} of {len(every)} batches")
    gone = style.missing(rows, NUMBER)
    page = style.page(theme, TITLE, said, gone, style.footer(rows, machine))
    if shown.empty:
        return style.nothing(page)
    return _draw(page, shown, batches, _ceiling(machine, shown))


def _spread(values: list[int], most: int) -> list[int]:
    """At most so many of them, evenly over their order, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, most)]


@dataclass(frozen=True, slots=True)
class _Ceiling:
    """The arithmetic that this machine was measured to do a second."""

    rate: float
    words: str


def _ceiling(machine: Mapping[str, Any], shown: pd.DataFrame) -> _Ceiling | None:
    rate = (machine.get("peaks") or {}).get("measured_flop_per_s")
    if not (rate and math.isfinite(rate) and rate > 0):
        return None
    # A GPU's line passes above it, so then it says whose ceiling it is.
    elsewhere = any(device and not device.startswith("cpu") for device in shown["device"])
    return _Ceiling(float(rate), "measured matmul\nceiling" + (", CPU" if elsewhere else ""))


@dataclass(frozen=True, slots=True)
class _End:
    """Where a line ends, and so where its label belongs."""

    kernel: str
    text: str
    column: int
    x: float
    y: float


def _ends(
    shown: pd.DataFrame, batches: Sequence[int], ceiling: _Ceiling | None, right: float
) -> list[_End]:
    """The last point of each line, in the last panel of this row of panels that has the line."""
    ends = []
    for key, mine in shown[shown["batch"].isin(batches)].groupby("kernel", sort=False):
        kernel = str(key)
        last = mine.sort_values(["batch", "n_units"]).iloc[-1]
        column = batches.index(int(last["batch"]))
        ends.append(_End(kernel, style.broken(kernel), column, last["n_units"], last[NUMBER]))
    if ceiling:
        ends.append(_End(CEILING, ceiling.words, len(batches) - 1, right, ceiling.rate))
    return ends


@dataclass(frozen=True)
class _Layout:
    """Where the panels are, in inches, and what their axes share."""

    page: style.Page
    grid: list[list[int]]  # batches, a list a row of panels
    ends: list[list[_End]]  # the lines to label, a list a row of panels; none with a legend
    widths: list[int]
    gap: float  # between panels with no label between them
    x: tuple[float, float]
    y: tuple[float, float]

    @cached_property
    def gutters(self) -> list[float]:
        """The room right of each column of panels: for its widest label, or just a gap."""
        rooms = [self.gap] * len(self.grid[-1])
        for row, ends in zip(self.grid, self.ends, strict=True):
            for end in ends:
                # Right of the last panel of a short row there is nothing in the way.
                if end.column < len(row) - 1 or len(row) == len(rooms):
                    room = style.width_of(end.text, weight="bold") + 0.3
                    rooms[end.column] = max(rooms[end.column], room)
        return rooms

    @cached_property
    def wide(self) -> float:
        room = self.page.right - self.page.left - AXIS_LEFT - sum(self.gutters)
        return room / len(self.grid[-1])

    @cached_property
    def levels(self) -> list[int]:
        """How many lines down each width's label goes, so that neighbours don't touch."""
        scale = self.wide / math.log(self.x[1] / self.x[0])
        taken: list[float] = []  # where the last label of each line begins; from right to left
        levels = []
        for width in reversed(self.widths):
            middle, half = scale * math.log(width), style.width_of(str(width)) / 2 + 0.04
            level = next((i for i, edge in enumerate(taken) if middle + half <= edge), len(taken))
            taken[level : level + 1] = [middle - half]
            levels.append(level)
        return levels[::-1]

    @cached_property
    def bottom(self) -> float:
        """The lowest panels' lower edge: the axis's title and the labels of its ticks are below."""
        return self.page.bottom + AXIS_BOTTOM + (max(self.levels) + 1) * ROW + 0.1

    @cached_property
    def tall(self) -> float:
        return (self.page.top - self.bottom) / len(self.grid) - PANEL_TITLE

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


def _draw(
    page: style.Page, shown: pd.DataFrame, batches: list[int], ceiling: _Ceiling | None
) -> Figure:
    first = 0 if len(batches) <= ONE_ROW else len(batches) // 2  # the shorter row on top
    grid = [row for row in (batches[:first], batches[first:]) if row]
    widths = sorted(int(width) for width in shown["n_units"].unique())
    x = _padded(widths[0], widths[-1], 0.04, 1.15)
    gap = sum(style.width_of(str(width)) for width in (widths[0], widths[-1])) / 2 + 0.05
    ends = [_ends(shown, row, ceiling, x[1]) for row in grid]
    layout = _Layout(page, grid, ends, widths, gap, x, _range(shown, ceiling))
    if not layout.fits:
        names = {kernel: style.name_of(kernel) for kernel in shown["kernel"].unique()}
        _legend(page, names | ({CEILING: ceiling.words.replace("\n", " ")} if ceiling else {}))
        layout = replace(layout, ends=[[] for _ in grid])
    for r, row in enumerate(grid):
        for c, batch in enumerate(row):
            axes = _panel(layout, r, c)
            _lines(page, axes, shown[shown["batch"] == batch], widths, ceiling)
            _label(page, axes, [end for end in layout.ends[r] if end.column == c])
    middle = (page.left + AXIS_LEFT + page.right - layout.gutters[-1]) / 2
    how: dict[str, Any] = {"color": page.theme.muted}
    page.write(
        middle, page.bottom + 0.08, "width of the layer, units (log scale)", ha="center", **how
    )
    middle = (layout.bottom + page.top - PANEL_TITLE) / 2
    page.write(page.left, middle, "FLOP/s (log scale)", rotation=90, va="center", **how)
    return page.figure


def _panel(layout: _Layout, r: int, c: int) -> Axes:
    """An empty panel: its title, its log axes, and ticks at the measured widths."""
    page, wide, tall = layout.page, layout.wide, layout.tall
    left = page.left + AXIS_LEFT + c * wide + sum(layout.gutters[:c])
    bottom = page.top - (r + 1) * (tall + PANEL_TITLE)
    axes = page.axes(left, bottom, wide, tall)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(*layout.x)
    axes.set_ylim(*layout.y)
    style.fix_ticks(axes.xaxis, layout.widths, [str(width) for width in layout.widths])
    for tick, level in zip(axes.xaxis.get_major_ticks(), layout.levels, strict=True):
        tick.set_pad(5 + level * ROW * 72)
    heights = style.log_ticks(*layout.y, int(tall / 0.3))
    style.fix_ticks(axes.yaxis, heights, [units.si(height, digits=1) for height in heights])
    axes.tick_params(labelbottom=r == len(layout.grid) - 1, labelleft=c == 0)
    page.write(left, bottom + tall + 0.1, f"batch {layout.grid[r][c]}", 16, weight="bold")
    return axes


def _padded(low: float, high: float, part: float, least: float) -> tuple[float, float]:
    """A log range with room at both ends: a part of its length, and at least a factor."""
    factor = max((high / low) ** part, least)
    return low / factor, high * factor


def _range(shown: pd.DataFrame, ceiling: _Ceiling | None) -> tuple[float, float]:
    """From the lowest interval to the highest, or the ceiling; at least about two decades."""
    numbers = shown[[NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"]].to_numpy(float).ravel()
    numbers = np.append(numbers[numbers > 0], [ceiling.rate] if ceiling else [])
    low, high = _padded(float(numbers.min()), float(numbers.max()), 0.05, 1.5)
    middle = math.sqrt(low * high)
    return min(low, middle / 8), max(high, middle * 8)


def _legend(page: style.Page, names: dict[str, str]) -> None:
    """Names in columns above the panels, for more lines than can be labelled at their ends."""
    size, room = style.SIZE + 1, (page.top - page.bottom) / 3
    while size > 6:
        size -= 1
        column = max(style.width_of(text, size) for text in names.values()) + 0.9
        columns = max(1, int((page.right - page.left) / column))
        rows = math.ceil(len(names) / columns)
        row = size * style.LEADING / 72
        if rows * row <= room:
            break
    for i, (kernel, text) in enumerate(names.items()):
        x, y = page.left + i % columns * column, page.top - (i // columns + 0.5) * row
        page.stroke([x, x + 0.25, x + 0.5], [y] * 3, markevery=[1], **_drawn(page, kernel))
        colour = page.theme.text(kernel)
        page.write(x + 0.6, y, text, size, va="center_baseline", color=colour)
    page.top -= rows * row + 0.1


def _drawn(page: style.Page, kernel: str) -> dict[str, Any]:
    look = style.look(kernel)
    return {
        "color": page.theme.line(kernel),
        "marker": look.marker,
        "linestyle": look.dash,
        "linewidth": 1.5 if kernel == CEILING else 3,
        "markersize": 9,
        "markeredgecolor": page.theme.paper,
    }


def _lines(
    page: style.Page, axes: Axes, rows: pd.DataFrame, widths: list[int], ceiling: _Ceiling | None
) -> None:
    """A line a kernel, broken where a width has no number, with its interval at each point."""
    if ceiling:
        axes.axhline(ceiling.rate, **_drawn(page, CEILING))
    for key, mine in rows.groupby("kernel", sort=False):
        kernel = str(key)
        at = mine.set_index("n_units").reindex(widths)
        y = at[NUMBER].to_numpy(float)
        low, high = (at[f"{NUMBER}_{side}"].to_numpy(float) for side in ("low", "high"))
        spread = np.fmax([y - low, high - y], 0)
        axes.errorbar(
            widths, y, yerr=spread, label=kernel, capsize=5, elinewidth=2, **_drawn(page, kernel)
        )


def _label(page: style.Page, axes: Axes, ends: list[_End]) -> None:
    """Names right of the panel, as near to the ends of their lines as they can be."""
    to_inches = page.figure.dpi_scale_trans.inverted()
    (_, low), (right, high) = to_inches.transform(axes.get_window_extent().get_points())
    points = [to_inches.transform(axes.transData.transform((end.x, end.y))) for end in ends]
    places = style.apart([y for _, y in points], [_height(end) for end in ends], low, high + ROW)
    for end, (x, y), place in zip(ends, points, places, strict=True):
        ceiling = end.kernel == CEILING
        if not ceiling or abs(place - y) > 0.02:
            leader = {"color": page.theme.line(end.kernel), "linewidth": 1, "linestyle": "dotted"}
            page.stroke([x, max(x, right), right + 0.2], [y, y, place], **leader)
        weight = "normal" if ceiling else "bold"
        colour = page.theme.text(end.kernel)
        page.write(right + 0.25, place, end.text, va="center", color=colour, weight=weight)
