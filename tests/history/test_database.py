"""The history's file: nothing lost, nothing doubled, whatever happens to it."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from campaign import often
from histories import entry, filled, run, subject
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_runs import Book, run_of

from bench import ROOT
from bench.data.machine import Cpu, Machine
from bench.data.series import Series
from bench.history import database, keep, schema
from bench.history.database import Asked
from bench.plan.case import Case
from bench.terminal.errors import BadInput

ADDER = """
import sys
sys.path[:0] = ["tests/doubles"]
from pathlib import Path
from histories import entry, run
from bench.history import database
first, last = map(int, sys.argv[2:])
for number in range(first, last):
    entries = [entry(number + 1.0, "numpy_matmul", width) for width in range(1, 51)]
    print(database.add(Path(sys.argv[1]), run(number), entries), flush=True)
"""


def adder(path: Path, first: int, last: int) -> "subprocess.Popen[str]":
    """A process that adds these runs, fifty numbers each, and says so after each."""
    command = [sys.executable, "-c", ADDER, str(path), str(first), str(last)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def everything(path: Path) -> list[Series]:
    return list(database.series(path, Asked(latest=10**6)))


def values(path: Path) -> list[Sequence[float]]:
    return [each.values for each in everything(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


class TestAdding:
    def test_what_is_added_comes_back(self, path: Path) -> None:
        assert database.add(path, run(1), [entry(2e-3)]) == "added"
        (only,) = everything(path)
        assert only.subject == subject()
        assert only.runs == [run(1)]
        assert only.values == (2e-3,)
        assert (only.lows, only.highs) == ([0.98 * 2e-3], [1.02 * 2e-3])
        assert only.hashes == ("abc",)

    def test_the_same_run_twice_changes_nothing(self, path: Path) -> None:
        filled(path, [1.0, 2.0])
        before = path.read_bytes()
        assert database.add(path, run(0), [entry(1.0)]) == "unchanged"
        assert path.read_bytes() == before

    def test_a_run_that_went_on_takes_its_own_place(self, path: Path) -> None:
        filled(path, [1.0, 2.0], "numpy_dot", "numpy_matmul")
        assert database.add(path, run(0), [entry(1.5)]) == "updated"
        assert values(path) == [(2.0,), (1.5, 2.0)]

    @given(st.permutations(range(6)))
    @settings(max_examples=10, deadline=None)
    def test_the_order_of_adding_does_not_matter(self, order: list[int]) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "history.sqlite"
            for number in (*order, order[0]):
                database.add(path, run(number), [entry(number + 1.0)])
            assert values(path) == [(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)]

    def test_what_is_not_the_same_is_no_series(self, path: Path) -> None:
        others = [
            subject(),
            subject("numpy_dot"),
            subject(machine="another"),
            subject(source="gate"),
            subject(quantity="instructions"),
            subject(device="cuda:0"),
            subject(threads=1),
            subject(cache="cold"),
            *(subject(case=case) for case in CASES),
        ]
        database.add(path, run(0), [replace(entry(), subject=other) for other in others])
        assert {each.subject for each in everything(path)} == set(others)

    def test_a_run_is_known_by_its_first_visit(self, path: Path) -> None:
        book = Book()
        for number in range(1, 5):
            book.good("numpy_dot", number, 1e-3, at_s=1e9 + number)
        machine = Machine(cpu=Cpu("a"), host="box", commit="c0ffee", packages={"numpy": "2"})
        short = run_of(book.visits[:1], book.blocks[:1], machine)
        whole = run_of(book.visits, book.blocks, machine)
        elsewhere = run_of(book.visits, book.blocks, msgspec.structs.replace(machine, host="b"))
        kept, entries = database.of_run(whole)
        assert database.of_run(short)[0] == kept
        assert database.of_run(elsewhere)[0].key != kept.key
        assert (kept.at_s, kept.commit, kept.clean, kept.host) == (1e9 + 1, "c0ffee", False, "box")
        assert kept.packages == {"numpy": "2"}
        assert [(e.value, e.kernel_hash) for e in entries] == [(1e-3, "abc")]
        assert entries[0].low is not None
        assert database.of_run(short)[1][0].low is None


CASES = [
    Case(1, 64, 1, "float32", "relu"),
    Case(64, 1, 1, "float32", "relu"),
    Case(64, 64, 2, "float32", "relu"),
    Case(64, 64, 1, "float64", "relu"),
    Case(64, 64, 1, "float32", "tanh"),
    Case(64, 64, 1, "float32", "relu", "fc1"),
]


def test_counts_are_kept_where_there_are_any() -> None:
    book = Book()
    book.good("numpy_dot", 1, 1e-3)
    run_data = run_of(book.visits, book.blocks)
    rows: Any = [SimpleNamespace(**asdict(row) | {"instructions": 5e6}) for row in run_data.cells]
    _, entries = database.of_run(replace(run_data, cells=rows))
    assert [(e.subject.quantity, e.value, e.low) for e in entries] == [
        ("time", 1e-3, None),
        ("instructions", 5e6, None),
    ]


class TestAskedFor:
    @pytest.mark.parametrize(
        ("asked", "count"),
        [
            (Asked(), 4),
            (Asked(kernels=["numpy_dot"]), 2),
            (Asked(case="x64 batch 1 "), 2),
            (Asked(machine="0123"), 4),
            (Asked(machine="bo"), 4),
            (Asked(machine="123"), 0),
            (Asked(kernels=["numpy_dot"], case="32x"), 1),
        ],
    )
    def test_only_some(self, asked: Asked, count: int, path: Path) -> None:
        kernels = ("numpy_dot", "numpy_matmul")
        entries = [entry(1.0, kernel, width) for kernel in kernels for width in (32, 64)]
        database.add(path, run(0), entries)
        assert len(list(database.series(path, asked))) == count

    def test_the_latest_runs(self, path: Path) -> None:
        filled(path, [1.0, 2.0, 3.0])
        (only,) = database.series(path, Asked(latest=2))
        assert only.values == (2.0, 3.0)


class TestOthers:
    def test_several_writers_at_once_lose_nothing(self, path: Path) -> None:
        adders = [adder(path, first, first + 8) for first in (0, 8, 16)]
        adders.append(adder(path, 4, 12))  # runs of the first two once more
        said = " ".join(each.communicate(timeout=120)[0] for each in adders).split()
        assert [each.returncode for each in adders] == [0] * 4
        assert (said.count("added"), said.count("unchanged")) == (24, 8)
        assert values(path) == [tuple(number + 1.0 for number in range(24))] * 50

    @pytest.mark.parametrize("seed", often(2, 60))
    def test_a_kill_in_mid_write_loses_and_doubles_nothing(self, seed: int, path: Path) -> None:
        killed = adder(path, 0, 10**6)
        assert killed.stdout is not None
        told = [killed.stdout.readline() for _ in range(2)]
        time.sleep(random.Random(seed).uniform(0, 0.05))
        killed.send_signal(signal.SIGKILL)
        told += killed.stdout.readlines()
        killed.wait()
        killed.stdout.close()
        known = values(path)
        assert len(known) == 50
        assert len(known[0]) - len(told) in (0, 1)  # the last one may not have been told any more
        assert known == [tuple(number + 1.0 for number in range(len(known[0])))] * 50
        assert database.add(path, run(0), [entry(1.0, width=1)]) == "updated"

    def test_a_file_in_use_is_waited_for_and_then_named(self, path: Path) -> None:
        filled(path, [1.0])
        with schema.writing(path), pytest.raises(BadInput, match="another program writes to it"):
            database.add(path, run(1), [entry()], wait_s=0.05)
        assert values(path) == [(1.0,)]


def older(path: Path, version: int) -> Path:
    """A database as an earlier version made it, with a run in it."""
    with closing(sqlite3.connect(path)) as file:
        for step in schema.MIGRATIONS[:version]:
            file.executescript(step)
        file.execute(f"PRAGMA application_id = {schema.APPLICATION}")
        file.execute(f"PRAGMA user_version = {version}")
        file.execute(
            "INSERT INTO run VALUES (1, 'k', 'd', 'old', 'run', 5.0, 'c0ffee', 1, 'm', 'box', 'l',"
            " '{}', '{}')"
        )
        file.execute(
            "INSERT INTO subject VALUES (1, 'm', 'run', 'time', 'numpy_dot', 64, 64, 1, 'float32',"
            " 'relu', '', 'cpu', 2, 'warm')"
        )
        file.execute("INSERT INTO value VALUES (1, 1, 0.25, NULL, NULL, 'abc')")
        file.commit()
    return path


class TestTheFile:
    @pytest.mark.parametrize("version", range(1, schema.VERSION))
    def test_an_older_version_is_brought_to_this_one(self, version: int, path: Path) -> None:
        older(path, version)
        assert values(path) == [(0.25,)]
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
            names = file.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
        assert ("value_of_run",) in names
        filled(path, [1.0])
        assert {0.25, 1.0} == {value for each in values(path) for value in each}

    def test_a_newer_version_is_refused_by_name_and_left_alone(self, path: Path) -> None:
        filled(path, [1.0])
        with closing(sqlite3.connect(path)) as file:
            file.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        before = path.read_bytes()
        for use in (lambda: everything(path), lambda: filled(path, [1.0, 2.0])):
            with pytest.raises(
                BadInput, match=f"history.sqlite is of version {schema.VERSION + 1}"
            ):
                use()
        assert path.read_bytes() == before

    def test_another_programs_database_is_left_alone(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as file:
            file.execute("CREATE TABLE mine (word TEXT)")
        before = path.read_bytes()
        for use in (lambda: everything(path), lambda: filled(path, [1.0])):
            with pytest.raises(BadInput, match="another program's database"):
                use()
        assert path.read_bytes() == before

    @pytest.mark.parametrize("at", [0, 20, 100, 4096, 8192, -4096])
    def test_a_corrupt_file_is_named_and_left_alone(self, at: int, path: Path) -> None:
        filled(path, [1.0] * 5, *(f"kernel_{number}" for number in range(200)))
        content = bytearray(path.read_bytes())
        content[at : at + 2000] = bytes(b ^ 0xA5 for b in content[at : at + 2000])
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"history\.sqlite is damaged .*: move it away"):
            schema.refuse_damaged(path)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("content", [b"kernel,time\n", b"\0" * 5000, b"SQLite format 3\0"])
    def test_a_file_that_is_no_database_is_named_and_left_alone(
        self, content: bytes, path: Path
    ) -> None:
        path.write_bytes(content)
        for use in (lambda: everything(path), lambda: filled(path, [1.0])):
            with pytest.raises(BadInput, match="move it away"):
                use()
        assert path.read_bytes() == content

    def test_where_nothing_can_be_written_it_can_still_be_read(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        filled(path, [1.0, 2.0])
        monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
        assert values(path) == [(1.0, 2.0)]
        path.with_name("history.sqlite-wal").write_bytes(b"what was not yet written in")
        with pytest.raises(BadInput, match=r"copy it and history\.sqlite-wal elsewhere"):
            everything(path)
        path.with_name("history.sqlite-wal").unlink()
        path.unlink()
        older(path, 1)
        with pytest.raises(BadInput, match="is of an older version: make it writable"):
            everything(path)

    def test_none_yet(self, path: Path) -> None:
        with pytest.raises(BadInput, match="no history there yet: python -m bench history add"):
            everything(path)


class TestKeeping:
    def test_a_run_is_kept_where_the_environment_says(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(schema.VARIABLE, str(path))
        assert keep.keep(run(0), [entry(1.0)]) == ""
        assert values(path) == [(1.0,)]
        monkeypatch.setenv(schema.VARIABLE, "")
        assert keep.keep(run(1), [entry(1.0)]) == ""
        assert values(path) == [(1.0,)]
        monkeypatch.delenv(schema.VARIABLE)
        assert schema.chosen(None) == schema.PLACE
        assert schema.chosen(path) == path

    def test_a_run_without_a_number_is_not(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(schema.VARIABLE, str(path))
        assert keep.keep(run(0), []) == ""
        assert not path.exists()

    def test_where_it_cannot_be_a_line_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv(schema.VARIABLE, str(tmp_path / "file" / "history.sqlite"))
        note = keep.keep(run(0), [entry()])
        assert note.startswith("note: this run is not in the history: ")
        assert "name another with --db" in note
        assert "\n" not in note
