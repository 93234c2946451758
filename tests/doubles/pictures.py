"""What is seen on a chart."""

import math
from types import ModuleType

import numpy as np
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.show import pictures
from bench.show.charts import pen
from bench.show.charts.page import Sheet, applied
from bench.show.pictures import Run

CHARTS = {
    name: chart
    for name in pictures.names()
    if name not in ("machines", "layers")  # which take several runs, and layers with names
    if not hasattr(chart := pictures.load(name), "NEEDS")  # of what few runs have
}
LIGHT = Sheet()


def draw(chart: ModuleType, run: Run, sheet: Sheet = LIGHT) -> Figure:
    """A chart of a run."""
    return pen.draw(chart.picture(run), sheet)


def words(figure: Figure) -> list[Text]:
    """The text that is seen, once everything is in its place."""
    with applied():
        figure.draw_without_rendering()
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def said(figure: Figure) -> str:
    """All that a figure says, its lines joined."""
    return " ".join(" ".join(text.get_text().split()) for text in words(figure))


def points(figure: Figure) -> dict[tuple[int, str], dict[int, float]]:
    """Of each panel and kernel, the points drawn: width to number."""
    found = {}
    for panel, axes in enumerate(figure.axes):
        for line in axes.containers:
            assert isinstance(line, ErrorbarContainer)
            x, y = (np.asarray(part, float) for part in line.lines[0].get_data())
            kept = {int(w): float(v) for w, v in zip(x, y, strict=True) if math.isfinite(v)}
            found[panel, str(line.get_label())] = kept
    return found


def faults(figure: Figure) -> list[str]:
    """The texts that leave the figure or lie on another by more than a pixel."""
    texts = words(figure)
    boxes = np.array([text.get_window_extent().padded(-1).extents for text in texts])
    low, high = boxes[:, :2], boxes[:, 2:]
    whole = (low >= figure.bbox.min) & (high <= figure.bbox.max) & (low < high)
    found = [f"cut: {texts[i]}" for i in np.flatnonzero(~whole.all(1))]
    meet = (low[:, None] < high[None]).all(2)
    for i, j in np.argwhere(np.triu(meet & meet.T, 1)):
        found.append(f"overlap: {texts[i]} and {texts[j]}")
    return found
