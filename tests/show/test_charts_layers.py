"""The chart of layers with names; the other charts leave them alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from awkward import AWKWARD, RUNS, SHEETS
from campaign import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_up import GPU_MACHINE, cell, laptop, made
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from pictures import draw, faults, said, words

from bench.data.records import CellRow
from bench.show import charts, pictures
from bench.show.charts import draw_all
from bench.show.charts.dots import fitting
from bench.show.charts.page import Sheet
from bench.show.pictures import layers, spread
from bench.show.pictures.parts.picture import Nothing, Picture

EVERY_THIRD = "a layer's name that is as long as a name may be, and then no more"[:60]


def named(cells: list[CellRow]) -> list[CellRow]:
    """The same cells, each width's as a layer with a name and a shape of its own."""
    return [
        replace(
            c,
            layer=EVERY_THIRD[: 60 - c.n_units % 40] + str(c.n_units),
            n_in=max(c.n_units // 3, 1),
            activation=("linear", "relu", "tanh", "sigmoid")[c.n_units % 4],
        )
        for c in cells
    ]


def fc(kernel: str, batch: int = 1, **known: object) -> CellRow:
    return replace(cell(kernel, 8, batch, **known), layer="fc")


def dots(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """Of each kernel, the dots: rate and row, from the top."""
    found: dict[str, list[tuple[float, float]]] = {}
    for axes in figure.axes:
        for dot in axes.containers:
            assert isinstance(dot, ErrorbarContainer)
            x, y = (np.asarray(part, float).tolist() for part in dot.lines[0].get_data())
            found.setdefault(str(dot.get_label()), []).extend(zip(x, y, strict=True))
    return found


def test_each_number_is_a_dot_in_its_row_with_its_interval() -> None:
    cells = [
        fc("a", 1, flop_per_s=1e9, flop_per_s_low=5e8, flop_per_s_high=3e9),
        fc("a", 64, flop_per_s=2e9),
        fc("b", 64, flop_per_s=8e9),
        replace(fc("a", 4, flop_per_s=4e9), layer="attention", n_units=100),
    ]
    figure = draw(layers, made(cells))
    assert dots(figure) == {"a": [(1e9, 0.5), (2e9, 1.5), (4e9, 2.5)], "b": [(8e9, 1.5)]}
    (axes,) = figure.axes
    (first,) = (c for c in axes.containers if c.get_label() == "a")
    assert isinstance(first, ErrorbarContainer)
    ((low, _), (high, _)) = first.lines[2][0].get_segments()[0]
    assert (low, high) == pytest.approx((5e8, 3e9))
    assert axes.get_xscale() == "log"
    text = said(figure)
    for part in ("fc", "8 x 8, relu", "attention", "8 x 100, relu", "batch", "64"):
        assert part in text
    assert text.index("fc") < text.index("attention")  # from few weights to many


def test_a_dot_without_an_interval_is_drawn_too() -> None:
    alone = fc("a", flop_per_s=1e9, flop_per_s_low=None, flop_per_s_high=None)
    assert dots(draw(layers, made([alone]))) == {"a": [(1e9, 0.5)]}


def test_the_title_tells_who_wins_only_where_intervals_are_apart() -> None:
    fast = [fc("numpy_matmul", b, flop_per_s=9e9) for b in (1, 2, 4)]
    slow = [fc("b", b, flop_per_s=1e9) for b in (1, 2, 4)]
    told = "One matmul is fastest in 3 of 3 cases of named layers"
    assert told in said(draw(layers, made(fast + slow)))
    level = [replace(c, flop_per_s_high=1e10) for c in slow]
    assert "Throughput of one named layer" in said(draw(layers, made(fast + level)))
    unknown = [replace(c, flop_per_s_low=None, flop_per_s_high=None) for c in slow]
    assert "Throughput of one named layer" in said(draw(layers, made(fast + unknown)))
    other = replace(fast[0], layer="other")
    assert "Throughput of 2 named layers" in said(draw(layers, made([fast[0], other])))


def test_what_is_not_shown_is_named() -> None:
    cells = [fc("a", b, flop_per_s=1e9) for b in (1, 2)]
    cells += [fc("b", 1, flop_per_s=1e9), fc("b", 2, status="skipped"), fc("c", status="error")]
    cells += [fc("d", flop_per_s=9e15, status="impossible")]
    figure = draw(layers, made(cells))
    for words_of in (
        "b: skipped (1 of 2 cells)",
        "c: error (its only cell)",
        "d: impossible (its only cell)",
    ):
        assert words_of in said(figure)
    assert set(dots(figure)) == {"a", "b"}
    assert "no cell has a number" in said(draw(layers, made(cells[3:])))


def test_of_more_rows_than_fit_the_first_and_last_batches_and_layers_are_kept() -> None:
    many = named(laptop(tuple(2**i for i in range(12)), (1, 2, 4, 8)))
    every = layers.layers(made(many).cells.query("flop_per_s > 0"))
    assert fitting(every, 100) == every
    ends = fitting(every, 14)
    assert [one.name for one in ends] == [one.name for one in every]
    assert {tuple(layer.batches) for layer in ends} == {(1, 8)}
    some = fitting(every, 6)
    assert 2 < len(some) < len(every)
    assert (some[0].name, some[-1].name) == (every[0].name, every[-1].name)
    figure = draw(layers, made(many))
    shown = sum(len(one.batches) for one in layers.layers(made(many).cells.query("flop_per_s > 0")))
    rows = len({(id(axes), y) for axes in figure.axes for y in rows_of(axes)})
    assert f"{shown - rows} more rows are in cells.csv" in said(figure)


def rows_of(axes: Axes) -> set[float]:
    """Where a column has dots."""
    lines = (c.lines[0] for c in axes.containers if isinstance(c, ErrorbarContainer))
    return {y for line in lines for y in np.asarray(line.get_ydata(), float).tolist()}


@pytest.mark.parametrize("name", AWKWARD)
def test_every_word_is_readable(name: str) -> None:
    sheet = SHEETS[list(AWKWARD).index(name) % len(SHEETS)]
    figure = draw(layers, made(named(AWKWARD[name]), GPU_MACHINE), sheet)
    assert faults(figure) == []
    if name != "many kernels":  # whose key is low
        assert all(float(text.get_fontsize()) >= 14 for text in words(figure))


@settings(derandomize=True, max_examples=examples(3, 8), deadline=None, phases=[Phase.generate])
@given(cells=RUNS, sheet=st.sampled_from(SHEETS))
def test_every_word_of_any_run_is_readable(cells: list[CellRow], sheet: Sheet) -> None:
    assert faults(draw(layers, made(named(cells), GPU_MACHINE), sheet)) == []


def drawn(cells: list[CellRow], folder: Path, *only: str) -> list[str]:
    """The charts that are drawn of a run, by name."""
    paths = draw_all([made(cells)], [folder], only, formats=["svg"])
    return [path.stem for path in paths]


def test_layers_get_their_chart_and_squares_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {}
    for name in charts.names():
        module = pictures.load(name)
        if hasattr(module, "picture"):

            def picture(run: charts.Run, name: str = name) -> Picture:
                seen[name] = set(run.cells["layer"])
                return Picture(name, [], Nothing(""), [], "")

            monkeypatch.setattr(module, "picture", picture)
    squares, mine = [cell("a", 8, 1, flop_per_s=1e9)], [fc("a", flop_per_s=1e9)]
    others = sorted(set(charts.names()) - {"layers", "machines"})
    assert drawn(mine, tmp_path) == ["layers"]
    assert seen == {"layers": {"fc"}}
    assert sorted(drawn(squares, tmp_path)) == others
    assert sorted(drawn(squares + mine, tmp_path)) == sorted([*others, "layers"])
    assert seen == {"layers": {"fc"}, **{name: {""} for name in others}}


def test_a_chart_that_is_asked_for_and_has_nothing_to_show_says_why(tmp_path: Path) -> None:
    squares, mine = [cell("a", 8, 1, flop_per_s=1e9)], [fc("a", flop_per_s=1e9)]
    with pytest.raises(ValueError, match="time has nothing to draw: made-up has only layers with"):
        drawn(mine, tmp_path, "time")
    with pytest.raises(
        ValueError, match="layers has nothing to draw: made-up has none with a name"
    ):
        drawn(squares, tmp_path, "layers")


def test_visits_to_a_layer_are_not_taken_for_those_to_a_square_of_its_shape() -> None:
    cells = [cell("a", 8, 1, flop_per_s=1e9), fc("a", flop_per_s=2e9)]
    run = made(cells)
    square = replace(run, cells=run.cells[run.cells["layer"] == ""])
    assert "half the visits to a lie within 1.0 % of its time" in said(draw(spread, square))
    assert "5 visits" in said(draw(spread, square))
