"""A run's surroundings: where it keeps what it has learnt of its machine."""

from pathlib import Path

import pytest

from bench import ROOT, session


def test_what_is_learnt_of_a_machine_is_kept_in_results_or_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(session.VARIABLE, str(tmp_path))
    assert session.kept(session.SPEED) == tmp_path / ".speed.json"
    monkeypatch.setenv(session.VARIABLE, "")
    assert session.kept(session.PEAKS) == ROOT / "results" / ".peaks.json"
