"""What is drawn is what was measured, what is missing is named, and every word is readable."""

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import GPU, GPU_MACHINE, MACHINE, UNKNOWN, WITH_LEVELS, cell, gpu_box, laptop, made
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from msgspec import structs
from pictures import CHARTS, LIGHT, draw, faults, points, said, words

from bench import ROOT
from bench.data import store
from bench.data.machine import Machine, Peaks
from bench.data.records import CellRow
from bench.show import charts
from bench.show.charts import draw_all, names, page, pen
from bench.show.pictures import (
    batching,
    crossover,
    machines,
    roofline,
    speedup,
    spread,
    throughput,
    time,
)
from bench.show.pictures.parts import cells as choosing
from bench.show.pictures.parts import footer, looks


@cache
def drawn(chart: str) -> Figure:
    """A chart of the usual run, for tests that only look at it."""
    return draw(CHARTS[chart], made(laptop(), MACHINE))


def test_names_imports_nothing_heavy() -> None:
    code = (
        "import sys, bench.show.charts; print(*bench.show.charts.names());"
        "print({'matplotlib', 'pandas', 'numpy'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [" ".join(names()), "set()"]


def test_draw_all_writes_the_same_bytes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "DPI", 24)  # the same in a tenth of the time
    run = made(laptop((64, 1000), (1,)))
    first = draw_all([run], [tmp_path / "a" / "b"])
    again = draw_all([run], [tmp_path / "c"])
    drawn = {*CHARTS, "instructions"}
    assert {p.name for p in first} == {f"{n}.{e}" for n in drawn for e in ("png", "svg")}
    for one, two in zip(first, again, strict=True):
        assert one.stat().st_size > 1000
        assert one.read_bytes() == two.read_bytes(), one.name
    svg = (tmp_path / "c" / "speedup.svg").read_text()
    assert "<text" not in svg  # paths: right where the font is missing
    assert "<dc:date>" not in svg


def test_draw_all_draws_only_what_was_asked(tmp_path: Path) -> None:
    written = draw_all([made([], UNKNOWN)], [tmp_path], only=["speedup"], theme="dark")
    assert [path.name for path in written] == ["speedup-dark.png", "speedup-dark.svg"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"only": ["speedup", "pie"]}, "no chart named pie; there are batching, crossover, "),
        ({"theme": "neon"}, "no theme named neon; there are light, dark"),
        ({"size": "poster"}, "no size named poster; there are slide, paper"),
        ({"formats": ["jpg"]}, "no format named jpg; there are png, svg, pdf"),
        ({"only": ["machines"]}, "machines shows several runs side by side: give two or more"),
    ],
)
def test_what_cannot_be_drawn_is_named(tmp_path: Path, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        draw_all([made([], UNKNOWN)], [tmp_path], **asked)


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw(throughput, made(laptop((64,), (1,)), MACHINE))
    assert dict(mpl.rcParams) == before


def test_throughput_shows_each_number_where_it_is() -> None:
    cells = laptop()
    figure = drawn("throughput")
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
    cells = laptop((16, 64, 256, 1000, 2048, 4096), (1, 16, 128, 1024))
    texts = words(draw(throughput, made(cells, MACHINE)))
    for width in (16, 64, 256, 1000, 2048, 4096):
        assert sum(text.get_text() == str(width) for text in texts) == 4
    lines = {t.get_position()[1] for t in texts if t.get_text() in ("1000", "2048", "4096")}
    assert len(lines) == 2


def test_throughput_tells_how_near_the_ceiling_is() -> None:
    text = said(drawn("throughput"))
    assert "One matmul reaches 70 % of NumPy's best product; the Python loop 0.015 %" in text
    assert "Throughput of one dense layer, by width" in said(
        draw(throughput, made(laptop(), UNKNOWN))
    )


def test_throughput_draws_the_interval() -> None:
    at = cell("k", 64, 1, flop_per_s=4e9, flop_per_s_low=3e9, flop_per_s_high=6e9)
    (line,) = draw(throughput, made([at], UNKNOWN)).axes[0].containers
    assert isinstance(line, ErrorbarContainer)
    ((_, low), (_, high)) = line.lines[2][0].get_segments()[0]
    assert (low, high) == pytest.approx((3e9, 6e9))


def test_throughput_names_what_it_does_not_show() -> None:
    text = said(draw(throughput, made(laptop((16, 1000, 4096), (1, 32, 1024)), MACHINE)))
    assert "cupy_matmul: unavailable (all 9 cells)" in text
    assert (
        "python_loop: skipped (width 4096 at batch 1, from width 1000 at batch 32 and 1024)" in text
    )
    assert "NumPy's best product here" in text


def test_batching_shows_the_share_of_its_best_that_a_kernel_reaches() -> None:
    rates = {1: 1e10, 32: 5e10, 1024: 1e11}
    cells = [cell("numpy_matmul", 1000, b, flop_per_s=r) for b, r in rates.items()]
    figure = draw(batching, made([*cells, cell("numpy_matmul", 64, 1, flop_per_s=9e11)], UNKNOWN))
    assert points(figure) == {(0, "numpy_matmul"): pytest.approx({1: 10, 32: 50, 1024: 100})}
    assert "With one example at a time, one matmul reaches 10 % of its best" in said(figure)
    assert "Throughput by batch, 1000 units" in said(draw(batching, made(cells[2:], UNKNOWN)))


def test_roofline_puts_a_cell_at_its_intensity_under_measured_and_predicted_roofs() -> None:
    machine = Machine(peaks=Peaks("float32", 2.3e11, 1e10, 3e11))
    rates = {1: 1e9, 1024: 2e11}
    cells = [cell("k", 1000, b, flop_per_s=r, bytes=4_000_000) for b, r in rates.items()]
    figure = draw(roofline, made(cells, machine))
    work = [c.flops / 4e6 for c in cells]
    (line,) = figure.axes[0].containers
    assert isinstance(line, ErrorbarContainer)
    assert np.asarray(line.lines[0].get_xdata(), float).tolist() == pytest.approx(work)
    assert "One example brings 0.5 FLOPs a byte; full speed takes 23" in said(figure)
    assert "NumPy's best product here" in said(figure)
    assert "predicted by the CPU's flags and clock" in said(figure)
    without = said(draw(roofline, made(cells, UNKNOWN)))
    assert "Throughput by arithmetic intensity" in without
    assert "NumPy's best product here" not in without
    assert "ceiling of CPU: not measured" in without


def test_roofline_has_a_roof_a_level_where_they_were_measured() -> None:
    cells = [cell("k", 1000, b, flop_per_s=r, bytes=4_000_000) for b, r in ((1, 1e10), (64, 1e11))]
    run = made(cells, WITH_LEVELS)
    shown = pd.DataFrame(
        {"intensity": [0.5, 32.0], "device": "cpu", "precision": "float32", "batch": [1, 64]}
    )
    roofs = {guide.text: guide for guide in roofline.roofs(run.machine, shown)}
    most, low, high = 2.5e11, 0.5 / 1.15, 32 * 1.15
    assert list(roofs) == [
        "the CPU's peak\nhere",
        "L1: 470 GB/s",
        "L2: 240 GB/s",
        "L3: 200 GB/s",
        "NumPy's best\nproduct here",
    ]
    # memory's own, at the larger of what it reads and copies, then all that the registers do
    assert list(roofs["the CPU's peak\nhere"].x) == pytest.approx([low, 5, high])
    assert list(roofs["the CPU's peak\nhere"].y) == pytest.approx([low * 5e10, most, most])
    assert list(roofs["L1: 470 GB/s"].x) == pytest.approx([low, most / 4.7e11])
    assert list(roofs["L1: 470 GB/s"].y) == pytest.approx([low * 4.7e11, most])
    assert list(roofs["NumPy's best\nproduct here"].y) == [2.3e11, 2.3e11]
    words = said(draw(roofline, run))
    assert "predicted by the CPU's flags" not in words
    assert "full speed takes 5" in words
    right = shown.assign(intensity=shown["intensity"] * 10)  # where L1 is nowhere the limit
    assert "L1: 470 GB/s" not in {guide.text for guide in roofline.roofs(run.machine, right)}


def test_a_smaller_precisions_roof_names_the_instruction() -> None:
    cells = [
        cell(kernel, 1000, 64, flop_per_s=r, bytes=4_000_000, precision="bfloat16")
        for kernel, r in (("k", 1e10), ("numpy_matmul", 1e11))
    ]
    peaks = structs.replace(
        WITH_LEVELS.peaks or Peaks("", None, None, None),
        precision="bfloat16",
        measured_flop_per_s=None,
        theoretical_flop_per_s=6e11,
        registers_flop_per_s=5e11,
        registers_by="vdpbf16ps",
    )
    run = made(cells, structs.replace(WITH_LEVELS, peaks=peaks))
    assert "the CPU's peak here (vdpbf16ps)" in said(draw(roofline, run))
    words = said(draw(throughput, run))
    assert "the CPU's peak here (vdpbf16ps)" in words
    assert "of the CPU's peak" in words
    assert "NumPy's" not in words


def test_without_a_roof_of_arithmetic_the_memorys_are_drawn_and_it_is_said_why() -> None:
    cells = [
        cell("k", 1000, b, flop_per_s=r, bytes=4_000_000, precision="int8")
        for b, r in ((1, 1e10), (64, 1e11))
    ]
    peaks = structs.replace(
        WITH_LEVELS.peaks or Peaks("", None, None, None),
        precision="int8",
        measured_flop_per_s=None,
        lacking="this CPU has AMX",
        registers_flop_per_s=None,
    )
    run = made(cells, structs.replace(WITH_LEVELS, peaks=peaks))
    words = said(draw(roofline, run))
    assert "ceiling of CPU: not measured (this CPU has AMX)" in words
    assert "peak here" not in words
    shown = run.cells.assign(intensity=[0.5, 32.0])
    roofs = {guide.text: guide for guide in roofline.roofs(run.machine, shown)}
    assert list(roofs) == ["L3: 200 GB/s", "memory: 50.0 GB/s"]  # the others are nowhere lower
    # each to where it is as high as the highest point
    assert [max(guide.y) for guide in roofs.values()] == pytest.approx([1e11] * 2)
    assert max(roofs["memory: 50.0 GB/s"].x) == pytest.approx(2)


def test_what_numba_would_have_measured_is_said_to_lack() -> None:
    peaks = Peaks("float32", 2.3e11, 1e10, 3e11, lacking="numba is not installed: make setup")
    cells = [cell("k", 1000, 1, flop_per_s=1e10)]
    words = said(draw(roofline, made(cells, Machine(peaks=peaks))))
    assert "multiply-adds and memory's levels of CPU: not measured (numba is not installed" in words
    assert "predicted by the CPU's flags and clock" in words


def test_throughput_has_the_multiply_adds_above_numpys_best_product() -> None:
    words = said(draw(throughput, made(laptop(), WITH_LEVELS)))
    assert "the CPU's peak here" in words
    assert "NumPy's best product here" in words
    assert "of the CPU's peak" in words


def test_time_shows_both_times_and_the_slope_of_the_work() -> None:
    seconds = {64: 1e-6, 1000: 1e-5, 4096: 1e-3}
    cells = [
        cell("numpy_matmul", w, 1, time_s=s, latency_s=2 * s, flop_per_s=2 * w * w / s)
        for w, s in seconds.items()
    ]
    figure = draw(time, made(cells, UNKNOWN))
    assert points(figure) == {
        (0, "numpy_matmul"): pytest.approx({w: 2 * s for w, s in seconds.items()}),
        (1, "numpy_matmul"): pytest.approx(seconds),
    }
    text = said(figure)
    assert "One matmul does 4,100x the work in 1,000x the time (one example)" in text
    assert "slope of the work, width squared" in text


def test_spread_shows_every_visit_as_found_it_is_hollow() -> None:
    cells = [cell("numpy_matmul", 1000, 1, flop_per_s=1e9)]
    figure = draw(spread, made(cells, UNKNOWN))
    hollow, full = (line for line in figure.axes[0].lines if line.get_marker() == "D")
    away = [-0.02, -0.01, 0, 0.01, 0.3]
    assert np.asarray(full.get_xdata(), float) == pytest.approx(away, abs=1e-9)
    found = [-0.02, -0.01, 0, 0.212, 0.95]
    assert np.asarray(hollow.get_xdata(), float) == pytest.approx(found, abs=1e-9)
    assert hollow.get_markerfacecolor() == looks.THEMES["light"].paper
    words = "Adjusted, half the visits to one matmul lie within 1.0 % of its time; as found, 2.0 %"
    assert words in said(figure)
    assert "5 visits" in said(figure)
    assert "hollow: as found" in said(figure)
    bare = charts.Run("a", store.table(cells), UNKNOWN)
    assert "have no visit to show" in said(draw(spread, bare))


def a_small_gpu() -> list[CellRow]:
    """It wins from 256 units, with transfers from 1000."""
    cells = []
    for width, (cpu, gpu, whole) in {
        64: (1e-6, 9e-6, 5e-5),
        256: (2e-5, 1e-5, 6e-5),
        1000: (3e-4, 2e-5, 9e-5),
    }.items():
        cells.append(cell("numpy_matmul", width, 1, time_s=cpu))
        there = {"device": GPU, "end_to_end_s": whole}
        cells.append(cell("cupy_matmul", width, 1, time_s=gpu, **there))
    return cells


def test_crossover_tells_where_a_gpu_starts_to_win_with_and_without_transfers() -> None:
    text = said(draw(crossover, made(a_small_gpu(), UNKNOWN)))
    assert "The GPU wins from 256 units at batch 1; with transfers from about 1000 units" in text
    assert "with transfers" in text
    assert "3.33x?" in text  # no interval with transfers


def test_a_tile_says_its_lead_and_the_interval_of_it() -> None:
    times = {"quick": 1e-3, "slow": 4e-3}
    text = said(draw(crossover, made([cell(k, 64, 1, time_s=t) for k, t in times.items()])))
    assert "quick 4.00x 3.84 to 4.16" in text  # 3.92 ms / 1.02 ms to 4.08 / 0.98


def test_a_tile_without_an_interval_is_a_question_and_not_counted_as_won() -> None:
    unknown = {"time_low_s": None, "time_high_s": None}
    cells = [cell(k, 64, 1, time_s=t, **unknown) for k, t in {"quick": 1e-3, "slow": 4e-3}.items()]
    text = said(draw(crossover, made(cells)))
    assert "4.00x?" in text
    assert "no interval (too few visits, or with transfers)" in text
    assert "The fastest kernel by width and batch" in text
    third = crossover.tiles(store.table([*cells, cell("late", 64, 1, time_s=1.0)]))
    assert [tile.clear for tile in third] == [False]


def test_with_transfers_a_device_without_that_time_has_no_tile() -> None:
    far = [cell("cupy_matmul", w, 1, time_s=1e-6, device=GPU) for w in (64, 256)]
    near = [cell("numpy_matmul", w, 1, time_s=1e-3) for w in (64, 256)]
    far[1] = replace(far[1], end_to_end_s=2e-5)
    found = crossover.tiles(crossover.with_transfers(store.table([*far, *near])))
    assert [(tile.width, tile.kernel) for tile in found] == [
        (64, "numpy_matmul"),
        (256, "cupy_matmul"),
    ]
    assert found[1].lead == pytest.approx(50)


def test_small_tiles_have_marks_and_a_key_for_names() -> None:
    figure = draw(crossover, made(gpu_box(), GPU_MACHINE))
    texts = [text.get_text() for text in words(figure)]
    assert texts.count("cupy_fused") == texts.count("numpy_matmul") == 1
    marks = [line.get_marker() for line in figure.findobj(Line2D)]
    assert {"<", "D"} <= set(marks)  # of cupy_fused and numpy_matmul


def test_speedup_shows_a_gpu_resident_and_with_transfers() -> None:
    far = {"device": GPU, "time_s": 1e-5, "end_to_end_s": 4e-5, "speedup": 800.0}
    cells = [cell("python_loop", 1000, 1, time_s=8e-3, speedup=1.0)]
    cells.append(cell("cupy_matmul", 1000, 1, **far))
    figure = draw(speedup, made(cells, GPU_MACHINE))
    bars = [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert [bar.get_x() + bar.get_width() for bar in bars] == pytest.approx([800, 200])
    text = said(figure)
    assert "1000 units, one example: CuPy's matmul is 800x the Python loop, 200x with" in text
    assert "200x no interval" in text


def test_each_device_has_its_own_ceiling_and_one_that_is_unknown_is_named() -> None:
    run = made(gpu_box(), GPU_MACHINE)
    text = said(draw(throughput, run))
    assert "NumPy's best product here" in text
    assert "best product on made-up GPU" in text
    assert (
        "One matmul reaches 70 % of NumPy's best product; CuPy's fused layer 78 % of the best"
        " product on the made-up GPU" in text
    )
    text = said(draw(roofline, run))
    assert "full speed takes 12 on CPU, 17 on made-up GPU" in text
    text = said(draw(roofline, made(gpu_box(), MACHINE)))
    assert "ceiling of made-up GPU: not measured" in text
    assert "NumPy's best product here" in text


def test_a_line_that_ends_beyond_the_panel_has_its_leader_from_the_edge() -> None:
    figure = draw(throughput, made([cell("k", 64, 1, flop_per_s=1e9)], MACHINE))
    label = next(t for t in words(figure) if t.get_text() == "NumPy's best\nproduct here")
    leaders = [line for line in figure.artists if isinstance(line, Line2D)]
    assert len(leaders) == 2
    assert all(max(np.asarray(line.get_xdata())) < label.get_position()[0] for line in leaders)


def test_a_ceiling_at_another_precision_is_not_drawn() -> None:
    cells = [cell("k", 64, 1, flop_per_s=1e9, precision="float64")]
    text = said(draw(throughput, made(cells, MACHINE)))
    assert "ceiling of CPU: not measured" in text
    assert "best product" not in text


def test_batching_leaves_out_what_is_only_a_share_of_itself() -> None:
    cells = [cell("numpy_matmul", 1000, b, flop_per_s=1e9 * b) for b in (1, 32)]
    alone = cell("python_loop", 1000, 1, flop_per_s=1e6)
    figure = draw(batching, made([*cells, alone]))
    assert points(figure).keys() == {(0, "numpy_matmul")}
    assert "python_loop: measured at one batch only" in said(figure)
    assert "no kernel has numbers at two batches" in said(draw(batching, made([alone])))


def test_time_names_the_latencies_that_are_not_known() -> None:
    cells = [cell("a", w, 1, flop_per_s=1e9, latency_s=1e-3 if w < 64 else None) for w in (16, 64)]
    assert "a: no latency (width 64)" in said(draw(time, made(cells)))


def test_spread_of_visits_that_were_not_adjusted_has_one_mark_for_each() -> None:
    run = made([cell("numpy_matmul", 1000, 1, flop_per_s=1e9)])
    assert run.visits is not None
    run = replace(run, visits=run.visits.assign(as_found=run.visits["seconds"]))
    figure = draw(spread, run)
    assert sum(line.get_marker() == "D" for line in figure.axes[0].lines) == 1
    assert "Half the visits to one matmul lie within 1.0 % of its time" in said(figure)
    assert "as found" not in said(figure)


def test_spread_shows_the_interval_as_a_band() -> None:
    (axes,) = draw(spread, made([cell("a", 1000, 1, flop_per_s=1e9)])).axes
    (band,) = axes.patches
    assert isinstance(band, Rectangle)
    ends = (band.get_x(), band.get_x() + band.get_width())
    assert ends == pytest.approx((-0.02, 0.02))


def test_the_footer_names_devices_and_code_that_was_changed() -> None:
    rows = store.table(gpu_box((64,), (1,)))
    assert "cuda:0 made-up GPU · 2 threads" in footer.footer(rows, MACHINE)
    assert "commit a1b2c3d with changes" in footer.footer(
        rows, structs.replace(MACHINE, clean=False)
    )


def test_the_footer_says_whose_visits_all_waited_for_a_core() -> None:
    def drawn(waited: int) -> str:
        busy, quiet = (cell("k", width, 1, flop_per_s=4e9) for width in (64, 128))
        return said(draw(throughput, made([replace(busy, waited=waited), quiet], UNKNOWN)))

    assert "in 1 of 2 cells every visit waited for a core" in drawn(5)
    assert "waited for a core" not in drawn(4)


def test_crossover_calls_no_winner_where_intervals_meet() -> None:
    times = {"a": 1.00e-3, "b": 1.01e-3}
    cells = [
        cell(k, 64, 1, time_s=t, time_low_s=t * 0.98, time_high_s=t * 1.02)
        for k, t in times.items()
    ]
    text = said(draw(crossover, made(cells, UNKNOWN)))
    assert "no difference" in text
    assert "The fastest kernel by width and batch" in text


def test_machines_compares_runs_at_the_largest_batch_that_all_have() -> None:
    slow = [cell("numpy_matmul", w, 1, flop_per_s=1e9) for w in (64, 1000)]
    fast = [cell("numpy_matmul", w, b, flop_per_s=2e10) for w in (64, 1000) for b in (1, 32)]
    runs = [
        charts.Run(name, store.table(cells), MACHINE)
        for name, cells in {"laptop": slow, "a box with a name of forty characters..": fast}.items()
    ]
    figure = pen.draw(machines.compare(runs), LIGHT)
    assert points(figure) == {
        (0, "numpy_matmul"): pytest.approx({64: 1e9, 1000: 1e9}),
        (1, "numpy_matmul"): pytest.approx({64: 2e10, 1000: 2e10}),
    }
    assert "does 20.0x what laptop does" in said(figure)
    assert faults(figure) == []


def test_a_void_cell_reaches_no_chart() -> None:
    voids = ("wrong", "impossible")
    bad = [cell(v, 64, 1, status=v, flop_per_s=9e15, speedup=9e9) for v in voids]
    run = made([*bad, cell("good", 64, 1, flop_per_s=1e9, speedup=30.0)], UNKNOWN)
    assert points(draw(throughput, run)) == {(0, "good"): {64: 1e9}}
    for chart in CHARTS.values():
        text = said(draw(chart, run))
        assert all(f"{status}: {status} (its only cell)" in text for status in voids)


def test_a_crash_keeps_the_numbers_of_its_good_visits() -> None:
    cells = [cell("k", 64, 1, status="crashed", reason="signal 9", flop_per_s=1e9)]
    assert points(draw(throughput, made(cells, UNKNOWN))) == {(0, "k"): {64: 1e9}}


def test_a_line_is_broken_where_a_width_failed() -> None:
    cells = [cell("k", w, 1, flop_per_s=1e9) for w in (16, 256)]
    cells += [cell("k", 64, 1, status="error"), cell("other", 64, 1, flop_per_s=1e9)]
    figure = draw(throughput, made(cells, UNKNOWN))
    (line,) = [c for c in figure.axes[0].containers if c.get_label() == "k"]
    assert isinstance(line, ErrorbarContainer)
    assert np.isnan(np.asarray(line.lines[0].get_ydata(), float)).tolist() == [False, True, False]


def test_more_batches_than_panels_are_spread_and_counted() -> None:
    figure = draw(
        throughput, made(laptop((16, 1000), tuple(4**i for i in range(7))), MACHINE), LIGHT
    )
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
    figure = draw(throughput, made(cells, UNKNOWN))
    assert points(figure) == {(0, "k"): {64: 1e9, 256: 4e9}}
    assert "float32 only · relu · warm caches only · square layers only" in said(figure)
    cold = [cell("k", 64, 1, flop_per_s=2e9, cache="cold", n_in=784)]
    assert "cold caches · 784 inputs" in said(draw(throughput, made(cold, UNKNOWN)))


def test_speedup_tells_what_one_matmul_is() -> None:
    text = said(drawn("speedup"))
    assert "1000 units, one example: one matmul is 179x the Python loop" in text
    assert "one example (batch 1)" in text
    assert "batch 1024" in text
    assert "176x to 183x" in text
    assert text.count("predicted loop") == 3  # the two kernels and the baseline, at batch 1024
    assert "cupy_matmul: unavailable (both cells)" in text
    assert (
        "AMD EPYC 9R14 96-Core Processor · 2 threads · float32 · 2026-11-22 · commit a1b2c3d"
        " · 5 visits a cell" in text
    )


def test_speedup_bars_are_log_and_begin_at_one() -> None:
    figure = draw(
        speedup, made([cell("numpy_dot", 1000, 1, flop_per_s=1e9, speedup=30.0)], UNKNOWN), LIGHT
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
    text = said(draw(speedup, made([level], UNKNOWN)))
    assert "no measurable difference" in text
    assert "1.03x" not in text
    assert "Speed-up over the Python loop, 1000 units" in text
    alone = cell("numpy_matmul", 1000, 1, speedup=9.0, speedup_low=None, speedup_high=None)
    text = said(draw(speedup, made([alone], UNKNOWN)))
    assert "9.00x no interval" in text
    assert "Speed-up over" in text


@pytest.mark.parametrize(
    ("widths", "expected"),
    [((16, 1000, 4096), 1000), ((16, 64, 4096), 64), ((4096, 8192), 8192), ((64, 1000), 64)],
)
def test_the_headline_width(widths: tuple[int, ...], expected: int) -> None:
    cells = [cell("k", w, 1, **({"speedup": 9.0} if w == 64 else {})) for w in widths]
    assert speedup.headline_width(choosing.choose(store.table(cells), "speedup").cells) == expected


def test_a_run_without_a_number_says_so() -> None:
    run = made([cell("numpy_matmul", 64, b, status="error") for b in (1, 2)], MACHINE)
    for chart in CHARTS.values():
        text = said(draw(chart, run))
        assert "no cell has a number" in text
        assert "numpy_matmul: error (both cells)" in text


def test_a_run_without_a_loop_says_so() -> None:
    text = said(draw(speedup, made([cell("numpy_dot", 1000, 1, flop_per_s=1e9)], UNKNOWN)))
    assert "numpy_dot: no loop to compare with (its only cell)" in text
    assert "no cell has a number" not in text


def test_a_kernel_looks_the_same_in_any_company() -> None:
    def colour(cells: list[CellRow]) -> object:
        figure = draw(throughput, made(cells, UNKNOWN))
        (line,) = [c for c in figure.axes[0].containers if c.get_label() == "mine"]
        assert isinstance(line, ErrorbarContainer)
        return line.lines[0].get_color()

    mine = cell("mine", 64, 1, flop_per_s=1e9)
    others = [cell(k, 64, 1, flop_per_s=2e9) for k in ("a", "numpy_dot", "z")]
    assert colour([mine]) == colour([*others, mine]) == looks.THEMES["light"].line("mine")


def test_a_dark_pdf_on_paper_stands_beside_the_usual_chart(tmp_path: Path) -> None:
    run = made([cell("numpy_matmul", 64, 1, flop_per_s=3e9, speedup=90.0)], MACHINE)
    outs = [tmp_path / "a", tmp_path / "b"]
    one, two = (draw_all([run], [out], ["batching"], "dark", "paper", ["pdf"])[0] for out in outs)
    assert one.name == "batching-dark-paper.pdf"
    pdf = one.read_bytes()
    assert pdf == two.read_bytes()
    assert b"/FontFile2" in pdf  # TrueType, embedded: its text can be searched and copied
    assert b"/CreationDate" not in pdf


def test_charts_that_compare_want_several_runs(tmp_path: Path) -> None:
    run = made([cell("numpy_matmul", 64, 1, flop_per_s=3e9, speedup=90.0)], MACHINE)
    outs = [tmp_path / "a", tmp_path / "b"]
    (path,) = draw_all([run, run], outs, ["machines"], formats=["png"])
    assert path == tmp_path / "a" / "machines.png"


def test_of_more_kernels_than_can_be_read_the_fastest_are_shown() -> None:
    more = [f"k{i}" for i in range(27)]
    run = made(laptop((1000,), (1,), tuple(more)))  # thirty with the loop and NumPy's
    for chart in (speedup, spread):
        figure = draw(chart, run)
        texts = {text.get_text() for text in words(figure)}
        rows = texts & {"python_loop", "numpy_dot", "numpy_matmul", *more}
        assert len(rows) == 15
        assert {"k0", "k1"} < rows
        assert "15 slower kernels" in said(figure)
