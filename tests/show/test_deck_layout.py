"""On a slide no text is cut, none meets another, and each is where its point is."""

import io
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from campaign import examples
from decks import RUNS, content, folder_of, grid, numbers, opened
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pptx import Presentation
from pptx.enum.chart import XL_CHART_TYPE
from pptx.oxml.ns import qn
from pptx.util import Pt

from bench.show.charts import fit
from bench.show.deck import brush, pages, story
from bench.stats import run_data


def inches(length: Any) -> float:
    return float(length) / 914_400


@dataclass(frozen=True)
class Area:
    """Where something is on a slide, in inches."""

    what: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Area") -> bool:
        apart = 0.01
        return (
            self.left < other.right - apart
            and other.left < self.right - apart
            and self.top < other.bottom - apart
            and other.top < self.bottom - apart
        )


def areas(slide: Any) -> list[Area]:
    """Every shape that says something, as large as what it says."""
    found = []
    for shape in slide.shapes:
        left, top = inches(shape.left), inches(shape.top)
        right, bottom = left + inches(shape.width), top + inches(shape.height)
        if shape.has_text_frame:
            if not shape.text_frame.text:
                continue
            tall = 0.0
            for paragraph in shape.text_frame.paragraphs:
                size = max(
                    (run.font.size.pt for run in paragraph.runs if run.font.size), default=12
                )
                bold = "Title" in shape.name
                weight, room = "bold" if bold else "normal", right - left
                room -= 0.4 if "Content" in shape.name else 0  # the bullet's
                lines = fit.wrapped(paragraph.text, room, size, weight)
                assert all(fit.width_of(line, size, weight) <= room for line in lines), lines
                tall += (len(lines) * size * 1.2 + (paragraph.space_after or Pt(0)).pt) / 72
            assert tall <= bottom - top + 0.01, (shape.name, shape.text_frame.text)
        found.append(Area(shape.name, left, top, right, bottom))
    return found


@pytest.mark.parametrize("name", RUNS)
def test_no_text_is_cut_and_none_meets_another(name: str) -> None:
    words_fit(opened(name))


def words_fit(made: Any) -> None:
    for slide in made.slides:
        found = areas(slide)
        for area in found:
            assert area.left >= 0.5
            assert area.right <= 40 / 3 - 0.5
            assert 0.29 <= area.top < area.bottom <= 7.4
        for one, two in itertools.combinations(found, 2):
            if "Line" not in (one.what, two.what):
                assert not one.meets(two), (one, two)


def plot_of(chart: Any, box: brush.Box) -> brush.Box:
    """The area between a chart's axes, in inches of the chart."""
    layout = chart._chartSpace.find(f".//{qn('c:plotArea')}/{qn('c:layout')}")
    x, y, w, h = (
        float(layout.find(f".//{qn(f'c:{name}')}").get("val")) for name in ("x", "y", "w", "h")
    )
    return brush.Box(x * box.width, y * box.height, w * box.width, h * box.height)


@dataclass(frozen=True)
class Label:
    """The words at one point of a series, and how much room they take, in inches."""

    point: int
    wide: float
    tall: float


def labels(series: Any) -> list[Label]:
    """Those of a series, measured in a font that is wider than the deck's."""
    found = []
    for label in series._element.iter(qn("c:dLbl")):
        wide, tall = [], 0.0
        for paragraph in label.iter(qn("a:p")):
            runs = [
                (run.find(qn("a:rPr")), run.find(qn("a:t"))) for run in paragraph.iter(qn("a:r"))
            ]
            sizes = [int(how.get("sz")) / 100 for how, _ in runs]
            weights = ["bold" if how.get("b") == "1" else "normal" for how, _ in runs]
            texts = [text.text or "" for _, text in runs]
            wide.append(sum(map(fit.width_of, texts, sizes, weights)))
            tall += max(sizes) * 1.2 / 72
        found.append(Label(int(label.find(qn("c:idx")).get("val")), max(wide), tall))
    return found


@pytest.mark.parametrize("name", RUNS)
def test_the_words_in_a_chart_keep_apart_and_inside(name: str) -> None:
    charts_fit(opened(name))


NAMES = st.text("abcdefghijklmnopqrstuvwxyzWM_", min_size=1, max_size=45)
RATES = st.floats(-3, 13).map(lambda power: 10.0**power)
SIZES = st.lists(st.integers(1, 100_000), min_size=1, max_size=6, unique=True).map(tuple)


@settings(
    max_examples=examples(2, 5), deadline=None, phases=[Phase.generate]
)  # a deck is slow to shrink
@given(st.dictionaries(NAMES, RATES, min_size=1, max_size=11), SIZES, SIZES)
def test_whatever_was_measured_fits(
    kernels: dict[str, float], widths: tuple[int, ...], batches: tuple[int, ...]
) -> None:
    with TemporaryDirectory() as there:
        told = story.read(
            run_data.read(folder_of(grid(kernels, widths, batches), Path(there) / "run"))
        )
    made = Presentation(io.BytesIO(pages.deck(told)))
    words_fit(made)
    charts_fit(made)


def test_a_label_that_does_not_fit_is_seen() -> None:
    made = Presentation(io.BytesIO(content("as usual")))
    chart = next(
        shape.chart
        for slide in made.slides
        for shape in slide.shapes
        if shape.has_chart and shape.chart.chart_type != XL_CHART_TYPE.BAR_CLUSTERED
    )
    charts_fit(made)
    run = next(chart.plots[0].series[1]._element.iter(qn("a:t")))
    run.text += "_and_much_more"
    with pytest.raises(AssertionError):
        charts_fit(made)


def charts_fit(made: Any) -> None:
    for slide in made.slides:
        for shape in slide.shapes:
            if not shape.has_chart:
                continue
            box = brush.Box(0, 0, inches(shape.width), inches(shape.height))
            chart, plot = shape.chart, plot_of(shape.chart, box)
            if chart.chart_type == XL_CHART_TYPE.BAR_CLUSTERED:
                bars_fit(chart, plot, box)
            else:
                lines_fit(chart, plot, box)


def along(value: float, axis: Any, length: float) -> float:
    """Inches along an axis."""
    low, high = axis.minimum_scale, axis.maximum_scale
    if axis._element.find(f".//{qn('c:logBase')}") is None:
        return float((value - low) / (high - low) * length)
    return math.log(value / low) / math.log(high / low) * length


def lines_fit(chart: Any, plot: brush.Box, box: brush.Box) -> None:
    ticks, names, *_ = chart.plots[0].series
    assert (ticks.name, names.name) == ("ticks", "names")
    places: dict[str, list[Any]] = {}
    for series in (ticks, names):
        x, y = (numbers(series._element.find(qn(f"c:{axis}Val"))) for axis in "xy")
        places[series.name] = list(zip(x, y, strict=True))
    below = []
    for label in labels(ticks):
        middle = along(places["ticks"][label.point][0], chart.category_axis, plot.width)
        below.append((middle - label.wide / 2, middle + label.wide / 2))
    assert below
    assert all(b[0] >= a[1] for a, b in itertools.pairwise(below))
    right = []
    for label in labels(names):
        x, y = places["names"][label.point]
        assert chart.category_axis.minimum_scale < x < chart.category_axis.maximum_scale
        assert chart.value_axis.minimum_scale < y < chart.value_axis.maximum_scale
        assert label.wide + 0.2 <= box.width - plot.left - plot.width
        middle = along(y, chart.value_axis, plot.height)
        right.append((middle - label.tall / 2, middle + label.tall / 2))
    right.sort()
    assert all(b[0] >= a[1] - 0.02 for a, b in itertools.pairwise(right))
    assert right[0][0] >= -0.3
    assert right[-1][1] <= plot.height + plot.top


def bars_fit(chart: Any, plot: brush.Box, box: brush.Box) -> None:
    bars, names = (series._element for series in chart.plots[0].series)
    values, ends = (numbers(ser.find(qn("c:val"))) for ser in (bars, names))
    row = plot.height / len(values)
    size = chart.category_axis.tick_labels.font.size.pt
    for name in chart.plots[0].categories:
        assert fit.width_of(name, size) <= plot.left
        assert (name.count("\n") + 1) * size * 1.2 / 72 <= row
    for label in labels(chart.plots[0].series[1]):
        end = along(ends[label.point] or 1.0, chart.value_axis, plot.width)
        if (values[label.point] or 1.0) < 1:
            assert end - label.wide >= 0
        else:
            assert plot.left + end + label.wide <= box.width
