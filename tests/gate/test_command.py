"""A comparison's options to its files: with made-up rounds in place of measured ones."""

import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.count import sources
from bench.data import store
from bench.data.machine import Machine
from bench.data.records import Phase, Round, Verdict
from bench.gate import calibration, command, comment, compare, counts, decide
from bench.gate.command import What
from bench.history import database
from bench.machine import survey
from bench.measure import visit
from bench.show import progress
from bench.terminal.errors import BadInput

WHAT = What("gate", (), 0.05, None, 0, witness="time")


def made(generator: random.Random, slowdown: float = 0.0) -> compare.Comparison:
    """A comparison of one cell whose rounds scatter by 1 %."""
    phases: list[Phase] = ["screen", "confirm"]
    name = "numpy_dot 16x16 batch 1"
    rows = []
    for number in range(50):
        phase = phases[number >= 10]
        d = slowdown + generator.gauss(0, 0.01)
        rows.append(Round(number, phase, name, "numpy_dot", 1.0, 1.0, d, 0.0, 16))
    return compare.conclude(rows, decide.Spread(), 0.05)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the comparison was called with; nothing is measured."""
    calls: list[Any] = []
    generator = random.Random(1)

    def fake(
        what: What, both: Any, spread: Any, *_: Any, confirm: bool = True
    ) -> compare.Comparison:
        calls.append((what, both, spread, confirm))
        return made(generator, 0.2 if what.seed == 99 else 0.0)

    monkeypatch.setattr(command, "_compare", fake)
    monkeypatch.setattr(command, "SPREADS", tmp_path / "spread.json")
    return calls


def test_a_calibration_is_used_by_the_next_comparison(
    compared: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    command.calibrate(replace(WHAT, budget_s=900.0))
    assert len(compared) >= calibration.LEAST_RUNS
    assert not any(confirm for *_, confirm in compared)
    assert "numpy_dot: runs differ by 0." in capsys.readouterr().err
    assert (
        command.compare_commits(WHAT, "HEAD", "worktree", tmp_path / "out", locked=False)
        == "not slower"
    )
    spread = compared[-1][2]
    assert spread.runs == len(compared) - 1
    assert f"margins from {spread.runs} runs of identical code" in capsys.readouterr().out


def test_too_short_a_calibration_says_how_long_it_needs(
    compared: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with pytest.raises(BadInput, match=r"1 runs are too few: give a --budget of 2 min 40 s or"):
        command.calibrate(replace(WHAT, budget_s=50.0))


def test_a_run_that_was_cut_short_or_not_judged_tells_a_calibration_nothing(
    compared: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    whole = command._compare

    def troubled(*arguments: Any, **more: Any) -> compare.Comparison:
        found = whole(*arguments, **more)
        if len(compared) > 11:
            return replace(found, short=True, problem="there was time for 2 of the first 6")
        return replace(found, problem="too noisy" if len(compared) == 3 else None)

    monkeypatch.setattr(command, "_compare", troubled)
    command.calibrate(WHAT)
    assert (
        calibration.read(command.SPREADS, survey.survey(visit.software(1), 1).fingerprint).runs
        == 10
    )
    assert "a run that doesn't count: too noisy" in capsys.readouterr().err
    compared.extend([()] * 11)
    with pytest.raises(BadInput, match="time for 2 of the first"):  # the first was cut short
        command.calibrate(WHAT)


def test_what_was_found_is_written_and_its_code_is_red(
    compared: list[Any], tmp_path: Path, capsys: Any
) -> None:
    what = replace(WHAT, seed=99)
    says = command.compare_commits(what, "HEAD", "worktree", tmp_path / "out", locked=False)
    assert command.CODES[says] == 1
    (verdict,) = store.load(tmp_path / "out", Verdict)
    assert verdict.says == "slower"
    assert len(store.load(tmp_path / "out", Round)) == 50
    comparison = store.machine(tmp_path / "out").comparison
    assert comparison is not None
    assert comparison.says == "slower"
    told = capsys.readouterr().out
    assert "rounds.csv" in told
    assert "for CI:" in told
    assert "counts.csv" not in told  # there is none
    assert "margins for a machine that was not calibrated" in told
    assert '<failure message="slower: ' in (tmp_path / "out" / "junit.xml").read_text()


@pytest.mark.parametrize("head", ["HEAD", "worktree"])
def test_the_head_side_is_kept_in_the_history(
    head: str, compared: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "history.sqlite"
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('widths = [16]\nbatches = [1]\nprecision = "float64"\n')
    monkeypatch.setenv("BENCH_HISTORY", str(db))
    what = replace(WHAT, sweep=str(sweep))
    command.compare_commits(what, "HEAD", head, tmp_path / "out", locked=False)
    (only,) = database.series(db, database.Asked())
    assert only.subject.label == "numpy_dot 16x16 batch 1 float64 relu 1 thread gate"
    assert (only.values, only.lows, only.highs) == ((1.0,), [1.0], [1.0])
    here = store.machine(tmp_path / "out")
    assert (only.runs[0].name, only.runs[0].commit) == ("out", here.commit)
    assert only.runs[0].clean == (head == "HEAD" or here.clean)


def test_rounds_that_are_not_relied_on_are_not_kept(tmp_path: Path) -> None:
    noisy = replace(made(random.Random(1)), problem="too noisy")
    assert command._head(WHAT, Machine(), "out", "worktree", noisy)[1] == []


def test_a_summary_that_cannot_be_written_leaves_the_verdict(
    compared: list[Any], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/dev/full")
    what = replace(WHAT, seed=99)
    assert command.compare_commits(what, "HEAD", "HEAD", tmp_path / "out", locked=False) == "slower"
    said = capsys.readouterr()
    assert "note: GITHUB_STEP_SUMMARY can't be written" in said.err
    assert "::error title=slower::" in said.out


@pytest.mark.parametrize("works", [True, False])
def test_a_comment_is_told_of_and_one_that_fails_leaves_the_verdict(
    *, works: bool, compared: list[Any], tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    def write(summary: str) -> str:
        assert summary.startswith("### Gate: ")
        if works:
            return "https://github.example/c/1"
        raise comment.CantComment("there is no gh")

    monkeypatch.setattr(comment, "write", write)
    what = replace(WHAT, comment=True)
    says = command.compare_commits(what, "HEAD", "HEAD", tmp_path / "out", locked=False)
    assert says == "not slower"
    said = capsys.readouterr()
    assert ("comment: https://github.example/c/1" in said.out) == works
    assert ("note: no comment on the pull request: there is no gh" in said.err) != works


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BadInput("the head raises"), "no verdict: the head raises"),
        (RuntimeError("a 50% fault"), "no verdict: RuntimeError: a 50% fault"),
    ],
)
def test_what_ends_without_a_verdict_is_told_like_one(
    error: Exception, words: str, compared: list[Any], tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """An earlier push's comment would stand, as green as it was."""

    def broken(*_: Any, **__: Any) -> compare.Comparison:
        raise error

    comments: list[str] = []

    def write(text: str) -> str:
        comments.append(text)
        return "its place"

    monkeypatch.setattr(command, "_compare", broken)
    monkeypatch.setattr(comment, "write", write)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    what = replace(WHAT, comment=True)
    with pytest.raises(type(error)):
        command.compare_commits(what, "HEAD", "HEAD", tmp_path / "out", locked=False)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="exists: take another --out"):
        command.compare_commits(what, "HEAD", "HEAD", tmp_path / "out", locked=False)
    first, second = comments
    assert first == f"### Gate: {words}\n\nHEAD against HEAD.\n"
    assert "out exists: take another" in second
    assert (tmp_path / "summary").read_text() == "".join(comments)
    annotation = f"::error title=gate::{words.replace('%', '%25')}"
    assert annotation in capsys.readouterr().out.splitlines()


def test_counts_alone_need_something_that_counts(
    compared: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = sources.Nothing("Valgrind is not installed", "install it")
    monkeypatch.setattr(sources, "find", lambda _: none)
    what = replace(WHAT, witness="count")
    with pytest.raises(BadInput, match="--witness count: Valgrind is not installed: install it"):
        command.compare_commits(what, "HEAD", "HEAD", tmp_path / "out", locked=False)
    said = command.compare_commits(
        replace(WHAT, witness="both"), "HEAD", "HEAD", tmp_path / "out", locked=False
    )
    assert said == "not slower"  # by its time


def test_counters_that_simulate_nothing_are_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "judged", lambda result, *_, **__: result)
    before, shown = made(random.Random(1)), progress.Screen(lambda: "")
    what = replace(WHAT, witness="both", simulate=True)
    for kind, notes in (("perf", 1), ("callgrind", 0)):
        found = command._counted(what, before, [], sources.Source(kind, "a name"), shown)
        assert len(found.notes) == notes


def test_a_directory_that_cannot_be_made_is_refused_before_anything_is_measured(
    compared: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="take another --out"):
        command.compare_commits(WHAT, "HEAD", "HEAD", tmp_path / "file" / "out", locked=False)
    assert not compared


def test_a_comparison_that_is_stopped_leaves_no_directory(
    compared: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> compare.Comparison:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_compare", stopped)
    with pytest.raises(KeyboardInterrupt):
        command.compare_commits(WHAT, "HEAD", "HEAD", tmp_path / "out", locked=False)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_takes_the_files_and_leaves_the_table(
    compared: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(*_: Any) -> None:
        raise BadInput("no space left")

    monkeypatch.setattr(store, "write_comparison", full)
    with pytest.raises(BadInput):
        command.compare_commits(WHAT, "HEAD", "HEAD", tmp_path / "out", locked=False)
    assert "numpy_dot" in capsys.readouterr().out
