"""What --tune found is kept for the machine, told to the workers, and said."""

import json
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from bench.machine import tuning
from bench.machine.survey import survey
from bench.terminal.errors import BadInput
from bench.worker import environment
from bench.worker.messages import Software, Tuned
from kernels import _tuning
from kernels._tuning import Parameters

FOUND = Tuned({"blocks": 0.25, "places": 4, "shared": 7, "copied": 9}, {"blocks": 0.9})


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tuning.VARIABLE, "")


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(command: list[str], *, env: dict[str, str], **_: object) -> object:
        assert env["NUMBA_NUM_THREADS"] == "3"
        asked.append(command)
        text = f"a greeting\n{msgspec.json.encode(FOUND).decode()}\n"
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_what_is_found_is_told_kept_and_used_by_later_runs(
    child: list[list[str]], tmp_path: Path
) -> None:
    kept = tmp_path / ".tuned.json"
    assert tuning.known("abc", 3, kept) == ""
    said = tuning.tune("abc", 3, kept)
    blocks = "blocks as if the output cost 0.25 times as much (at most 0.90 of the default's time)"
    assert said == f"numba_packed was tuned: {blocks}"
    assert child[0][1:] == ["-m", "bench.worker.tune", str(tuning.SECONDS)]
    assert _tuning.here() == Parameters(0.25, places=4, shared=7, copied=9)
    assert environment.environment(3)[_tuning.VARIABLE] == os.environ[tuning.VARIABLE]
    tuning.tell("")
    assert _tuning.here() == Parameters()
    tuning.tell(tuning.known("abc", 3, kept))
    assert _tuning.here() == Parameters(0.25, places=4, shared=7, copied=9)
    assert tuning.known("abc", 2, kept) == tuning.known("other", 3, kept) == ""
    tuning.tune("other", 3, kept)
    assert tuning.known("abc", 3, kept) == tuning.known("other", 3, kept)


def test_machine_json_says_with_which_parameters_a_run_was_measured() -> None:
    software = Software(1, (), "3", "2", ())
    before = survey(software, 3)
    assert before.tuned == ""
    tuning.tell(json.dumps(FOUND.parameters))
    after = survey(software, 3)
    assert json.loads(after.tuned) == FOUND.parameters
    assert after.fingerprint == before.fingerprint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"abc 3": 7}', b"\xff"])
def test_a_corrupt_file_is_as_good_as_none(content: bytes, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(content)
    assert tuning.known("abc", 3, kept) == ""


@pytest.mark.usefixtures("child")
def test_a_file_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    tuning.tune("abc", 3, tmp_path)
    assert _tuning.here() != Parameters()


def test_where_it_cannot_be_tried_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.CompletedProcess([], 1, "", "Traceback\nkernels.Unavailable: no numba")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(BadInput, match=r"--tune: numba_packed can't be tried here: .*no numba"):
        tuning.tune("abc", 3, tmp_path / "kept")


@pytest.mark.parametrize(
    "change",
    [{"places": 7}, {"blocks": -3.0}, {"ahead": True}, {"shared": -1}],
)
def test_what_numba_packed_would_not_take_is_not_known(
    change: dict[str, float], tmp_path: Path
) -> None:
    """Of another version, or changed by hand: the kernel has its defaults, and no one says else."""
    kept = tmp_path / "kept"
    for parameters, known in ((FOUND.parameters, True), (FOUND.parameters | change, False)):
        kept.write_bytes(msgspec.json.encode({"abc 3": Tuned(parameters, {})}))
        text = tuning.known("abc", 3, kept)
        assert bool(text) == known
        if known:
            assert _tuning.loads(text) == Parameters(0.25, places=4, shared=7, copied=9)


def test_both_sides_mean_the_same_variable() -> None:
    assert tuning.VARIABLE == _tuning.VARIABLE


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("blocks", 0.0, "no blocks"),
        ("places", 4, "W read at 4 places at a time"),
        ("places", 1, "W read at 1 place at a time"),
        ("copied", 2**40, "no copy of A_in"),
        ("copied", 0, "a copy of A_in from 0 units on"),
        ("shared", 2**19, "threads from 524,288 products on"),
    ],
)
def test_what_was_found_is_said_in_words(name: str, value: float, words: str) -> None:
    parameters = {**FOUND.parameters, name: value}
    said = tuning.said(Tuned(parameters, {name: 0.9}))
    assert said == f"numba_packed was tuned: {words} (at most 0.90 of the default's time)"
