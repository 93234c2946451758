"""Rows of dots, a row a layer and batch, in one column or two."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.show.charts import fit, key
from bench.show.charts.page import Page
from bench.show.pictures.parts.picture import Dot, Dots, Layer
from bench.terminal import units

ROW = fit.SIZE * fit.LEADING / 72  # inches: the lowest row whose label can be read
LINES = 2  # of a layer's label: its name, its shape
HEADING = "batch"
AXIS_BOTTOM, GAP, BATCH = 0.65, 0.5, 0.15  # inches
NAME_ROOM = 2.9  # inches at most for a layer's label


def draw(page: Page, body: Dots) -> None:
    """The key, then as many rows as there is room for."""
    key.write(page, [key.of_kernel(page, name, joined=False) for name in body.kernels])
    every = list(body.layers)
    kept = fitting(every, int((page.top - page.bottom - AXIS_BOTTOM) / ROW) - 1)
    if left := sum(len(a.batches) for a in every) - sum(len(b.batches) for b in kept):
        page.foot([f"{'1 more row is' if left == 1 else f'{left} more rows are'} in cells.csv."])
    _draw(page, columns(kept), f"{body.unit} (log scale)")


def _dots(layers: Sequence[Layer]) -> list[Dot]:
    return [dot for layer in layers for dots in layer.batches.values() for dot in dots]


def _height(layer: Layer) -> int:
    """In rows: a layer with one batch needs a second one for its label."""
    return max(len(layer.batches), LINES)


def fitting(every: list[Layer], rows: int) -> list[Layer]:
    """What fits into two columns of so many rows: of each layer the smallest and the largest batch,
    then of the layers some, evenly from the smallest to the largest.
    """
    if _fits(every, rows):
        return every
    kept = []
    for layer in every:
        ends = sorted({min(layer.batches), max(layer.batches)})
        kept.append(replace(layer, batches={batch: layer.batches[batch] for batch in ends}))
    for count in range(len(kept), 2, -1):
        some = [kept[round(i)] for i in np.linspace(0, len(kept) - 1, count)]
        if _fits(some, rows):
            return some
    return [kept[0], kept[-1]] if len(kept) > 1 else kept


def _fits(every: list[Layer], rows: int) -> bool:
    return max(sum(map(_height, column)) for column in columns(every)) <= rows


def columns(every: list[Layer]) -> list[list[Layer]]:
    """In one column, or in two that are as even as can be."""
    heights = np.cumsum([_height(layer) for layer in every])
    if len(every) < 5:
        return [every]
    half = int(np.argmin(np.abs(heights - heights[-1] / 2))) + 1
    return [every[:half], every[half:]]


def _draw(page: Page, parts: list[list[Layer]], title: str) -> None:
    """The columns beside each other, their axes alike."""
    wide = (page.right - page.left - GAP * (len(parts) - 1)) / len(parts)
    rows = max(sum(map(_height, column)) for column in parts)
    top = page.top - ROW
    tall = min((top - page.bottom - AXIS_BOTTOM) / rows, 2 * ROW)
    every = [layer for column in parts for layer in column]
    numbers = [n for dot in _dots(every) for n in (dot.value, dot.low, dot.high)]
    reach = (float(np.nanmin(numbers)) / 2, float(np.nanmax(numbers)) * 2)
    room = min(NAME_ROOM, wide / 2)
    labels = [text for layer in every for text in _label(layer, room)]
    names = max(fit.width_of(text, weight="bold") for text in labels)
    batches = [HEADING, *(str(batch) for layer in every for batch in layer.batches)]
    start = names + max(map(fit.width_of, batches)) + 2 * BATCH
    left = page.left
    for column in parts:
        height = tall * sum(map(_height, column))
        axes = page.axes(left + start, top - height, wide - start, height)
        _axis(axes, reach, wide - start)
        axes.set_ylim(sum(map(_height, column)), 0)
        how: dict[str, Any] = {"va": "center_baseline", "color": page.theme.muted}
        page.write(left + start - BATCH, page.top - ROW / 2, HEADING, ha="right", **how)
        page.write(left + start, top - height - 0.52, title, **how)
        done, placed = 0, list[tuple[float, Dot]]()
        for layer in column:
            y = top - done * tall
            page.stroke([left, left + wide], [y, y], color=page.theme.grid, linewidth=1)
            name, shape = _label(layer, room)
            page.write(left, y - tall / 2, name, weight="bold", va="center_baseline")
            page.write(left, y - 1.5 * tall, shape, **how)
            for k, (batch, dots) in enumerate(layer.batches.items()):
                place = y - (k + 0.5) * tall
                page.write(left + start - BATCH, place, str(batch), ha="right", **how)
                placed += [(done + k + 0.5, dot) for dot in dots]
            done += _height(layer)
        _paint(page, axes, placed)
        left += wide + GAP


def _label(layer: Layer, room: float) -> tuple[str, str]:
    """A layer's name and its shape, the middle of a name left out where it is too long."""
    name = layer.name
    for kept in range(len(name) - 1, 2, -1):
        if fit.width_of(name, weight="bold") <= room:
            break
        name = f"{layer.name[: (kept + 1) // 2]}…{layer.name[len(layer.name) - kept // 2 :]}"
    return name, layer.shape


def _rate(flop_per_s: float) -> str:
    return units.si(flop_per_s, digits=1)


def _axis(axes: Axes, reach: tuple[float, float], wide: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*reach)
    ticks = fit.ticks_apart(*reach, wide, _rate)
    fit.fix_ticks(axes.xaxis, ticks, [_rate(tick) for tick in ticks])
    fit.fix_ticks(axes.yaxis, [], [])
    axes.spines["left"].set_visible(False)


def _paint(page: Page, axes: Axes, placed: list[tuple[float, Dot]]) -> None:
    """Dots with their intervals, the fastest kernel's last: where they meet it is seen."""
    best = dict[str, float]()
    for _, dot in placed:
        best[dot.name] = max(dot.value, best.get(dot.name, -math.inf))
    for kernel in sorted(best, key=lambda name: best[name]):
        places = [place for place, dot in placed if dot.name == kernel]
        dots = [dot for _, dot in placed if dot.name == kernel]
        value, low, high = (
            np.array([getattr(dot, name) for dot in dots]) for name in ("value", "low", "high")
        )
        spread = np.fmax([value - low, high - value], 0)  # no interval, no length
        how = page.mark(kernel) | {"clip_on": False}
        axes.errorbar(value, places, xerr=spread, label=kernel, capsize=4, elinewidth=2, **how)
