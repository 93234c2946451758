"""Bars and tiles: words in a grid, so they are tables that need no script."""

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from bench.show.page import kernels as looks_of
from bench.show.page.markup import Content, element, fill, numeral, table
from bench.show.page.said import number
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Bar, Bars, Tile, Tiles


def swatch(kernel: str, kernels: Sequence[str]) -> Element:
    """A kernel's marker on a piece of its line: a copy of its symbol."""
    mine = f"k{kernels.index(kernel)}"
    use = element("use", href=f"#{mine}")
    return element("svg", use, class_=f"swatch {mine}", aria_hidden="true")


def symbols(kernels: Sequence[str]) -> Element:
    """What swatches are copies of."""
    made = element("svg", hidden="hidden")
    for place, kernel in enumerate(kernels):
        dash = " ".join(map(str, looks_of.dash(kernel))) or None
        line = element("line", x1="0", x2="26", y1="7", y2="7", stroke_dasharray=dash)
        path = element(
            "path", d=looks_of.marker(kernel), transform="translate(13 7) scale(5)", stroke="none"
        )
        made.append(element("g", line, path, id=f"k{place}"))
    return made


def name(kernel: str, kernels: Sequence[str]) -> Element:
    """A kernel's name behind its marker."""
    return element("span", swatch(kernel, kernels), words.name_of(kernel), class_="kernel")


def bars(body: Bars, kernels: Sequence[str]) -> list[Element]:
    """A table a panel: kernel, bar, number and interval."""
    values = [bar.value for panel in body.panels.values() for bar in panel if bar.value > 0]
    highs = [bar.high for panel in body.panels.values() for bar in panel if bar.high > 0]
    top = max([*values, *highs, 10.0])
    return [
        element(
            "div",
            element("h4", title, element("small", f" {body.x}")),
            table(
                ["kernel", body.x, "times, and interval"],
                [_bar_row(bar, top, kernels) for bar in panel],
                class_="bars",
            ),
            class_="panel",
        )
        for title, panel in body.panels.items()
    ]


def _bar_row(bar: Bar, top: float, kernels: Sequence[str]) -> list[Element | str]:
    first = element("span", "with transfers", class_="whole") if bar.whole else ""
    return [
        first if bar.whole else name(bar.kernel, kernels),
        element("td", _bar(bar, top, kernels)),
        fill(
            numeral(bar.head, bar.value), element("small", bar.tail), element("small", bar.remark)
        ),
    ]


def _bar(bar: Bar, top: float, kernels: Sequence[str]) -> Element:
    """From 1 on a log scale; in per cent of the room there is."""

    def place(value: float) -> str:
        share = math.log(max(value, 1.0)) / math.log(top)
        return f"{min(max(share, 0.004), 1.0) * 100:.2f}%"

    looks = ["bar", f"k{kernels.index(bar.kernel)}"]
    looks += ["predicted"] * bar.predicted + ["thin"] * bar.whole
    made = element("svg", class_=" ".join(looks), width="100%", height="18", aria_hidden="true")
    if bar.value > 0:
        tall = 8 if bar.whole else 18
        made.append(element("rect", x="0", y=(18 - tall) / 2, height=tall, width=place(bar.value)))
    if bar.low > 0 and bar.high > 0:
        made.append(element("line", x1=place(bar.low), x2=place(bar.high), y1="9", y2="9"))
    return made


def tiles(body: Tiles, kernels: Sequence[str]) -> list[Element]:
    """A table a grid: a row a batch, the largest first, a column a width."""
    made = []
    for title, grid in body.grids.items():
        by_place = {(tile.batch, tile.width): tile for tile in grid}
        widths, batches = (sorted({place[i] for place in by_place}) for i in (1, 0))
        rows: list[list[Content]] = [
            [str(batch), *(_tile(by_place, batch, width, kernels) for width in widths)]
            for batch in reversed(batches)
        ]
        made.append(
            element(
                "div",
                element("h4", f"{title}; across: {body.x}"),
                element(
                    "div",
                    table([body.y, *map(str, widths)], rows, class_="tiles"),
                    class_="scroll",
                    tabindex="0",
                    role="region",
                    aria_label=title,
                ),
                class_="panel wide",
            )
        )
    return made


def _tile(
    by_place: Mapping[tuple[int, int], Tile], batch: int, width: int, kernels: Sequence[str]
) -> Element:
    tile = by_place.get((batch, width))
    if tile is None:
        return element("td", "-")
    sure = "clear" if tile.known and tile.clear else "even" if tile.even else "open"
    exact = None if math.isnan(tile.lead) else repr(tile.lead)
    return element(
        "td",
        name(tile.kernel, kernels),
        *(element("span", line, class_="lead-by") for line in tile.lines),
        class_=f"tile {sure} k{kernels.index(tile.kernel)}",
        data_value=exact,
        title=number(tile.lead, "") and f"{tile.lead:.3g} times as fast as the next",
    )
