"""A run's surroundings: where it keeps what it has learnt of its machine."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from commands import bench
from made_up_runs import Book, run_of

from bench import ROOT, session


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
