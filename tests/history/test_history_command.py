"""`history add | show | check | plot | export`, as their users type them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from commands import bench, refused
from histories import filled, run

from bench import ROOT
from bench.data.series import Change
from bench.history import changes, told

REFERENCE = str(ROOT / "results" / "reference")

SHORT = ["--budget", "3s"]
"""A busy machine has a number by then, too."""


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "history.sqlite")


def stepped(db: str, *, at: int = 20, factor: float = 1.2, runs: int = 30) -> None:
    spread = np.random.default_rng(1).normal(0, 0.01, runs)
    levels = np.where(np.arange(runs) < at, 1e-3, 1e-3 * factor)
    filled(Path(db), [float(value) for value in levels * np.exp(spread)])


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The change at entry 20, whether or not the library that finds it is here."""

    def at_20(series: object) -> list[Change]:
        return [Change(20, 1.2, 1.18, 1.22, run(19), run(20), ["NumPy 2.3.1 -> 2.4.0"])]

    monkeypatch.setattr(changes.of_all, "__defaults__", (at_20,))


def test_a_run_is_added_once(db: str) -> None:
    first = bench("history", "add", REFERENCE, "--db", db)
    assert (first.code, first.err) == (0, "")
    assert "reference: added, 60 numbers" in first.out
    before = Path(db).read_bytes()
    again = bench("history", "add", REFERENCE, REFERENCE, BENCH_HISTORY=db)
    assert again.out.count("unchanged") == 1
    assert Path(db).read_bytes() == before


def test_what_is_kept_is_shown(db: str) -> None:
    bench("history", "add", REFERENCE, "--db", db)
    shown = bench(
        "history", "show", "--kernel", "python_loop", "--case", "x64 batch 1 ", "--db", db
    )
    assert (shown.code, shown.err) == (0, "")
    assert "python_loop 64x64 batch 1 float32 relu" in " ".join(shown.out.split())
    assert "numpy" not in shown.out


def test_of_very_many_series_the_first_are_shown(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "MOST_ROWS", 2)
    bench("history", "add", REFERENCE, "--db", db)
    shown = bench("history", "show", "--db", db).out
    assert "and 58 more series: choose by --kernel, --case or --machine" in shown


def test_a_change_is_told_and_a_recent_one_fails(db: str, found: None) -> None:
    stepped(db)
    done = bench("history", "check", "--db", db)
    assert done.code == 1
    first, last = done.out.splitlines()
    assert first == (
        "box: numpy_matmul 64x64 batch 1 float32 relu 2 threads: +20.0% (+18.0 to +22.0)"
        " from 000001300 (run-19, 2026-10-10) to 000001400 (run-20, 2026-10-11);"
        " also changed: NumPy 2.3.1 -> 2.4.0"
    )
    assert last == "1 series, 1 changes; 1 became slower within the last 10 runs"
    older = bench("history", "check", "--recent", "9", "--db", db)
    assert older.code == 0
    assert older.out.splitlines()[-1].endswith("0 became slower within the last 9 runs")


@pytest.mark.skipif(changes.missing(), reason="needs ruptures: make test installs it")
@pytest.mark.parametrize(("factor", "code"), [(1.2, 1), (0.8, 0), (1.0, 0)])
def test_only_what_became_slower_fails(factor: float, code: int, db: str) -> None:
    stepped(db, factor=factor)
    done = bench("history", "check", "--db", db)
    assert done.code == code
    assert done.out.splitlines()[-1].startswith(f"1 series, {int(factor != 1)} changes")


def test_series_too_short_to_tell_are_counted(db: str) -> None:
    stepped(db, runs=11)
    done = bench("history", "check", "--db", db)
    assert done.code == 0
    assert done.out.strip().endswith("; 1 have fewer than 12 runs, too few to tell")


def test_it_is_drawn(db: str, found: None, tmp_path: Path) -> None:
    stepped(db)
    out = tmp_path / "out"
    options = ["--format", "png", "--format", "pptx", "--out", str(out), "--db", db]
    done = bench("history", "plot", *options)
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["history.png", "history.pptx"]
    assert "no format named gif" in refused("history", "plot", "--format", "gif", "--db", db)
    (tmp_path / "file").write_text("")
    options = ["--out", str(tmp_path / "file" / "out"), "--db", db]
    assert "can't be written" in refused("history", "plot", *options)


def test_it_is_exported(db: str, tmp_path: Path) -> None:
    stepped(db)
    out = tmp_path / "out"
    done = bench("history", "export", "--to", "bencher", "--out", str(out), "--db", db)
    assert done.code == 0
    assert len(list(out.iterdir())) == 30
    assert "--to is 'excel'" in refused("history", "export", "--to", "excel", "--db", db)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "no history there yet: python -m bench history add RUN"),
        (["check"], "no history there yet"),
        (["add", "no-such-run"], "no run 'no-such-run'"),
        (["show", "--runs", "0"], "--runs"),
    ],
)
def test_bad_input_is_a_line(arguments: list[str], said: str, db: str) -> None:
    assert said in refused("history", *arguments, "--db", db)
    assert not Path(db).exists()


def test_a_series_that_is_not_there_is_a_line(db: str) -> None:
    stepped(db, runs=3)
    said = refused("history", "show", "--kernel", "nosuch", "--db", db)
    assert "has no such series: python -m bench history show lists all" in said


def test_without_a_history_a_line_says_so() -> None:
    assert "BENCH_HISTORY is empty, which keeps no history" in refused("history", "show")


def test_a_damaged_file_is_told_and_left_alone(db: str) -> None:
    Path(db).write_bytes(b"not a database at all")
    for arguments in (["show"], ["check"], ["add", REFERENCE]):
        assert "is damaged or no history" in refused("history", *arguments, "--db", db)
    assert Path(db).read_bytes() == b"not a database at all"


def test_a_run_adds_itself(db: str, cells_alone: None, tmp_path: Path) -> None:
    tiny = ["--kernel", "numpy_dot", "--widths", "16", "--batches", "1", *SHORT]
    done = bench("run", "--no-charts", *tiny, "--out", str(tmp_path / "run"), BENCH_HISTORY=db)
    assert done.code == 0
    assert "history" not in done.err
    with closing(sqlite3.connect(db)) as database:
        assert database.execute("SELECT name FROM run").fetchall() == [("run",)]
    again = bench("history", "add", str(tmp_path / "run"), "--db", db)
    assert "unchanged" in again.out


def test_a_run_that_cannot_add_itself_says_so_and_is_done(
    cells_alone: None, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    db = str(tmp_path / "file" / "history.sqlite")
    tiny = ["--kernel", "numpy_dot", "--widths", "16", "--batches", "1", *SHORT]
    done = bench("run", "--no-charts", *tiny, "--out", str(tmp_path / "run"), BENCH_HISTORY=db)
    assert done.code == 0
    (note,) = (line for line in done.err.splitlines() if "history" in line)
    assert note.startswith("note: this run is not in the history: ")
    assert (tmp_path / "run" / "cells.csv").is_file()
