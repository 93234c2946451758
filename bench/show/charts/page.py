"""The page that a chart is drawn on: its words, and the box that is left for the chart.

The page is a slide, 13.33 x 7.5 inches with text of 14 points and more, or a sheet of paper, 11 x 8
inches: at seven inches across, in a document, its text is nine points. Everything on it is placed
in inches from the measured size of the text, so that nothing is cut and nothing overlaps, however
long a kernel's name or the list of what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from bench.show.charts import fit
from bench.show.pictures.parts import looks, words
from bench.show.pictures.parts.picture import Picture

DPI = 192
SIZES = {"slide": (40 / 3, 7.5), "paper": (11.0, 8.0)}  # inches: 2560 x 1440, 2112 x 1536 pixels
MARGIN = 0.55
NOTE_LINES = 4
MOST_ROWS = 15  # of kernels below each other that the last row can read
NAMES = 0.3  # of the page's width, that names beside rows may take
EMPTY: Mapping[int, str] = {}

MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "thin-diamond": "d",
    "star": "*",
    "cross": "X",
    "plus": "P",
    "pentagon": "p",
    "hexagon": "h",
    "flat-hexagon": "H",
    "triangle-up": "^",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "octagon": "8",
}
"""Matplotlib's letters for a look's marker."""

# Paths in an SVG look the same where the font is missing; a fixed salt makes the same bytes.
_RC = {
    "font.family": [fit.FONT],
    "font.size": fit.SIZE,
    "text.parse_math": False,  # a name may hold a dollar sign
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType: text that can be searched and edited
    "svg.hashsalt": "bench",
    "hatch.linewidth": 1.5,
}


@contextmanager
def applied() -> Iterator[None]:
    """Matplotlib's own defaults and ours, whatever the reader's matplotlibrc says, only here."""
    with matplotlib.style.context(["default", _RC]), fit.any_script():
        yield


@dataclass(frozen=True, slots=True)
class Sheet:
    """What to draw on."""

    theme: str = "light"
    size: str = "slide"


@dataclass(slots=True)
class Page:
    """A slide with its words on, and the box that is left for the chart, in inches."""

    figure: Figure
    theme: looks.Theme
    right: float
    top: float
    left: float = MARGIN
    bottom: float = MARGIN * 0.8

    def write(self, x: float, y: float, text: str, size: float = fit.SIZE, **how: Any) -> Text:
        """Text at a place in inches; `how` is matplotlib's."""
        how = {"color": self.theme.ink, "linespacing": 1.2, **how}
        return self.figure.text(x, y, text, size=size, transform=self.figure.dpi_scale_trans, **how)

    def stroke(self, x: Sequence[float], y: Sequence[float], **how: Any) -> None:
        """A line between places in inches."""
        self.figure.add_artist(Line2D(x, y, transform=self.figure.dpi_scale_trans, **how))

    def drawn(self, kernel: str) -> dict[str, Any]:
        """A kernel's line, in matplotlib's words."""
        look = looks.look(kernel)
        return {
            "color": self.theme.line(kernel),
            "marker": MARKERS[look.marker],
            "linestyle": linestyle(look.dash),
            "linewidth": 3,
            "markersize": 9,
            "markeredgecolor": self.theme.paper,
        }

    def mark(self, kernel: str) -> dict[str, Any]:
        """The same without a line."""
        return self.drawn(kernel) | {"linestyle": "none"}

    def wrap(self, text: str, size: float = fit.SIZE, weight: str = "normal") -> list[str]:
        """Lines that fit between the margins."""
        return fit.wrapped(text, self.right - self.left, size, weight)

    def head(self, text: str, size: float, weight: str = "normal", **how: Any) -> None:
        """A paragraph at the top of what is left."""
        if lines := self.wrap(text, size, weight):
            how |= {"va": "top", "weight": weight}
            self.write(self.left, self.top, "\n".join(lines), size, **how)
            self.top -= len(lines) * size * fit.LEADING / 72 + 0.04

    def foot(self, lines: list[str], **how: Any) -> None:
        """Lines at the bottom of what is left."""
        if lines:
            self.write(self.left, self.bottom, "\n".join(lines), va="bottom", **how)
            self.bottom += len(lines) * fit.SIZE * fit.LEADING / 72 + 0.08

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """A panel at a place in inches, with the theme's colours and a quiet frame."""
        wide, tall = self.figure.get_size_inches()
        axes = self.figure.add_axes(
            (left / wide, bottom / tall, width / wide, height / tall),
            facecolor=self.theme.paper,
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(self.theme.muted)
        axes.tick_params(colors=self.theme.muted, labelsize=fit.SIZE, length=5)
        axes.grid(color=self.theme.grid, linewidth=1)
        axes.set_axisbelow(True)
        return axes

    def rows(self, left: float, bottom: float, width: float, height: float, count: int) -> Axes:
        """A panel with a row a kernel, from 0 at the top, which has its name beside it."""
        axes = self.axes(left, bottom, width, height)
        axes.set_ylim(count - 0.5, -0.5)
        fit.fix_ticks(axes.yaxis, [], [])
        axes.spines["left"].set_visible(False)
        return axes


def page(sheet: Sheet, picture: Picture) -> Page:
    """A slide: title and subtitle above; what is not shown, and where it was measured, below."""
    colours, (wide, tall) = looks.THEMES[sheet.theme], SIZES[sheet.size]
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor=colours.paper)
    FigureCanvasAgg(figure)  # gives text a measurable size
    new = Page(figure, colours, wide - MARGIN, tall - MARGIN * 0.8)
    size = fit.fitting(picture.title, 28, 20, new.right - new.left, 1)
    new.head(picture.title, size, "bold")
    new.head(" · ".join(part for part in picture.subtitle if part), 16, color=colours.muted)
    new.foot(new.wrap(picture.footer), color=colours.muted)
    room = new.right - new.left
    new.foot(fit.not_shown(picture.missing, room, fit.SIZE, NOTE_LINES, picture.table))
    new.foot(new.wrap(picture.note))
    return new


def nothing(page: Page, text: str) -> None:
    """What stands where there is nothing to draw."""
    x, y = (page.left + page.right) / 2, (page.bottom + page.top) / 2
    page.write(x, y, text, 24, ha="center", va="center", color=page.theme.muted)


def linestyle(dash: looks.Dash) -> Any:
    """A dash in Matplotlib's words."""
    return (0, dash) if dash else "solid"


def names_beside(
    page: Page, kernels: Sequence[str], top: float, row: float, instead: Mapping[int, str] = EMPTY
) -> float:
    """Write the kernels' names left of their rows, or what stands `instead` in some; return the
    room that they take, in inches.
    """
    longest = 24 if row > 0.5 else words.LONGEST_NAME
    texts = [instead.get(k) or words.broken(name, longest) for k, name in enumerate(kernels)]
    size = min(16, row * 72 / fit.LEADING / max(text.count("\n") + 1 for text in texts))
    widest = max(fit.width_of(text, 16, "bold") for text in texts)
    size = min(size, 16 * NAMES * (page.right - page.left) / widest)
    room = max(fit.width_of(text, size, "bold") for text in texts) + 0.15
    for k, (kernel, text) in enumerate(zip(kernels, texts, strict=True)):
        weight = "normal" if k in instead else "bold"
        how: dict[str, Any] = {"ha": "right", "va": "center", "weight": weight}
        y = top - (k + 0.5) * row
        page.write(page.left + room - 0.15, y, text, size, color=page.theme.text(kernel), **how)
    return room
