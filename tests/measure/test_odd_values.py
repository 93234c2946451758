"""A kernel or a device that hands over the oddest values: rows that can be read, and the others'.

The program's own path in one process: scheduler, visitor, a worker's lines, the files.
"""

import runpy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import scipy.optimize  # noqa: F401 - the scheduler's, not the kernel's: here both are one process
from asked import AtOnce
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import ROOT, session
from bench.data import store
from bench.data.machine import Machine
from bench.data.records import Block, CellRow, Visit
from bench.measure import scheduler, visit, worker_process
from bench.measure.judge_process import JudgeProcess
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.show import markdown, runs
from bench.stats import run_data
from bench.terminal import text
from bench.worker import messages
from bench.worker.server import Server

FILE = ROOT / "tests" / "doubles" / "kernel_files" / "odd.py"
ODD = runpy.run_path(str(FILE))["ODD"]

ERROR, CRASHED, WRONG, OK = "error", "crashed", "wrong", "ok"
ERROR_OR_WRONG = "error or wrong"  # whichever of two checks comes first on this machine
EXPECTED = {
    "honest": (OK, ""),
    "zero_rates": (OK, ""),
    "silent": (ERROR, "Silent: (no words: its str() raised ValueError) (odd.py, line "),
    "surrogate": (ERROR, "ValueError: a\ufffdb (odd.py, line "),
    "long": (ERROR, "ValueError: yyy"),
    "log": (ERROR, "RuntimeError: x.cu(12): error: no such thing; x.cu(12)"),
    "escapes": (ERROR, "ValueError: \ufffd[31mred\ufffd]0;title\ufffd\ufffd<b>|`x` (odd.py"),
    "formula": (ERROR, 'ValueError: =HYPERLINK("http://x","y") (odd.py'),
    "interrupt": (CRASHED, "KeyboardInterrupt"),
    "generator_exit": (CRASHED, "GeneratorExit"),
    "system_exit": (CRASHED, "SystemExit"),
    "stop": (ERROR, "StopIteration: "),
    "group": (ERROR, "ExceptionGroup: many (2 sub-exceptions)"),
    "recursion": (ERROR, "RecursionError: maximum recursion depth exceeded"),
    "unavailable": ("unavailable", "zzz"),
    "silently_unavailable": ("unavailable", "the kernel gave no reason"),
    "not_callable": (ERROR, "prepare returned Step(launch=3"),
    "no_step": (ERROR, "prepare returned None, should be a Step that launches"),
    "step_class": (ERROR, "prepare returned <class 'kernels.Step'>, should be a Step"),
    "a_function": (ERROR, "prepare returned <function rai"),
    "float32_seconds": (
        ERROR,
        "the device's seconds() returned a numpy.float32, should be",
    ),
    "float64_seconds": (
        ERROR,
        "the device's seconds() returned a numpy.float64, should be",
    ),
    "array_seconds": (ERROR, "the device's seconds() returned a numpy.ndarray, should be a float"),
    "fraction_seconds": (ERROR, "the device's seconds() returned a fractions.Fraction, should be"),
    "no_seconds": (ERROR, "the device's seconds() returned a builtins.NoneType, should be a float"),
    "nan_seconds": (ERROR, "the device's seconds() returned nan between two marks"),
    "infinite_seconds": (ERROR, "the device's seconds() returned inf between two marks"),
    "huge_seconds": (WRONG, "what its seconds() returns is not in seconds"),
    "tiny_seconds": (ERROR_OR_WRONG, "device's clock"),
    "zero_seconds": (ERROR_OR_WRONG, "device's clock"),
    "negative_seconds": (ERROR, "the device's seconds() returned -1e-07 between two marks"),
    "bytes_name": (ERROR, "the device's name is b'cpu', should be text"),
    "none_name": (ERROR, "the device's name is None, should be text"),
    "empty_name": (ERROR, "the device's name is '', should be text"),
    "int_name": (ERROR, "the device's name is 7, should be text"),
    "long_name": (OK, ""),
    "control_name": (OK, ""),
    "nan_warm": (ERROR, "the device's warm_s is nan, should be seconds from 0 to 60"),
    "endless_warm": (ERROR, "the device's warm_s is 1000000000.0, should be seconds from 0 to 60"),
    "float64_state": (ERROR, "times: Encoding objects of type numpy.float64 is unsupported"),
    "nan_state": (OK, ""),
    "huge_state": (OK, ""),
    "no_state": (ERROR, "the device's state is 'asleep', should be a DeviceState"),
    "no_device": (ERROR, "AttributeError: 'NoneType' object has no attribute"),
    "bare_device": (ERROR, "AttributeError: 'object' object has no attribute"),
}


class InProcess(AtOnce):
    """In the place of a worker's process: the worker's own lines, or its death."""

    def __init__(self, threads: int) -> None:
        self._server = Server(threads)

    def line(self, request: messages.Request) -> bytes:
        return self._server.line(request)

    def call(
        self, request: messages.Request, timeout_s: float, files: tuple[int, int, int] | None = None
    ) -> messages.Reply:
        if isinstance(request, messages.Open):
            request = msgspec.structs.replace(request, files=files)
        try:
            line = self.line(request)
        except (KeyboardInterrupt, GeneratorExit, SystemExit) as end:
            raise worker_process.WorkerLost("crashed", type(end).__name__) from None
        assert len(line) < worker_process.MOST_BYTES
        try:
            reply: messages.Reply = msgspec.json.decode(line, type=messages.Reply)
        except msgspec.DecodeError:
            raise worker_process.WorkerLost("crashed", "no reply") from None
        return reply

    def left_busy(self) -> bool:
        return False

    def kill(self) -> bytes:
        return b""


def cells(*kernels: str, batches: range) -> list[Cell]:
    return [
        Cell(kernel, Case(6, 5, batch, "float32", "relu"))
        for batch in batches
        for kernel in kernels
    ]


def one_pass(folder: Path, planned: list[Cell]) -> run_data.RunData:
    """A run that ends after its first pass, and all that is made of it."""
    with (
        visit.Visitor(1, seed=0, limit_s=10.0) as visitor,
        store.Run.create(folder, Sweep(widths=(16,), batches=(1,))) as run,
    ):
        seen: list[int] = []

        def record(row: Visit, blocks: list[Block]) -> None:
            seen.append(row.visit)
            run.append(row, blocks)

        passes = scheduler.Scheduler(
            planned,
            visitor,
            record,
            budget_s=1.0,
            target=0.02,
            launch_limit_s=10.0,
            clock=lambda: float(len(seen) >= len(planned)),
        )
        passes.run()
        run.append_unvisited(passes.pending())
        peaks = {device: readings[-1] for device, readings in visitor.peaks.items()}
        run.write_machine(Machine(fingerprint="x", device_peaks=peaks))
    store.Run.resume(folder)[0].__exit__()
    made = runs.renew(folder)
    assert store.load(folder, CellRow) == made.cells == run_data.read(folder).cells
    assert markdown.of(made)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[run_data.RunData]:
    """All of them in one run, an honest kernel beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_process, "WorkerProcess", InProcess)
        planned = cells(str(FILE), "numpy_matmul", batches=range(1, len(ODD) + 1))
        yield one_pass(tmp_path_factory.mktemp("odd") / "run", planned)


def test_all_are_expected() -> None:
    assert list(EXPECTED) == ODD


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_a_row_that_says_why(name: str, run: run_data.RunData) -> None:
    (row,) = (v for v in run.visits if v.kernel == "odd" and ODD[v.batch - 1] == name)
    status, reason = EXPECTED[name]
    assert row.status in status.split(" or "), row.reason
    assert reason in row.reason
    assert len(row.reason) <= text.LONGEST
    if name == "long":
        assert row.reason[-30:].split("(")[-1].startswith("odd.py, line ")


def test_the_other_kernels_rows_are_all_there(run: run_data.RunData) -> None:
    others = [row for row in run.visits if row.kernel == "numpy_matmul"]
    assert [row.status for row in others] == ["ok"] * len(ODD)


def test_a_device_is_named_shortly_and_states_what_makes_sense(run: run_data.RunData) -> None:
    devices = {ODD[v.batch - 1]: v.device for v in run.visits if v.kernel == "odd"}
    assert devices["long_name"] == text.short("n" * 200_000)
    assert devices["control_name"] == "=1+1|<script>\ufffd[31m`x` \ufffd"
    peaks = run.machine.device_peaks[devices["zero_rates"]]
    assert (peaks.theoretical_flop_per_s, peaks.theoretical_bytes_per_s) == (None, None)
    assert (peaks.measured_flop_per_s or 0) > 1


FLOATS = st.sampled_from([0.0, -1.0, 1e-320, 1e-13, 1e-9, 1e-3, 1.0, 1e8, 1e300, float("nan")])
TEXTS = st.sampled_from(["", "cpu", "\x1b[31m\u202e", "n" * 100_000, "=1+1"])
WHOLE = st.sampled_from([-1, 0, 1, 2**40, 2**63 - 1, 2**70])
STATES = st.none() | st.builds(
    messages.DeviceState, *[st.none() | FLOATS] * 4, st.lists(TEXTS).map(tuple), st.none() | FLOATS
)
PROBES = st.lists(st.lists(FLOATS, max_size=2).map(tuple), max_size=12).map(tuple)
OUTPUTS = st.sampled_from([(), ("first",), ("first", "last"), ("last", "second")])
REFUSALS = st.builds(
    messages.Refused, st.sampled_from(["ok", "error", "pending", "no"]), TEXTS, TEXTS, OUTPUTS
)
REPLIES: dict[type, st.SearchStrategy[Any]] = {
    messages.Open: st.builds(messages.Opened, TEXTS, TEXTS, WHOLE, FLOATS, st.booleans()),
    messages.Measure: st.builds(
        messages.Times,
        st.lists(FLOATS, max_size=11).map(tuple),
        *[FLOATS] * 3,
        st.none() | FLOATS,
        PROBES,
        STATES,
    ),
    messages.RoundTrips: st.builds(messages.Trips, *[FLOATS] * 5),
    messages.HandOver: st.builds(messages.HandedOver, OUTPUTS),
    messages.Close: st.builds(messages.Closed, OUTPUTS, FLOATS, WHOLE, FLOATS, st.booleans()),
    messages.AskPeaks: REFUSALS,
}


class Lasting(JudgeProcess):
    """The judge of many runs, one after the other."""

    def end(self) -> str:
        return ""


@pytest.fixture(scope="module")
def one_judge() -> Iterator[None]:
    """To start a judge's process takes longer than a run."""
    judge = Lasting(1, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visit, "JudgeProcess", lambda *_: judge)
        yield
    JudgeProcess.end(judge)


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.data())
def test_whatever_a_worker_answers_the_run_can_be_read(
    one_judge: None, data: st.DataObject
) -> None:
    class Forged(InProcess):
        """Answers for an honest kernel honestly, and what it likes for another."""

        kernel = ""

        def line(self, request: messages.Request) -> bytes:
            self.kernel = getattr(request, "kernel", self.kernel)
            if self.kernel in ("", "numpy_matmul"):
                return super().line(request)
            return msgspec.json.encode(data.draw(REPLIES[type(request)] | REFUSALS))

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(worker_process, "WorkerProcess", Forged)
        made = one_pass(Path(folder) / "run", cells("forged", "numpy_matmul", batches=range(1, 2)))
    assert [row.status for row in made.visits if row.kernel == "numpy_matmul"] == ["ok"]
    # and none without an answer is right
    assert [row for row in made.visits if row.kernel == "forged" and row.status != "ok"]


def test_a_kernel_that_never_answers_is_a_failure() -> None:
    row = next(cell for cell in store.load(ROOT / "results" / "reference", CellRow) if cell.time_s)
    changed = {"time_s": None, "status": "timeout"}

    late = replace(row, kernel="late", **changed)  # type: ignore[arg-type]
    assert not session.failed([row])
    assert session.failed([row, late])
    assert not session.failed([row, late, replace(row, kernel="late")])
