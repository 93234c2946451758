"""What all charts of a deck are made with: places, colours, text, lines."""

from dataclasses import dataclass
from typing import Any

from pptx.dml.color import RGBColor
from pptx.enum.text import PP_ALIGN
from pptx.util import Inches, Pt

from bench.show.charts import fit
from bench.show.deck import oxml
from bench.show.pictures.parts import looks

THEME = looks.THEMES["light"]
ROW = fit.SIZE * fit.LEADING / 72  # inches: a line of text
BOTTOM = 0.85  # inches below the area between the axes


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


def rgb(colour: str) -> Any:
    """As python-pptx wants a colour."""
    return RGBColor.from_string(colour.lstrip("#").upper())


def bare(chart: Any, plot: Box, box: Box) -> None:
    """No title and no legend, quiet text, and the area between the axes where `plot` says."""
    chart.has_title = chart.has_legend = False
    chart.font.size, chart.font.color.rgb = Pt(fit.SIZE), rgb(THEME.muted)
    oxml.place_plot(
        chart,
        plot.left / box.width,
        plot.top / box.height,
        plot.width / box.width,
        plot.height / box.height,
    )


def write(frame: Any, text: str, size: float, colour: str, *, bold: bool = False) -> None:
    """Text on its own lines, never wrapped."""
    frame.word_wrap = False
    first, *others = text.split("\n")
    paragraphs = [frame.paragraphs[0], *(frame.add_paragraph() for _ in others)]
    for paragraph, line in zip(paragraphs, (first, *others), strict=True):
        paragraph.alignment = PP_ALIGN.LEFT
        run = paragraph.add_run()
        run.text = line
        run.font.size, run.font.bold, run.font.color.rgb = Pt(size), bold, rgb(colour)


def stroke(series: Any, colour: str, width: float, dash: looks.Dash) -> None:
    series.smooth = False
    line = series.format.line
    line.color.rgb, line.width = rgb(colour), Pt(width)
    if dash:
        oxml.dash(line, dash)


def title(axis: Any, text: str, left: float, top: float) -> None:
    """The words of an axis, never upright: they are read at a glance."""
    frame = axis.axis_title.text_frame
    write(frame, text, fit.SIZE, THEME.muted)
    oxml.lie_at(axis, left, top)
