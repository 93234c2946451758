"""Panels of lines that share their axes, each line labelled at its end: what most charts are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.show.charts import fit, key
from bench.show.charts.layout import ROW, TITLE_SIZE, End, Layout, ends_of, height, said
from bench.show.charts.page import Page, linestyle
from bench.show.pictures.parts.picture import Guide, Lines, Panel
from bench.show.pictures.parts.ticks import even_ticks, log_ticks

ONE_ROW = 4  # more panels stand in two rows
MANY = 25  # points of a line, from which on they are small


def draw(page: Page, body: Lines) -> None:
    """The panels, in one row or two, on what is left of the page."""
    panels = list(body.panels)
    first = 0 if len(panels) <= ONE_ROW else len(panels) // 2  # the shorter row on top
    grid = [row for row in (panels[:first], panels[first:]) if row]
    layout = Layout(page, grid, [ends_of(row) for row in grid], body.x, body.y)
    if not layout.fits:
        key.write(page, _entries(page, panels))
        layout = replace(layout, ends=[[] for _ in grid])
    for r, row in enumerate(grid):
        for c, panel in enumerate(row):
            axes = _axes(layout, r, c)
            _paint(page, axes, panel, joined=body.joined)
            _moments(layout, axes, r, panel)
            _label(page, axes, [end for end in layout.ends[r] if end.column == c])
    middle = (page.left + layout.axis_left + page.right - layout.gutters[-1]) / 2
    how: dict[str, Any] = {"color": page.theme.muted}
    page.write(middle, page.bottom + 0.08, body.x.title, ha="center", **how)
    middle = (layout.bottom + page.top - layout.heading) / 2
    title = body.y.title if body.y.share else f"{body.y.title} (log scale)"
    page.write(page.left, middle, title, rotation=90, va="center", **how)


def _axes(layout: Layout, r: int, c: int) -> Axes:
    """An empty panel: its title, its axes, and the labels of its ticks."""
    page, wide, tall = layout.page, layout.wide, layout.tall
    left = page.left + layout.axis_left + c * wide + sum(layout.gutters[:c])
    bottom = page.top - (r + 1) * (tall + layout.heading)
    axes = page.axes(left, bottom, wide, tall)
    if layout.along.log:
        axes.set_xscale("log", base=2)
    axes.set_xlim(*layout.x)
    fit.fix_ticks(axes.xaxis, list(layout.along.ticks), [""] * len(layout.along.ticks))
    if r == len(layout.grid) - 1:
        for level, labels in enumerate(layout.ticks):
            for tick, x in labels:
                y = bottom - 0.12 - level * ROW
                how: dict[str, Any] = {"ha": "center", "va": "top", "color": page.theme.muted}
                page.write(left + x, y, layout.along.ticks[tick], **how)
    heights = [0.0, 25.0, 50.0, 75.0, 100.0]
    if layout.up.ends:
        heights = even_ticks(*layout.y, int(tall / 0.4))
    elif not layout.up.share:
        axes.set_yscale("log")
        heights = log_ticks(*layout.y, int(tall / 0.3))
    axes.set_ylim(*layout.y)
    fit.fix_ticks(axes.yaxis, heights, [said(layout.up, height) for height in heights])
    axes.tick_params(labelleft=c == 0)
    panel = layout.grid[r][c]
    above = bottom + tall + 0.1 + ROW * bool(panel.moments)
    page.write(left, above, layout.title(panel), TITLE_SIZE, weight="bold")
    return axes


def _entries(page: Page, panels: Sequence[Panel]) -> list[key.Entry]:
    """One for each line and guide."""
    kernels = dict.fromkeys(line.kernel for panel in panels for line in panel.lines)
    guides = {guide.text: guide for panel in panels for guide in panel.guides}
    named = [key.of_kernel(page, kernel) for kernel in kernels]
    muted = page.theme.muted
    return named + [
        key.Entry(text.replace("\n", " "), muted, _dashed(page, guide))
        for text, guide in guides.items()
    ]


def _dashed(page: Page, guide: Guide) -> dict[str, Any]:
    return {"color": page.theme.muted, "linewidth": 1.5, "linestyle": linestyle(guide.dash)}


def _paint(page: Page, axes: Axes, panel: Panel, *, joined: bool) -> None:
    """The guides, then each line with its interval at each point."""
    for guide in panel.guides:
        axes.plot(guide.x, guide.y, **_dashed(page, guide))
    for line in panel.lines:
        y = np.asarray(line.y, float)
        spread = None
        if line.low and line.high:
            low, high = (np.asarray(side, float) for side in (line.low, line.high))
            spread = np.fmax([y - low, high - y], 0)
        how = page.drawn(line.kernel) if joined else page.mark(line.kernel)
        if len(y) > MANY:  # a band instead of a bar at each point
            how |= {"markersize": 5, "linewidth": 1.5}
            if spread is not None:
                band: dict[str, Any] = {"color": how["color"], "alpha": 0.2, "linewidth": 0}
                axes.fill_between(line.x, y - spread[0], y + spread[1], **band)
            spread = None
        axes.errorbar(line.x, y, yerr=spread, label=line.kernel, capsize=5, elinewidth=2, **how)


def _moments(layout: Layout, axes: Axes, r: int, panel: Panel) -> None:
    """An upright a moment, its letter above it; a ring around each point that it is about."""
    if not panel.moments:
        return
    page = layout.page
    to_inches = page.figure.dpi_scale_trans.inverted()
    left = axes.get_window_extent().transformed(to_inches).x0
    top = page.top - r * (layout.tall + layout.heading) - layout.heading
    widths = [fit.width_of(moment.letter, weight="bold") + 0.06 for moment in panel.moments]
    wanted = [layout.place(moment.x) for moment in panel.moments]
    places = fit.apart(wanted, widths, 0.0, layout.wide)
    for moment, place in zip(panel.moments, places, strict=True):
        axes.axvline(moment.x, color=page.theme.muted, linewidth=1.5, linestyle=(0, (2, 2)))
        how: dict[str, Any] = {"ha": "center", "weight": "bold", "color": page.theme.ink}
        page.write(left + place, top + 0.06, moment.letter, **how)
        if moment.points:
            x, y = zip(*moment.points, strict=True)
            ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": page.theme.ink}
            axes.plot(x, y, "o", markersize=16, markeredgewidth=1.5, zorder=4, **ring)


def _label(page: Page, axes: Axes, ends: list[End]) -> None:
    """Names right of the panel, as near to the ends of their lines as they can be."""
    to_inches = page.figure.dpi_scale_trans.inverted()
    (_, low), (right, high) = to_inches.transform(axes.get_window_extent().get_points())
    points = [to_inches.transform(axes.transData.transform((end.x, end.y))) for end in ends]
    places = fit.apart([y for _, y in points], [height(end) for end in ends], low, high + ROW)
    for end, (x, y), place in zip(ends, points, places, strict=True):
        colour = page.theme.line(end.kernel) if end.kernel else page.theme.muted
        leader = {"color": colour, "linewidth": 1, "linestyle": "dotted"}
        page.stroke([min(x, right), right, right + 0.2], [y, y, place], **leader)
        colour = page.theme.text(end.kernel) if end.kernel else page.theme.muted
        weight = "bold" if end.kernel else "normal"
        page.write(right + 0.25, place, end.text, va="center", color=colour, weight=weight)
