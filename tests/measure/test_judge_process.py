"""The judge's process, as the parent sees it: whatever befalls it is a row, and the run goes on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.ipc import memory
from bench.measure import judge_process, visit
from bench.measure.judge_process import CantJudge, JudgeProcess
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal.errors import BadInput

CASE = Case(6, 5, 4, "float32", "relu")
FILES = Path("/proc/self/fd")
HUGE = Case(2**20, 2**20, 1, "float32", "relu")


@pytest.fixture
def visitor() -> Iterator[visit.Visitor]:
    with visit.Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
        yield visitor


def visited(visitor: visit.Visitor, case: Case = CASE) -> tuple[str, str]:
    row, _ = visitor.visit(Cell("numpy_matmul", case), 1, 1, None)
    return row.status, row.reason


def test_a_layer_without_room_is_a_row_and_the_next_cell_is_measured(
    visitor: visit.Visitor,
) -> None:
    status, reason = visited(visitor, HUGE)
    assert status == "out_of_memory"
    assert "GB are free on cpu" in reason
    assert visited(visitor) == ("ok", "")


@pytest.mark.parametrize(
    ("number", "end"),
    [
        (
            signal.SIGKILL,
            (
                "out_of_memory",
                "the judge's process was killed; perhaps memory ran out, and Linux ended it",
            ),
        ),
        (signal.SIGSEGV, ("error", "the judge's process ended (-11)")),
    ],
)
def test_a_judge_that_dies_costs_a_visit(
    visitor: visit.Visitor, number: signal.Signals, end: tuple[str, str]
) -> None:
    assert visited(visitor) == ("ok", "")
    judge = visitor.judge._process
    assert judge is not None
    judge.send_signal(number)
    judge.wait()
    assert visited(visitor) == end
    assert visited(visitor) == ("ok", "")


def test_another_judge_does_not_check_what_the_first_one_lent() -> None:
    with JudgeProcess(1, 0) as judge:
        lent = judge.lend(CASE, None)
        judge.end()
        judge.lend(CASE, None).close()
        with pytest.raises(CantJudge, match="ended while the kernel ran"):
            judge.check(lent, ("first",))
        lent.close()


def test_one_that_takes_too_long_is_asked_once_for_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    with JudgeProcess(1, 0) as judge:
        judge.lend(CASE, None).close()
        monkeypatch.setattr(judge_process, "PATIENCE_S", 0.05)
        assert judge._process is not None
        os.kill(judge._process.pid, signal.SIGSTOP)
        other = Case(600, 500, 4, "float32", "relu")
        for _ in range(2):
            with pytest.raises(CantJudge, match="the judge needed over 0 s to draw") as caught:
                judge.lend(other, None)
            assert caught.value.status == "timeout"
            assert judge._process is None
        monkeypatch.undo()
        judge.lend(CASE, None).close()


def test_what_it_said_last_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.worker.environment.ROOT", "/nonesuch")
    monkeypatch.chdir("/")
    with JudgeProcess(1, 0) as judge, pytest.raises(CantJudge, match=r"\(1\): .*No module named"):
        judge.lend(CASE, None)


def test_no_memory_to_share_is_a_row(
    visitor: visit.Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str) -> int:
        raise BadInput("no memory to share between processes: set TMPDIR")

    monkeypatch.setattr(memory, "anonymous", none)
    assert visited(visitor) == ("error", "no memory to share between processes: set TMPDIR")
    monkeypatch.undo()
    assert visited(visitor) == ("ok", "")


@pytest.mark.skipif(not FILES.exists(), reason="needs Linux")
def test_no_file_stays_open(visitor: visit.Visitor) -> None:
    visited(visitor)
    before = len(list(FILES.iterdir()))
    for _ in range(3):
        visited(visitor)
    assert len(list(FILES.iterdir())) == before
