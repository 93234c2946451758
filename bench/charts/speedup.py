"""How many times the Python loop each kernel is, at one width: a bar a kernel, a panel a batch."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import units
from bench.charts import Run, _cells, _colours, _fit, _footer, _page, _words

NUMBER = "speedup"
BASELINE = "python_loop"
TOLD = "numpy_matmul"  # the kernel that the title speaks of
UNSAID = "no loop to compare with"  # a cell without a speed-up that nothing else explains
MOST_DECADES = 250  # of an axis: beyond them a float ends
PANEL_TITLE, AXIS_BOTTOM, GAP = 0.45, 0.7, 0.35  # inches


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """Speed-ups over the loop at the headline width, for the smallest and the largest batch."""
    view = _cells.choose(run.cells, NUMBER)
    width = headline_width(view.cells)
    rows = view.cells[view.cells["n_units"] == width]
    shown = rows[_cells.has_number(rows, NUMBER)]
    batches = sorted(int(batch) for batch in shown["batch"].unique())
    batches = sorted({batches[0], batches[-1]}) if batches else []
    if batches:
        rows, shown = (part[part["batch"].isin(batches)] for part in (rows, shown))
    kernels = _order(rows, shown)
    page = _page.page(
        sheet,
        title(shown, width, batches),
        ["Times as fast as python_loop on the same case, estimate with 95 % interval", view.said],
        _cells.missing(rows[~rows["kernel"].isin(kernels)], NUMBER, UNSAID),
        _footer.footer(rows, run.machine),
    )
    if not batches:
        timed = _cells.has_number(view.cells, "time_s").any()
        return _page.nothing(page, UNSAID if timed else _page.NO_NUMBER)
    panels = {batch: [_bar(rows, batch, kernel) for kernel in kernels] for batch in batches}
    return _draw(page, kernels, panels)


def headline_width(rows: pd.DataFrame) -> int | None:
    """The headline's; of the widths that have a loop to compare with, where any has."""
    based = rows[(rows["speedup_basis"] != "") & _cells.has_number(rows, NUMBER)]
    return _cells.headline_width(based if len(based) else rows)


def title(shown: pd.DataFrame, width: int | None, batches: list[int]) -> str:
    """What was found, where the interval says that it was; else what is plotted."""
    if batches:
        row = shown[(shown["kernel"] == TOLD) & (shown["batch"] == batches[0])]
        if len(row) and row[f"{NUMBER}_low"].iloc[0] > 1:
            case = "one example" if batches[0] == 1 else f"batch {batches[0]}"
            loop = "predicted " if row["speedup_basis"].iloc[0] == "predicted" else ""
            ratio = units.times(row[NUMBER].iloc[0])
            units_of = "1 unit" if width == 1 else f"{width} units"
            return f"{units_of}, {case}: one matmul is {ratio} the {loop}Python loop"
    return "Speed-up over the Python loop" + (f", {width} units" if width else "")


def _order(rows: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """The baseline first, then from the slowest kernel to the fastest in its largest batch."""
    last = shown.sort_values("batch").drop_duplicates("kernel", keep="last")
    kernels = list(last.sort_values(NUMBER, kind="stable")["kernel"])
    if kernels and (rows["kernel"] == BASELINE).any():
        kernels = [BASELINE, *(kernel for kernel in kernels if kernel != BASELINE)]
    return kernels


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

    @property
    def reach(self) -> float:
        """Where the label begins."""
        return float(np.nanmax([1.0, self.value, self.high]))

    @property
    def remark(self) -> str:
        return "predicted loop" if self.predicted else ""


def _bar(rows: pd.DataFrame, batch: int, kernel: str) -> Bar:
    mine = rows[(rows["kernel"] == kernel) & (rows["batch"] == batch)]
    none = math.nan
    if kernel == BASELINE:
        predicted = not _cells.has_number(mine, "time_s").any()
        return Bar(kernel, 1.0, none, none, predicted, units.times(1, 1), "the baseline")
    if not _cells.has_number(mine, NUMBER).any():
        status = (
            "not in this run" if mine.empty else _words.of_status(mine["status"].iloc[0], UNSAID)
        )
        return Bar(kernel, none, none, none, predicted=False, head="", tail=status)
    row = mine.iloc[0]
    value, low, high = (float(row[c]) for c in (NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"))
    if not (low > 0 and high > 0):
        low = high = none
    return Bar(
        kernel, value, low, high, row["speedup_basis"] == "predicted", *said(value, low, high)
    )


def said(value: float, low: float, high: float) -> tuple[str, str]:
    """What is said of a speed-up, and its interval: one that holds 1 is not called a speed-up."""
    if math.isnan(low):
        return units.times(value), "no interval"
    interval = f"{units.times(low)} to {units.times(high)}"
    return "no measurable difference" if low <= 1 <= high else units.times(value), interval


def _draw(page: _page.Page, kernels: list[str], panels: dict[int, list[Bar]]) -> Figure:
    row = min(1.4, (page.top - page.bottom - PANEL_TITLE - AXIS_BOTTOM) / len(kernels))
    bottom = page.top - PANEL_TITLE - row * len(kernels)
    label = _Label(page, min(_fit.SIZE, row * 50), row >= 2.7 * _fit.SIZE / 72)
    left = page.left + _page.names_beside(page, kernels, page.top - PANEL_TITLE, row)

    bars = [bar for panel in panels.values() for bar in panel]
    low = min(np.nanmin([1.0, bar.value, bar.low]) for bar in bars) / 1.15
    # Of each panel, the decades before each label and the inches of it: the scale follows.
    needs = [
        [(math.log10(3 / low), 0.0)]
        + [(math.log10(bar.reach / low), label.width(bar) + 0.15) for bar in panel]
        for panel in panels.values()
    ]
    decade, wides = _scale(needs, page.right - left - GAP * (len(panels) - 1))
    for (batch, panel), wide in zip(panels.items(), wides, strict=True):
        axes = page.axes(left, bottom, wide, row * len(kernels))
        axes.set_xscale("log")
        axes.set_xlim(low, low * 10 ** (wide / decade))
        axes.set_ylim(len(kernels) - 0.5, -0.5)
        reach = max(3.0, *(bar.reach for bar in panel))
        ticks = _fit.log_ticks(low, reach, int(math.log10(reach / low) * decade / 0.9) + 1)
        _fit.fix_ticks(axes.xaxis, ticks, [units.times(tick, 1) for tick in ticks])
        _fit.fix_ticks(axes.yaxis, [], [])
        axes.spines["left"].set_visible(False)
        axes.spines["bottom"].set_bounds(low, reach)
        axes.axvline(1, color=page.theme.muted, linewidth=1.5)
        start = left + (math.log10(1 / low) * decade if low > 0.8 else 0)
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


def _scale(needs: list[list[tuple[float, float]]], room: float) -> tuple[float, list[float]]:
    """The most inches a decade with which the panels fit, and the panels' widths with it."""
    for decade in np.arange(6, 0, -0.02):
        wides = [max(decade * decades + inches for decades, inches in panel) for panel in needs]
        wides = [min(wide, MOST_DECADES * decade) for wide in wides]
        if sum(wides) <= room:
            break
    return float(decade), wides


def _case(batch: int) -> str:
    return "one example (batch 1)" if batch == 1 else f"batch {batch}"


def _paint(page: _page.Page, axes: Axes, bar: Bar, k: int) -> None:
    """A bar from 1 and its interval; hatched where the loop's time is a prediction."""
    colour = page.theme.line(bar.kernel)
    if bar.kernel == BASELINE:
        hollow = page.theme.paper if bar.predicted else colour
        axes.plot(
            1,
            k,
            _colours.look(bar.kernel).marker,
            ms=12,
            mec=colour,
            mfc=hollow,
            mew=2,
            clip_on=False,
        )
        return
    if not math.isnan(bar.value):
        fill: dict[str, Any] = (
            {"fc": page.theme.paper, "hatch": "//"} if bar.predicted else {"fc": colour}
        )
        axes.barh(k, bar.value - 1, left=1, height=0.5, ec=colour, linewidth=2, **fill)
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
        head = _Part(bar.head, self.size + 2, "bold", self.page.theme.ink)
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
