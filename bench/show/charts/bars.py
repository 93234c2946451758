"""Bars from 1 on a log scale, a panel beside the other, each with its number and its interval."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.show.charts import fit
from bench.show.charts.page import MARKERS, MOST_ROWS, Page, names_beside
from bench.show.pictures.parts import looks
from bench.show.pictures.parts.picture import Bar, Bars
from bench.terminal import units

MOST_DECADES = 250  # of an axis: beyond them a float ends
PANEL_TITLE, AXIS_BOTTOM, GAP = 0.45, 0.7, 0.35  # inches
BARS = 1.2  # inches: the longest bar at least, for which labels become smaller
SMALLEST = 6.0  # points
HEAD = 8 / 7  # how much larger the number is than what is said of it


def few(body: Bars) -> tuple[Bars, int]:
    """As many of the fastest kernels as can be read, and how many are left out."""
    panels = {title: [*bars[:1], *bars[1:][1 - MOST_ROWS :]] for title, bars in body.panels.items()}
    before, after = (
        {bar.kernel for bars in shown.values() for bar in bars} for shown in (body.panels, panels)
    )
    return replace(body, panels=panels), len(before) - len(after)


def draw(page: Page, body: Bars) -> None:
    """The panels, their rows alike."""
    rows = next(iter(body.panels.values()))
    row = min(1.4, (page.top - page.bottom - PANEL_TITLE - AXIS_BOTTOM) / len(rows))
    bottom = page.top - PANEL_TITLE - row * len(rows)
    instead = {k: "with transfers" for k, bar in enumerate(rows) if bar.whole}
    kernels = [bar.kernel for bar in rows]
    left = page.left + names_beside(page, kernels, page.top - PANEL_TITLE, row, instead)

    bars = [bar for panel in body.panels.values() for bar in panel]
    low = min(np.nanmin([1.0, bar.value, bar.low]) for bar in bars) / 1.15
    room = page.right - left - GAP * (len(body.panels) - 1)
    label, decade, wides = _fitted(page, body.panels, low, row, room)
    for (title, panel), wide in zip(body.panels.items(), wides, strict=True):
        axes = page.rows(left, bottom, wide, row * len(rows), len(rows))
        axes.set_xscale("log")
        axes.set_xlim(low, low * 10 ** (wide / decade))
        reach = max(3.0, *(_reach(bar) for bar in panel))
        ticks = fit.ticks_apart(low, reach, math.log10(reach / low) * decade, _times)
        fit.fix_ticks(axes.xaxis, ticks, [_times(tick) for tick in ticks])
        axes.spines["bottom"].set_bounds(low, reach)
        axes.axvline(1, color=page.theme.muted, linewidth=1.5)
        start = left + _start(low) * decade
        page.write(start, page.top - 0.28, title, 16, weight="bold")
        if panel is rows:
            page.write(start, bottom - 0.6, body.x, color=page.theme.muted)
        for k, bar in enumerate(panel):
            _paint(page, axes, bar, k)
            x = left + math.log10(_reach(bar) / low) * decade + 0.14
            label.write(bar, x, bottom + (len(panel) - k - 0.5) * row)
        left += wide + GAP


def _reach(bar: Bar) -> float:
    """Where a bar's label begins."""
    return float(np.nanmax([1.0, bar.value, bar.high]))


def _fitted(
    page: Page, panels: Mapping[str, Sequence[Bar]], low: float, row: float, room: float
) -> "tuple[_Label, float, list[float]]":
    """The largest labels, and with them the most inches a decade, so that bars and labels of all
    panels stand beside each other; and the panels' widths.
    """
    size = min(fit.SIZE, row * 72 / fit.LEADING / HEAD)
    while True:
        label = _Label(page, size, row >= 2.7 * fit.SIZE / 72)
        # Of each panel, the decades before each label and the inches of it.
        needs = [
            [(math.log10(3 / low), 0.0), (_start(low), fit.width_of(title, 16, "bold"))]
            + [(math.log10(_reach(bar) / low), label.width(bar) + 0.15) for bar in panel]
            for title, panel in panels.items()
        ]
        for decade in np.arange(6, 0, -0.02):
            wides = [max(decade * decades + inches for decades, inches in panel) for panel in needs]
            wides = [min(wide, MOST_DECADES * decade) for wide in wides]
            if sum(wides) <= room:
                break
        longest = max(decades for panel in needs for decades, _ in panel)
        if decade * longest >= BARS or size <= SMALLEST:
            return label, float(decade), wides
        size -= 1


def _start(low: float) -> float:
    """The decades before a panel's title: it stands above 1, where that is near the left edge."""
    return math.log10(1 / low) if low > 0.8 else 0.0


def _times(tick: float) -> str:
    return units.times(tick, 1)


def _paint(page: Page, axes: Axes, bar: Bar, k: int) -> None:
    """A bar from 1 and its interval; hatched where the loop's time is a prediction, and thin with
    transfers, which belongs to the bar above it.
    """
    colour = page.theme.line(bar.kernel)
    if bar.base:
        hollow = page.theme.paper if bar.predicted else colour
        marker = MARKERS[looks.look(bar.kernel).marker]
        axes.plot(1, k, marker, ms=12, mec=colour, mfc=hollow, mew=2, clip_on=False)
        return
    if not math.isnan(bar.value):
        fill: dict[str, Any] = (
            {"fc": page.theme.paper, "hatch": "//"} if bar.predicted else {"fc": colour}
        )
        tall = 0.25 if bar.whole else 0.5
        axes.barh(k, bar.value - 1, left=1, height=tall, ec=colour, linewidth=2, **fill)
    if not math.isnan(bar.low):
        spread = [[max(bar.value - bar.low, 0)], [max(bar.high - bar.value, 0)]]
        axes.errorbar(bar.value, k, xerr=spread, color=page.theme.ink, capsize=7, lw=1.5)


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a label that is written in one way."""

    text: str
    size: float
    weight: str
    colour: str

    @property
    def advance(self) -> float:
        return fit.width_of(self.text, self.size, self.weight) + 0.12


@dataclass(frozen=True, slots=True)
class _Label:
    """Writes what is said right of a bar: on two lines, or on one where rows are low."""

    page: Page
    size: float
    two_lines: bool

    def _lines(self, bar: Bar) -> list[list[_Part]]:
        head = _Part(bar.head, self.size * HEAD, "bold", self.page.theme.ink)
        tail = _Part(bar.tail, self.size, "normal", self.page.theme.muted)
        remark = replace(tail, text=bar.remark)
        lines = [[head, remark], [tail]] if self.two_lines and bar.head else [[head, tail, remark]]
        return [[part for part in line if part.text] for line in lines]

    def width(self, bar: Bar) -> float:
        return max(sum(part.advance for part in line) for line in self._lines(bar))

    def write(self, bar: Bar, x: float, y: float) -> None:
        lines = self._lines(bar)
        step = self.size * fit.LEADING / 72
        baseline = y - self.size / 72 * 0.36 + (len(lines) - 1) * step / 2
        for i, line in enumerate(lines):
            start = x
            for part in line:
                how = {"weight": part.weight, "color": part.colour}
                self.page.write(start, baseline - i * step, part.text, part.size, **how)
                start += part.advance
