"""Lines and bars as charts that PowerPoint draws: native, so that its user can edit data and looks.

Text keeps clear of text because the area between the axes has a fixed place, and the room beside it
is measured in the charts' font, which is wider than the deck's.
"""

from datetime import datetime
from typing import Any

from bench.show.deck import bars, brush, lines, oxml
from bench.show.pictures.parts.picture import Bars, Lines


def draw(slide: Any, body: Lines | Bars, box: brush.Box, alt: str, made: datetime) -> None:
    """Put a chart on a slide, its data in a workbook, its text in words for who can't see it."""
    if isinstance(body, Bars):
        frame, headings = bars.draw(slide, body, box)
    else:
        frame, headings = lines.draw(slide, body, box)
    oxml.describe(frame, alt)
    frame.name = "Chart"
    chart = frame.chart
    chart.part.chart_workbook.update_from_xlsx_blob(oxml.workbook(chart, headings, made))
