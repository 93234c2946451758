"""Layers with names: how much arithmetic each kernel does a second on them, a row a batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.show.charts import Run, _cells, _fit, _footer, _key, _page, _words
from bench.terminal import units

LAYERS = True  # the part of a run that it shows
NUMBER = "flop_per_s"
ROW = _fit.SIZE * _fit.LEADING / 72  # inches: the lowest row whose label can be read
LINES = 2  # of a layer's label: its name, its shape
HEADING = "batch"
AXIS_BOTTOM, GAP, BATCH = 0.65, 0.5, 0.15  # inches
NAME_ROOM = 2.9  # inches at most for a layer's label


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's rows, and how it is called."""

    name: str
    shape: str
    batches: list[int]
    cells: pd.DataFrame

    @property
    def height(self) -> int:
        """In rows: a layer with one batch needs a second one for its label."""
        return max(len(self.batches), LINES)


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """A dot a kernel with its interval, in a row a layer and batch, from small layers to large."""
    cells = run.cells[run.cells["layer"] != ""]
    rows = pd.concat(
        [cells[:0], *(_cells.choose(mine, NUMBER).cells for _, mine in cells.groupby("layer"))]
    )
    shown = rows[_cells.has_number(rows, NUMBER)]
    page = _page.page(
        sheet,
        title(shown),
        [
            "Arithmetic done a second, estimate with 95 % interval",
            "cold caches" if set(rows["cache"]) == {"cold"} else "",
        ],
        missing(rows),
        _footer.footer(rows, run.machine),
    )
    if shown.empty:
        return _page.nothing(page)
    _key.write(page, [_entry(page, kernel) for kernel in dict.fromkeys(shown["kernel"])])
    every = layers(shown)
    kept = fitting(every, int((page.top - page.bottom - AXIS_BOTTOM) / ROW) - 1)
    if left := sum(len(a.batches) for a in every) - sum(len(b.batches) for b in kept):
        page.foot([f"{'1 more row is' if left == 1 else f'{left} more rows are'} in cells.csv."])
    _draw(page, columns(kept))
    return page.figure


def _entry(page: _page.Page, kernel: str) -> _key.Entry:
    drawn = page.drawn(kernel) | {"linestyle": "none"}
    return _key.Entry(_words.name_of(kernel), page.theme.text(kernel), drawn)


def layers(shown: pd.DataFrame) -> list[Layer]:
    """From the one with the fewest weights to the one with the most."""
    found = []
    for name, mine in shown.groupby("layer"):
        first = mine.iloc[0]
        shape = f"{first['n_in']} x {first['n_units']}, {first['activation']}"
        found.append(Layer(str(name), shape, sorted({int(b) for b in mine["batch"]}), mine))
    return sorted(found, key=lambda layer: _weights(layer.cells))


def _weights(cells: pd.DataFrame) -> tuple[int, int]:
    first = cells.iloc[0]
    return int(first["n_in"] * first["n_units"]), int(first["n_in"])


def fitting(every: list[Layer], rows: int) -> list[Layer]:
    """What fits into two columns of so many rows: of each layer the smallest and the largest batch,
    then of the layers some, evenly from the smallest to the largest.
    """
    if _fits(every, rows):
        return every
    kept = [
        Layer(one.name, one.shape, sorted({one.batches[0], one.batches[-1]}), one.cells)
        for one in every
    ]
    for count in range(len(kept), 2, -1):
        some = [kept[round(i)] for i in np.linspace(0, len(kept) - 1, count)]
        if _fits(some, rows):
            return some
    return [kept[0], kept[-1]] if len(kept) > 1 else kept


def _fits(every: list[Layer], rows: int) -> bool:
    return max(sum(layer.height for layer in column) for column in columns(every)) <= rows


def columns(every: list[Layer]) -> list[list[Layer]]:
    """In one column, or in two that are as even as can be."""
    heights = np.cumsum([layer.height for layer in every])
    if len(every) < 5:
        return [every]
    half = int(np.argmin(np.abs(heights - heights[-1] / 2))) + 1
    return [every[:half], every[half:]]


def title(shown: pd.DataFrame) -> str:
    """On how many of the rows a kernel is clearly the fastest, where one is on most."""
    cases = [case for _, case in shown.groupby(["layer", "batch"]) if len(case) > 1]
    wins = [winner for winner in map(_winner, cases) if winner]
    if wins:
        most = max(sorted(set(wins)), key=wins.count)
        if 2 * wins.count(most) > len(cases):
            said = f"{_words.spoken(most)} is fastest in {wins.count(most)} of {len(cases)} cases"
            return _words.sentence(f"{said} of named layers")
    count = shown["layer"].nunique()
    return "Throughput of one named layer" if count == 1 else f"Throughput of {count} named layers"


def _winner(case: pd.DataFrame) -> str:
    """The kernel whose interval is above all others'; empty where there is none."""
    ordered = case.sort_values(NUMBER, ascending=False)
    first, rest = ordered.iloc[0], ordered.iloc[1:]
    clear = (first[f"{NUMBER}_low"] > rest[f"{NUMBER}_high"]).all()
    return str(first["kernel"]) if clear else ""


def missing(rows: pd.DataFrame) -> list[str]:
    """The cells without a number, a phrase for each kernel and status."""
    lacks = rows[~_cells.has_number(rows, NUMBER)]
    phrases = []
    for key, group in lacks.groupby(["kernel", "status"], sort=False):
        kernel, status = map(str, key)
        mine = int((rows["kernel"] == kernel).sum())
        many = f"{len(group)} of {mine}" if len(group) < mine else f"all {mine}"
        words = _words.of_status(status, "no number")
        where = "its only cell" if mine == 1 else f"{many} cells"
        phrases.append(f"{_words.name_of(kernel)}: {words} ({where})")
    return phrases


def _draw(page: _page.Page, parts: list[list[Layer]]) -> None:
    """The columns beside each other, their axes alike."""
    wide = (page.right - page.left - GAP * (len(parts) - 1)) / len(parts)
    rows = max(sum(layer.height for layer in column) for column in parts)
    top = page.top - ROW
    tall = min((top - page.bottom - AXIS_BOTTOM) / rows, 2 * ROW)
    every = [layer for column in parts for layer in column]
    shown = pd.concat([layer.cells for layer in every])
    numbers = shown[[NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"]].to_numpy(float)
    reach = (float(np.nanmin(numbers)) / 2, float(np.nanmax(numbers)) * 2)
    room = min(NAME_ROOM, wide / 2)
    said = [text for layer in every for text in _label(layer, room)]
    names = max(_fit.width_of(text, weight="bold") for text in said)
    batches = [HEADING, *(str(batch) for layer in every for batch in layer.batches)]
    start = names + max(map(_fit.width_of, batches)) + 2 * BATCH
    left = page.left
    for column in parts:
        height = tall * sum(layer.height for layer in column)
        axes = page.axes(left + start, top - height, wide - start, height)
        _axis(page, axes, reach, wide - start)
        axes.set_ylim(sum(layer.height for layer in column), 0)
        how: dict[str, Any] = {"va": "center_baseline", "color": page.theme.muted}
        page.write(left + start - BATCH, page.top - ROW / 2, HEADING, ha="right", **how)
        page.write(left + start, top - height - 0.52, "FLOP/s (log scale)", **how)
        done, placed = 0, []
        for layer in column:
            y = top - done * tall
            page.stroke([left, left + wide], [y, y], color=page.theme.grid, linewidth=1)
            name, shape = _label(layer, room)
            page.write(left, y - tall / 2, name, weight="bold", va="center_baseline")
            page.write(left, y - 1.5 * tall, shape, **how)
            for k, batch in enumerate(layer.batches):
                place = y - (k + 0.5) * tall
                page.write(left + start - BATCH, place, str(batch), ha="right", **how)
                here = layer.cells[layer.cells["batch"] == batch]
                placed.append(here.assign(place=done + k + 0.5))
            done += layer.height
        _dots(page, axes, pd.concat(placed))
        left += wide + GAP


def _label(layer: Layer, room: float) -> tuple[str, str]:
    """A layer's name and its shape, the middle of a name left out where it is too long."""
    name = layer.name
    for kept in range(len(name) - 1, 2, -1):
        if _fit.width_of(name, weight="bold") <= room:
            break
        name = f"{layer.name[: (kept + 1) // 2]}…{layer.name[len(layer.name) - kept // 2 :]}"
    return name, layer.shape


def _rate(flop_per_s: float) -> str:
    return units.si(flop_per_s, digits=1)


def _axis(page: _page.Page, axes: Axes, reach: tuple[float, float], wide: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*reach)
    ticks = _fit.ticks_apart(*reach, wide, _rate)
    _fit.fix_ticks(axes.xaxis, ticks, [_rate(tick) for tick in ticks])
    _fit.fix_ticks(axes.yaxis, [], [])
    axes.spines["left"].set_visible(False)


def _dots(page: _page.Page, axes: Axes, placed: pd.DataFrame) -> None:
    """Dots with their intervals, the fastest kernel's last: where they meet it is seen."""
    for kernel in placed.sort_values(NUMBER)["kernel"].drop_duplicates(keep="last"):
        mine = placed[placed["kernel"] == kernel]
        value, low, high = (
            mine[name].to_numpy(float) for name in (NUMBER, f"{NUMBER}_low", f"{NUMBER}_high")
        )
        spread = np.fmax([value - low, high - value], 0)  # no interval, no length
        how = page.drawn(str(kernel)) | {"linestyle": "none", "clip_on": False}
        place = mine["place"].to_numpy(float)
        axes.errorbar(value, place, xerr=spread, label=str(kernel), capsize=4, elinewidth=2, **how)
