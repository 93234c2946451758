"""A visit, with real worker processes: whatever a kernel does is its own row and nobody else's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import ROOT
from bench.data.records import QUANTITIES
from bench.measure import visit
from bench.measure.judge_process import CantJudge, JudgeProcess
from bench.measure.worker_process import WorkerProcess
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.worker import environment, messages

BADLY = str(ROOT / "tests" / "doubles" / "kernel_files" / "badly.py")
CRASH, EXIT, HANG, RAISE, PRINT, SPIN, MEMORY, PREPARE, ABSENT, NOT_THIS, LATE_WRONG = range(1, 12)


@pytest.fixture
def visitor() -> Iterator[visit.Visitor]:
    with visit.Visitor(threads=2, seed=0, limit_s=0.1) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def lasting() -> Iterator[visit.Visitor]:
    """One whose workers are started anew only where they have to be, as in a run."""
    with visit.Visitor(threads=2, seed=0, limit_s=0.1) as visitor:
        yield visitor


def cell(kernel: str, batch: int = 4) -> Cell:
    return Cell(kernel, Case(6, 5, batch, "float32", "relu"), 0, 2, "warm")


def test_an_honest_kernel_gives_a_row_and_blocks_of_every_quantity(visitor: visit.Visitor) -> None:
    row, blocks = visitor.visit(cell("numpy_matmul"), 7, 2, None)
    assert (row.visit, row.pass_number, row.status, row.reason) == (7, 2, "ok", "")
    assert (row.kernel, row.device, row.threads) == ("numpy_matmul", "cpu", 2)
    assert len(row.kernel_hash) == 12
    assert row.error is not None
    assert row.error < 1
    assert {block.quantity for block in blocks} == set(QUANTITIES)
    assert {block.visit for block in blocks} == {7}
    times = [block for block in blocks if block.quantity == "time"]
    assert 1 <= len(times) <= visit.BLOCKS
    assert all(b.loops * b.seconds > 0 for b in blocks)
    assert row.wall_s is not None
    assert row.cores_busy is not None
    assert row.cores_busy > 0
    assert row.cpu_s is not None
    assert 0 < row.cpu_s < 10 * row.wall_s
    assert row.control_s is not None
    assert row.measured_s is not None
    assert 0 < row.control_s < row.measured_s < row.wall_s
    assert row.suspended_s is not None
    assert abs(row.suspended_s) < 0.1  # it is preempted between two readings now and then


@pytest.mark.parametrize(
    ("what", "status", "reason"),
    [
        (CRASH, "crashed", "SIGABRT"),
        (EXIT, "crashed", "exit code 3; it last printed: a last word"),
        (RAISE, "error", "ZeroDivisionError: no luck (badly.py, line"),
        (PREPARE, "error", "RuntimeError: can't prepare this (badly.py, line"),
        (MEMORY, "out_of_memory", "out of memory"),
        (ABSENT, "unavailable", "no such library"),
        (NOT_THIS, "unsupported", "relu"),
        (LATE_WRONG, "wrong", "should be"),
    ],
)
def test_trouble_is_named_in_one_line_and_the_next_visit_is_unharmed(
    lasting: visit.Visitor, what: int, status: str, reason: str
) -> None:
    row, blocks = lasting.visit(cell(BADLY, what), 1, 1, None)
    assert row.status == status
    assert reason in row.reason
    assert "\n" not in row.reason
    assert not blocks
    after, _ = lasting.visit(cell(BADLY, 100), 2, 1, None)
    assert after.status == "ok"


def test_a_kernel_that_hangs_is_ended(
    visitor: visit.Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.load(BADLY)
    monkeypatch.setattr(visit, "PATIENCE_S", 0.2)
    monkeypatch.setattr(visitor, "_limit_s", 0.001)
    row, _ = visitor.visit(cell(BADLY, HANG), 1, 1, None)
    assert row.status == "timeout"
    assert "no answer to open" in row.reason
    monkeypatch.undo()
    after, _ = visitor.visit(cell(BADLY, 100), 2, 1, None)
    assert after.status == "ok"


def test_answers_are_judged_while_the_worker_comes_to_rest(
    monkeypatch: pytest.MonkeyPatch, visitor: visit.Visitor
) -> None:
    order: list[str] = []
    for owner, name in (
        (WorkerProcess, "ask"),
        (WorkerProcess, "answer"),
        (JudgeProcess, "check"),
    ):
        monkeypatch.setattr(owner, name, _noted(getattr(owner, name), name, order))
    assert visitor.visit(cell("numpy_matmul"), 1, 2, None)[0].status == "ok"
    place = order.index("check")
    assert order[place - 1 : place + 2] == ["ask Close", "check", "answer Close"]


def _noted(method: Callable[..., Any], name: str, order: list[str]) -> Callable[..., Any]:
    def noting(self: Any, first: Any, *more: Any) -> Any:
        request = isinstance(first, messages.Request)
        order.append(f"{name} {type(first).__name__}" if request else name)
        return method(self, first, *more)

    return noting


def test_a_judge_that_dies_meanwhile_leaves_the_worker_fit_for_the_next_visit(
    monkeypatch: pytest.MonkeyPatch, visitor: visit.Visitor
) -> None:
    def dies(*_: Any) -> None:
        raise CantJudge("error", "the judge's process ended")

    with monkeypatch.context() as patch:
        patch.setattr(JudgeProcess, "check", dies)
        row, _ = visitor.visit(cell("numpy_matmul"), 1, 2, None)
    assert (row.status, row.reason) == ("error", "the judge's process ended")
    assert visitor.visit(cell("numpy_matmul"), 2, 2, None)[0].status == "ok"


def test_a_cell_is_examined_by_one_worker_until_it_has_closed_it(
    monkeypatch: pytest.MonkeyPatch, visitor: visit.Visitor
) -> None:
    examined = []
    call = WorkerProcess.call

    def noting(self: WorkerProcess, request: messages.Request, *more: Any) -> messages.Reply:
        examined.extend([request.examined] if isinstance(request, messages.Open) else [])
        return call(self, request, *more)

    monkeypatch.setattr(WorkerProcess, "call", noting)
    for turn in range(3):
        visitor.visit(cell(BADLY, LATE_WRONG), turn, 2, None)
        visitor.visit(cell("numpy_matmul"), turn, 2, None)
        visitor.respawn()
    assert examined == [False, False, False, True, False, True]


def test_what_a_kernel_prints_disturbs_nothing(visitor: visit.Visitor) -> None:
    row, blocks = visitor.visit(cell(BADLY, PRINT), 1, 1, None)
    assert row.status == "ok"
    assert blocks


def test_a_worker_whose_threads_still_spin_is_waited_for(visitor: visit.Visitor) -> None:
    # as BLAS threads do after a product: one goes on for 0.6 s after the cell was let go
    row, _ = visitor.visit(cell(BADLY, SPIN), 1, 1, None)
    assert row.status == "ok"
    assert row.quiet_s is not None
    assert row.quiet_s > 0.2
    calm, _ = visitor.visit(cell(BADLY, 100), 2, 1, None)
    assert calm.quiet_s is not None
    assert calm.quiet_s < 0.2


def test_workers_get_the_threads_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    variables = environment.environment(3)
    assert {variables[name] for name in environment.THREAD_VARIABLES} == {"3"}
    assert variables["OPENBLAS_THREAD_TIMEOUT"] == "20"
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "26")
    assert environment.environment(3)["OPENBLAS_THREAD_TIMEOUT"] == "26"


def test_facts_of_a_worker() -> None:
    facts = visit.software(threads=1)
    assert "numpy_matmul" in facts.kernels
    assert facts.contract == 1
    assert all(pool["num_threads"] == 1 for pool in facts.blas)


def test_describe_says_whether_a_kernel_runs_here_or_why_not() -> None:
    summary, verdict = visit.describe("numpy_dot", 0, 2)
    assert isinstance(verdict, messages.Loaded)
    assert "dot" in summary
    _, verdict = visit.describe("no_such_kernel", 0, 2)
    assert isinstance(verdict, messages.Refused)
    assert "known: " in verdict.reason


CHANGES = """import pathlib

import numpy as np

from kernels import Step

TABLE = pathlib.Path(__file__).with_name("table.txt")


def prepare(layer, batch, device=0):
    if batch == 3:
        TABLE.write_text("5")
    return Step(lambda A_in: np.maximum(A_in @ layer.W + layer.b, 0))
"""


def test_two_contents_of_a_kernel_are_never_one_cell(
    visitor: visit.Visitor, tmp_path: Path
) -> None:
    path, table = tmp_path / "mine.py", tmp_path / "table.txt"
    path.write_text(CHANGES)
    table.write_text("1")
    first, _ = visitor.visit(cell(str(path)), 1, 1, None)
    assert first.status == "ok"
    visitor.respawn()
    path.write_text(CHANGES + "# faster\n")
    later, blocks = visitor.visit(cell(str(path)), 2, 1, None)
    assert (later.status, blocks) == ("error", [])
    said = "its file, or one that it uses, has changed since the run began: start a new run"
    assert later.reason == said
    assert later.kernel_hash in ("", first.kernel_hash)
    path.write_text(CHANGES)
    again, _ = visitor.visit(cell(str(path)), 3, 1, None)
    assert (again.status, again.kernel_hash) == ("ok", first.kernel_hash)
    meanwhile, _ = visitor.visit(cell(str(path), batch=3), 4, 1, None)
    said = "its file, or one that it uses, changed while it was measured"
    assert (meanwhile.status, meanwhile.reason) == ("error", said)
