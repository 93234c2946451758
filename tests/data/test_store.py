"""A run's files: what is appended comes back, and what is malformed is named by line and column."""

import errno
import fcntl
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import rows_of

from bench.data import store
from bench.data.machine import Blas, Cpu, Machine, Peaks
from bench.data.records import BOUNDS, SPAN, THROTTLES, WORDS, Block, CellRow, Visit
from bench.data.store import Run
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.terminal import signals
from bench.terminal.errors import BadInput

SWEEP = Sweep(widths=(16,), batches=(1,))

exact = settings(deadline=None, derandomize=True, database=None, max_examples=25)

words = st.text("az09 ,;'\"\\#=+-@é漢µ😀", max_size=12)


def column(name: str, kind: Any) -> Any:
    """All that a column may hold."""
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if kind is str:
        return words
    if kind in (int, int | None):
        numbers: Any = st.integers(*map(int, BOUNDS.get(name, (0, 2**63 - 1))))
    else:
        numbers = st.floats(*BOUNDS.get(name, BOUNDS["*"]))
    return numbers if kind in (int, float) else st.none() | numbers


def rows(row: type[Any]) -> st.SearchStrategy[Any]:
    """Rows of a file."""
    kinds = get_type_hints(row)
    drawn = {name: column(name, kind) for name, kind in kinds.items()}
    if row is Block:  # some are of launches
        drawn["seconds"] = st.floats(*SPAN)
    if row is Visit:
        words = st.lists(st.sampled_from(THROTTLES), unique=True)
        drawn["device_throttled"] = words.map(tuple)
    return st.builds(row, **drawn)


def visit(number: int = 1, **changes: Any) -> Visit:
    """An ordinary row of visits.csv."""
    cell = Cell("numpy_matmul", Case(16, 16, 1, "float32", "relu"), 0, 2, "warm")
    ok = refusal(cell, number, number, "ok", "")
    return replace(ok, **{"device": "cpu", "error": 0.25, "wall_s": 0.05, **changes})


def block(number: int = 1, seconds: float = 1.25e-6) -> Block:
    return Block(number, "time", 800, seconds)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """An open run with two visits of two blocks."""
    with Run.create(tmp_path / "run", SWEEP) as run:
        for number in (1, 2):
            run.append(visit(number), [block(number), block(number)])
        yield run


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The directory of such a run after its end."""
    with Run.create(tmp_path / "run", SWEEP) as run:
        for number in (1, 2):
            run.append(visit(number), [block(number), block(number)])
    return run.folder


def seven_digits(row: Any) -> Any:
    """The row as far as a file keeps it: seven digits of a number below 1e9."""
    shorter = {
        field.name: float(f"{value:.7g}")
        for field in fields(row)
        if isinstance(value := getattr(row, field.name), float) and value < 1e9
    }
    return replace(row, **shorter)


@exact
@given(
    appended=rows(Visit),
    blocks=st.lists(rows(Block), max_size=3, unique_by=lambda block: block.visit),
)
def test_what_is_appended_is_loaded(appended: Visit, blocks: list[Block]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Run.create(Path(folder) / "run", SWEEP) as run:
            number = appended.visit % 1000 + 1001
            again = replace(appended, visit=number, pass_number=appended.pass_number % 1000 + 1001)
            run.append(appended, blocks)
            run.append(again, [])
        assert store.load(run.folder, Visit) == [seven_digits(appended), seven_digits(again)]
        assert store.load(run.folder, Block) == [seven_digits(b) for b in blocks]


@exact
@given(cells=st.lists(rows(CellRow), max_size=3))
def test_cells_that_are_written_are_loaded(cells: list[CellRow]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store.write_cells(Path(folder), cells)
        store.write_cells(Path(folder), cells)  # in the place of the first, not after it
        assert store.load(Path(folder), CellRow) == [seven_digits(cell) for cell in cells]
        assert [path.name for path in Path(folder).iterdir()] == ["cells.csv"]


def test_times_keep_enough_digits_for_any_interval(run: Run) -> None:
    for seconds in (1.2345678e-9, 3.3333333e-6, 12345.678):
        run.append(visit(3), [block(3, seconds)])
        assert store.load(run.folder, Block)[-1].seconds == pytest.approx(seconds, rel=5e-7)


def test_an_epoch_keeps_its_milliseconds(run: Run) -> None:
    run.append(visit(3, at_s=1763817600.123), [])
    assert store.load(run.folder, Visit)[-1].at_s == 1763817600.123


@pytest.mark.parametrize("text", ["two\nlines", "two\r\nlines", "two\rlines", "\n", "ends\n"])
def test_a_text_with_line_breaks_harms_no_row(run: Run, text: str) -> None:
    run.append(visit(3, reason=text), [])
    run.append(visit(4), [])
    loaded = store.load(run.folder, Visit)
    assert [row.visit for row in loaded] == [1, 2, 3, 4]
    assert loaded[2].reason.split() == text.split()


def rewrite(run: Run, name: str, old: str, new: str) -> None:
    path = run.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(run: Run, row: type[Any]) -> str:
    """What is said of the file, after its name."""
    with pytest.raises(BadInput) as caught:
        store.load(run.folder, row)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(str(run.folder / store.FILES[row]))
    return said.removeprefix(str(run.folder / store.FILES[row]))


def test_a_wrong_header_is_refused_by_column(run: Run) -> None:
    rewrite(run, "visits.csv", "pass_number", "pass")
    assert refused(run, Visit) == ", line 1: 'pass' should be 'pass_number'"


@pytest.mark.parametrize(
    "content", ["", "\n", "visit,quantity,loops\n", "visit,quantity,loops,seconds"]
)
def test_a_short_header_is_refused(run: Run, content: str) -> None:
    (run.folder / "blocks.csv").write_text(content, encoding="utf-8")
    assert refused(run, Block).endswith("columns should be 8")


@pytest.mark.parametrize(
    ("row", "count"), [("1,time,800", 3), ("1,time,800,1e-6,,,,,", 9), ("", 0), ("junk", 1)]
)
def test_a_wrong_number_of_values_is_refused_by_line(run: Run, row: str, count: int) -> None:
    rewrite(run, "blocks.csv", "2,time", f"{row}\n2,time")
    assert refused(run, Block) == f", line 4: {count} values, should be 8"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2,time,800", "2.5,time,800", "column visit: '2.5' is not a whole number"),
        ("2,time,800", "2,time,", "column loops: '' is not a whole number"),
        ("2,time,800", "2,tmie,800", "column quantity: 'tmie' is not one of time, latency, "),
        ("2,time,800,1.25e-06", "2,time,800,fast", "column seconds: 'fast' is not a finite number"),
        ("2,time,800,1.25e-06", "2,time,800,", "column seconds: '' is not a finite number"),
        ("2,time,800,1.25e-06", "2,time,800,nan", "column seconds: 'nan' is not a finite number"),
        ("2,time,800,1.25e-06", "2,time,800,inf", "column seconds: 'inf' is not a finite number"),
    ],
)
def test_a_bad_value_is_refused_by_line_and_column(run: Run, old: str, new: str, said: str) -> None:
    rewrite(run, "blocks.csv", old, new)
    assert refused(run, Block).startswith(f", line 4, {said}")


def test_an_unknown_status_is_refused_with_the_known_ones(run: Run) -> None:
    rewrite(run, "visits.csv", ",ok,", ",fine,")
    said = refused(run, Visit)
    assert said.startswith(", line 2, column status: 'fine' is not one of ok, pending, ")


def test_nan_is_refused_in_a_column_that_may_be_empty(run: Run) -> None:
    rewrite(run, "visits.csv", ",0.25,", ",nan,")
    assert refused(run, Visit) == ", line 2, column error: 'nan' is not a finite number"


def test_lines_are_counted_as_an_editor_does(run: Run) -> None:
    run.append(visit(3, reason='"quoted", with a comma'), [])
    run.append(visit(4, status="ok"), [])
    rewrite(run, "visits.csv", "\n4,4,", "\nfour,4,")
    assert refused(run, Visit).startswith(", line 5, column visit: 'four' ")


def test_an_open_quote_is_refused_however_much_follows(run: Run) -> None:
    # the csv module gives up at 128 KiB in one field
    with (run.folder / "blocks.csv").open("a", encoding="utf-8") as file:
        file.write('"' + "2,time,800,1.25e-06\n" * 10_000)
    assert "line " in refused(run, Block)


def test_a_file_that_is_not_there_or_not_text_is_refused(run: Run) -> None:
    path = run.folder / "blocks.csv"
    path.write_bytes(b"\xff\n" + path.read_bytes())
    assert "can't be read" in refused(run, Block)
    path.unlink()
    assert "can't be read" in refused(run, Block)


def test_windows_line_ends_do_no_harm(run: Run) -> None:
    path = run.folder / "blocks.csv"
    before = store.load(run.folder, Block)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert store.load(run.folder, Block) == before


@pytest.mark.parametrize("reason", ["5 µs, “late”", "two\nlines"])
def test_a_half_written_row_is_dropped_wherever_it_broke_off(stopped: Path, reason: str) -> None:
    path = stopped / "visits.csv"
    whole, complete = path.read_bytes(), store.load(stopped, Visit)
    with Run.resume(stopped)[0] as run:
        run.append(visit(3, reason=reason), [])
    row = path.read_bytes().removeprefix(whole)
    for length in range(len(row)):
        path.write_bytes(whole + row[:length])
        assert store.load(stopped, Visit) == complete
        with Run.resume(stopped)[0]:
            assert path.read_bytes() == whole
    path.write_bytes(whole + row)
    assert len(store.load(stopped, Visit)) == len(complete) + 1


def test_resuming_cuts_a_half_written_line_off_and_appends_after_it(stopped: Path) -> None:
    for name in ("visits.csv", "blocks.csv"):
        with (stopped / name).open("a", encoding="utf-8") as file:
            file.write("3,1,numpy")
    resumed, asked = Run.resume(stopped)
    with resumed:
        resumed.append(visit(3), [block(3)])
    assert asked == SWEEP
    assert [row.visit for row in store.load(stopped, Visit)] == [1, 2, 3]
    assert [row.visit for row in store.load(stopped, Block)] == [1, 1, 2, 2, 3]


def test_a_run_with_windows_line_ends_is_not_added_to(stopped: Path) -> None:
    # it would end both ways, and no longer be read
    path = stopped / "blocks.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(BadInput, match=r"blocks\.csv has Windows line ends"):
        Run.resume(stopped)


def test_a_transfer_may_be_too_short_for_the_clock(run: Run) -> None:
    run.append(visit(3), [block(3), Block(3, "send", 1, 0.0)])
    assert store.load(run.folder, Block)[-1].seconds == 0.0
    (cell,) = rows_of(store.load(run.folder, Visit), store.load(run.folder, Block), {})
    store.write_cells(run.folder, [cell])
    assert store.frame(run.folder).send_s[0] == 0.0


def test_resuming_leaves_whole_files_as_they_are(stopped: Path) -> None:
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    with Run.resume(stopped)[0]:
        assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_blocks_are_on_disk_before_the_visit_that_claims_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, rows: Any) -> None:
        if isinstance(rows[0], Visit):
            raise KeyboardInterrupt
        append(path, rows)

    append = store._append
    monkeypatch.setattr(store, "_append", killed)
    with pytest.raises(KeyboardInterrupt):
        run.append(visit(3), [block(3)])
    assert [row.visit for row in store.load(run.folder, Block)] == [1, 1, 2, 2, 3]
    assert [row.visit for row in store.load(run.folder, Visit)] == [1, 2]


def test_a_write_that_takes_only_part_is_finished(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what a nearly full disk does: the next row must not be glued to half of this one
    whole_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole_write(fd, bytes(data[:30])))
    run.append(visit(3), [block(3)])
    assert [row.visit for row in store.load(run.folder, Visit)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some of your quota"),
        (errno.EIO, "see to the disk"),
        (errno.EROFS, "make it writable"),
    ],
)
@pytest.mark.parametrize("at_write", [1, 2, 3, 4])
def test_a_disk_that_takes_no_more_is_named_and_the_run_can_go_on(
    number: int, remedy: str, at_write: int, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_write, writes = os.write, iter(range(1, 100))

    def fill(file: int, data: bytes) -> int:
        if next(writes) == at_write:
            raise OSError(number, os.strerror(number))
        return whole_write(file, bytes(data[:30]))

    monkeypatch.setattr(os, "write", fill)
    with Run.resume(stopped)[0] as run, pytest.raises(BadInput) as caught:
        run.append(visit(3), [block(3), block(3)])
    monkeypatch.undo()
    name = "blocks.csv" if at_write < 3 else "visits.csv"
    said = f"{stopped / name} can't be written ({os.strerror(number)}): {remedy}, "
    assert str(caught.value) == f"{said}then go on with --resume {stopped}"
    assert [row.visit for row in store.load(stopped, Visit)] == [1, 2]
    with Run.resume(stopped)[0] as run:
        run.append(visit(4), [block(4)])
    assert [row.visit for row in store.load(stopped, Visit)] == [1, 2, 4]


def test_a_file_that_was_taken_away_is_not_begun_anew(run: Run) -> None:
    (run.folder / "blocks.csv").unlink()
    with pytest.raises(BadInput, match=r"blocks\.csv can't be written .*: put it back, then"):
        run.append(visit(3), [block(3)])
    assert not (run.folder / "blocks.csv").exists()


def test_what_is_derived_fails_in_one_line_and_leaves_no_half(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = derived(run)
    before = cells.read_bytes()
    run.write_machine(Machine(python="old"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BadInput, match=r"cells\.csv can't .*: free some space, then .* plot "):
        store.write_cells(run.folder, [])
    with pytest.raises(BadInput, match=r"machine\.json can't .*: free some space, then "):
        run.write_machine(Machine(python="new"))
    assert cells.read_bytes() == before
    assert store.machine(run.folder).python == "old"
    assert not list(run.folder.glob("*.half"))


def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BadInput, match=r"run can't .*: free some space, or take another --out"):
        Run.create(tmp_path / "run", SWEEP)
    assert not (tmp_path / "run").exists()


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BadInput, match=r"can't be locked \(No locks available\): take another"):
        Run.create(tmp_path / "run", SWEEP)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_waits_until_a_visit_is_on_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    append = store._append

    def interrupted(path: Path, rows: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        append(path, rows)

    monkeypatch.setattr(store, "_append", interrupted)
    with pytest.raises(signals.Stop), signals.raised():
        run.append(visit(3), [block(3)])
    assert [row.visit for row in store.load(run.folder, Visit)] == [1, 2, 3]
    assert [row.visit for row in store.load(run.folder, Block)] == [1, 1, 2, 2, 3]


def test_an_existing_directory_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"exists: take another --out, or go on with --resume"):
        Run.create(tmp_path, SWEEP)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("mine", encoding="utf-8")
    for folder in (path, path / "below"):
        with pytest.raises(BadInput, match="take another --out"):
            Run.create(folder, SWEEP)
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root may write anywhere, so the file system has to be imitated
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BadInput) as caught:
        Run.create(tmp_path / "run", SWEEP)
    said = f"{tmp_path / 'run'} can't be written (Permission denied): make it writable,"
    assert str(caught.value) == f"{said} or take another --out"


def test_a_run_in_use_is_refused_until_its_end(tmp_path: Path) -> None:
    with Run.create(tmp_path / "run", SWEEP):
        for _ in range(2):
            with pytest.raises(BadInput, match="in use by another run"):
                Run.resume(tmp_path / "run")
    with Run.resume(tmp_path / "run")[0]:
        pass


def test_a_run_that_ends_in_an_error_lets_go_of_its_directory(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Run.create(tmp_path / "run", SWEEP):
        raise KeyboardInterrupt
    with Run.resume(tmp_path / "run")[0]:
        pass


def test_what_is_not_a_run_is_not_resumed(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nonesuch"):
        with pytest.raises(BadInput, match=r"is not a run: it has no sweep\.toml"):
            Run.resume(folder)


@pytest.mark.parametrize("name", ["visits.csv", "blocks.csv"])
def test_a_run_that_was_killed_while_it_began_is_refused(stopped: Path, name: str) -> None:
    (stopped / name).unlink()
    for _ in range(2):  # the second time too: the first has let go of the directory
        with pytest.raises(BadInput, match=name):
            Run.resume(stopped)


def test_the_machine_comes_back(run: Run) -> None:
    machine = Machine(cpu=Cpu("Zen µ"), threads=2, load=0.25, blas=(Blas("é"),), clean=False)
    run.write_machine(Machine(python="old"))
    run.write_machine(machine)
    assert store.machine(run.folder) == machine
    text = (run.folder / "machine.json").read_text(encoding="utf-8")
    assert json.loads(text)["cpu"]["model"] == "Zen µ"
    assert len(text.splitlines()) > 5  # for people too


def test_of_a_run_without_machine_json_nothing_is_known(run: Run) -> None:
    assert store.machine(run.folder) == Machine()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": nan}', b'{"os": "\xff"}'])
def test_a_malformed_machine_json_is_refused(run: Run, content: bytes) -> None:
    (run.folder / "machine.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"machine\.json: not "):
        store.machine(run.folder)


COUNTS = {field.name for field in fields(CellRow) if field.type is int}
MEASURES = {field.name for field in fields(CellRow) if field.type == float | None}


def derived(run: Run) -> Path:
    """cells.csv of the run, one cell measured and one refused."""
    refused_visit = visit(3, kernel="cupy_matmul", status="unavailable", reason="no GPU", device="")
    run.append(refused_visit, [])
    cells = rows_of(
        store.load(run.folder, Visit),
        store.load(run.folder, Block),
        {"cpu": Peaks("float32", 1e12, None, None)},
    )
    store.write_cells(run.folder, cells)
    return run.folder / "cells.csv"


def test_one_call_of_pandas_reads_cells_with_numbers_as_numbers(run: Run) -> None:
    frame = pd.read_csv(derived(run))
    assert list(frame.columns) == store.columns(CellRow)
    assert all(frame[name].dtype == "int64" for name in COUNTS)
    assert all(frame[name].dtype == "float64" for name in MEASURES)
    assert list(frame.kernel) == ["cupy_matmul", "numpy_matmul"]
    assert frame.time_s.isna().tolist() == [True, False]
    assert frame.time_s[1] == 1.25e-6


def test_the_frame_for_the_charts_has_the_same_numbers(run: Run) -> None:
    derived(run)
    frame = store.frame(run.folder)
    assert list(frame.columns) == store.columns(CellRow)
    assert {name: str(frame[name].dtype) for name in COUNTS} == dict.fromkeys(COUNTS, "int64")
    # a column without any number, too: a chart reckons with it
    assert {name: str(frame[name].dtype) for name in MEASURES} == dict.fromkeys(MEASURES, "float64")
    assert frame.reason.tolist() == ["no GPU", ""]


def test_the_frame_of_a_malformed_file_is_refused(run: Run) -> None:
    path = derived(run)
    path.write_text(path.read_text(encoding="utf-8").replace(",ok,", ",fine,"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"cells\.csv, line 3, column status"):
        store.frame(run.folder)
