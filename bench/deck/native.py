"""Pictures as charts that PowerPoint draws: native, so that its user can edit data and looks.

Text keeps clear of text because the area between the axes has a fixed place, and the room beside it
is measured in the charts' font, which is wider than the deck's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pptx.chart.data import CategoryChartData, XyChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import (
    XL_CHART_TYPE,
    XL_LABEL_POSITION,
    XL_MARKER_STYLE,
    XL_TICK_LABEL_POSITION,
    XL_TICK_MARK,
)
from pptx.enum.dml import MSO_PATTERN
from pptx.enum.text import PP_ALIGN
from pptx.util import Inches, Pt

from bench import units
from bench.charts import _colours, _fit, _lines, _words, speedup
from bench.deck import oxml
from bench.deck.findings import Bars, Lines

THEME = _colours.THEMES["light"]
ROW = _fit.SIZE * _fit.LEADING / 72  # inches: a line of text
LEFT, TOP, BOTTOM = 0.95, 0.5, 0.85  # inches around the area between the axes
TICK = 0.1
PLAIN = (1e-5, 1e6)  # what an axis says in plain digits
FEW = 5  # bars whose kernels have larger names
LEAST = 3.0  # an axis of bars goes at least from 1 to here
MOST_WORDS = 0.8  # of the width of a chart of bars
LEAST_POWER = -200  # of ten, on any axis
SMALLEST = 10.0  # points

INSIDE = 1 - 1e-6
"""What lies on the very edge of the axes, a rounding may put outside, where it has no label."""

Place = tuple[float, float | None]
_M = XL_MARKER_STYLE
_MARKERS: dict[str, Any] = {
    "o": _M.CIRCLE,
    "s": _M.SQUARE,
    "D": _M.DIAMOND,
    "d": _M.DIAMOND,
    "^": _M.TRIANGLE,
    "v": _M.TRIANGLE,
    "<": _M.TRIANGLE,
    ">": _M.TRIANGLE,
    "P": _M.PLUS,
    "X": _M.X,
    "*": _M.STAR,
}
"""PowerPoint has nine markers: for the others the nearest, else a circle."""


@dataclass(frozen=True, slots=True)
class Box:
    """A place on a slide, in inches."""

    left: float
    top: float
    width: float
    height: float

    @property
    def emu(self) -> tuple[Inches, Inches, Inches, Inches]:
        """As python-pptx wants it."""
        return Inches(self.left), Inches(self.top), Inches(self.width), Inches(self.height)


def draw(slide: Any, picture: Lines | Bars, box: Box, alt: str, made: datetime) -> None:
    """Put a chart on a slide, its data in a workbook, its text in words for who can't see it."""
    if isinstance(picture, Bars):
        frame, headings = _bars(slide, picture, box)
    else:
        frame, headings = _lines_chart(slide, picture, box)
    oxml.describe(frame, alt)
    frame.name = "Chart"
    chart = frame.chart
    chart.part.chart_workbook.update_from_xlsx_blob(oxml.workbook(chart, headings, made))


# --- lines


@dataclass(frozen=True)
class _Scale:
    """Where a picture of lines has its places: from data to inches and back."""

    picture: Lines
    box: Box

    @cached_property
    def power(self) -> int:
        """Of ten, what the axis counts in: GFLOP/s are 9. Three at a time, from the largest."""
        if not self.picture.unit:
            return 0
        largest = max(y for line in self.picture.lines for y in line.y if y > 0)
        power = math.floor(math.log10(largest) / 3) * 3
        most = 0 if self.picture.unit == "s" else max(units.PREFIXES)
        return min(max(power, min(units.PREFIXES)), most)

    def of(self, numbers: Sequence[float]) -> list[float | None]:
        """In the axis's unit; None where there is no number."""
        return [number / 10.0**self.power if math.isfinite(number) else None for number in numbers]

    @property
    def unit(self) -> str:
        return f"{units.PREFIXES[self.power]}{self.picture.unit}"

    @cached_property
    def x(self) -> tuple[float, float]:
        places = [x for line in self.picture.lines for x in line.x]
        low, high = min(places), max(places)
        factor = max((high / low) ** 0.04, 1.15)
        return low / factor, high * factor

    @cached_property
    def y(self) -> tuple[float, float]:
        """Whole decades, which is what PowerPoint puts its ticks at; a share up to 110 %."""
        if not self.picture.unit:
            return 0.0, 110.0
        parts = [part for line in self.picture.lines for part in (line.y, line.low, line.high)]
        parts += [guide.y for guide in self.picture.guides]
        known = [n for part in parts for n in self.of(part) if n is not None and n > 0]
        low = 10.0 ** math.floor(math.log10(min(known) / 1.02))
        return low, max(10.0 ** math.ceil(math.log10(max(known) * 1.02)), low * 10)

    @cached_property
    def names(self) -> list[tuple[str, float, float, str]]:
        """What is named at its end: the text, the last point, the colour."""
        found = []
        for line in self.picture.lines:
            known = [(x, y) for x, y in zip(line.x, self.of(line.y), strict=True) if y]
            if known:
                found.append((_words.broken(line.kernel), *max(known), THEME.text(line.kernel)))
        for guide in self.picture.guides:
            y = self.of(guide.y)[-1]
            found.append((guide.text, guide.x[-1], y or self.y[0], THEME.muted))
        return found

    @cached_property
    def size(self) -> float:
        """Points of the names: smaller where there are many."""
        rows = sum(name[0].count("\n") + 1 for name in self.names)
        fits = (self.plot.height + ROW) / (rows * _fit.LEADING / 72)
        return max(min(_fit.SIZE, fits), SMALLEST)

    @cached_property
    def plot(self) -> Box:
        """The area between the axes, in the chart."""
        named = max(_fit.width_of(name[0], weight="bold") for name in self.names) + 0.35
        wide, tall = self.box.width - LEFT - named, self.box.height - TOP - BOTTOM
        return Box(LEFT, TOP, wide, tall)

    def up(self, y: float) -> float:
        """Inches above the lower axis."""
        low, high = self.y
        part = math.log(y / low) / math.log(high / low) if self.picture.unit else y / high
        return part * self.plot.height

    def back(self, inches: float) -> float:
        """The number at this height, if only just between the ends of the axis."""
        low, high = self.y
        part = min(max(inches / self.plot.height, 1 - INSIDE), INSIDE)
        return low * (high / low) ** part if self.picture.unit else high * part

    @cached_property
    def ticks(self) -> list[tuple[float, str]]:
        """The text of each tick of x; none where it would touch the next one's."""
        low, high = self.x
        edge, found = math.inf, []
        for tick in sorted(self.picture.x.ticks, reverse=True):
            said = self.picture.x.say(tick)
            half = _fit.width_of(said) / 2 + 0.04
            middle = self.plot.width * math.log(tick / low) / math.log(high / low)
            fits = middle + half <= edge
            found.append((float(tick), said if fits else ""))
            edge = middle - half if fits else edge
        return found[::-1]

    @property
    def marks(self) -> list[Place]:
        """A short line up from each tick, and a gap after it."""
        low, high = self.back(0), self.back(TICK)
        ups = ([(x, low), (x, high), (x, None)] for x, _ in self.ticks)
        return [place for up in ups for place in up]


def _lines_chart(slide: Any, picture: Lines, box: Box) -> tuple[Any, dict[str, str]]:
    scale = _Scale(picture, box)
    places = _fit.apart(
        [scale.up(y) for _, _, y, _ in scale.names],
        [(name[0].count("\n") + 1) * scale.size * _fit.LEADING / 72 for name in scale.names],
        -ROW / 2,
        scale.plot.height + ROW / 2,
    )
    right = scale.x[1] * INSIDE
    ends: list[Place] = []
    for (_, x, y, _), place in zip(scale.names, places, strict=True):
        ends += [(x, y), (right, scale.back(place)), (right, None)]
    frame = slide.shapes.add_chart(
        XL_CHART_TYPE.XY_SCATTER_LINES,
        *box.emu,
        _data(
            [
                ("ticks", scale.marks),
                ("names", ends),
                *(
                    (g.text.replace("\n", " "), list(zip(g.x, scale.of(g.y), strict=True)))
                    for g in picture.guides
                ),
                *((n.kernel, list(zip(n.x, scale.of(n.y), strict=True))) for n in picture.lines),
            ]
        ),
    )
    chart = frame.chart
    _axes(chart, scale)
    ticks, names, *drawn = chart.plots[0].series
    _draw_ticks(ticks, scale)
    _draw_names(names, scale)
    for series, guide in zip(drawn, picture.guides, strict=False):
        _stroke(series, THEME.muted, 1.5, guide.dash)
        series.marker.style = XL_MARKER_STYLE.NONE
    for series, line in zip(drawn[len(picture.guides) :], picture.lines, strict=True):
        _draw_line(series, line, scale)
    return frame, _headings(chart, scale)


def _data(series: Sequence[tuple[str, Sequence[Place]]]) -> XyChartData:
    """Series by their names, all of one length: LibreOffice loses what is shorter than what
    follows it.
    """
    data, length = XyChartData(), max(len(points) for _, points in series)
    for name, points in series:
        added = data.add_series(name)
        for x, y in points:
            added.add_data_point(float(x), y)
        for _ in range(length - len(points)):
            added.add_data_point(None, None)
    return data


def _axes(chart: Any, scale: _Scale) -> None:
    plot, box = scale.plot, scale.box
    chart.has_title = chart.has_legend = False
    chart.font.size, chart.font.color.rgb = Pt(_fit.SIZE), rgb(THEME.muted)
    oxml.place_plot(
        chart,
        plot.left / box.width,
        plot.top / box.height,
        plot.width / box.width,
        plot.height / box.height,
    )
    x, y = chart.category_axis, chart.value_axis
    for axis, (low, high) in ((x, scale.x), (y, scale.y)):
        axis.minimum_scale, axis.maximum_scale = low, high
        axis.has_major_gridlines, axis.major_tick_mark = False, XL_TICK_MARK.NONE
        axis.format.line.color.rgb = rgb(THEME.muted)
        axis.tick_labels.font.size = Pt(_fit.SIZE)
        oxml.cross_at(axis, scale.x[0] if axis is y else scale.y[0])
    oxml.log_scale(x)
    x.tick_label_position = XL_TICK_LABEL_POSITION.NONE
    y.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    y.has_major_gridlines = True
    y.major_gridlines.format.line.color.rgb = rgb(THEME.grid)
    if scale.picture.unit:
        oxml.log_scale(y)
        plain = scale.y[0] >= PLAIN[0] and scale.y[1] <= PLAIN[1]
        y.tick_labels.number_format = "General" if plain else "0E+0"
        y.tick_labels.number_format_is_linked = False
    else:
        y.major_unit = 25
    room = (plot.top - 0.45) / box.height
    _title(y, _y_title(scale), 0.0, room)
    # under the text of the ticks
    below = (plot.top + plot.height + 0.42) / box.height
    _title(x, scale.picture.x.title, plot.left / box.width, below)


def _y_title(scale: _Scale) -> str:
    return f"{scale.unit} (log scale)" if scale.unit else scale.picture.y


def _title(axis: Any, text: str, left: float, top: float) -> None:
    """The words of an axis, never upright: they are read at a glance."""
    frame = axis.axis_title.text_frame
    _write(frame, text, _fit.SIZE, THEME.muted)
    oxml.lie_at(axis, left, top)


def _draw_ticks(series: Any, scale: _Scale) -> None:
    """The text below the lower axis, and a mark at each tick."""
    _stroke(series, THEME.muted, 1.0, "solid")
    series.marker.style = XL_MARKER_STYLE.NONE
    for i, (_, said) in enumerate(scale.ticks):
        if said:
            label = series.points[3 * i].data_label
            _write(label.text_frame, said, _fit.SIZE, THEME.muted)
            label.position = XL_LABEL_POSITION.BELOW


def _draw_names(series: Any, scale: _Scale) -> None:
    """Each line's name right of the picture, and a dotted way to it from the line's end."""
    _stroke(series, THEME.muted, 1.0, _colours.DOTTED)
    series.marker.style = XL_MARKER_STYLE.NONE
    for i, (text, _, _, colour) in enumerate(scale.names):
        label = series.points[3 * i + 1].data_label
        _write(label.text_frame, text, scale.size, colour, bold=colour != THEME.muted)
        label.position = XL_LABEL_POSITION.RIGHT


def _draw_line(series: Any, line: _lines.Line, scale: _Scale) -> None:
    """A kernel's line in its own looks, with its interval where there is one."""
    looks, colour = _colours.look(line.kernel), THEME.line(line.kernel)
    if scale.picture.joined:
        _stroke(series, colour, 3, looks.dash)
    else:
        series.format.line.fill.background()
    marker = series.marker
    marker.style, marker.size = _MARKERS.get(looks.marker, _M.CIRCLE), 10
    marker.format.fill.solid()
    marker.format.fill.fore_color.rgb = rgb(colour)
    thin = marker.style in (_M.PLUS, _M.X, _M.STAR)  # these are all outline
    marker.format.line.color.rgb = rgb(colour if thin else THEME.paper)
    if line.low and line.high:
        numbers = [scale.of(part) for part in (line.y, line.low, line.high)]
        below, above = [], []
        for y, low, high in zip(*numbers, strict=True):
            known = y is not None and low is not None and high is not None
            below.append(max(y - low, 0.0) if known else None)
            above.append(max(high - y, 0.0) if known else None)
        oxml.error_bars(series, below, above, colour, 2.0)


def _headings(chart: Any, scale: _Scale) -> dict[str, str]:
    """What the workbook's columns hold, over each series."""
    found = {}
    for series in chart.plots[0].series:
        row = oxml.heading_row(series)
        found[f"A{row}"] = scale.picture.x.title
        found |= {f"C{row}": "below", f"D{row}": "above"} if oxml.has_error_bars(series) else {}
    return found


# --- bars


def _bars(slide: Any, picture: Bars, box: Box) -> tuple[Any, dict[str, str]]:
    bars = list(picture.bars)[::-1]  # the first category is the lowest
    names = [_name(bar) for bar in bars]
    size = _fit.SIZE + 2 if len(bars) <= FEW else _fit.SIZE
    left = max(_fit.width_of(name, size) for name in names) + 0.15
    plot = Box(left, 0.1, box.width - left - 0.1, box.height - 0.1 - BOTTOM)
    low, high = _reach(bars, plot.width)
    ends = [None if bar.kernel == speedup.BASELINE else _end(bar) for bar in bars]
    data = CategoryChartData()
    data.categories = names
    values = [None if math.isnan(bar.value) else bar.value for bar in bars]
    data.add_series("times python_loop", values)
    data.add_series("names", ends)
    frame = slide.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, *box.emu, data)
    chart = frame.chart
    chart.has_title = chart.has_legend = False
    chart.font.size, chart.font.color.rgb = Pt(_fit.SIZE), rgb(THEME.muted)
    oxml.place_plot(
        chart,
        plot.left / box.width,
        plot.top / box.height,
        plot.width / box.width,
        plot.height / box.height,
    )
    down, along = chart.category_axis, chart.value_axis
    along.minimum_scale, along.maximum_scale = low, high
    oxml.log_scale(along)
    along.has_major_gridlines = False  # each bar says its number
    along.major_tick_mark, down.major_tick_mark = XL_TICK_MARK.INSIDE, XL_TICK_MARK.NONE
    along.format.line.fill.background()
    down.format.line.color.rgb = rgb(THEME.muted)
    labels = along.tick_labels
    labels.number_format, labels.number_format_is_linked = _times_format(*_ends(bars)), False
    labels.font.size = Pt(_fit.SIZE)
    down.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    down.tick_labels.font.size = Pt(size)
    down.tick_labels.font.color.rgb = rgb(THEME.ink)
    if low < 1:
        oxml.cross_at(down, 1.0)
    _title(along, picture.x, left / box.width, 1 - 0.42 / box.height)
    series, said = chart.plots[0].series
    chart.plots[0].gap_width, chart.plots[0].overlap = 70, 100
    said.format.fill.background()
    known = [not (math.isnan(bar.low) or math.isnan(bar.high)) for bar in bars]
    oxml.error_bars(
        series,
        [max(b.value - b.low, 0.0) if k else None for b, k in zip(bars, known, strict=True)],
        [max(b.high - b.value, 0.0) if k else None for b, k in zip(bars, known, strict=True)],
        THEME.ink,
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


def _name(bar: speedup.Bar) -> str:
    """A bar's kernel; one that has no length says here what is said of it."""
    name = _words.broken(bar.kernel) + ("\nwith transfers" if bar.whole else "")
    if bar.kernel == speedup.BASELINE:
        return "\n".join([name, f"{bar.head}, {bar.tail}", *[bar.remark] * bool(bar.remark)])
    return f"{name}\n{bar.tail}" if math.isnan(bar.value) else name


def _end(bar: speedup.Bar) -> float | None:
    """Where a bar ends with its interval, and what is said of it begins."""
    known = [n for n in (bar.value, bar.low, bar.high) if not math.isnan(n)]
    if not known:
        return None
    return max(known) if bar.value >= 1 else min(known)


def _ends(bars: Sequence[speedup.Bar]) -> tuple[float, float]:
    """The lowest end of any bar, and the highest; 1 is where all begin."""
    ends = [1.0, *(end for end in map(_end, bars) if end is not None)]
    return min(ends), max(ends)


def _reach(bars: Sequence[speedup.Bar], width: float) -> tuple[float, float]:
    """The ends of the axis, with room beyond the bars for what is said of them."""
    lowest, highest = _ends(bars)
    slow, fast = _rooms(bars, brief=_brief(bars, width))
    left = max(width - fast, 1.0)
    low, top = math.floor(math.log10(lowest)), math.log10(max(highest, lowest * LEAST))
    # whole decades, as PowerPoint counts its ticks from there, until they hold what is said
    while (math.log10(lowest) - low) * left < slow * (top - low) and low > LEAST_POWER:
        low -= 1
    return 10.0**low, 10 ** (low + (top - low) * (left + fast) / left)


def _brief(bars: Sequence[speedup.Bar], width: float) -> bool:
    """Whether there is no room for the intervals of bars on both sides of 1."""
    slow, fast = _rooms(bars, brief=False)
    return slow > 0 and slow + fast > MOST_WORDS * width


def _rooms(bars: Sequence[speedup.Bar], *, brief: bool) -> tuple[float, float]:
    """Inches that the words take left of the bars below 1, and right of those above."""
    slow = (_room(bar, brief=brief) for bar in bars if bar.value < 1)
    fast = (_room(bar, brief=brief) for bar in bars if bar.value >= 1)
    return max(slow, default=0.0), max(fast, default=0.0)


def _room(bar: speedup.Bar, *, brief: bool) -> float:
    head = _fit.width_of(f" {bar.head}", _fit.SIZE + 4, "bold")
    return head + _fit.width_of(_tail(bar, brief=brief)) + 0.2


def _tail(bar: speedup.Bar, *, brief: bool) -> str:
    """What is said after the head; briefly: no interval, which its bar shows."""
    parts = (bar.remark,) if brief and bar.head else (bar.tail, bar.remark)
    return "".join(f"  {part}" for part in parts if part)


def _draw_bar(point: Any, bar: speedup.Bar) -> None:
    """A bar in its kernel's colour: hatched where the loop's time is predicted, pale with
    transfers, which belongs to the bar above it.
    """
    colour = rgb(THEME.line(bar.kernel))
    fill: Any = point.format.fill
    if bar.predicted:
        fill.patterned()
        fill.pattern = MSO_PATTERN.WIDE_UPWARD_DIAGONAL
        fill.fore_color.rgb, fill.back_color.rgb = colour, rgb(THEME.paper)
    else:
        fill.solid()
        fill.fore_color.rgb = rgb(THEME.tint(bar.kernel)) if bar.whole else colour
    point.format.line.color.rgb = colour


def _say_bar(label: Any, bar: speedup.Bar, *, brief: bool) -> None:
    """What is said of a bar: its head at a glance, the rest smaller."""
    frame = label.text_frame
    _write(frame, f" {bar.head}", _fit.SIZE + 4, THEME.ink, bold=True)
    run = frame.paragraphs[0].add_run()
    run.text = _tail(bar, brief=brief)
    run.font.size, run.font.color.rgb, run.font.bold = Pt(_fit.SIZE), rgb(THEME.muted), False
    label.position = XL_LABEL_POSITION.OUTSIDE_END


# --- what both need


def rgb(colour: str) -> Any:
    """As python-pptx wants a colour."""
    return RGBColor.from_string(colour.lstrip("#").upper())


def _write(frame: Any, text: str, size: float, colour: str, *, bold: bool = False) -> None:
    """Text on its own lines, never wrapped."""
    frame.word_wrap = False
    first, *others = text.split("\n")
    paragraphs = [frame.paragraphs[0], *(frame.add_paragraph() for _ in others)]
    for paragraph, line in zip(paragraphs, (first, *others), strict=True):
        paragraph.alignment = PP_ALIGN.LEFT
        run = paragraph.add_run()
        run.text = line
        run.font.size, run.font.bold, run.font.color.rgb = Pt(size), bold, rgb(colour)


def _stroke(series: Any, colour: str, width: float, dash: _colours.Dash) -> None:
    series.smooth = False
    line = series.format.line
    line.color.rgb, line.width = rgb(colour), Pt(width)
    if dash != "solid":
        oxml.dash(line, dash[1])
