"""The table in Markdown says what the terminal's says, and leaves no character to Markdown."""

import re
from pathlib import Path

import pytest
from commands import bench, refused
from decks import AWKWARD, REFERENCE, cell, folder_of, grid

from bench.data import store
from bench.data.records import CellRow, Verdict
from bench.show import deck, markdown, page, table
from bench.stats import run_data
from bench.terminal.text import markdown as escaped


def lines_of(text: str) -> list[list[str]]:
    """The rows of the table, its heading first."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_the_table_has_a_row_a_case_with_times_rates_speedups_and_intervals() -> None:
    cells = store.load(REFERENCE, CellRow)
    text = markdown.of(run_data.read(REFERENCE))
    heading, ruler, *rows = lines_of(text)
    kernels = ["python\\_loop", "numpy\\_dot", "numpy\\_matmul"]
    assert heading == ["layer", "batch", *kernels]  # CuPy has no number
    assert ruler == ["---:"] * 5
    assert len(rows) == len({(c.n_in, c.n_units, c.batch) for c in cells})
    for row in rows:
        width, batch = int(row[0].split(" x ")[1]), int(row[1])
        for kernel, said in zip(kernels, row[2:], strict=True):
            (mine,) = (
                c
                for c in cells
                if (c.kernel, c.n_units, c.batch) == (kernel.replace("\\", ""), width, batch)
            )
            want = table.entry(mine).plain.replace("\n", "<br>").replace("~", "\\~")
            assert said == want
    at = next(row for row in rows if row[:2] == ["1000 x 1000", "1"])
    assert re.fullmatch(r"[\d.]+ µs ±\d+%<br>[\d.]+ GFLOP/s [\d,]+x ±\d+%", at[4])


def test_below_it_stand_the_conditions_and_why_what_is_missing_is_missing() -> None:
    text = markdown.of(run_data.read(REFERENCE))
    assert re.match(
        r"\*\*1000 units, one example: one matmul is [\d,]+ times the Python loop", text
    )
    for said in (
        "float32, relu, 2 threads, warm caches; ± is half the 95 % interval",
        "cupy\\_matmul: unavailable (24 cells)",
        "AMD EPYC, 2 usable cores",
    ):
        assert said in text


def test_a_name_can_not_break_the_table() -> None:
    name = "a|b`*_~<i>[x](y)#\\"
    text = markdown.markdown([cell(name, 64, 1, 1e9), cell("plain", 64, 1, 2e9)])
    assert all(len(row) == 4 for row in lines_of(text))
    shown = "a\\|b\\`\\*\\_\\~\\<i\\>\\[x\\](y)\\#\u2060\\\\"
    assert escaped(name) == shown
    assert escaped("one\ntwo") == "one two"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("@octocat", "\\@\u2060octocat"),
        ("a@b.example", "a\\@\u2060b.example"),
        ("see #12", "see \\#\u206012"),
        ("http://evil.example", "http\\://evil.example"),
        ("www.evil.example", "www\\.evil.example"),
        ("$x^2$", "\\$x^2\\$"),
        ("a&lt;b: c", "a\\&lt;b: c"),
        ("\x1b[31mred", "\ufffd\\[31mred"),
    ],
)
def test_a_name_is_no_mention_link_formula_or_control_character(name: str, shown: str) -> None:
    assert escaped(name) == shown
    text = markdown.markdown([cell(name, 64, 1, 1e9)])
    assert lines_of(text)[0][2] == shown


def test_where_no_cell_has_a_number_the_kernels_stand_there_with_their_status() -> None:
    heading, _, *rows = lines_of(markdown.markdown([cell("a", 64, 1), cell("a", 256, 1)]))
    assert heading == ["layer", "batch", "a"]
    assert [row[2] for row in rows] == ["skipped", "skipped"]
    assert markdown.markdown([]).startswith("| layer | batch |")


def test_report_makes_all_and_says_where(tmp_path: Path) -> None:
    run = folder_of(AWKWARD["as usual"], tmp_path / "results" / "mine")
    done = bench("report", str(run))
    assert done.code == 0
    there = run / "plots"
    assert done.out.split() == [
        "page:",
        str(there / page.NAME),
        "slides:",
        str(there / deck.NAME),
        "table:",
        str(there / markdown.NAME),
    ]
    assert (there / markdown.NAME).read_text(encoding="utf-8") == markdown.of(run_data.read(run))
    assert (there / deck.NAME).read_bytes()[:2] == b"PK"


def test_the_table_alone_goes_to_stdout_or_to_a_file(tmp_path: Path) -> None:
    run = folder_of(grid({"a": 1e9}, (64,), (1,)), tmp_path / "mine")
    done = bench("report", str(run), "--markdown")
    assert done.code == 0
    assert lines_of(done.out)[0] == ["layer", "batch", "a"]
    assert not (run / "plots").exists()
    bench("report", str(run), "--markdown", "--out", str(tmp_path / "new" / "t.md"))
    assert (tmp_path / "new" / "t.md").read_text(encoding="utf-8") == done.out


def test_the_deck_alone_goes_where_it_is_asked_for(tmp_path: Path) -> None:
    run = folder_of(AWKWARD["one cell"], tmp_path / "mine")
    done = bench("report", str(run), "--pptx", "--out", str(tmp_path / "a.pptx"))
    assert done.out.split() == ["slides:", str(tmp_path / "a.pptx")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pptx", "mine"]


@pytest.mark.parametrize("choice", ["--html", "--pptx", "--markdown"])
def test_a_place_that_cannot_be_written_is_one_line(choice: str, tmp_path: Path) -> None:
    run = folder_of(AWKWARD["one cell"], tmp_path / "mine")
    (tmp_path / "file").write_text("")
    said = refused("report", str(run), choice, "--out", str(tmp_path / "file" / "x"))
    assert "can't be written (" in said
    assert "take another --out" in said


def test_a_comparison_is_no_run(tmp_path: Path) -> None:
    (tmp_path / store.FILES[Verdict]).write_text("")
    assert "compares two commits: python -m bench plot" in refused("report", str(tmp_path))


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    assert "cells.csv can't be read" in refused("report", str(tmp_path))
