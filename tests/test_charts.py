"""What is drawn is what was measured, what is missing is named, and every word is readable."""

import itertools
import math
import os
import subprocess
import sys
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from bench import charts, store
from bench.charts import (
    _cells,
    _colours,
    _fit,
    _page,
    _words,
    batching,
    crossover,
    draw_all,
    machines,
    names,
    roofline,
    speedup,
    spread,
    throughput,
    time,
)
from bench.records import Cell

ROOT = Path(__file__).parents[1]
MACHINE: dict[str, Any] = {
    "cpu": {"model": "AMD EPYC 9R14 96-Core Processor"},
    "started": "2026-11-22T12:46:00Z",
    "commit": "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    "peaks": {"measured_flop_per_s": 2.3e11, "theoretical_flop_per_s": None},
}
NOTHING = {field.name: None for field in fields(Cell) if "None" in str(field.type)}


def cell(kernel: str, width: int, batch: int, **known: Any) -> Cell:
    """A cell of a made-up run; its rate and speed-up, where given, are known to 2 %."""
    row: dict[str, Any] = NOTHING | {
        "kernel": kernel,
        "kernel_hash": "0" * 12,
        "n_in": width,
        "n_units": width,
        "batch": batch,
        "precision": "float32",
        "activation": "relu",
        "device_index": 0,
        "device": "cpu",
        "threads": 2,
        "cache": "warm",
        "status": "ok",
        "reason": "",
        "visits": 5,
        "disturbed": 0,
        "flops": batch * width * (2 * width + 1),
        "bytes": 4,
        "speedup_basis": "measured" if "speedup" in known else "",
    }
    for number in ("flop_per_s", "speedup"):
        if number in known:
            row |= {f"{number}_low": known[number] * 0.98, f"{number}_high": known[number] * 1.02}
    if "flop_per_s" in known:
        row["time_s"] = row["flops"] / known["flop_per_s"]
    return Cell(**(row | known))


frame = store.table
LIGHT = _page.Sheet()


def made(cells: pd.DataFrame, machine: dict[str, Any]) -> charts.Run:
    """A made-up run: each cell's visits are five, a percent apart, the last one set aside."""
    visits = cells[cells["time_s"].notna()].loc[:, [*charts.CELL, "time_s"]].assign(key=0)
    five = pd.DataFrame({"pass": range(1, 6), "away": [0.98, 0.99, 1, 1.01, 1.3], "key": 0})
    visits = visits.merge(five, on="key")
    visits = visits.assign(seconds=visits["time_s"] * visits["away"], quiet=visits["pass"] < 5)
    return charts.Run("made-up", cells, machine, visits.drop(columns=["time_s", "away", "key"]))


def run(
    widths: tuple[int, ...] = (16, 64, 256, 1000, 2048, 4096),
    batches: tuple[int, ...] = (1, 32, 1024),
    more: tuple[str, ...] = (),
) -> list[Cell]:
    """A run like a laptop's: a flat loop that gets too slow, two NumPy kernels, no CuPy."""
    cells = []
    for batch, width in itertools.product(batches, widths):
        slow = batch * width**2 > 5e6
        basis = "predicted" if slow else "measured"
        rates = {
            "numpy_dot": 2e6 * width**0.9,
            "numpy_matmul": 2e11 / (1 + 900 / width + 30 / batch),
        }
        rates |= {kernel: 1e11 * 0.8**i for i, kernel in enumerate(more)}
        loop = (
            {"status": "skipped", "reason": "predicted to take 99 s"}
            if slow
            else {"flop_per_s": 35e6}
        )
        cells.append(
            cell("python_loop", width, batch, **loop, **({} if slow else {"speedup": 1.0}))
        )
        cells += [
            cell(kernel, width, batch, flop_per_s=r, speedup=r / 35e6, speedup_basis=basis)
            for kernel, r in rates.items()
        ]
        cells.append(cell("cupy_matmul", width, batch, status="unavailable", reason="no CuPy"))
    return cells


CHARTS = {
    name: import_module(f"bench.charts.{name}").draw for name in names() if name != "machines"
}
FORTY = tuple(f"kernel_{i}_with_a_name_of_forty_characters_"[:40] for i in range(9))
AWKWARD = {
    "as usual": run(),
    "seven batches": run((16, 32, 64, 512, 1000, 1024, 8192), tuple(4**i for i in range(7))),
    "five batches": run((16, 1000), (1, 2, 4, 8, 16), ("numba_loop",)),
    "forty characters": run((64, 1000, 4096), (1, 1024), FORTY[:2]),
    "many kernels": run((1000, 4096), (1,), FORTY + tuple(f"k{i}" for i in range(6))),
    "one cell": [cell("numpy_matmul", 64, 1, flop_per_s=3e9, speedup=90.0)],
    "equal kernels": [cell(k, 64, 1, flop_per_s=3e9, speedup=2.0) for k in ("a", "b", "c", "d")],
    "slower": [cell("a", 8, 1, flop_per_s=3e3, speedup=1e-4), cell("b", 8, 1, speedup=1.0)],
    "nothing ran": [cell(k, 64, b, status="error") for k in FORTY for b in (1, 2)],
    "no cells": [],
}


@cache
def drawn(chart: str, cells: str) -> Figure:
    """A chart of one of these frames, for tests that only look at it."""
    figure: Figure = CHARTS[chart](made(frame(AWKWARD[cells]), MACHINE), LIGHT)
    return figure


def words(figure: Figure) -> list[Text]:
    """The text that is seen, once everything is in its place."""
    with _page.applied():
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


def test_names_imports_nothing_heavy() -> None:
    code = (
        "import sys, bench.charts; print(*bench.charts.names());"
        "print({'matplotlib', 'pandas', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [" ".join(names()), "set()"]


def test_draw_all_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    cells = frame(run((64, 1000), (1,)))
    first = draw_all([made(cells, MACHINE)], [tmp_path / "a" / "b"])
    again = draw_all([made(cells, MACHINE)], [tmp_path / "c"])
    assert {p.name for p in first} == {f"{n}.{e}" for n in CHARTS for e in ("png", "svg")}
    for one, two in zip(first, again, strict=True):
        assert one.stat().st_size > 20_000
        assert one.read_bytes() == two.read_bytes(), one.name
    svg = (tmp_path / "c" / "speedup.svg").read_text()
    assert "<text" not in svg  # paths: right where the font is missing
    assert "<dc:date>" not in svg


def test_draw_all_draws_only_what_was_asked(tmp_path: Path) -> None:
    written = draw_all([made(frame([]), {})], [tmp_path], only=["speedup"], theme="dark")
    assert [path.name for path in written] == ["speedup-dark.png", "speedup-dark.svg"]


def test_an_unknown_chart_or_theme_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no chart named pie; there are batching, "):
        draw_all([made(frame([]), {})], [tmp_path], only=["speedup", "pie"])
    with pytest.raises(ValueError, match="no theme named neon; there are light, dark"):
        draw_all([made(frame([]), {})], [tmp_path], theme="neon")


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    throughput.draw(made(frame(run((64,), (1,))), MACHINE), LIGHT)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("name", AWKWARD)
def test_every_word_is_readable(chart: str, name: str) -> None:
    figure = drawn(chart, name)
    apart(figure)
    if name != "many kernels" and chart != "crossover":  # whose rows are too low for it
        assert all(float(text.get_fontsize()) >= 14 for text in words(figure))


def apart(figure: Figure) -> None:
    """Every text is whole, and none lies on another."""
    texts = words(figure)
    boxes = [text.get_window_extent().padded(-1) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (a, one), (b, two) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not one.overlaps(two), (a, b)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("theme", charts.THEMES)
@pytest.mark.parametrize("name", ["as usual", "forty characters"])
def test_every_word_is_readable_on_paper_and_in_both_themes(
    chart: str, theme: str, name: str
) -> None:
    sheet = _page.Sheet(theme, "paper")
    apart(CHARTS[chart](made(frame(AWKWARD[name]), MACHINE), sheet))


def test_throughput_shows_each_number_where_it_is() -> None:
    cells = AWKWARD["as usual"]
    figure = drawn("throughput", "as usual")
    expected: dict[tuple[int, str], dict[int, float]] = {}
    for c in cells:
        if c.status == "ok":
            panel = (1, 32, 1024).index(c.batch)
            expected.setdefault((panel, c.kernel), {})[c.n_units] = c.flop_per_s or 0
    found = points(figure)
    assert found.keys() == expected.keys()
    for line, numbers in expected.items():
        assert found[line] == pytest.approx(numbers)
    for axes in figure.axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert list(axes.get_xticks()) == [16, 64, 256, 1000, 2048, 4096]
        assert axes.get_ylim() == figure.axes[0].get_ylim()


def test_the_widths_are_said_on_one_line_or_two_never_on_a_staircase() -> None:
    cells = run((16, 64, 256, 1000, 2048, 4096), (1, 16, 128, 1024))
    texts = words(throughput.draw(made(frame(cells), MACHINE), LIGHT))
    for width in (16, 64, 256, 1000, 2048, 4096):
        assert sum(text.get_text() == str(width) for text in texts) == 4
    lines = {t.get_position()[1] for t in texts if t.get_text() in ("1000", "2048", "4096")}
    assert len(lines) == 2


def test_throughput_tells_how_near_the_ceiling_is() -> None:
    text = said(drawn("throughput", "as usual"))
    assert "One matmul reaches 70 % of this machine's ceiling; the Python loop 0.015 %" in text
    assert "Throughput of one dense layer, by width" in said(
        throughput.draw(made(frame(AWKWARD["as usual"]), {}), LIGHT)
    )


def test_throughput_draws_the_interval() -> None:
    at = cell("k", 64, 1, flop_per_s=4e9, flop_per_s_low=3e9, flop_per_s_high=6e9)
    (line,) = throughput.draw(made(frame([at]), {}), LIGHT).axes[0].containers
    assert isinstance(line, ErrorbarContainer)
    ((_, low), (_, high)) = line.lines[2][0].get_segments()[0]
    assert (low, high) == pytest.approx((3e9, 6e9))


def test_throughput_names_what_it_does_not_show() -> None:
    text = said(throughput.draw(made(frame(run((16, 1000, 4096), (1, 32, 1024))), MACHINE), LIGHT))
    assert "cupy_matmul: unavailable (all 9 cells)" in text
    assert (
        "python_loop: skipped (width 4096 at batch 1, from width 1000 at batch 32 and 1024)" in text
    )
    assert "measured matmul ceiling" in text


def test_batching_shows_the_share_of_its_best_that_a_kernel_reaches() -> None:
    rates = {1: 1e10, 32: 5e10, 1024: 1e11}
    cells = [cell("numpy_matmul", 1000, b, flop_per_s=r) for b, r in rates.items()]
    figure = batching.draw(
        made(frame([*cells, cell("numpy_matmul", 64, 1, flop_per_s=9e11)]), {}), LIGHT
    )
    assert points(figure) == {(0, "numpy_matmul"): pytest.approx({1: 10, 32: 50, 1024: 100})}
    assert "With one example at a time, one matmul reaches 10 % of its best" in said(figure)
    assert "Throughput by batch, 1000 units" in said(
        batching.draw(made(frame(cells[2:]), {}), LIGHT)
    )


def test_roofline_puts_a_cell_at_its_intensity_under_measured_and_predicted_roofs() -> None:
    machine = {"peaks": MACHINE["peaks"] | {"measured_bytes_per_s": 1e10}}
    machine["peaks"]["theoretical_flop_per_s"] = 3e11
    rates = {1: 1e9, 1024: 2e11}
    cells = [cell("k", 1000, b, flop_per_s=r, bytes=4_000_000) for b, r in rates.items()]
    figure = roofline.draw(made(frame(cells), machine), LIGHT)
    work = [c.flops / 4e6 for c in cells]
    (line,) = figure.axes[0].containers
    assert isinstance(line, ErrorbarContainer)
    assert np.asarray(line.lines[0].get_xdata(), float).tolist() == pytest.approx(work)
    assert "One example brings 0.5 FLOPs a byte; full speed takes 23" in said(figure)
    assert "measured ceiling" in said(figure)
    assert "predicted by the CPU's flags and clock" in said(figure)
    without = said(roofline.draw(made(frame(cells), {}), LIGHT))
    assert "Throughput by arithmetic intensity" in without
    assert "ceiling" not in without


def test_time_shows_both_times_and_the_slope_of_the_work() -> None:
    seconds = {64: 1e-6, 1000: 1e-5, 4096: 1e-3}
    cells = [
        cell("numpy_matmul", w, 1, time_s=s, latency_s=2 * s, flop_per_s=2 * w * w / s)
        for w, s in seconds.items()
    ]
    figure = time.draw(made(frame(cells), {}), LIGHT)
    assert points(figure) == {
        (0, "numpy_matmul"): pytest.approx(seconds),
        (1, "numpy_matmul"): pytest.approx({w: 2 * s for w, s in seconds.items()}),
    }
    text = said(figure)
    assert "4,100x the work takes one matmul 1,000x the time (one example)" in text
    assert "slope of the work, width squared" in text


def test_spread_shows_every_visit_the_disturbed_ones_hollow() -> None:
    cells = [cell("numpy_matmul", 1000, 1, flop_per_s=1e9)]
    figure = spread.draw(made(frame(cells), {}), LIGHT)
    full, hollow = (line for line in figure.axes[0].lines if line.get_marker() == "D")
    assert np.asarray(full.get_xdata(), float) == pytest.approx([-0.02, -0.01, 0, 0.01], abs=1e-9)
    assert np.asarray(hollow.get_xdata(), float) == pytest.approx([0.3])
    assert hollow.get_markerfacecolor() == _colours.THEMES["light"].paper
    assert "1 of 5 visits to one matmul was disturbed and set aside" in said(figure)
    bare = charts.Run("a", frame(cells), {})
    assert "have no visit to show" in said(spread.draw(bare, LIGHT))


def gpu_run() -> list[Cell]:
    """Made up: there is no GPU here. It wins from 256 units, with transfers from 1000."""
    cells = []
    for width, (cpu, gpu, whole) in {
        64: (1e-6, 9e-6, 5e-5),
        256: (2e-5, 1e-5, 6e-5),
        1000: (3e-4, 2e-5, 9e-5),
    }.items():
        known = {"time_low_s": cpu * 0.99, "time_high_s": cpu * 1.01}
        cells.append(cell("numpy_matmul", width, 1, time_s=cpu, **known, end_to_end_s=cpu))
        known = {"time_low_s": gpu * 0.99, "time_high_s": gpu * 1.01}
        there = {"device": "cuda:0 made up", "end_to_end_s": whole}
        cells.append(cell("cupy_matmul", width, 1, time_s=gpu, **known, **there))
    return cells


def test_crossover_tells_where_a_gpu_starts_to_win_with_and_without_transfers() -> None:
    text = said(crossover.draw(made(frame(gpu_run()), {}), LIGHT))
    assert "The GPU wins from 256 units at batch 1; with transfers from 1000 units" in text
    assert "with transfers" in text
    assert "3.33x?" in text  # no interval with transfers


def test_crossover_calls_no_winner_where_intervals_meet() -> None:
    times = {"a": 1.00e-3, "b": 1.01e-3}
    cells = [
        cell(k, 64, 1, time_s=t, time_low_s=t * 0.98, time_high_s=t * 1.02)
        for k, t in times.items()
    ]
    text = said(crossover.draw(made(frame(cells), {}), LIGHT))
    assert "no difference" in text
    assert "The fastest kernel by width and batch" in text


def test_machines_compares_runs_at_the_largest_batch_that_all_have() -> None:
    slow = [cell("numpy_matmul", w, 1, flop_per_s=1e9) for w in (64, 1000)]
    fast = [cell("numpy_matmul", w, b, flop_per_s=2e10) for w in (64, 1000) for b in (1, 32)]
    runs = [
        charts.Run(name, frame(cells), MACHINE)
        for name, cells in {"laptop": slow, "a box with a name of forty characters..": fast}.items()
    ]
    figure = machines.compare(runs, LIGHT)
    assert points(figure) == {
        (0, "numpy_matmul"): pytest.approx({64: 1e9, 1000: 1e9}),
        (1, "numpy_matmul"): pytest.approx({64: 2e10, 1000: 2e10}),
    }
    assert "does 20.0x what laptop does" in said(figure)
    apart(figure)


@pytest.mark.parametrize("status", ["wrong", "impossible"])
def test_a_void_cell_reaches_no_chart(status: str) -> None:
    bad = cell("quick", 64, 1, status=status, flop_per_s=9e15, speedup=9e9)
    cells = frame([bad, cell("good", 64, 1, flop_per_s=1e9, speedup=30.0)])
    assert points(throughput.draw(made(cells, {}), LIGHT)) == {(0, "good"): {64: 1e9}}
    for draw in CHARTS.values():
        assert f"quick: {status} (its only cell)" in said(draw(made(cells, {}), LIGHT))


def test_a_crash_keeps_the_numbers_of_its_good_visits() -> None:
    cells = frame([cell("k", 64, 1, status="crashed", reason="signal 9", flop_per_s=1e9)])
    assert points(throughput.draw(made(cells, {}), LIGHT)) == {(0, "k"): {64: 1e9}}


def test_a_line_is_broken_where_a_width_failed() -> None:
    cells = [cell("k", w, 1, flop_per_s=1e9) for w in (16, 256)]
    cells += [cell("k", 64, 1, status="error"), cell("other", 64, 1, flop_per_s=1e9)]
    figure = throughput.draw(made(frame(cells), {}), LIGHT)
    (line,) = [c for c in figure.axes[0].containers if c.get_label() == "k"]
    assert isinstance(line, ErrorbarContainer)
    assert np.isnan(np.asarray(line.lines[0].get_ydata(), float)).tolist() == [False, True, False]


def test_more_batches_than_panels_are_spread_and_counted() -> None:
    figure = drawn("throughput", "seven batches")
    titles = [t.get_text() for t in words(figure) if t.get_text().startswith("batch")]
    assert titles == [f"batch {4**i}" for i in (0, 1, 2, 4, 5, 6)]
    assert "6 of 7 batches" in said(figure)


def test_one_of_each_is_drawn_and_said() -> None:
    cells = [
        cell("k", 64, 1, flop_per_s=1e9),
        cell("k", 64, 1, flop_per_s=2e9, cache="cold"),
        cell("k", 64, 1, flop_per_s=3e9, n_in=784),
        cell("k", 256, 1, flop_per_s=4e9),
        cell("k", 64, 1, flop_per_s=5e9, precision="float64"),
    ]
    figure = throughput.draw(made(frame(cells), {}), LIGHT)
    assert points(figure) == {(0, "k"): {64: 1e9, 256: 4e9}}
    assert "float32 only · relu · warm caches only · square layers only" in said(figure)
    cold = [cell("k", 64, 1, flop_per_s=2e9, cache="cold", n_in=784)]
    assert "cold caches · 784 inputs" in said(throughput.draw(made(frame(cold), {}), LIGHT))


def test_speedup_tells_what_one_matmul_is() -> None:
    text = said(drawn("speedup", "as usual"))
    assert "1000 units, one example: one matmul is 179x the Python loop" in text
    assert "one example (batch 1)" in text
    assert "batch 1024" in text
    assert "176x to 183x" in text
    assert text.count("predicted loop") == 3  # the two kernels and the baseline, at batch 1024
    assert "cupy_matmul: unavailable (all 2 cells)" in text
    assert (
        "AMD EPYC 9R14 96-Core Processor · 2 threads · float32 · 2026-11-22 · commit a1b2c3d"
        " · 5 visits a cell" in text
    )


def test_speedup_bars_are_log_and_begin_at_one() -> None:
    figure = speedup.draw(
        made(frame([cell("numpy_dot", 1000, 1, flop_per_s=1e9, speedup=30.0)]), {}), LIGHT
    )
    (axes,) = figure.axes
    (bar,) = axes.patches
    assert isinstance(bar, Rectangle)
    x, width = bar.get_x(), bar.get_width()
    assert axes.get_xscale() == "log"
    assert (x, x + width) == pytest.approx((1, 30))
    assert not bar.get_hatch()


def test_an_interval_that_holds_one_is_no_speedup() -> None:
    level = cell("numpy_matmul", 1000, 1, speedup=1.03, speedup_low=0.97, speedup_high=1.09)
    text = said(speedup.draw(made(frame([level]), {}), LIGHT))
    assert "no measurable difference" in text
    assert "1.03x" not in text
    assert "Speed-up over the Python loop, 1000 units" in text
    alone = cell("numpy_matmul", 1000, 1, speedup=9.0, speedup_low=None, speedup_high=None)
    text = said(speedup.draw(made(frame([alone]), {}), LIGHT))
    assert "9.00x no interval" in text
    assert "Speed-up over" in text


@pytest.mark.parametrize(
    ("widths", "expected"),
    [((16, 1000, 4096), 1000), ((16, 64, 4096), 64), ((4096, 8192), 8192), ((64, 1000), 64)],
)
def test_the_headline_width(widths: tuple[int, ...], expected: int) -> None:
    cells = [cell("k", w, 1, **({"speedup": 9.0} if w == 64 else {})) for w in widths]
    assert speedup.headline_width(_cells.choose(frame(cells), "speedup").cells) == expected


def test_a_run_without_a_number_says_so() -> None:
    for chart in CHARTS:
        text = said(drawn(chart, "nothing ran"))
        assert "no cell has a number" in text
        assert "kernel_0_with_a_name_of_forty_characters: error (all 2 cells)" in text


def test_a_run_without_a_loop_says_so() -> None:
    text = said(speedup.draw(made(frame([cell("numpy_dot", 1000, 1, flop_per_s=1e9)]), {}), LIGHT))
    assert "numpy_dot: no loop to compare with (its only cell)" in text
    assert "no cell has a number" not in text


def test_a_kernel_looks_the_same_in_any_company() -> None:
    def colour(cells: list[Cell]) -> object:
        figure = throughput.draw(made(frame(cells), {}), LIGHT)
        (line,) = [c for c in figure.axes[0].containers if c.get_label() == "mine"]
        assert isinstance(line, ErrorbarContainer)
        return line.lines[0].get_color()

    mine = cell("mine", 64, 1, flop_per_s=1e9)
    others = [cell(k, 64, 1, flop_per_s=2e9) for k in ("a", "numpy_dot", "z")]
    assert colour([mine]) == colour([*others, mine]) == _colours.THEMES["light"].line("mine")
    assert _colours.look("mine") == _colours.Look("#CC79A7", "8", (0, (5, 2)))  # in any process


def test_the_usual_kernels_stay_apart_for_colour_blind_eyes() -> None:
    # Machado, Oliveira & Fernandes 2009: linear RGB as each kind of eye sees it.
    eyes = {
        "usual": np.eye(3),
        "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    }

    def lab(rgb: Any) -> Any:
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        x, y, z = np.cbrt(to_xyz @ rgb / np.array([0.9505, 1, 1.089]))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    usual = ("python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul")
    linear = {k: np.array(to_rgb(_colours.look(k).colour)) ** 2.2 for k in usual}
    for (name, eye), (a, b) in itertools.product(eyes.items(), itertools.combinations(usual, 2)):
        seen = [lab(np.clip(np.asarray(eye) @ linear[k], 0, 1)) for k in (a, b)]
        assert np.linalg.norm(seen[0] - seen[1]) > 15, (name, a, b)
        assert _colours.look(a).marker != _colours.look(b).marker


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


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", charts.THEMES)
def test_text_has_contrast_enough_in_both_themes(theme: str) -> None:
    colours = _colours.THEMES[theme]
    kernels = [*_colours._LOOKS, *(f"kernel_{i}" for i in range(200))]
    texts = {colours.ink, colours.muted, *(colours.text(kernel) for kernel in kernels)}
    for text in texts:
        dim, bright = sorted(luminance(colour) for colour in (text, colours.paper))
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, text


BASELINE = ROOT / "tests" / "baseline"
TOLERANCE = 6.0  # of 255, in the mean of a block of 8 x 8 pixels


def small(figure: Figure) -> Image.Image:
    with _page.applied():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        whole = Image.fromarray(np.asarray(canvas.buffer_rgba()))  # type: ignore[no-untyped-call]
    return whole.convert("L").resize((480, 272), Image.Resampling.BOX)


def distance(one: Image.Image, two: Image.Image) -> float:
    """The mean difference in the block of pixels that differs most."""
    difference = np.abs(np.asarray(one, float) - np.asarray(two, float))
    return float(difference.reshape(34, 8, 60, 8).mean(axis=(1, 3)).max())


@cache
def reference() -> charts.Run:
    return charts.read(ROOT / "results" / "reference")


@pytest.mark.parametrize("chart", CHARTS)
def test_the_reference_run_looks_as_it_did(chart: str) -> None:
    path = BASELINE / f"{chart}.png"
    picture = small(CHARTS[chart](reference(), LIGHT))
    if os.environ.get("RENEW"):
        BASELINE.mkdir(exist_ok=True)
        picture.quantize(32).save(path, optimize=True)
    with Image.open(path) as kept:
        assert distance(picture, kept.convert("L")) < TOLERANCE


def test_a_label_that_moved_is_seen() -> None:
    figure = batching.draw(reference(), LIGHT)
    before = small(figure)
    (label,) = (text for text in words(figure) if text.get_text() == "numpy_dot")
    x, y = label.get_position()
    label.set_position((x + 0.08, y))
    assert distance(before, small(figure)) > TOLERANCE


def test_a_dark_pdf_on_paper_stands_beside_the_usual_chart(tmp_path: Path) -> None:
    run = made(frame(AWKWARD["one cell"]), MACHINE)
    outs = [tmp_path / "a", tmp_path / "b"]
    one, two = (draw_all([run], [out], ["batching"], "dark", "paper", ["pdf"])[0] for out in outs)
    assert one.name == "batching-dark-paper.pdf"
    assert one.read_bytes() == two.read_bytes()


def test_charts_that_compare_want_several_runs(tmp_path: Path) -> None:
    run = made(frame(AWKWARD["one cell"]), MACHINE)
    outs = [tmp_path / "a", tmp_path / "b"]
    assert draw_all([run], outs[:1], ["machines"]) == []
    (path,) = draw_all([run, run], outs, ["machines"], formats=["png"])
    assert path == tmp_path / "a" / "machines.png"
