"""Whatever the run, every word on a chart can be read: none is cut, none lies on another."""

import itertools

import pytest
from awkward import AWKWARD, RUNS, SHEETS
from campaign import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_up import GPU_MACHINE, MACHINE, WITH_LEVELS, laptop, made
from msgspec import structs
from pictures import CHARTS, draw, faults, words

from bench.data.records import CellRow
from bench.show.charts import fit, pen
from bench.show.charts.page import Sheet
from bench.show.pictures import machines
from bench.show.pictures.parts import ticks
from bench.show.pictures.parts import words as wording


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("name", AWKWARD)
def test_every_word_is_readable(chart: str, name: str) -> None:
    sheet = SHEETS[list(AWKWARD).index(name) % len(SHEETS)]
    figure = draw(CHARTS[chart], made(AWKWARD[name], GPU_MACHINE), sheet)
    assert faults(figure) == []
    if name != "many kernels" and chart not in ("crossover", "speedup"):  # whose rows may be low
        assert all(float(text.get_fontsize()) >= 14 for text in words(figure))


@pytest.mark.parametrize("chart", ["roofline", "throughput"])
@pytest.mark.parametrize("name", ["as usual", "a GPU", "forty characters", "many kernels"])
def test_every_roof_is_named_readably(chart: str, name: str) -> None:
    machine = structs.replace(GPU_MACHINE, peaks=WITH_LEVELS.peaks)
    sheet = SHEETS[len(name) % len(SHEETS)]
    assert faults(draw(CHARTS[chart], made(AWKWARD[name], machine), sheet)) == []


@pytest.mark.parametrize("chart", [*CHARTS, "machines"])
@settings(derandomize=True, max_examples=examples(2, 7), deadline=None, phases=[Phase.generate])
@given(cells=RUNS, sheet=st.sampled_from(SHEETS))
def test_every_word_of_any_run_is_readable(chart: str, cells: list[CellRow], sheet: Sheet) -> None:
    run = made(cells, GPU_MACHINE)
    if chart == "machines":
        picture = machines.compare([run, made(AWKWARD["as usual"]), run])
        assert faults(pen.draw(picture, sheet)) == []
    else:
        assert faults(draw(CHARTS[chart], run, sheet)) == []


def test_words_that_are_cut_or_overlap_are_found() -> None:
    figure = draw(CHARTS["batching"], made(laptop(), MACHINE))
    assert faults(figure) == []
    one, two = (text for text in words(figure) if text.get_text() in ("numpy_dot", "numpy_matmul"))
    two.set_position(one.get_position())
    (fault,) = faults(figure)
    assert fault.startswith("overlap: Text")
    two.set_position((-0.1, 3.0))
    assert [fault[:4] for fault in faults(figure)][:1] == ["cut:"]


def test_long_names_are_shortened_and_broken() -> None:
    assert wording.name_of("a" * 99).count("a") == 39
    assert wording.broken("numpy_matmul") == "numpy_matmul"
    lines = wording.broken("a_kernel_with_a_name_of_forty_characters").split("\n")
    assert "".join(lines) == "a_kernel_with_a_name_of_forty_characters"
    assert max(map(len, lines)) <= 24


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 0.5)), min_size=1, max_size=12))
def test_labels_keep_apart_inside_and_in_order(labels: list[tuple[float, float]]) -> None:
    wanted, heights = zip(*labels, strict=True)
    placed = fit.apart(wanted, heights, 0, 10)
    order = sorted(range(len(placed)), key=lambda i: (wanted[i], placed[i]))
    edges = [e for i in order for e in (placed[i] - heights[i] / 2, placed[i] + heights[i] / 2)]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise([0, *edges, 10]))


def test_a_label_with_room_stays_where_it_is_wanted() -> None:
    assert fit.apart([5, 1, 5.2], [1, 1, 1], 0, 10) == pytest.approx([4.6, 1, 5.6])


@settings(max_examples=50)
@given(st.floats(-12, 12), st.floats(0.5, 12), st.integers(2, 8))
def test_log_ticks_are_few_and_inside(start: float, decades: float, most: int) -> None:
    low, high = 10**start, 10 ** (start + decades)
    places = ticks.log_ticks(low, high, most)
    assert 1 <= len(places) <= most
    assert low * 0.999 <= places[0] <= places[-1] <= high * 1.001
