"""A picture's body -> Vega-Lite specifications, as plain data: one for each panel.

Bars and tiles are no specifications: words in a grid are a table (`bench.show.page.grids`). Colours
are names of CSS variables, so that light, dark and print are the style sheet's business.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.show.page import kernels as looks_of
from bench.show.page.said import number
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import (
    Dots,
    Guide,
    Line,
    Lines,
    Moment,
    Panel,
    Picture,
    Visits,
    Y,
)
from bench.show.pictures.parts.ticks import even_ticks, log_ticks

Spec = dict[str, Any]
HEIGHT, TALL = 300, 400  # of lines, and of scattered points
POINT = 64  # square pixels
LINE = 12  # of text, in pixels
STRIP = 34  # of a row, in pixels; the axis takes one and a half
MUTED = "var(--muted)"


@dataclass(frozen=True, slots=True)
class Plot:
    """One panel, drawn by Vega."""

    title: str
    spec: Spec


def plots(picture: Picture, kernels: Sequence[str]) -> list[Plot]:
    """The panels of a picture; none of one that Vega doesn't draw. `kernels`: all of the page."""
    body = picture.body
    match body:
        case Lines():
            return _lines(body, kernels)
        case Dots():
            return _dots(body, kernels)
        case Visits():
            return _visits(body, kernels)
    return []


def scales(shown: Sequence[str], kernels: Sequence[str]) -> dict[str, Any]:
    """How kernels are told apart: by colour and marker, the same in every chart."""
    colours = [f"var({looks_of.variable(kernel, kernels)})" for kernel in shown]
    markers = list(map(looks_of.marker, shown))
    kernel = {"field": "kernel", "type": "nominal", "legend": None}
    return {
        "color": {**kernel, "scale": {"domain": list(shown), "range": colours}},
        "shape": {**kernel, "scale": {"domain": list(shown), "range": markers}},
    }


def _axis(title: str, values: Sequence[float], label: str = "") -> Spec:
    return {
        "title": " ".join(title.split()),
        "values": list(values),
        **({"labelExpr": label} if label else {}),
    }


def _log(low: float, high: float) -> Spec:
    return {"type": "log", "domain": [low, high], "nice": False}


def _linear(low: float, high: float) -> Spec:
    return {"type": "linear", "domain": [low, high], "nice": False}


# --- lines


def _lines(body: Lines, kernels: Sequence[str]) -> list[Plot]:
    lines = [line for panel in body.panels for line in panel.lines]
    guides = [guide for panel in body.panels for guide in panel.guides]
    every: list[Line | Guide] = [*lines, *guides]
    xs = [x for part in every for x, y in zip(part.x, part.y, strict=True) if y > 0]
    ys = [y for part in every for y in part.y if y > 0]
    ys += [y for line in lines for y in (*line.low, *line.high) if y > 0]
    if not xs:
        return []
    x = {
        "field": "x",
        "type": "quantitative",
        "scale": _log(min(xs) / 1.2, max(xs) * 1.2)
        if body.x.log
        else _linear(min(xs) - 0.5, max(xs) + 0.5),
        "axis": _axis(body.x.title, list(body.x.ticks), _lookup(body.x.ticks)),
    }
    rows = max((guide.text.count("\n") + 1 for guide in guides), default=0)
    y = _y_of(body.y, min(ys), max(ys), rows)
    return [Plot(panel.title, _panel(panel, body, x, y, kernels)) for panel in body.panels]


def _lookup(ticks: Mapping[float, str]) -> str:
    """The text of a tick, whatever number Vega calls it by."""
    texts = [f"abs(datum.value / {at!r} - 1) < 1e-6 ? {json.dumps(ticks[at])}" for at in ticks]
    return " : ".join([*texts, "''"])


def _y_of(y: Y, low: float, high: float, rows: int) -> Spec:
    """The axis, with room for so many rows of a guide's words above the highest number."""
    if y.ends:
        scale = _linear(*y.ends)
        axis = _axis(f"{y.title}, {y.unit}", even_ticks(*y.ends, 7))
    elif y.share:
        scale = _linear(0, max(100.0, high))
        axis = _axis(f"{y.title}, %", [0, 25, 50, 75, 100])
    else:
        free = LINE * (rows + 1)
        low, high = low / 1.3, high * 1.3 * (high / low) ** (free / (HEIGHT - free))
        scale = _log(low, high)
        axis = _axis(f"{y.title} (log scale)", log_ticks(low, high, 6), _si(y.unit))
    return {"field": "y", "type": "quantitative", "scale": scale, "axis": axis}


def _si(unit: str) -> str:
    return f"format(datum.value, '~s') + '{'s' if unit == 's' else ''}'"


def _panel(panel: Panel, body: Lines, x: Spec, y: Spec, kernels: Sequence[str]) -> Spec:
    shown = [line.kernel for line in panel.lines]
    told = scales(shown, kernels)
    colour = told["color"]
    marks: list[Spec] = [layer for guide in panel.guides for layer in _guide(guide, x, y)]
    marks += [layer for moment in panel.moments for layer in _moment(moment, x, y)]
    if body.joined:
        dashes = {
            "domain": shown,
            "range": [looks_of.dash(kernel) or [1, 0] for kernel in shown],
        }
        line = {"field": "kernel", "type": "nominal", "legend": None, "scale": dashes}
        encoding = {"x": x, "y": y, "color": colour, "strokeDash": line}
        encoding |= {"detail": {"field": "part", "type": "nominal"}}
        marks.append({"mark": {"type": "line", "aria": False}, "encoding": encoding})
    known = {"filter": "isValid(datum.low) && isValid(datum.high)"}
    ends = {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}, "color": colour}
    marks.append({"transform": [known], "mark": {"type": "rule", "aria": False}, "encoding": ends})
    said = {"field": "said", "type": "nominal"}
    marks.append(
        {
            "name": "cells",
            "mark": {"type": "point", "filled": True, "size": POINT, "opacity": 1},
            "encoding": {"x": x, "y": y, **told, "tooltip": said, "description": said},
        }
    )
    values = [row for line in panel.lines for row in _rows(line, body)]
    height = HEIGHT if body.joined else TALL
    return {"height": height, "data": {"name": "cells", "values": values}, "layer": marks}


def _rows(line: Line, body: Lines) -> list[Spec]:
    """A row a point; points that are neighbours on the axis belong to the same part."""
    rows, part = [], 0
    lows, highs = (list(ends) or [math.nan] * len(line.y) for ends in (line.low, line.high))
    for x, y, low, high in zip(line.x, line.y, lows, highs, strict=True):
        if not y > 0:
            part += 1
            continue
        known = low > 0 and high > 0
        row = {"kernel": line.kernel, "part": part, "x": x, "y": y}
        row |= {"low": low, "high": high} if known else {}
        place = body.x.ticks.get(x, f"{x:.4g}")
        interval = f" ({number(low, body.y.unit)} to {number(high, body.y.unit)})" if known else ""
        name, value = words.name_of(line.kernel), number(y, body.y.unit)
        what = body.x.title.split(":")[0].split(" (")[0]
        rows.append(row | {"said": f"{name}\n{what} {place}\n{value}{interval}"})
    return rows


def _moment(moment: Moment, x: Spec, y: Spec) -> list[Spec]:
    """An upright with its letter, and a ring around each point that changed there."""
    low, high = y["scale"]["domain"]
    rule = {"type": "rule", "color": MUTED, "strokeDash": [3, 3], "aria": False}
    text = {"type": "text", "text": moment.letter, "dy": -8, "color": MUTED, "aria": False}
    ring = {"type": "point", "filled": False, "color": MUTED, "size": 4 * POINT, "aria": False}
    ends = {"x": x, "y": y, "y2": {"field": "y2"}}
    where = {"x": x, "y": y}
    return [
        {
            "data": {"values": [{"x": moment.x, "y": low, "y2": high}]},
            "mark": rule,
            "encoding": ends,
        },
        {"data": {"values": [{"x": moment.x, "y": high}]}, "mark": text, "encoding": where},
        {
            "data": {"values": [{"x": at, "y": value} for at, value in moment.points]},
            "mark": ring,
            "encoding": where,
        },
    ]


def _guide(guide: Guide, x: Spec, y: Spec) -> list[Spec]:
    ends = [{"x": a, "y": b} for a, b in zip(guide.x, guide.y, strict=True) if b > 0]
    dash = [1.5 * part for part in guide.dash]
    line = {"type": "line", "color": MUTED, "strokeWidth": 1.2, "strokeDash": dash, "aria": False}
    lines = guide.text.split("\n")
    text = {"type": "text", "color": MUTED, "align": "right", "text": lines, "aria": False}
    above = {"dy": -4 - LINE * (len(lines) - 1), "baseline": "bottom"}
    if len(set(guide.y)) == 1:  # at the left, where what rises to it is far below
        place = ends[:1]
        text |= above | {"align": "left"}
    elif ends[-1]["y"] == ends[-2]["y"]:  # left of the bend, above what rises to it
        place = ends[-2:-1]
        text |= {"dx": -8, "baseline": "middle"}
    else:  # under its upper end
        place = [{"x": ends[-1]["x"], "y": ends[0]["y"]}]
        text |= above
    where = {"x": x, "y": y}
    return [
        {"data": {"values": ends}, "mark": line, "encoding": where},
        {"data": {"values": place}, "mark": text, "encoding": where},
    ]


# --- dots: a panel a layer, a row a batch


def _dots(body: Dots, kernels: Sequence[str]) -> list[Plot]:
    every = [dot for layer in body.layers for dots in layer.batches.values() for dot in dots]
    numbers = [n for dot in every for n in (dot.value, dot.low, dot.high) if n > 0]
    low, high = min(numbers) / 1.3, max(numbers) * 1.3
    axis = _axis(f"{body.unit} (log scale)", log_ticks(low, high, 5), _si(body.unit))
    x = {"field": "y", "type": "quantitative", "scale": _log(low, high), "axis": axis}
    panels = []
    for layer in body.layers:
        rows = [
            {
                "row": f"batch {batch}",
                "kernel": dot.name,
                "y": dot.value,
                **({"low": dot.low, "high": dot.high} if dot.low > 0 and dot.high > 0 else {}),
                "said": f"{words.name_of(dot.name)}\nbatch {batch}\n{number(dot.value, body.unit)}",
            }
            for batch, dots in layer.batches.items()
            for dot in dots
        ]
        order = [f"batch {batch}" for batch in layer.batches]
        panels.append(
            Plot(f"{layer.name}: {layer.shape}", _strips(rows, order, x, body.kernels, kernels))
        )
    return panels


def _strips(
    rows: Sequence[Spec], order: Sequence[str], x: Spec, shown: Sequence[str], every: Sequence[str]
) -> Spec:
    """A row a strip, a mark a number."""
    axis = {"title": None, "labelLimit": 150, "grid": False}
    y = {"field": "row", "type": "nominal", "sort": list(order), "axis": axis}
    told = scales(list(shown), every)
    said = {"field": "said", "type": "nominal"}
    known = {"filter": "isValid(datum.low) && isValid(datum.high)"}
    ends = {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "color": told["color"]}
    return {
        "height": STRIP * (len(order) + 1.5),
        "data": {"name": "cells", "values": list(rows)},
        "layer": [
            {"transform": [known], "mark": {"type": "rule", "aria": False}, "encoding": ends},
            {
                "name": "cells",
                "mark": {"type": "point", "filled": True, "size": POINT, "opacity": 0.9},
                "encoding": {"x": x, "y": y, **told, "tooltip": said, "description": said},
            },
        ],
    }


# --- visits: a row a kernel, a mark a visit, a hollow one as it was found


def _visits(body: Visits, kernels: Sequence[str]) -> list[Plot]:
    rows = [
        {
            "row": marks.kernel,
            "kernel": marks.kernel,
            "y": 100 * place,
            "found": kind == "as found",
            "said": f"{words.name_of(marks.kernel)}\n{kind}\n{100 * place:+.1f} %",
        }
        for marks in body.rows
        for kind, places in (("adjusted", marks.away), ("as found", marks.found))
        for place in places
        if kind == "adjusted" or list(marks.found) != list(marks.away)
    ]
    bands = [
        {
            "row": m.kernel,
            "kernel": m.kernel,
            "low": 100 * m.low,
            "high": 100 * m.high,
        }
        for m in body.rows
        if not math.isnan(m.low)
    ]
    x = {
        "field": "y",
        "type": "quantitative",
        "axis": {"title": f"{body.x}, %", "tickCount": 6},
        "scale": {"zero": True, "nice": True},
    }
    order = [marks.kernel for marks in body.rows]
    spec = _strips(rows, order, x, [marks.kernel for marks in body.rows], kernels)
    band, points = spec["layer"]
    band |= {"data": {"values": bands}, "transform": [], "mark": band["mark"] | {"type": "bar"}}
    band["mark"] |= {"opacity": 0.25, "height": 22}
    points["mark"] |= {"filled": False, "opacity": 0.8, "strokeWidth": 1.2}
    colour = points["encoding"]["stroke"] = points["encoding"].pop("color")
    points["encoding"]["fill"] = {"condition": {"test": "!datum.found", **colour}, "value": None}
    points["encoding"]["fill"]["condition"].pop("legend")
    return [Plot("", spec)]
