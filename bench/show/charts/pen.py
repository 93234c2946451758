"""Draws a picture with Matplotlib: the page with its words, and its body by the body's type."""

from dataclasses import replace

from matplotlib.figure import Figure

from bench.show.charts import bars, changes, dots, lines, tiles, visits
from bench.show.charts.page import Sheet, applied, nothing, page
from bench.show.pictures.parts.picture import (
    Bars,
    Changes,
    Dots,
    Lines,
    Nothing,
    Picture,
    Tiles,
    Visits,
)


@applied()
def draw(picture: Picture, sheet: Sheet) -> Figure:
    """A figure as large as the sheet."""
    picture = _shortened(picture)
    here, body = page(sheet, picture), picture.body
    match body:
        case Lines():
            lines.draw(here, body)
        case Bars():
            bars.draw(here, body)
        case Tiles():
            tiles.draw(here, body)
        case Dots():
            dots.draw(here, body)
        case Visits():
            visits.draw(here, body)
        case Changes():
            changes.draw(here, body)
        case Nothing():
            nothing(here, body.words)
    return here.figure


def _shortened(picture: Picture) -> Picture:
    """Without the slower of many kernels, of which it says how many there are."""
    body: Bars | Visits
    match picture.body:
        case Bars():
            body, left_out = bars.few(picture.body)
        case Visits():
            body, left_out = visits.few(picture.body)
        case _:
            return picture
    if not left_out:
        return picture
    missing = [*picture.missing, f"{left_out} slower kernels"]
    return replace(picture, body=body, missing=missing)
