"""Whatever a row holds, it is written so that the reader takes it."""

import math
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import ROOT
from bench.data import columns, fit, store
from bench.data import machine as machine_file
from bench.data.machine import Machine, Peaks
from bench.data.records import Block, CellRow, Visit
from bench.data.store import Run
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.terminal import text

SWEEP = Sweep(widths=(16,), batches=(1,))
VISIT = refusal(Cell("k", Case(16, 16, 1, "float32", "relu")), 1, 1, "ok", "")
BLOCK = Block(1, "time", 800, 1.25e-6, 4e-5, 4e-5)

WORST: list[Any] = [
    *(0, 0.0, -0.0, -1, -1e-7, 1e-13, 1e-320, 1e300, 2**80, -(2**80)),
    *(math.nan, math.inf, -math.inf, 1e30, 1e8, 99999999.99, 9.99999999e-13),
    *(None, True, b"cpu", "", "ok", "=1+1", "'=1", "\udcff", "a\r\nb\x00\x1b[31m", "y" * 200_000),
    *(
        "é" * text.LONGEST,
        np.float32(1.5),
        np.float64(1.5),
        np.array([1.0]),
        (),
        ("; ",),
        ("\n", 1),
    ),
]


def read_back(row: Visit, blocks: list[Block]) -> tuple[Visit, list[Block]]:
    """What the files hold of a visit that was appended between two ordinary ones."""
    before, after = replace(VISIT, visit=7001), replace(VISIT, visit=7003, pass_number=2)
    with tempfile.TemporaryDirectory() as folder:
        with Run.create(Path(folder) / "run", SWEEP) as run:
            run.append(before, [replace(BLOCK, visit=7001)])
            run.append(replace(row, pass_number=9), blocks)
            run.append(after, [replace(BLOCK, visit=7003)])
        visits = store.load(run.folder, Visit)
        assert len(visits) == 3
        kept = [block for block in store.load(run.folder, Block) if block.visit not in (7001, 7003)]
    return visits[1], kept


@pytest.mark.parametrize("name", [f.name for f in fields(Visit) if f.name != "pass_number"])
def test_a_visits_worst_values_are_read_back(name: str) -> None:
    for value in WORST:
        row, blocks = read_back(replace(VISIT, **{name: value}), [BLOCK])
        assert (row.status == "ok") == bool(blocks) or name == "status"
        if row.status == "error" and value != "error":
            assert row.reason.startswith(f"{name} is ")


@pytest.mark.parametrize("name", [f.name for f in fields(Block)])
def test_a_blocks_worst_values_are_read_back(name: str) -> None:
    for value in WORST:
        row, blocks = read_back(VISIT, [BLOCK, replace(BLOCK, **{name: value})])
        assert (row.status, len(blocks)) in (("ok", 2), ("error", 0))


@settings(deadline=None, derandomize=True, database=None, max_examples=100)
@given(st.data())
def test_what_fits_is_left_as_it_is_and_fits_again(data: st.DataObject) -> None:
    worst = {
        f.name: st.just(getattr(VISIT, f.name)) | st.sampled_from(WORST) for f in fields(Visit)
    }
    row = Visit(**{name: data.draw(values) for name, values in worst.items()})
    fitted, blocks = fit.visit(row, [BLOCK])
    assert fit.visit(fitted, blocks) == (fitted, blocks)
    assert all(c.takes(getattr(fitted, c.name)) for c in columns.of(Visit))


def test_a_block_that_took_no_time_makes_an_error_that_says_so() -> None:
    row, blocks = fit.visit(VISIT, [BLOCK, replace(BLOCK, seconds=1e-13)])
    assert (row.status, blocks) == ("error", [])
    assert row.reason == "a launch can't have taken 1e-13 s: the device's clock is too coarse"


def test_a_status_that_says_more_is_kept() -> None:
    row, _ = fit.visit(replace(VISIT, status="timeout", reason="late", wall_s=math.nan), [])
    assert (row.status, row.reason, row.wall_s) == ("timeout", "late", None)


def test_a_derived_number_that_no_file_takes_is_left_out(tmp_path: Path) -> None:
    row = next(iter(store.load(ROOT / "results" / "reference", CellRow)))
    store.write_cells(tmp_path, [replace(row, percent_of_peak=1e300, speedup=math.inf)])
    (cell,) = store.load(tmp_path, CellRow)
    assert (cell.percent_of_peak, cell.speedup, cell.time_s) == (None, None, row.time_s)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        *((value, None) for value in (0.0, -1.0, math.nan, math.inf, 1e-300, 2**90, "fast", None)),
        (np.float32(2e12), float(np.float32(2e12))),
        (3, 3.0),
    ],
)
def test_a_rate_is_a_rate_or_none(value: object, rate: float | None) -> None:
    assert machine_file.rate(value) == rate


def test_a_machine_with_odd_names_is_read_back(tmp_path: Path) -> None:
    names = ["\udcff\x1b[31m", "n" * 200_000]
    peaks = Peaks("float32", 1e12, None, None)
    machine = Machine(warnings=tuple(names), device_peaks=dict.fromkeys(names, peaks))
    (tmp_path / "machine.json").write_text(machine_file.dumps(machine), encoding="utf-8")
    found = store.machine(tmp_path)
    assert found.warnings == tuple(found.device_peaks) == tuple(map(text.short, names))
