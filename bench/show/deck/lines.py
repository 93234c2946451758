"""Lines as an XY scatter: their names at their ends, ticks where something was measured."""

from collections.abc import Sequence
from typing import Any

from pptx.chart.data import XyChartData
from pptx.enum.chart import (
    XL_CHART_TYPE,
    XL_LABEL_POSITION,
    XL_MARKER_STYLE,
    XL_TICK_LABEL_POSITION,
    XL_TICK_MARK,
)
from pptx.util import Pt

from bench.show.charts import fit
from bench.show.deck import brush, oxml
from bench.show.deck import scale as scales
from bench.show.pictures.parts import looks
from bench.show.pictures.parts.picture import Line, Lines, Moment
from bench.show.pictures.parts.ticks import even_ticks

PLAIN = (1e-5, 1e6)  # what an axis says in plain digits

_M = XL_MARKER_STYLE
MARKERS: dict[str, Any] = {
    "circle": _M.CIRCLE,
    "square": _M.SQUARE,
    "diamond": _M.DIAMOND,
    "thin-diamond": _M.DIAMOND,
    **{f"triangle-{side}": _M.TRIANGLE for side in ("up", "down", "left", "right")},
    "plus": _M.PLUS,
    "cross": _M.X,
    "star": _M.STAR,
}
"""PowerPoint has nine markers: for the others the nearest, else a circle."""


def draw(slide: Any, body: Lines, box: brush.Box) -> tuple[Any, dict[str, str]]:
    scale = scales.Scale(body, box)
    panel = scale.panel
    places = fit.apart(
        [scale.up(y) for _, _, y, _ in scale.names],
        [(name[0].count("\n") + 1) * scale.size * fit.LEADING / 72 for name in scale.names],
        -brush.ROW / 2,
        scale.plot.height + brush.ROW / 2,
    )
    right = scale.x[1] * scales.INSIDE
    ends: list[scales.Place] = []
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
                    for g in panel.guides
                ),
                *((n.kernel, list(zip(n.x, scale.of(n.y), strict=True))) for n in panel.lines),
                *(
                    (m.letter, [(m.x, scale.back(0)), (m.x, scale.back(scale.plot.height))])
                    for m in panel.moments
                ),
            ]
        ),
    )
    chart = frame.chart
    _axes(chart, scale)
    ticks, names, *drawn = chart.plots[0].series
    _draw_ticks(ticks, scale)
    _draw_names(names, scale)
    for series, guide in zip(drawn, panel.guides, strict=False):
        brush.stroke(series, brush.THEME.muted, 1.5, guide.dash)
        series.marker.style = XL_MARKER_STYLE.NONE
    del drawn[: len(panel.guides)]
    for series, line in zip(drawn, panel.lines, strict=False):
        _draw_line(series, line, scale)
    for series, moment in zip(drawn[len(panel.lines) :], panel.moments, strict=True):
        _draw_moment(series, moment)
    return frame, _headings(chart, scale)


def _data(series: Sequence[tuple[str, Sequence[scales.Place]]]) -> XyChartData:
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


def _axes(chart: Any, scale: scales.Scale) -> None:
    plot, box = scale.plot, scale.box
    brush.bare(chart, plot, box)
    x, y = chart.category_axis, chart.value_axis
    for axis, (low, high) in ((x, scale.x), (y, scale.y)):
        axis.minimum_scale, axis.maximum_scale = low, high
        axis.has_major_gridlines, axis.major_tick_mark = False, XL_TICK_MARK.NONE
        axis.format.line.color.rgb = brush.rgb(brush.THEME.muted)
        axis.tick_labels.font.size = Pt(fit.SIZE)
        oxml.cross_at(axis, scale.x[0] if axis is y else scale.y[0])
    if scale.body.x.log:
        oxml.log_scale(x)
    x.tick_label_position = XL_TICK_LABEL_POSITION.NONE
    y.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    y.has_major_gridlines = True
    y.major_gridlines.format.line.color.rgb = brush.rgb(brush.THEME.grid)
    if not scale.body.y.share:
        oxml.log_scale(y)
        plain = scale.y[0] >= PLAIN[0] and scale.y[1] <= PLAIN[1]
        y.tick_labels.number_format = "General" if plain else "0E+0"
        y.tick_labels.number_format_is_linked = False
    else:
        ticks = even_ticks(*scale.y, int(plot.height / 0.4)) if scale.body.y.ends else (0, 25)
        y.major_unit = ticks[1] - ticks[0]
        y.tick_labels.number_format, y.tick_labels.number_format_is_linked = "0", False
    room = (plot.top - 0.45) / box.height
    brush.title(y, _y_title(scale), 0.0, room)
    # under the text of the ticks
    below = (plot.top + plot.height + 0.42) / box.height
    brush.title(x, scale.body.x.title, plot.left / box.width, below)


def _y_title(scale: scales.Scale) -> str:
    y = scale.body.y
    if y.share:
        return f"{y.title}, {y.unit}"
    # a number without a unit: "instructions, k"
    named = scale.unit if y.unit else ", ".join(filter(None, (y.title, scale.unit)))
    return f"{named} (log scale)"


def _draw_ticks(series: Any, scale: scales.Scale) -> None:
    """The text below the lower axis, and a mark at each tick."""
    brush.stroke(series, brush.THEME.muted, 1.0, looks.SOLID)
    series.marker.style = XL_MARKER_STYLE.NONE
    for i, (_, said) in enumerate(scale.ticks):
        if said:
            label = series.points[3 * i].data_label
            brush.write(label.text_frame, said, fit.SIZE, brush.THEME.muted)
            label.position = XL_LABEL_POSITION.BELOW


def _draw_names(series: Any, scale: scales.Scale) -> None:
    """Each line's name right of the picture, and a dotted way to it from the line's end."""
    brush.stroke(series, brush.THEME.muted, 1.0, looks.DOTTED)
    series.marker.style = XL_MARKER_STYLE.NONE
    for i, (text, _, _, colour) in enumerate(scale.names):
        label = series.points[3 * i + 1].data_label
        brush.write(label.text_frame, text, scale.size, colour, bold=colour != brush.THEME.muted)
        label.position = XL_LABEL_POSITION.RIGHT


def _draw_line(series: Any, line: Line, scale: scales.Scale) -> None:
    """A kernel's line in its own looks, with its interval where there is one."""
    look, colour = looks.look(line.kernel), brush.THEME.line(line.kernel)
    if scale.body.joined:
        brush.stroke(series, colour, 3, look.dash)
    else:
        series.format.line.fill.background()
    marker = series.marker
    marker.style, marker.size = MARKERS.get(look.marker, _M.CIRCLE), 10
    marker.format.fill.solid()
    marker.format.fill.fore_color.rgb = brush.rgb(colour)
    thin = marker.style in (_M.PLUS, _M.X, _M.STAR)  # these are all outline
    marker.format.line.color.rgb = brush.rgb(colour if thin else brush.THEME.paper)
    if line.low and line.high:
        numbers = [scale.of(part) for part in (line.y, line.low, line.high)]
        below, above = [], []
        for y, low, high in zip(*numbers, strict=True):
            known = y is not None and low is not None and high is not None
            below.append(max(y - low, 0.0) if known else None)
            above.append(max(high - y, 0.0) if known else None)
        oxml.error_bars(series, below, above, colour, 2.0)


def _draw_moment(series: Any, moment: Moment) -> None:
    """An upright, and its letter above it."""
    brush.stroke(series, brush.THEME.muted, 1.5, looks.DASHED)
    series.marker.style = XL_MARKER_STYLE.NONE
    label = series.points[1].data_label
    brush.write(label.text_frame, moment.letter, fit.SIZE, brush.THEME.ink, bold=True)
    label.position = XL_LABEL_POSITION.ABOVE


def _headings(chart: Any, scale: scales.Scale) -> dict[str, str]:
    """What the workbook's columns hold, over each series."""
    found = {}
    for series in chart.plots[0].series:
        row = oxml.heading_row(series)
        found[f"A{row}"] = scale.body.x.title
        found |= {f"C{row}": "below", f"D{row}": "above"} if oxml.has_error_bars(series) else {}
    return found
