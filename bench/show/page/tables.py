"""The numbers of a picture as a table: what stands beside a chart that Vega draws."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from bench.show.page.grids import name
from bench.show.page.markup import numeral, table
from bench.show.page.said import number
from bench.show.pictures.parts.picture import Dots, Lines, Picture, Visits

Row = list[str | Element]


def numbers(picture: Picture, kernels: Sequence[str]) -> Element | None:
    """A row a number; None of a body that is a table itself, or of nothing."""
    body = picture.body
    match body:
        case Lines():
            what = body.x.title.split(":")[0].split(" (")[0]
            header = ["kernel", "panel", what, body.y.title, "95 % from", "to"]
            rows = list(_of_lines(body, kernels))
            if all(row[1] == "" for row in rows):
                header, rows = header[:1] + header[2:], [row[:1] + row[2:] for row in rows]
        case Dots():
            header = ["kernel", "layer", "batch", body.unit, "95 % from", "to"]
            rows = list(_of_dots(body, kernels))
        case Visits():
            header = ["kernel", "visit", "adjusted", "as found"]
            rows = list(_of_visits(body, kernels))
        case _:
            return None
    return table(header, rows, class_="sortable") if rows else None


def _of_lines(body: Lines, kernels: Sequence[str]) -> Iterator[Row]:
    unit = body.y.unit
    for panel in body.panels:
        for line in panel.lines:
            for i, (x, y) in enumerate(zip(line.x, line.y, strict=True)):
                if y > 0:
                    ends = (line.low[i], line.high[i]) if line.low and line.high else (None, None)
                    yield [
                        name(line.kernel, kernels),
                        " ".join(panel.title.split()),
                        numeral(body.x.ticks.get(x, f"{x:.4g}"), x),
                        *(numeral(number(value, unit), value) for value in (y, *ends)),
                    ]


def _of_dots(body: Dots, kernels: Sequence[str]) -> Iterator[Row]:
    for layer in body.layers:
        for batch, dots in layer.batches.items():
            for dot in dots:
                values = (dot.value, dot.low, dot.high)
                yield [
                    name(dot.name, kernels),
                    f"{layer.name}, {layer.shape}",
                    numeral(str(batch), batch),
                    *(numeral(number(value, body.unit), value) for value in values),
                ]


def _of_visits(body: Visits, kernels: Sequence[str]) -> Iterator[Row]:
    for marks in body.rows:
        for i, (away, found) in enumerate(zip(marks.away, marks.found, strict=True), 1):
            said = (numeral(f"{100 * value:+.1f} %", value) for value in (away, found))
            yield [name(marks.kernel, kernels), numeral(str(i), i), *said]
