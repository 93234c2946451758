"""One picture, two pens: charts and slides say and show the same. A new chart is one new file."""

import io
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from awkward import AWKWARD, SHAPES, a_run
from decks import drawn, unit_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_up import GPU_MACHINE, cell, laptop, made
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pictures import CHARTS, draw, said
from pptx import Presentation

from bench.data.records import CellRow
from bench.show import charts, pictures
from bench.show.deck import pages, story
from bench.show.pictures import Run, batching, roofline, speedup, throughput, time
from bench.show.pictures.parts.picture import Bars, Lines, Picture

Numbers = set[tuple[str, float]]


def slides(run: Run) -> list[Any]:
    """A run's deck, read again."""
    content = pages.deck(story.tell(run, None, None))
    return list(Presentation(io.BytesIO(content)).slides)


def drawn_of(deck: list[Any], chart: ModuleType) -> list[Any]:
    """The slides of one chart, told by their notes."""
    texts = ((slide, slide.notes_slide.notes_text_frame.text) for slide in deck)
    return [slide for slide, text in texts if text.startswith(chart.METHOD)]


def title_of(slide: Any) -> str:
    return str(slide.shapes.title.text_frame.text)


def charts_on(deck: list[Any]) -> list[Any]:
    return [shape.chart for slide in deck for shape in slide.shapes if shape.has_chart]


def on_figure(figure: Figure) -> Numbers:
    """What is drawn of each kernel's lines, read from the figure."""
    numbers: Numbers = set()
    for bar in (bar for axes in figure.axes for bar in axes.containers):
        assert isinstance(bar, ErrorbarContainer)
        heights = np.asarray(bar.lines[0].get_ydata(), float)
        numbers |= {rounded(str(bar.get_label()), y) for y in heights if y > 0}
    return numbers


def on_slides(deck: list[Any], unit: str) -> Numbers:
    """The same, read from PowerPoint's charts."""
    return {
        rounded(point.kernel, point.y * (unit_of(chart, unit) if unit else 1.0))
        for chart in charts_on(deck)
        for point in drawn(chart)
    }


def rounded(kernel: str, number: float) -> tuple[str, float]:
    return kernel, float(f"{number:.6g}")


@pytest.mark.parametrize("name", ["a GPU", "seven batches"])
def test_what_is_read_from_slides_is_what_is_read_from_charts(name: str) -> None:
    run = made(AWKWARD[name], GPU_MACHINE)
    deck = slides(run)
    for chart, unit in ((throughput, "FLOP/s"), (batching, ""), (roofline, "FLOP/s"), (time, "s")):
        mine, figure = drawn_of(deck, chart), draw(chart, run)
        assert len(on_slides(mine, unit)) > 3
        assert on_slides(mine, unit) <= on_figure(figure)
        assert chart is throughput or all(title_of(slide) in said(figure) for slide in mine)
    ladder, figure = drawn_of(deck, speedup), draw(speedup, run)
    assert any(title_of(slide) in said(figure) for slide in ladder)
    values = [v for chart in charts_on(ladder) for v in chart.plots[0].series[0].values if v != 1]
    patches = [patch for axes in figure.axes for patch in axes.patches]
    ends = [bar.get_x() + bar.get_width() for bar in patches if isinstance(bar, Rectangle)]
    assert sorted(ends) == pytest.approx(sorted(values))


def told(run: Run) -> Sequence[story.Slide]:
    """A run's slides, before they are drawn."""
    return story.tell(run, None, None).slides


def told_of(deck: Sequence[story.Slide], chart: ModuleType) -> list[story.Slide]:
    """Those of one chart."""
    return [slide for slide in deck if slide.notes.startswith(chart.METHOD)]


def agree(cells: list[CellRow]) -> None:
    """What slides say is what the charts' pictures say: titles, numbers, the words of bars."""
    run = made(cells, GPU_MACHINE)
    deck = told(run)
    for chart in (speedup, throughput, batching, roofline, time):
        picture = chart.picture(run)
        mine = told_of(deck, chart)
        assert bool(mine) == bool(picture.kernels)
        shown = set().union(*(shown_in(slide.body) for slide in mine))
        if chart in (throughput, time):  # of which slides show a part
            assert shown <= shown_in(picture.body)
        else:
            assert shown == shown_in(picture.body)
        titles = {slide.title for slide in mine}
        if chart in (speedup, throughput):  # a finding a batch
            assert chart is throughput or not mine or picture.title in titles
        else:
            assert titles <= {picture.title}


def shown_in(body: object) -> set[str]:
    """The numbers of lines with their intervals, and bars with their words."""
    if isinstance(body, Bars):
        bars = (bar for panel in body.panels.values() for bar in panel)
        return {repr(bar) for bar in bars if bar.value > 0}
    if not isinstance(body, Lines):
        return set()
    lines = [line for panel in body.panels for line in panel.lines]
    return {
        repr((line.kernel, *point))
        for line in lines
        for point in zip(line.x, line.y, line.low or line.y, line.high or line.y, strict=True)
        if point[1] > 0
    }


@pytest.mark.parametrize("name", AWKWARD)
def test_charts_and_slides_say_and_show_the_same(name: str) -> None:
    agree(AWKWARD[name])


@settings(derandomize=True, max_examples=10, deadline=None, phases=[Phase.generate])
@given(st.builds(a_run, st.integers(0, 2**32), st.sampled_from(SHAPES[:5]), st.just(2)))
def test_charts_and_slides_of_any_run_say_and_show_the_same(cells: list[CellRow]) -> None:
    agree(cells)


def test_a_slide_of_one_batch_has_the_title_of_a_chart_of_that_batch() -> None:
    cells = laptop()
    titles = [slide.title for slide in told_of(told(made(cells, GPU_MACHINE)), throughput)]
    alone = [
        throughput.picture(made([c for c in cells if c.batch == batch], GPU_MACHINE)).title
        for batch in (1, 1024)
    ]
    assert titles == [f"{alone[0]} (one example)", f"{alone[1]} (batch 1024)"]


MINE = '''
"""Mine: the throughput again."""

from bench.show.pictures import Run, throughput
from bench.show.pictures.parts.picture import Picture

METHOD = "How to read mine, which is told here for whoever speaks of it."


def picture(run: Run) -> Picture:
    shown = throughput.picture(run)
    return Picture("Mine is a chart", ["what is plotted"], shown.body, [], "", "", shown.kernels,
                   METHOD)
'''


def test_a_new_chart_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.setattr(pictures, "__path__", [*pictures.__path__, str(tmp_path)])
    run = made(laptop((64, 1000), (1, 32)), GPU_MACHINE)
    assert "mine" in charts.names()
    written = charts.draw_all([run], [tmp_path / "plots"], ["mine"], formats=["svg"])
    assert [path.name for path in written] == ["mine.svg"]
    mine = told_of(told(run), pictures.load("mine"))
    assert [slide.title for slide in mine] == ["Mine is a chart"] * 2  # a panel each
    assert mine[1].subtitle == "what is plotted · batch 32"


def test_what_a_deck_cannot_draw_it_leaves_to_the_charts() -> None:
    run = made(laptop(), GPU_MACHINE)
    titles = {slide.title for slide in told(run)}
    for name in ("crossover", "spread"):
        picture: Picture = CHARTS[name].picture(run)
        assert picture.title not in titles
        assert picture.title in said(draw(CHARTS[name], run))


def test_a_deck_keeps_to_the_panels_of_a_kernel() -> None:
    cells = [cell("everywhere", w, b, flop_per_s=1e9 * b) for w in (64, 1000) for b in (1, 32)]
    picture = throughput.picture(made([*cells, cell("once", 64, 1, flop_per_s=1e9)]))
    first, second = story.of_picture(picture)
    assert isinstance(first.body, Lines)
    assert isinstance(second.body, Lines)
    assert [line.kernel for line in first.body.panels[0].lines] == ["everywhere", "once"]
    assert [line.kernel for line in second.body.panels[0].lines] == ["everywhere"]


def test_all_bars_of_a_chart_are_in_its_picture() -> None:
    run = made(laptop((1000,), (1, 1024), tuple(f"k{i}" for i in range(27))))
    body = speedup.picture(run).body
    assert isinstance(body, Bars)
    assert [len(bars) for bars in body.panels.values()] == [30, 30]
    assert [bars[0].base for bars in body.panels.values()] == [True, True]
