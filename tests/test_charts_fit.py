"""Whatever the run, every word on a chart can be read: none is cut, none lies on another."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_up import GPU, GPU_MACHINE, MACHINE, cell, gpu_box, laptop, made
from pictures import CHARTS, LIGHT, faults, words

from bench import charts
from bench.charts import _fit, _page, _words, machines
from bench.records import STATUSES, Cell

FORTY = tuple(f"kernel_{i}_with_a_name_of_forty_characters_"[:40] for i in range(9))
AWKWARD = {
    "as usual": laptop(),
    "a GPU": gpu_box(),
    "seven batches": laptop((16, 32, 64, 512, 1000, 1024, 8192), tuple(4**i for i in range(7))),
    "five batches": laptop((16, 1000), (1, 2, 4, 8, 16), ("numba_loop",)),
    "forty characters": laptop((64, 1000, 4096), (1, 1024), FORTY[:2]),
    "many kernels": laptop((1000, 4096), (1, 64), FORTY + tuple(f"k{i}" for i in range(21))),
    "one cell": [cell("numpy_matmul", 64, 1, flop_per_s=3e9, speedup=90.0)],
    "equal kernels": [cell(k, 64, 1, flop_per_s=3e9, speedup=2.0) for k in ("a", "b", "c", "d")],
    "slower": [cell("a", 8, 1, flop_per_s=3e3, speedup=1e-4), cell("b", 8, 1, speedup=1.0)],
    "nothing ran": [cell(k, 64, b, status="error") for k in FORTY for b in (1, 2)],
    "no cells": [],
}
SHEETS = [_page.Sheet(theme, size) for theme in charts.THEMES for size in charts.SIZES]


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("name", AWKWARD)
def test_every_word_is_readable(chart: str, name: str) -> None:
    sheet = SHEETS[list(AWKWARD).index(name) % len(SHEETS)]
    figure = CHARTS[chart](made(AWKWARD[name], GPU_MACHINE), sheet)
    assert faults(figure) == []
    if name != "many kernels" and chart not in ("crossover", "speedup"):  # whose rows may be low
        assert all(float(text.get_fontsize()) >= 14 for text in words(figure))


def a_run(seed: int, kernels: int, widths: int, batches: int, decades: int) -> list[Cell]:
    """Cells of any kind, each number and its interval there or not."""
    draw = random.Random(seed)
    known = ["python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul", *FORTY]
    named = draw.sample(known + [f"k{i}" for i in range(20)], kernels)
    sizes = sorted(draw.sample(range(1, 20_000), widths))
    cells = []
    for kernel, width, batch in itertools.product(
        named, sizes, sorted(draw.sample(range(1, 5000), batches))
    ):
        row: dict[str, Any] = {"status": draw.choice(STATUSES)}
        if draw.random() < 0.8:
            rate = 10 ** draw.uniform(3, 3 + decades)
            row = {"flop_per_s": rate, "speedup": rate / 1e6}
            row["speedup_basis"] = draw.choice(["measured", "predicted"])
            if draw.random() < 0.2:
                gone = ("time_{}_s", "flop_per_s_{}", "speedup_{}")
                row |= {name.format(side): None for name in gone for side in ("low", "high")}
            row |= {n: 10 ** draw.uniform(-7, 1) for n in ("latency_s", "end_to_end_s")}
        if kernel.startswith(("cupy", "k1")):
            row["device"] = GPU
        cells.append(cell(kernel, width, batch, **row))
    return cells


RUNS = st.builds(
    a_run,
    seed=st.integers(0, 2**32),
    kernels=st.sampled_from([1, 2, 5, 30]),
    widths=st.sampled_from([1, 2, 6]),
    batches=st.sampled_from([1, 2, 4]),
    decades=st.sampled_from([0, 2, 9]),
)


@pytest.mark.parametrize("chart", [*CHARTS, "machines"])
@settings(derandomize=True, max_examples=8, deadline=None, phases=[Phase.generate])
@given(cells=RUNS, sheet=st.sampled_from(SHEETS))
def test_every_word_of_any_run_is_readable(
    chart: str, cells: list[Cell], sheet: _page.Sheet
) -> None:
    run = made(cells, GPU_MACHINE)
    if chart == "machines":
        assert faults(machines.compare([run, made(AWKWARD["as usual"]), run], sheet)) == []
    else:
        assert faults(CHARTS[chart](run, sheet)) == []


def test_words_that_are_cut_or_overlap_are_found() -> None:
    figure = CHARTS["batching"](made(laptop(), MACHINE), LIGHT)
    assert faults(figure) == []
    one, two = (text for text in words(figure) if text.get_text() in ("numpy_dot", "numpy_matmul"))
    two.set_position(one.get_position())
    (fault,) = faults(figure)
    assert fault.startswith("overlap: Text")
    two.set_position((-0.1, 3.0))
    assert [fault[:4] for fault in faults(figure)][:1] == ["cut:"]


def test_long_names_are_shortened_and_broken() -> None:
    assert _words.name_of("a" * 99).count("a") == 39
    assert _words.broken("numpy_matmul") == "numpy_matmul"
    lines = _words.broken("a_kernel_with_a_name_of_forty_characters").split("\n")
    assert "".join(lines) == "a_kernel_with_a_name_of_forty_characters"
    assert max(map(len, lines)) <= 24


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 0.5)), min_size=1, max_size=12))
def test_labels_keep_apart_inside_and_in_order(labels: list[tuple[float, float]]) -> None:
    wanted, heights = zip(*labels, strict=True)
    placed = _fit.apart(wanted, heights, 0, 10)
    order = sorted(range(len(placed)), key=lambda i: (wanted[i], placed[i]))
    edges = [e for i in order for e in (placed[i] - heights[i] / 2, placed[i] + heights[i] / 2)]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise([0, *edges, 10]))


def test_a_label_with_room_stays_where_it_is_wanted() -> None:
    assert _fit.apart([5, 1, 5.2], [1, 1, 1], 0, 10) == pytest.approx([4.6, 1, 5.6])


@settings(max_examples=50)
@given(st.floats(-12, 12), st.floats(0.5, 12), st.integers(2, 8))
def test_log_ticks_are_few_and_inside(start: float, decades: float, most: int) -> None:
    low, high = 10**start, 10 ** (start + decades)
    ticks = _fit.log_ticks(low, high, most)
    assert 1 <= len(ticks) <= most
    assert low * 0.999 <= ticks[0] <= ticks[-1] <= high * 1.001
