"""Where a run's charts go, and runs that may only be read."""

import os
import shutil
from pathlib import Path

import pytest
from commands import bench

from bench import ROOT
from bench.data import run_folder


def test_charts_of_this_checkouts_results_lie_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_folder.plots(ROOT / "results" / "r") == ROOT / "plots" / "r"
    monkeypatch.chdir(ROOT)
    assert run_folder.plots(Path("results/r")) == ROOT / "plots" / "r"
    assert run_folder.plots(Path("bench/../results/r")) == ROOT / "plots" / "r"


@pytest.mark.parametrize("name", ["results/r1", "r1", "results", "project/results/r1"])
def test_charts_of_any_other_folder_lie_in_it(name: str, tmp_path: Path) -> None:
    assert run_folder.plots(tmp_path / name) == tmp_path / name / "plots"


def test_where_the_checkout_can_only_be_read_they_lie_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "ROOT", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    assert run_folder.plots(tmp_path / "results" / "r") == tmp_path / "results" / "r" / "plots"
    (tmp_path / "plots").mkdir()
    assert run_folder.plots(tmp_path / "results" / "r") == tmp_path / "plots" / "r"


def test_a_half_made_run_that_a_kill_has_left_is_not_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "ROOT", tmp_path)
    for name in ("whole", ".half.4711"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "sweep.toml").touch()
    assert run_folder.find("latest").name == "whole"


def test_a_run_that_may_only_be_read_is_drawn_and_reported_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(ROOT / "results" / "reference", tmp_path / "archive" / "reference")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    may = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != folder and may(p, mode))
    out = tmp_path / "out"
    plot = ["plot", str(folder), "--only", "batching", "--format", "svg", "--out", str(out)]
    assert bench(*plot).code == 0
    assert [path.name for path in out.iterdir()] == ["batching.svg"]
    for option, name in (("--pptx", "deck.pptx"), ("--markdown", "table.md")):
        assert bench("report", str(folder), option, "--out", str(out / name)).code == 0
        assert (out / name).exists()
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
