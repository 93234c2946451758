"""How many times the Python loop each kernel is, at one width: a bar a kernel, a panel a batch."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.show.charts import Run, _cells, _colours, _fit, _footer, _page, _words
from bench.terminal import units

NUMBER = "speedup"
BASELINE = "python_loop"
TOLD = "numpy_matmul"  # the kernel that the title speaks of
WHOLE = "end_to_end_s"
UNTIMED = "not measured"
UNSAID = "no loop to compare with"  # a cell without a speed-up that nothing else explains
MOST_DECADES = 250  # of an axis: beyond them a float ends
PANEL_TITLE, AXIS_BOTTOM, GAP = 0.45, 0.7, 0.35  # inches
BARS = 1.2  # inches: the longest bar at least, for which labels become smaller
SMALLEST = 6.0  # points
HEAD = 8 / 7  # how much larger the number is than what is said of it


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """Speed-ups over the loop at the headline width, for the smallest and the largest batch."""
    view = _cells.choose(run.cells, NUMBER)
    width = headline_width(view.cells)
    rows = view.cells[view.cells["n_units"] == width]
    batches = _cells.first_and_last(view.shown.loc[view.shown["n_units"] == width, "batch"])
    if batches:
        rows = rows[rows["batch"].isin(batches)]
    shown = rows[_cells.has_number(rows, NUMBER)]
    kernels = _order(rows, shown)
    steps = _steps(kernels, shown)
    steps = steps[:1] + steps[1:][1 - _cells.MOST_ROWS :]
    left_out = len(kernels) - len({kernel for kernel, _ in steps})
    page = _page.page(
        sheet,
        title(shown, width, batches),
        ["Times as fast as python_loop on the same case, estimate with 95 % interval", view.said],
        _cells.missing(rows[~rows["kernel"].isin(kernels)], NUMBER, UNSAID)
        + ([f"{left_out} slower kernels"] if left_out else []),
        _footer.footer(rows, run.machine),
    )
    if not batches:
        timed = _cells.has_number(view.cells, "time_s").any()
        return _page.nothing(page, UNSAID if timed else _page.NO_NUMBER)
    panels = {
        batch: [_bar(rows, batch, kernel, whole=whole) for kernel, whole in steps]
        for batch in batches
    }
    return _draw(page, steps, panels)


def headline_width(rows: pd.DataFrame) -> int | None:
    """The headline's; of the widths that have a loop to compare with, where any has."""
    based = rows[(rows["speedup_basis"] != "") & _cells.has_number(rows, NUMBER)]
    return _cells.headline_width(based if len(based) else rows)


def title(shown: pd.DataFrame, width: int | None, batches: list[int]) -> str:
    """What was found, where the interval says that it was; else what is plotted.

    It speaks of the fastest kernel on a GPU at the largest batch, or else of one matmul at the
    smallest.
    """
    if batches:
        last = shown[shown["batch"] == batches[-1]]
        gpu = last[_cells.elsewhere(last)].sort_values(NUMBER, kind="stable").tail(1)
        told = shown[(shown["kernel"] == TOLD) & (shown["batch"] == batches[0])]
        for row in list[Any]([*gpu.itertuples(), *told.itertuples()]):
            if row.speedup_low > 1:
                case = "one example" if row.batch == 1 else f"batch {row.batch}"
                loop = "predicted " if row.speedup_basis == "predicted" else ""
                units_of = "1 unit" if width == 1 else f"{width} units"
                found = f"{_words.spoken(row.kernel)} is {units.times(row.speedup)}"
                whole = row.speedup * row.time_s / row.end_to_end_s if row.device != "cpu" else 0
                sent = f", {units.times(whole)} with transfers" if whole > 0 else ""
                return f"{units_of}, {case}: {found} the {loop}Python loop{sent}"
    return "Speed-up over the Python loop" + (f", {width} units" if width else "")


def _order(rows: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """The baseline first, then from the slowest kernel to the fastest in its largest batch."""
    last = shown.sort_values("batch").drop_duplicates("kernel", keep="last")
    kernels = list(last.sort_values(NUMBER, kind="stable")["kernel"])
    if kernels and (rows["kernel"] == BASELINE).any():
        kernels = [BASELINE, *(kernel for kernel in kernels if kernel != BASELINE)]
    return kernels


Step = tuple[str, bool]
"""A row of the chart: a kernel, its inputs where it computes or (True) with transfers."""


def _steps(kernels: list[str], shown: pd.DataFrame) -> list[Step]:
    """A row for each, and one below it for each that has memory of its own."""
    sent = _cells.elsewhere(shown) & _cells.has_number(shown, WHOLE)
    far = set(shown.loc[sent, "kernel"])
    return [(k, whole) for k in kernels for whole in ((False, True) if k in far else (False,))]


@dataclass(frozen=True, slots=True)
class Bar:
    """A kernel's speed-up in one panel, and what may be said of it."""

    kernel: str
    value: float  # NaN: no bar
    low: float
    high: float
    predicted: bool  # the loop was too slow to run
    head: str
    tail: str
    whole: bool = False  # with transfers

    @property
    def reach(self) -> float:
        """Where the label begins."""
        return float(np.nanmax([1.0, self.value, self.high]))

    @property
    def remark(self) -> str:
        return "predicted loop" if self.predicted else ""


def _bar(rows: pd.DataFrame, batch: int, kernel: str, *, whole: bool = False) -> Bar:
    mine = rows[(rows["kernel"] == kernel) & (rows["batch"] == batch)]
    none = math.nan
    if kernel == BASELINE:
        predicted = not _cells.has_number(mine, "time_s").any()
        return Bar(kernel, 1.0, none, none, predicted, units.times(1, 1), "the baseline")
    if not _cells.has_number(mine, NUMBER).any():
        status = mine["status"].iloc[0] if len(mine) else ""
        tail = _words.of_status(status, UNSAID) if len(mine) else "not in this run"
        return Bar(kernel, none, none, none, predicted=False, head="", tail=tail, whole=whole)
    row = mine.iloc[0]
    value, low, high = (float(row[c]) for c in (NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"))
    if whole:  # of the loop's time, which is its speed-up times its own
        value *= float(row["time_s"] / row[WHOLE])
    if math.isnan(value):
        return Bar(kernel, none, none, none, predicted=False, head="", tail=UNTIMED, whole=whole)
    if whole or not (low > 0 and high > 0):
        low = high = none
    predicted = row["speedup_basis"] == "predicted"
    return Bar(kernel, value, low, high, predicted, *said(value, low, high), whole)


def said(value: float, low: float, high: float) -> tuple[str, str]:
    """What is said of a speed-up, and its interval: one that holds 1 is not called a speed-up."""
    if math.isnan(low):
        return units.times(value), "no interval"
    interval = f"{units.times(low)} to {units.times(high)}"
    return "no measurable difference" if low <= 1 <= high else units.times(value), interval


def _draw(page: _page.Page, steps: list[Step], panels: dict[int, list[Bar]]) -> Figure:
    row = min(1.4, (page.top - page.bottom - PANEL_TITLE - AXIS_BOTTOM) / len(steps))
    bottom = page.top - PANEL_TITLE - row * len(steps)
    instead = {k: "with transfers" for k, (_, whole) in enumerate(steps) if whole}
    kernels = [kernel for kernel, _ in steps]
    left = page.left + _page.names_beside(page, kernels, page.top - PANEL_TITLE, row, instead)

    bars = [bar for panel in panels.values() for bar in panel]
    low = min(np.nanmin([1.0, bar.value, bar.low]) for bar in bars) / 1.15
    room = page.right - left - GAP * (len(panels) - 1)
    label, decade, wides = _fitted(page, panels, low, row, room)
    for (batch, panel), wide in zip(panels.items(), wides, strict=True):
        axes = page.axes(left, bottom, wide, row * len(steps))
        axes.set_xscale("log")
        axes.set_xlim(low, low * 10 ** (wide / decade))
        axes.set_ylim(len(steps) - 0.5, -0.5)
        reach = max(3.0, *(bar.reach for bar in panel))
        ticks = _fit.ticks_apart(low, reach, math.log10(reach / low) * decade, _times)
        _fit.fix_ticks(axes.xaxis, ticks, [_times(tick) for tick in ticks])
        _fit.fix_ticks(axes.yaxis, [], [])
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_bounds(low, reach)
        axes.axvline(1, color=page.theme.muted, linewidth=1.5)
        start = left + _start(low) * decade
        page.write(start, page.top - 0.28, _case(batch), 16, weight="bold")
        if batch == min(panels):
            words = "times the Python loop (log scale)"
            page.write(start, bottom - 0.6, words, color=page.theme.muted)
        for k, bar in enumerate(panel):
            _paint(page, axes, bar, k)
            x = left + math.log10(bar.reach / low) * decade + 0.14
            label.write(bar, x, bottom + (len(panel) - k - 0.5) * row)
        left += wide + GAP
    return page.figure


def _fitted(
    page: _page.Page, panels: dict[int, list[Bar]], low: float, row: float, room: float
) -> "tuple[_Label, float, list[float]]":
    """The largest labels, and with them the most inches a decade, so that bars and labels of all
    panels stand beside each other; and the panels' widths.
    """
    size = min(_fit.SIZE, row * 72 / _fit.LEADING / HEAD)
    while True:
        label = _Label(page, size, row >= 2.7 * _fit.SIZE / 72)
        # Of each panel, the decades before each label and the inches of it.
        needs = [
            [(math.log10(3 / low), 0.0), (_start(low), _fit.width_of(_case(batch), 16, "bold"))]
            + [(math.log10(bar.reach / low), label.width(bar) + 0.15) for bar in panel]
            for batch, panel in panels.items()
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


def _case(batch: int) -> str:
    return "one example (batch 1)" if batch == 1 else f"batch {batch}"


def _paint(page: _page.Page, axes: Axes, bar: Bar, k: int) -> None:
    """A bar from 1 and its interval; hatched where the loop's time is a prediction, and thin with
    transfers, which belongs to the bar above it.
    """
    colour = page.theme.line(bar.kernel)
    if bar.kernel == BASELINE:
        hollow = page.theme.paper if bar.predicted else colour
        marker = _colours.look(bar.kernel).marker
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
        return _fit.width_of(self.text, self.size, self.weight) + 0.12


@dataclass(frozen=True, slots=True)
class _Label:
    """Writes what is said right of a bar: on two lines, or on one where rows are low."""

    page: _page.Page
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
        step = self.size * _fit.LEADING / 72
        baseline = y - self.size / 72 * 0.36 + (len(lines) - 1) * step / 2
        for i, line in enumerate(lines):
            start = x
            for part in line:
                how = {"weight": part.weight, "color": part.colour}
                self.page.write(start, baseline - i * step, part.text, part.size, **how)
                start += part.advance
