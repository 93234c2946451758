"""Runs of many hosts in one folder: each once, in any order; the slow and the missing named."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import page_runs
import pptx
import pytest
from commands import bench, refused
from fleets import MACHINE, made
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bench.data import run_folder, store
from bench.data.machine import Cpu, Gpu, Gpus, Machine
from bench.data.records import Visit
from bench.fleet import alike, merge


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def merged(out: Path, *runs: Path) -> dict[str, bytes]:
    done = bench("merge", *map(str, runs), "--out", str(out))
    assert (done.code, done.err) == (0, "")
    return contents(out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs of three hosts; of one of them also an earlier state, and a copy of another."""
    folder = tmp_path_factory.mktemp("runs")
    whole = [made(folder / f"run-{host}", host) for host in ("a", "b", "c")]
    return [
        *whole,
        made(folder / "earlier", "c", visits=2),
        Path(shutil.copytree(whole[0], folder / "copy")),
    ]


def test_each_run_is_there_once_and_as_it_came(runs: list[Path], tmp_path: Path) -> None:
    files = merged(tmp_path / "out", *runs)
    folders = {name.split("/")[0] for name in files} - {"fleet.csv"}
    assert [name.split("-")[0] for name in sorted(folders)] == ["a", "b", "c"]
    for name in sorted(folders):
        source = runs["abc".index(name[0])]
        assert contents(tmp_path / "out" / name) == contents(source)
    header, *rows = files["fleet.csv"].decode().splitlines()
    assert tuple(header.split(",")) == merge.COLUMNS
    assert len(rows) == 3


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_neither_order_nor_repetition_matters(runs: list[Path], data: st.DataObject) -> None:
    order = data.draw(st.permutations(runs))
    cut = data.draw(st.integers(1, len(order)))
    with TemporaryDirectory() as folder:
        out = Path(folder)
        once = merged(out / "once", *runs)
        merged(out / "first", *order[:cut])
        assert merged(out / "twice", out / "first", *order) == once
        assert merged(out / "first", *order) == once
        assert merged(out / "first", out / "first") == once


def test_what_is_left_out_is_said(runs: list[Path], tmp_path: Path) -> None:
    done = bench("merge", *map(str, runs), "--out", str(tmp_path / "out"))
    said = done.out.splitlines()
    assert sum("left out: c-" in line and "earlier" in line for line in said) == 1
    assert sum("left out: a-" in line and "is the same run" in line for line in said) == 1
    assert "3 runs of 3 hosts, 3 of them new here" in said
    again = bench("merge", str(runs[0]), "--out", str(tmp_path / "out"))
    assert "3 runs of 3 hosts, 0 of them new here" in again.out


def members(
    folder: Path, *hosts: tuple[str, float], machine: Machine = MACHINE
) -> list[merge.Member]:
    return merge.read(
        made(folder / host, host, seconds, machine=machine) for host, seconds in hosts
    )


def slow(found: Sequence[merge.Member]) -> list[str]:
    return [each.member.host for each in alike.standings(found) if each.slow]


class TestStanding:
    def test_a_slow_host_is_named_with_how_slow_it_is(self, tmp_path: Path) -> None:
        hosts = [(f"n{n}", 1e-3 * (1 + 0.002 * n)) for n in range(5)]
        found = members(tmp_path, *hosts, ("lame", 1.3e-3))
        assert slow(found) == ["lame"]
        (ratio,) = (each.ratio for each in alike.standings(found) if each.slow)
        assert ratio == pytest.approx(1.3, abs=0.02)
        said = bench("merge", str(tmp_path), "--out", str(tmp_path / "out")).out
        assert "is slow: its cells take 29 % longer than its like's" in said

    def test_two_hosts_cant_tell_which_one_is(self, tmp_path: Path) -> None:
        assert slow(members(tmp_path, ("a", 1e-3), ("b", 2e-3))) == []

    def test_where_all_scatter_none_is(self, tmp_path: Path) -> None:
        hosts = [(f"n{n}", 1e-3 * (1 + 0.1 * n)) for n in range(6)]
        assert slow(members(tmp_path, *hosts)) == []

    def test_only_the_like_are_compared(self, tmp_path: Path) -> None:
        other = structs.replace(MACHINE, cpu=Cpu("an older CPU", cores_usable=8))
        gpu = structs.replace(MACHINE, gpus=Gpus(devices=(Gpu(name="GPU", bus="0"),)))
        found = members(tmp_path / "1", *((f"n{n}", 1e-3) for n in range(3)))
        found += members(tmp_path / "2", *((f"o{n}", 9e-3) for n in range(3)), machine=other)
        found += members(tmp_path / "3", *((f"g{n}", 5e-3) for n in range(3)), machine=gpu)
        assert slow(found) == []
        assert all(each.ratio == 1 for each in alike.standings(found))

    def test_what_a_run_lacks_is_counted(self, tmp_path: Path) -> None:
        found = members(tmp_path, *((f"n{n}", 1e-3) for n in range(3)))
        rows = [row for row in found[0].run.cells if row.kernel == "numpy_dot"]
        short = merge.Member(replace(found[0].run, cells=rows), found[0].key)
        lacking = [each.lacking for each in alike.standings([short, *found[1:]])]
        assert lacking == [1, 0, 0]


def test_an_expected_host_without_a_run_is_missing(runs: list[Path], tmp_path: Path) -> None:
    expect = [word for host in ("a", "z", "z") for word in ("--expect", host)]
    done = bench("merge", str(runs[0]), *expect, "--out", str(tmp_path / "out"))
    assert done.code == 1
    assert done.out.count("z is missing: it has no run here") == 1


def test_a_fleet_is_drawn_side_by_side(runs: list[Path], tmp_path: Path) -> None:
    merged(tmp_path / "out", *runs)
    done = bench("plot", str(tmp_path / "out"), "--format", "png")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "out" / "plots" / "machines.png").is_file()
    both = [str(tmp_path / "out"), str(runs[0])]
    assert "holds several runs: draw it by itself" in refused("plot", *both)


def test_a_fleets_page_and_slides_show_all_of_it(runs: list[Path], tmp_path: Path) -> None:
    merged(tmp_path / "out", *runs)
    done = bench("report", str(tmp_path / "out"))
    assert (done.code, done.err) == (0, "")
    plots = tmp_path / "out" / "plots"
    assert sorted(path.name for path in plots.iterdir()) == ["deck.pptx", "report.html"]
    names = [run.name for run in run_folder.runs(tmp_path / "out")]
    shown = page_runs.data((plots / "report.html").read_text(encoding="utf-8"))["runs"]
    assert [run["name"] for run in shown] == names
    slides = pptx.Presentation(str(plots / "deck.pptx")).slides
    said = [" ".join(s.text_frame.text for s in each.shapes if s.has_text_frame) for each in slides]
    assert all(any(name in words for words in said) for name in names)
    for options in (["--markdown"], ["reference", "--pptx"]):
        assert "of one run" in refused("report", str(tmp_path / "out"), *options)


def test_what_is_no_run_is_refused(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "out")]
    assert "cells.csv can't be read" in refused("merge", str(tmp_path / "empty"), *out)
    (tmp_path / "file").write_text("")
    said = refused("merge", str(runs[0]), "--out", str(tmp_path / "file" / "out"))
    assert "can't be written" in said
    assert "merging again goes on" in said
    assert not (tmp_path / "out").exists()


def test_a_damaged_run_is_named_and_nothing_is_written(runs: list[Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(runs[0], tmp_path / "broken"))
    (broken / store.FILES[Visit]).write_text("not,a,run\n")
    said = refused("merge", str(runs[1]), str(broken), "--out", str(tmp_path / "out"))
    assert "broken/visits.csv, line 1" in said
    assert not (tmp_path / "out").exists()
