"""A layer's name goes with it from the sweep to the rows and the table; older files lack it."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from asked import an_open
from commands import refused
from made_up_runs import rows_of, run_of
from rich.console import Console
from rich.table import Table

from bench import ROOT
from bench.data import store
from bench.data.records import Block, CellRow, Visit
from bench.data.store import Run
from bench.measure.visit import refusal
from bench.plan import sweep, weights
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.show import table
from bench.stats.cell_visits import case_of
from bench.terminal.errors import BadInput
from bench.worker import messages
from bench.worker.server import Server


def visited(case: Case, number: int = 1, seconds: float = 1e-6) -> tuple[Visit, Block]:
    """A good visit to numpy_matmul on a case."""
    row = refusal(Cell("numpy_matmul", case, 0, 2, "warm"), number, 1, "ok", "")
    return replace(row, device="cpu"), Block(number, "time", 1, seconds)


def cells(*cases: Case) -> list[CellRow]:
    """A row each, the first the slowest."""
    book = [visited(case, n, 1e-6 / n) for n, case in enumerate(cases, 1)]
    return rows_of([visit for visit, _ in book], [block for _, block in book])


FC = Case(768, 3072, 128, "float32", "linear", "BERT [red]FFN[/]")
ALIKE = replace(FC, layer="GPT-2 FFN")
SQUARE = Case(768, 768, 1, "float32", "relu")


def test_a_row_says_which_layer_it_is_of_and_says_it_again_when_it_is_read(tmp_path: Path) -> None:
    visit, block = visited(FC)
    assert visit.layer == FC.layer
    assert case_of(visit) == FC
    with Run.create(tmp_path / "run", Sweep(widths=(768,), batches=(1,))) as run:
        run.append(visit, [block])
    (read,) = store.load(tmp_path / "run", Visit)
    assert case_of(read) == FC
    made = cells(FC)
    store.write_cells(tmp_path / "run", made)
    assert store.load(tmp_path / "run", CellRow)[0].layer == FC.layer
    assert store.frame(tmp_path / "run")["layer"].tolist() == [FC.layer]


def test_layers_of_one_shape_are_apart() -> None:
    one, other, none = cells(FC, ALIKE, replace(FC, layer=""))
    assert {one.layer, other.layer, none.layer} == {FC.layer, ALIKE.layer, ""}
    assert len({one.time_s, other.time_s, none.time_s}) == 3


def test_the_table_calls_layers_by_their_names_and_shapes() -> None:
    shown = table.tables(cells(SQUARE, FC, ALIKE, replace(FC, batch=512)), 200)[0]
    assert isinstance(shown, Table)
    labels = [str(label) for label in shown.columns[0].cells]
    assert labels == [
        "768 x 768\nbatch 1",
        "BERT [red]FFN[/]\n768 x 3072 linear, batch 128",
        "BERT [red]FFN[/]\n768 x 3072 linear, batch 512",
        "GPT-2 FFN\n768 x 3072 linear, batch 128",
    ]
    console = Console(width=100, no_color=True)
    with console.capture() as caught:
        console.print(shown)
    assert "BERT [red]FFN[/]" in caught.get()  # a name is no markup
    said = table.caption(cells(SQUARE, FC, ALIKE))
    assert said.startswith(
        "float32, 2 threads, warm caches; float32, relu, 2 threads, warm caches;"
    )


def test_the_headline_is_not_about_a_layer_with_a_name() -> None:
    for name, said in (("", True), ("fc", False)):
        case = Case(1000, 1000, 1, "float32", "relu", name)
        fast, slow = visited(case, 1, 1e-6), visited(case, 2, 1e-3)
        rows = [fast[0], replace(slow[0], kernel="python_loop")]
        assert (table.headline(run_of(rows, [fast[1], slow[1]])) is not None) == said


def without_layers(folder: Path) -> Path:
    """A run as an older version wrote it."""
    shutil.copytree(ROOT / "results" / "reference", folder)
    visits, cells = store.load(folder, Visit)[:9], store.load(folder, CellRow)[:9]
    for name, rows in (("visits.csv", visits), ("cells.csv", cells)):
        held = [asdict(row) for row in rows]
        kept = list(held[0])[: list(held[0]).index("layer")]
        lines = [",".join("" if row[k] is None else str(row[k]) for k in kept) for row in held]
        (folder / name).write_text("\n".join([",".join(kept), *lines, ""]))
    return folder


def test_a_run_of_an_older_version_is_read_and_not_added_to(tmp_path: Path) -> None:
    folder = without_layers(tmp_path / "old")
    assert {row.layer for row in store.load(folder, Visit)} == {""}
    assert {row.layer for row in store.load(folder, CellRow)} == {""}
    with pytest.raises(BadInput, match=r"visits\.csv is of an older version and has no column"):
        Run.resume(folder)


def test_a_file_whose_lines_are_longer_than_its_header_is_refused(tmp_path: Path) -> None:
    folder = without_layers(tmp_path / "old")
    path = folder / "cells.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2] + ",fc", ""]))
    with pytest.raises(BadInput, match=r"line 3: \d+ values, should be "):
        store.load(folder, CellRow)


def test_a_worker_measures_a_files_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    W = np.random.default_rng(0).normal(size=(6, 5)) * 1000
    np.savez(path, W=W, b=W[0])
    layer = weights.find(str(path)).layer
    case = Case(6, 5, 3, "float32", "tanh", layer.name)
    asked = an_open("numpy_matmul", case, weights=layer.weights)
    worker = Server()
    assert isinstance(worker.answer(asked), messages.Opened)
    np.testing.assert_array_equal(worker.cells[1].given.W, W.astype(np.float32))
    np.testing.assert_array_equal(worker.cells[1].given.b, W[:1].astype(np.float32))
    assert isinstance(worker.answer(messages.Close(1)), messages.Closed)


def test_the_gate_takes_no_weights_from_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", W=np.eye(4))
    layer = weights.find(str(tmp_path / "a.npz")).layer
    path = tmp_path / "one.toml"
    path.write_text(sweep.dumps(Sweep(layers=(layer,), batches=(1,))))
    out = str(tmp_path / "gate")
    asked = ("--base", "HEAD", "--head", "HEAD", "--sweep", str(path), "--out", out)
    assert "leave layers with a file out of the sweep" in refused("gate", *asked)
