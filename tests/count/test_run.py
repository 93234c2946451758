"""`bench run --count`: what was counted reaches the files, the chart and a slide."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import bench
from made_up import MACHINE, cell, made

from bench.count import counting, events, sources
from bench.count import run as count_run
from bench.count.counting import Counts
from bench.data import store
from bench.data.records import CellRow, Count
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.show import pictures
from bench.show.deck import story
from bench.show.pictures import instructions

ASKED = ["--widths", "8,16", "--batches", "2", "--budget", "2s", "--threads", "1"]
KERNELS = ["--kernel", "numpy_dot", "--kernel", "numpy_matmul"]
VALGRIND = sources.Source("callgrind", "Valgrind 3.19.0")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every launch takes 1000 instructions, but for those of numpy_dot at 16 units."""

    def count(cells: Sequence[Cell], *_: Any, **__: Any) -> list[Counts]:
        found = {
            cell: [events.Counted(0, "h", 3, (events.Events(1000.0),) * 3)]
            for cell in cells
            if (cell.kernel, cell.case.n_units) != ("numpy_dot", 16)
        }
        left = {cell: "it works in 2 threads" for cell in cells if cell not in found}
        return [Counts(found, left, {})]

    monkeypatch.setattr(counting, "count", count)
    monkeypatch.setattr(sources, "find", lambda _: VALGRIND)


def test_a_count_is_in_the_files_and_stays_there(
    counted: None, cells_alone: None, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    done = bench("run", "--no-charts", *KERNELS, *ASKED, "--count", "--out", str(folder))
    assert done.code == 0, done
    assert re.search(r"counted .* of \d of \d cells, on one thread, by Valgrind", done.err)
    rows = {(row.kernel, row.n_units): row for row in store.load(folder, Count)}
    lacking = {key for key, row in rows.items() if row.reason == "it works in 2 threads"}
    assert lacking <= {("numpy_dot", 16)} < set(rows) | {("numpy_dot", 16)}
    again = bench("run", "--no-charts", "--resume", str(folder), "--budget", "1s")
    assert again.code == 0, again
    for row in store.load(folder, CellRow):
        counted_too = (row.kernel, row.n_units) in set(rows) - lacking
        assert row.instructions == (1000.0 if counted_too else None)
        if row.instructions_per_flop is not None:
            assert row.instructions_per_flop == pytest.approx(1000 / row.flops, rel=1e-5)


def test_where_nothing_counts_the_run_is_whole_and_says_so(
    cells_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = sources.Nothing("Valgrind is not installed", "install it")
    monkeypatch.setattr(sources, "find", lambda _: none)
    folder = tmp_path / "run"
    done = bench("run", "--no-charts", *KERNELS, *ASKED, "--count", "--out", str(folder))
    assert done.code == 0
    assert "nothing was counted: Valgrind is not installed: install it" in done.err
    assert not (folder / "counts.csv").exists()
    assert all(row.instructions is None for row in store.load(folder, CellRow))


def test_what_takes_too_long_to_count_is_left_out_with_the_reason(counted: None) -> None:
    slow, many, gpu, fine = (
        cell("python_loop", 64, 1, time_s=0.1),
        cell("numpy_matmul", 4096, 64, time_s=0.01),
        cell("cupy_matmul", 64, 1, time_s=1e-5, device="cuda:0 a card"),
        cell("numpy_matmul", 64, 1, time_s=1e-5),
    )
    rows = [slow, many, gpu, fine]
    cells = [
        Cell(row.kernel, Case(row.n_in, row.n_units, row.batch, "float32", "relu"), threads=2)
        for row in rows
    ]
    table, said = count_run.count(cells, rows, (), lambda _: None)
    assert [(row.kernel, row.n_units, row.reason) for row in table] == [
        ("python_loop", 64, "a launch takes too long to count"),
        ("numpy_matmul", 4096, "a launch takes too long to count"),
        ("numpy_matmul", 64, ""),
    ]
    assert said.startswith("counted the instructions of 1 of 3 cells")


def test_the_chart_and_its_slides_tell_the_most_and_the_fewest() -> None:
    cells = [
        cell(kernel, width, batch, time_s=1e-3, instructions=1.0, instructions_per_flop=each)
        for kernel, each in (("python_loop", 250.0), ("numpy_dot", 0.9), ("numpy_matmul", 0.17))
        for width in (16, 64)
        for batch in (1, 32)
    ]
    run = made(cells, MACHINE)
    title = "The Python loop takes 500 instructions for a multiply-add; one matmul 0.34"
    assert instructions.picture(run).title == title
    slides = [s for picture in instructions.slides(run) for s in story.of_picture(picture)]
    assert [slide.title for slide in slides] == [f"{title} (one example)", f"{title} (batch 32)"]
    assert instructions.picture(made(cells[:4], MACHINE)).title == instructions.TITLE


def test_a_run_without_counts_has_no_such_chart() -> None:
    run = made([cell("numpy_matmul", 64, 1, flop_per_s=1e9, instructions=None)], MACHINE)
    assert pictures.part(run, instructions) is None
