"""Whatever a run's files hold, they are read or refused in one line; what is shown obeys nobody."""

import csv
import io
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from campaign import campaign
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import cell, made
from rich.console import Console

from bench import ROOT
from bench.data import machine, store
from bench.data.machine import Cpu, Machine
from bench.data.records import Block, CellRow, Visit
from bench.show import charts, table
from bench.stats import run_data
from bench.studies import fuzz
from bench.terminal import text
from bench.terminal.errors import BadInput

exact = settings(deadline=None, derandomize=True, database=None, max_examples=50)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid run."""
    folder = tmp_path_factory.mktemp("bad") / "good"
    fuzz.small_run(folder)
    return folder


@pytest.fixture
def run(good: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    return Path(shutil.copytree(good, tmp_path / "run"))


def spoil(path: Path, line: int, column: str, value: str) -> None:
    """Put a value, as it stands, into a field of a CSV file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    fields = next(csv.reader([lines[line - 1]]))
    assert len(fields) == len(header)
    quoted = [f'"{field}"' if "," in field else field for field in fields]
    quoted[header.index(column)] = value
    lines[line - 1] = ",".join(quoted)
    path.write_bytes(("\n".join(lines) + "\n").encode())


def refused(run: Path, name: str) -> str:
    """What its reader says, after the file's name: one short line, and `plot` says the same."""
    with pytest.raises(BadInput) as caught:
        fuzz.READERS[name](run)
    said = str(caught.value)
    assert said.startswith(str(run / name))
    assert said.isprintable()
    assert len(said) < len(str(run)) + 300
    if name != "cells.csv":  # it is derived anew
        assert fuzz.attempt(lambda: fuzz.show(run, draw=False)) == "refused"
    return said.removeprefix(str(run / name))


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("visits.csv", "visit", "1"),  # line 2 has it already
        ("visits.csv", "visit", "0"),
        ("visits.csv", "visit", "9" * 5000),
        ("visits.csv", "visit", "1_0"),
        ("visits.csv", "visit", "٣"),
        ("visits.csv", "pass_number", "-1"),
        ("visits.csv", "kernel", "a\0b"),
        ("visits.csv", "kernel", "a\x1b]8;;http://x\x07b"),
        ("visits.csv", "device", "\u202eupc"),
        ("visits.csv", "n_in", "0"),
        ("visits.csv", "n_units", "1e3"),
        ("visits.csv", "batch", str(2**40)),
        ("visits.csv", "precision", "float31"),
        ("visits.csv", "activation", ""),
        ("visits.csv", "threads", "0"),
        ("visits.csv", "cache", "hot"),
        ("visits.csv", "status", "okay"),
        ("visits.csv", "error", "-1"),
        ("visits.csv", "at_s", "inf"),
        ("visits.csv", "control_s", "0"),
        ("visits.csv", "wall_s", "nan"),
        ("visits.csv", "waited_s", "1e99"),
        ("visits.csv", "reason", "a" * 200_000),
        ("blocks.csv", "visit", "-1"),
        ("blocks.csv", "quantity", "tiem"),
        ("blocks.csv", "loops", "0"),
        ("blocks.csv", "loops", "1.0"),
        ("blocks.csv", "loops", str(2**70)),
        ("blocks.csv", "seconds", "-1e-6"),
        ("blocks.csv", "seconds", "NaN"),
        ("blocks.csv", "seconds", "Infinity"),
        ("blocks.csv", "seconds", "1e999"),
        ("blocks.csv", "seconds", "1e300"),
        ("blocks.csv", "seconds", " 1e-6"),
        ("blocks.csv", "seconds", ""),
        ("cells.csv", "status", "good"),
        ("cells.csv", "time_s", "0"),
        ("cells.csv", "flops", str(2**70)),
        ("cells.csv", "speedup", "nan"),
    ],
)
def test_a_bad_field_is_refused_by_line_and_column(
    run: Path, name: str, column: str, value: str
) -> None:
    spoil(run / name, 3, column, value)
    said = refused(run, name)
    assert said.startswith(", line 3")
    if len(value) < 100_000:  # beyond that the csv module has no columns
        assert said.startswith(f", line 3, column {column}: ")


def test_launches_that_took_no_time_are_refused(run: Path) -> None:
    spoil(run / "blocks.csv", 2, "seconds", "0")
    assert refused(run, "blocks.csv") == ", line 2, column seconds: launches can't have taken 0 s"


@pytest.mark.parametrize("name", ["visits.csv", "blocks.csv", "cells.csv"])
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: ["\ufeff" + lines[0], *lines[1:]], 1),
        (lambda lines: [lines[0].upper(), *lines[1:]], 1),
        (lambda lines: [lines[0] + ",more", *lines[1:]], 1),
        (lambda lines: [*lines[:2], lines[2] + "\r", *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[2].replace(",", "\r", 1), *lines[3:]], 3),
        (lambda lines: [*(line + "\r" for line in lines[:3]), *lines[3:]], 4),
        (lambda lines: [*lines[:2], "", *lines[2:]], 3),
        (lambda lines: [*lines[:2], lines[2] + ",", *lines[3:]], 3),
        (lambda lines: [*lines[:2], '"' + lines[2], *lines[3:]], 3),
        (lambda lines: [*lines[:2], lines[2] + "\udcff", *lines[3:]], 3),
    ],
    ids=["BOM", "header", "column", "CR LF", "CR", "mixed", "blank", "comma", "quote", "not UTF-8"],
)
def test_a_bad_line_is_refused_by_its_number(
    run: Path, name: str, change: Callable[[list[str]], list[str]], line: int
) -> None:
    path = run / name
    lines = change(path.read_text(encoding="utf-8").splitlines())
    path.write_bytes(("\n".join(lines) + "\n").encode(errors="surrogateescape"))
    said = refused(run, name)
    # an open quote may swallow all that follows: then it ends where the file does
    assert said.startswith(f", line {line}") or (
        line == 3 and '"' in path.read_text("utf-8", "replace")
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peaks", []),
        ("peaks", {}),
        ("peaks.measured_flop_per_s", "fast"),
        ("peaks.measured_flop_per_s", -1.0),
        ("peaks.measured_flop_per_s", 1e300),
        ("peaks.theoretical_flop_per_s", 0.0),
        ("cpu", "Zen"),
        ("cpu.model", 7),
        ("cpu.cores_usable", "two"),
        ("cpu.vector_flags", "avx2"),
        ("threads", 2.5),
        ("threads", 2**70),
        ("blas", {}),
        ("blas", ["openblas"]),
        ("gpus", None),
        ("gpus.devices", [{"name": "x"}]),
        ("started", 1e30),
        ("load", "1e999"),
        ("warnings", "many"),
    ],
)
def test_a_fact_of_the_wrong_kind_is_refused_by_field(run: Path, field: str, value: Any) -> None:
    path = run / "machine.json"
    facts = json.loads(path.read_text())
    *outer, last = field.split(".")
    inner = facts
    for part in outer:
        inner = inner[part]
    inner[last] = value
    path.write_text(json.dumps(facts))
    assert refused(run, "machine.json").startswith(f", field {field}") or value == {}


def test_fields_of_a_newer_version_are_passed_over(run: Path) -> None:
    path, before = run / "machine.json", store.machine(run)
    path.write_text(json.dumps({**json.loads(path.read_text()), "moon": {"phase": 3}}))
    assert store.machine(run) == before


def test_fields_that_an_older_version_lacks_have_their_defaults(run: Path) -> None:
    (run / "machine.json").write_text('{"cpu": {"model": "Zen"}, "peaks": null}')
    assert store.machine(run) == Machine(cpu=Cpu("Zen"))


@pytest.mark.parametrize("name", ["laptop_before_devices", "h100"])
def test_machine_json_of_published_runs_is_written_as_it_was(name: str) -> None:
    """Field by field, in the same order; what has come since stands beside it."""
    path = ROOT / "tests" / "data" / "machine_files" / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    after = json.loads(machine.dumps(machine.read(path)))
    assert within(before, after)
    assert [field for field in after if field in before] == list(before)


def within(before: Any, after: Any) -> bool:
    """Whether all of one JSON value is in another."""
    if isinstance(before, dict):
        return all(key in after and within(value, after[key]) for key, value in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(within, before, after))
    return bool(before == after)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xef\xbb\xbf{}", b'{"load": nan}', b"\0"])
def test_what_is_no_json_is_refused(run: Path, content: bytes) -> None:
    (run / "machine.json").write_bytes(content)
    assert refused(run, "machine.json").startswith(": not ")


@pytest.mark.parametrize(
    "line",
    [
        *("seed = " + "9" * 5000, "seed = " + "9" * 30, "device = " + "9" * 30),
        *("a = " + "[" * 5000, 'kernels = ["a\\u0000"]', 'kernels = [""]'),
        *("budget_s = 1e999", "widths = 1979-05-27"),
    ],
)
def test_a_sweep_with_an_absurd_value_is_refused(run: Path, line: str) -> None:
    path = run / "sweep.toml"
    path.write_text(f"{line}\nbatches = [1]\n" + ("" if "widths" in line else "widths = [16]\n"))
    refused(run, "sweep.toml")


def test_a_command_ends_with_one_line_and_2(run: Path) -> None:
    spoil(run / "visits.csv", 3, "kernel", "a\x1b[31mb")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "plot", str(run)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "visits.csv, line 3, column kernel" in line
    assert line.isprintable()


@exact
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("name", fuzz.READERS)
def test_a_file_broken_at_random_is_read_or_refused(good: Path, name: str, seed: int) -> None:
    content = (good / name).read_bytes()
    try:
        (good / name).write_bytes(fuzz.broken(name, content, random.Random(seed)))
        assert fuzz.attempt(lambda: fuzz.READERS[name](good)) in ("accepted", "refused")
        said = fuzz.attempt(lambda: fuzz.show(good, draw=False, derive=name != "cells.csv"))
        assert said in ("accepted", "refused")
    finally:
        (good / name).write_bytes(content)
        store.write_cells(good, fuzz.cells_of(good))


@pytest.mark.parametrize("path", sorted(fuzz.BAD_FILES.glob("*-*")), ids=lambda path: path.name)
def test_what_broke_a_reader_once_is_read_or_refused(run: Path, path: Path) -> None:
    name = path.name.partition("-")[2]
    (run / name).write_bytes(path.read_bytes())
    assert fuzz.attempt(lambda: fuzz.READERS[name](run)) in ("accepted", "refused")
    said = fuzz.attempt(lambda: fuzz.show(run, draw=True, derive=name != "cells.csv"))
    assert said in ("accepted", "refused")


def test_the_fuzzer_finds_a_traceback() -> None:
    assert fuzz.attempt(lambda: int("x")).startswith("ValueError")


AWKWARD = (
    "=cmd|'/c calc'!A0",
    "+1",
    "-x",
    "@sum",
    "'=quoted",
    "a$x^{$b",
    "[red]x[/]",
    "[/]",
    "<&>",
)


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_name_is_shown_as_it_is(run: Path, name: str) -> None:
    visits = [replace(row, kernel=name, pass_number=row.visit) for row in store.load(run, Visit)]
    (run / "visits.csv").write_text(store._header(Visit) + store._lines(visits), encoding="utf-8")
    assert store.load(run, Visit) == visits
    data = run_data.read(run)
    store.write_cells(run, data.cells)
    assert {cell.kernel for cell in store.load(run, CellRow)} == {name}
    for shown in pd.read_csv(run / "cells.csv").kernel:
        assert shown[0] not in "=+-@"
        assert text.unguarded(shown) == name
    console = Console(file=io.StringIO(), width=200)
    console.print(table.tables(data.cells, 200)[0])
    assert name in console.file.getvalue()  # type: ignore[attr-defined]


def test_awkward_names_are_drawn(tmp_path: Path) -> None:
    named = made([cell(name, 64, 1, flop_per_s=1e9, speedup=9.0) for name in AWKWARD])
    for path in charts.draw_all([named], [tmp_path], formats=["svg"]):
        ET.parse(path)  # noqa: S314 - our own file


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1e-30, 1e30),
        pytest.param(1e-30, 1e-30, marks=campaign),
        pytest.param(1e30, 1e30, marks=campaign),
    ],
)
def test_numbers_at_the_ends_of_what_is_allowed_are_drawn(
    run: Path, low: float, high: float
) -> None:
    known: dict[str, Any] = {}
    for name in ("flop_per_s", "speedup"):
        known |= {name: high, f"{name}_low": low, f"{name}_high": high}
    cells = [replace(cell, time_s=low, **known) for cell in store.load(run, CellRow)]
    store.write_cells(run, cells)
    assert fuzz.attempt(lambda: fuzz.show(run, derive=False)) == "accepted"


def test_blocks_at_the_ends_of_what_is_allowed_are_drawn(run: Path) -> None:
    blocks = [
        replace(block, seconds=(1e-12, 1e8)[block.visit // 2 % 2])
        for block in store.load(run, Block)
    ]
    (run / "blocks.csv").write_text(store._header(Block) + store._lines(blocks))
    assert fuzz.attempt(lambda: fuzz.show(run)) in ("accepted", "refused")


@exact
@given(st.text(max_size=20))
def test_a_guarded_text_comes_back_and_is_no_formula(name: str) -> None:
    assert text.unguarded(text.guarded(name)) == name
    assert text.guarded(name)[:1] not in tuple("=+-@")


@exact
@given(st.text(max_size=20) | st.text("a\x1b\x07\r\n\t\0\x9b\u202e\u2066\u2028", max_size=9))
def test_a_plain_text_is_as_long_and_has_nothing_unseen(name: str) -> None:
    shown = text.plain(name)
    assert len(shown) == len(name)
    assert not text.UNSEEN.search(shown)
    assert text.plain(shown) == shown


def test_a_cpu_that_calls_itself_a_terminal_sequence_is_drawn(run: Path, tmp_path: Path) -> None:
    path = run / "machine.json"
    path.write_text(path.read_text().replace('"Zen"', '"\\u001b[31m\\u0000$x^{$\\u202e<"', 1))
    data = run_data.read(run)
    for drawn in charts.draw_all([charts.read(data)], [tmp_path / "plots"], formats=["svg"]):
        ET.parse(drawn)  # noqa: S314 - our own file


def test_what_is_refused_or_written_holds_nothing_unseen(run: Path) -> None:
    first = store.load(run, Visit)[0]
    written = replace(first, reason="a\x1b[31m\r\nb\0\u202e")
    (run / "visits.csv").write_text(
        store._header(Visit) + store._lines([written]), encoding="utf-8"
    )
    assert store.load(run, Visit)[0].reason == "a�[31m  b��"


@pytest.mark.parametrize("how", ["each row twice", "the file twice"])
def test_blocks_that_stand_there_twice_are_refused(run: Path, how: str) -> None:
    path = run / "blocks.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    twice = [row for row in rows for _ in range(2)] if how == "each row twice" else rows * 2
    path.write_text(header + "".join(twice), encoding="utf-8")
    with pytest.raises(BadInput, match=r"blocks\.csv, line \d+"):
        run_data.read(run)


def test_a_block_of_launches_alone_is_refused_the_second_time(run: Path) -> None:
    path = run / "blocks.csv"
    path.write_text(
        store._header(Block)
        + store._lines([Block(1, "time", 9, 1e-3, 4e-5, 5e-5)] * 2),  # no trips tell
        encoding="utf-8",
    )
    with pytest.raises(BadInput, match="line 3: the block of line 2 once more"):
        store.load(run, Block)
    still = [Block(1, "time", 9, 1e-3, 4e-5, 4e-5)] * 2  # a coarse clock may say so
    path.write_text(store._header(Block) + store._lines(still), encoding="utf-8")
    assert store.load(run, Block) == still


def test_two_runs_in_one_file_are_refused(run: Path) -> None:
    visits, blocks = store.load(run, Visit), store.load(run, Block)
    last = max(row.visit for row in visits)
    visits += [replace(row, visit=row.visit + last) for row in visits]
    blocks += [replace(row, visit=row.visit + last) for row in blocks]
    for name, content in (
        ("visits.csv", store._header(Visit) + store._lines(visits)),
        ("blocks.csv", store._header(Block) + store._lines(blocks)),
    ):
        (run / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=r"visits\.csv, line \d+, column pass_number: .* already"):
        run_data.read(run)


@pytest.mark.parametrize("name", ["visits.csv", "blocks.csv", "machine.json"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_named(run: Path, name: str, make: Callable[[Path], None]) -> None:
    (run / name).unlink()
    make(run / name)
    with pytest.raises(BadInput, match=f"{name} can't be read"):
        run_data.read(run)
