"""A run's surroundings: where it keeps what it has learnt of its machine."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from commands import bench, refused
from made_up_runs import Book, run_of

from bench import ROOT, session
from bench.data.machine import Machine
from bench.machine import tuning
from bench.worker.messages import Software, Tuned


def test_what_is_learnt_of_a_machine_is_kept_in_results_or_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(session.VARIABLE, str(tmp_path))
    assert session.kept(session.SPEED) == tmp_path / ".speed.json"
    monkeypatch.setenv(session.VARIABLE, "")
    assert session.kept(session.PEAKS) == ROOT / "results" / ".peaks.json"


@pytest.mark.parametrize(("options", "drawn"), [([], 1), (["--no-charts"], 0)])
def test_charts_can_be_left_for_later(
    options: list[str], drawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Mock(return_value=[])
    monkeypatch.setattr("bench.show.runs.draw", draw)
    monkeypatch.setattr("bench.show.runs.page", lambda *_: [])
    book = Book()
    book.good("numpy_dot", 1, 1e-3)

    def start(*_: Any, charts: bool, **__: Any) -> int:
        session._draw(run_of(book.visits, book.blocks), charts=charts)
        return 0

    monkeypatch.setattr(session, "start", start)
    assert bench("run", *options).code == 0
    assert draw.call_count == drawn


def test_a_run_is_measured_with_what_was_found_best_here_and_with_the_defaults_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(session.VARIABLE, str(tmp_path))
    monkeypatch.setenv(tuning.VARIABLE, "what another run had")
    software = Software(1, (), "3", "2", ())
    assert session._tuned(software, 2, tune=False) == []
    assert tuning.VARIABLE not in os.environ
    found = Tuned({"blocks": 0.0, "places": 1, "shared": 7, "copied": 9}, {"blocks": 0.9})
    ended = subprocess.CompletedProcess([], 0, msgspec.json.encode(found).decode(), "")
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", lambda *_, **__: ended)
        patch.setattr("bench.machine.survey.survey", lambda *_: Machine(fingerprint="abc"))
        (said,) = session._tuned(software, 2, tune=True)
        assert "no blocks (at most 0.90 of the default's time)" in said
        tuning.tell("")
        assert session._tuned(software, 2, tune=False) == []
    assert json.loads(os.environ[tuning.VARIABLE]) == found.parameters


def test_a_run_that_goes_on_is_not_tuned(tmp_path: Path) -> None:
    assert "leave out --tune" in refused("run", "--resume", str(tmp_path), "--tune")
