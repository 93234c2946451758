"""Bars from 1 on a log scale, each with its number and its interval."""

import math
from collections.abc import Sequence
from typing import Any

from pptx.chart.data import CategoryChartData
from pptx.enum.chart import (
    XL_CHART_TYPE,
    XL_LABEL_POSITION,
    XL_TICK_LABEL_POSITION,
    XL_TICK_MARK,
)
from pptx.enum.dml import MSO_PATTERN
from pptx.util import Pt

from bench.show.charts import fit
from bench.show.deck import brush, oxml
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Bar, Bars

FEW = 5  # bars whose kernels have larger names
LEAST = 3.0  # an axis of bars goes at least from 1 to here
MOST_WORDS = 0.8  # of the width of a chart of bars
LEAST_POWER = -200  # of ten, on any axis


def draw(slide: Any, body: Bars, box: brush.Box) -> tuple[Any, dict[str, str]]:
    (panel,) = body.panels.values()
    bars = list(panel)[::-1]  # the first category is the lowest
    names = [_name(bar) for bar in bars]
    size = fit.SIZE + 2 if len(bars) <= FEW else fit.SIZE
    left = max(fit.width_of(name, size) for name in names) + 0.15
    plot = brush.Box(left, 0.1, box.width - left - 0.1, box.height - 0.1 - brush.BOTTOM)
    low, high = _reach(bars, plot.width)
    ends = [None if bar.base else _end(bar) for bar in bars]
    data = CategoryChartData()
    data.categories = names
    values = [None if math.isnan(bar.value) else bar.value for bar in bars]
    data.add_series("times python_loop", values)
    data.add_series("names", ends)
    frame = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *box.emu, data)
    chart = frame.chart
    brush.bare(chart, plot, box)
    down, along = chart.category_axis, chart.value_axis
    along.minimum_scale, along.maximum_scale = low, high
    oxml.log_scale(along)
    along.has_major_gridlines = False  # each bar says its number
    along.major_tick_mark, down.major_tick_mark = XL_TICK_MARK.INSIDE, XL_TICK_MARK.NONE
    along.format.line.fill.background()
    down.format.line.color.rgb = brush.rgb(brush.THEME.muted)
    labels = along.tick_labels
    labels.number_format, labels.number_format_is_linked = _times_format(*_ends(bars)), False
    labels.font.size = Pt(fit.SIZE)
    down.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    down.tick_labels.font.size = Pt(size)
    down.tick_labels.font.color.rgb = brush.rgb(brush.THEME.ink)
    if low < 1:
        oxml.cross_at(down, 1.0)
    brush.title(along, body.x, left / box.width, 1 - 0.42 / box.height)
    series, said = chart.plots[0].series
    chart.plots[0].gap_width, chart.plots[0].overlap = 70, 100
    said.format.fill.background()
    known = [not (math.isnan(bar.low) or math.isnan(bar.high)) for bar in bars]
    oxml.error_bars(
        series,
        [max(b.value - b.low, 0.0) if k else None for b, k in zip(bars, known, strict=True)],
        [max(b.high - b.value, 0.0) if k else None for b, k in zip(bars, known, strict=True)],
        brush.THEME.ink,
        direction=None,
    )
    for i, bar in enumerate(bars):
        if ends[i] is not None:
            _draw_bar(series.points[i], bar)
            brief = _brief(bars, plot.width)
            _say_bar(said.points[i].data_label, bar, brief=brief)
    return frame, {"A1": "kernel", "D1": "below", "E1": "above"}


def _times_format(lowest: float, highest: float) -> str:
    """Excel's format of the ticks: none beyond the decades that the bars end in."""
    last = max(10 ** math.ceil(math.log10(highest)), 10)
    if lowest < 1:
        return f'[>{last}]"";[<{10 ** math.floor(math.log10(lowest)) / 2!r}]"";General"x"'
    return f'[>{last}]"";#,##0"x"'


def _name(bar: Bar) -> str:
    """A bar's kernel; one that has no length says here what is said of it."""
    name = words.broken(bar.kernel) + ("\nwith transfers" if bar.whole else "")
    if bar.base:
        return "\n".join([name, f"{bar.head}, {bar.tail}", *[bar.remark] * bool(bar.remark)])
    return f"{name}\n{bar.tail}" if math.isnan(bar.value) else name


def _end(bar: Bar) -> float | None:
    """Where a bar ends with its interval, and what is said of it begins."""
    known = [n for n in (bar.value, bar.low, bar.high) if not math.isnan(n)]
    if not known:
        return None
    return max(known) if bar.value >= 1 else min(known)


def _ends(bars: Sequence[Bar]) -> tuple[float, float]:
    """The lowest end of any bar, and the highest; 1 is where all begin."""
    ends = [1.0, *(end for end in map(_end, bars) if end is not None)]
    return min(ends), max(ends)


def _reach(bars: Sequence[Bar], width: float) -> tuple[float, float]:
    """The ends of the axis, with room beyond the bars for what is said of them."""
    lowest, highest = _ends(bars)
    slow, fast = _rooms(bars, brief=_brief(bars, width))
    left = max(width - fast, 1.0)
    low, top = math.floor(math.log10(lowest)), math.log10(max(highest, lowest * LEAST))
    # whole decades, as PowerPoint counts its ticks from there, until they hold what is said
    while (math.log10(lowest) - low) * left < slow * (top - low) and low > LEAST_POWER:
        low -= 1
    return 10.0**low, 10 ** (low + (top - low) * (left + fast) / left)


def _brief(bars: Sequence[Bar], width: float) -> bool:
    """Whether there is no room for the intervals of bars on both sides of 1."""
    slow, fast = _rooms(bars, brief=False)
    return slow > 0 and slow + fast > MOST_WORDS * width


def _rooms(bars: Sequence[Bar], *, brief: bool) -> tuple[float, float]:
    """Inches that the words take left of the bars below 1, and right of those above."""
    slow = (_room(bar, brief=brief) for bar in bars if bar.value < 1)
    fast = (_room(bar, brief=brief) for bar in bars if bar.value >= 1)
    return max(slow, default=0.0), max(fast, default=0.0)


def _room(bar: Bar, *, brief: bool) -> float:
    head = fit.width_of(f" {bar.head}", fit.SIZE + 4, "bold")
    return head + fit.width_of(_tail(bar, brief=brief)) + 0.2


def _tail(bar: Bar, *, brief: bool) -> str:
    """What is said after the head; briefly: no interval, which its bar shows."""
    parts = (bar.remark,) if brief and bar.head else (bar.tail, bar.remark)
    return "".join(f"  {part}" for part in parts if part)


def _draw_bar(point: Any, bar: Bar) -> None:
    """A bar in its kernel's colour: hatched where the loop's time is predicted, pale with
    transfers, which belongs to the bar above it.
    """
    colour = brush.rgb(brush.THEME.line(bar.kernel))
    fill: Any = point.format.fill
    if bar.predicted:
        fill.patterned()
        fill.pattern = MSO_PATTERN.WIDE_UPWARD_DIAGONAL
        fill.fore_color.rgb, fill.back_color.rgb = colour, brush.rgb(brush.THEME.paper)
    else:
        fill.solid()
        fill.fore_color.rgb = brush.rgb(brush.THEME.tint(bar.kernel)) if bar.whole else colour
    point.format.line.color.rgb = colour


def _say_bar(label: Any, bar: Bar, *, brief: bool) -> None:
    """What is said of a bar: its head at a glance, the rest smaller."""
    frame = label.text_frame
    brush.write(frame, f" {bar.head}", fit.SIZE + 4, brush.THEME.ink, bold=True)
    run = frame.paragraphs[0].add_run()
    run.text = _tail(bar, brief=brief)
    run.font.size, run.font.color.rgb, run.font.bold = (
        Pt(fit.SIZE),
        brush.rgb(brush.THEME.muted),
        False,
    )
    label.position = XL_LABEL_POSITION.OUTSIDE_END
