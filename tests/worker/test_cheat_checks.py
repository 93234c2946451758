"""Kernels that cheat or err are named in the row, and what only looks like it passes."""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cheats
import numpy as np
import pytest
import threadpoolctl
from asked import AtOnce, an_open, error, visit
from cheats import CHANGES, WRONG, Remembering
from devices import HostClock, SimulatedDevice, UnfencedDevice, prepare_on

import kernels
from bench.judge import answers, inputs
from bench.judge.messages import Verdict
from bench.measure.visit import Visitor
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.worker import cpu_time, messages, timing
from bench.worker.cheat_checks import CheatChecks, TooManyCores
from bench.worker.server import Server
from bench.worker.shared_state import SharedState

CASE = Case(n_in=24, n_units=24, batch=16, precision="float32", activation="relu")


def worker_with(prepare: Callable[..., kernels.Step], device: Any = None) -> Server:
    """A worker that knows one kernel, `k`, on the simulated device's clock if there is one."""
    worker = Server()
    if device is not None:
        worker = Server(clock=device.clock, sleep=device.clock.sleep)
    worker._kernels["k"] = kernels.Kernel("k", "0", "", prepare)
    return worker


def visited(worker: Server, kernel: str = "k", case: Case = CASE, cache: str = "warm") -> Any:
    """A whole visit -> the reply that ended it: Closed or Refused."""
    return visit(worker, an_open(kernel, case, cache=cache))


def refused(reply: Any) -> tuple[str, str]:
    assert isinstance(reply, messages.Refused), reply
    assert "\n" not in reply.reason
    return reply.status, reply.reason


@pytest.mark.parametrize("what", WRONG)
def test_a_kernel_that_cheats_or_errs_is_wrong_and_the_reason_says_how(what: str) -> None:
    prepare, words = WRONG[what]
    status, reason = refused(visited(worker_with(prepare)))
    assert status == "wrong"
    assert words in reason


@pytest.mark.parametrize("what", ["last row", "last column", "one unit", "late"])
def test_where_only_samples_are_checked_it_is_too(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "FULL_CHECK", 0)
    prepare, words = WRONG[what]
    status, reason = refused(visited(worker_with(prepare)))
    assert status == "wrong"
    assert words in reason


@pytest.mark.parametrize(
    ("step", "precision", "activation"),
    [
        (cheats.single, "float64", "relu"),
        (cheats.half, "float32", "relu"),
        (cheats.tf32, "float32", "relu"),
        (cheats.bfloat16_sigmoid, "float16", "sigmoid"),
    ],
)
@pytest.mark.parametrize("n_in", [24, 2000])
@pytest.mark.parametrize("checked", ["all", "samples"])
def test_a_lower_precision_than_the_one_asked_is_wrong(
    step: Any,
    precision: str,
    activation: str,
    n_in: int,
    checked: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "FULL_CHECK", 2**26 if checked == "all" else 0)
    case = Case(n_in, 24, 16, precision, activation)

    def widened(layer: kernels.Layer, A_in: Any) -> Any:
        return step(layer, A_in).astype(A_in.dtype)

    status, reason = refused(visited(worker_with(cheats.numpy(widened)), case=case))
    assert status == "wrong"
    assert "should be" in reason or "computed in a lower precision?" in reason


@pytest.mark.parametrize("n_in", [1, 24, 2000])
def test_the_precision_asked_passes(n_in: int) -> None:
    case = Case(n_in, 24, 16, "float16", "sigmoid")
    closed = visited(worker_with(cheats.numpy(cheats.float16_sigmoid)), case=case)
    assert isinstance(closed, messages.Closed), closed


class Known:
    """An object by its address; it is kept, so that no other one gets the same."""

    def __init__(self, known: Any) -> None:
        self.known = known

    def __hash__(self) -> int:
        return id(self.known)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.known is other.known


REMEMBERING = {
    "contents": lambda: Remembering(lambda A_in: A_in.tobytes()),
    "the last contents": lambda: Remembering(lambda A_in: A_in.tobytes(), keeps=1),
    "contents of one buffer": lambda: Remembering(lambda A_in: A_in.tobytes(), buffer=True),
    "a sample of the contents": lambda: Remembering(lambda A_in: A_in.flat[0].item()),
    "what was sent": lambda: Remembering(Known),
}


@pytest.mark.parametrize("what", REMEMBERING)
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_kernel_that_remembers_answers_is_found_by_its_times(what: str, cache: str) -> None:
    kernel = REMEMBERING[what]()
    status, reason = refused(visited(worker_with(kernel.prepare, kernel.device), cache=cache))
    assert status == "wrong"
    assert reason.startswith("it answers an input that it has seen ")
    assert reason.endswith(" times faster than a new one: it remembers answers")


@pytest.mark.parametrize("buffer", [False, True])
def test_a_kernel_that_forgets_passes_whether_it_has_one_buffer_or_many(buffer: bool) -> None:  # noqa: FBT001
    kernel = Remembering(lambda A_in: object(), buffer=buffer)
    worker = worker_with(kernel.prepare, kernel.device)
    for _ in range(3):
        assert isinstance(visited(worker), messages.Closed)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (UnfencedDevice, "is nan"),
        (cheats.WaitingFetch, "the fence returned"),
        (cheats.EarlyMarks, "its marks missed"),
        (cheats.ShortSeconds, "its marks missed"),
    ],
)
def test_a_device_whose_clock_or_fence_does_not_wait_is_found(
    kind: type[SimulatedDevice], words: str
) -> None:
    device = kind(HostClock(), 50_000, 7_000)
    status, reason = refused(visited(worker_with(prepare_on(device), device)))
    assert status == "wrong"
    assert words in reason


@pytest.mark.parametrize(("work", "launch"), [(50_000, 7_000), (100, 9_000), (4_000_000, 10)])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_an_honest_device_passes(work: int, launch: int, cache: str) -> None:
    device = SimulatedDevice(HostClock(), work, launch)
    worker = worker_with(prepare_on(device), device)
    for _ in range(3):
        assert isinstance(visited(worker, cache=cache), messages.Closed)


@pytest.mark.parametrize("name", ["python_loop", "numpy_dot", "numpy_matmul"])
@pytest.mark.parametrize(
    "case",
    [
        CASE,
        Case(1, 1, 1, "float32", "sigmoid"),
        Case(3, 2, 1, "float64", "tanh"),
        Case(500, 1, 16, "float32", "linear"),  # the input is most of the work
    ],
)
def test_an_honest_kernel_passes_visit_after_visit(name: str, case: Case) -> None:
    worker = Server()
    for _ in range(3):
        closed = visited(worker, name, case)
        assert isinstance(closed, messages.Closed), closed
        assert error(case, closed) < 1


def test_a_large_cell_is_examined_on_the_first_visit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def watched(layer: kernels.Layer, A_in: Any) -> Any:
        seen.append(float(A_in.flat[0]))
        return cheats.forward(layer, A_in)

    def inputs_seen(limit: int) -> list[int]:
        monkeypatch.setattr("bench.worker.cheat_checks.CHEAP_BYTES", limit)
        worker, found = worker_with(cheats.numpy(watched)), []
        for _ in range(3):
            seen.clear()
            assert isinstance(visited(worker), messages.Closed)
            found.append(min(len(set(seen)), 3))
        return found

    assert inputs_seen(2**24) == [3, 3, 3]
    assert inputs_seen(0) == [3, 2, 2]


@pytest.fixture
def two_threads() -> Iterator[None]:
    with threadpoolctl.threadpool_limits(2):
        yield


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("what", CHANGES)
def test_a_launch_that_changes_what_others_share_is_an_error_and_is_undone(what: str) -> None:
    change, words = CHANGES[what]
    guilty = True

    def launch(layer: kernels.Layer, A_in: Any) -> Any:
        if guilty:
            change()
        return cheats.forward(layer, A_in)

    worker = worker_with(cheats.numpy(launch))
    assert refused(visited(worker)) == ("error", f"it changed {words} while it ran")
    guilty = False
    assert isinstance(visited(worker), messages.Closed)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("what", CHANGES)
def test_the_first_prepare_may_change_what_imports_change_and_no_other_may(what: str) -> None:
    change, words = CHANGES[what]
    changing: Any = iter([False, True])

    def prepare(layer: kernels.Layer, batch: int, device: int = 0) -> kernels.Step:
        if next(changing):
            change()
        return kernels.Step(lambda A_in: cheats.forward(layer, A_in))

    worker = worker_with(prepare)
    assert isinstance(visited(worker), messages.Closed)
    assert refused(visited(worker)) == ("error", f"it changed {words} in prepare")
    worker, changing = worker_with(prepare), iter([True])
    excused = what in ("NumPy's random", "warnings", "a variable", "no variable")
    surroundings = SharedState()
    try:
        assert isinstance(visited(worker), messages.Closed if excused else messages.Refused)
    finally:
        surroundings.restore()


def test_a_file_may_change_what_imports_change_and_no_more(tmp_path: Path) -> None:
    honest, cheat = tmp_path / "honest.py", tmp_path / "cheat.py"
    prepare = "\ndef prepare(layer, batch, device=0): ...\n"
    honest.write_text("import warnings\nwarnings.filterwarnings('default')" + prepare)
    cheat.write_text("import gc\ngc.disable()" + prepare)
    with warnings.catch_warnings():
        worker = Server()
        assert isinstance(worker.answer(messages.Load(str(honest))), messages.Loaded)
        status, reason = refused(worker.answer(messages.Load(str(cheat))))
        assert status == "error"
        assert reason == ("it changed the garbage collection from on to off when it was imported")


def test_threads_left_running_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SETTLE_S", 0.05)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    def start() -> None:
        threading.Thread(target=spin, daemon=True).start()

    def prepare(layer: kernels.Layer, batch: int, device: int = 0) -> kernels.Step:
        return kernels.Step(lambda A_in: cheats.forward(layer, A_in), close=start)

    try:
        closed = visited(worker_with(prepare))
    finally:
        stop.set()
    assert isinstance(closed, messages.Closed)
    assert not closed.quiet


def cores(busy: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A visit of a kernel that keeps one core busy, on a CPU clock that says `busy` of them."""

    def one_core(layer: kernels.Layer, A_in: Any) -> Any:
        end = time.process_time() + 0.01
        while time.process_time() < end:
            pass
        return np.maximum(A_in @ layer.W + layer.b, 0)

    # as if nothing else ran on this machine
    monkeypatch.setattr("bench.worker.server.perf_counter", time.process_time)
    monkeypatch.setattr(cpu_time, "with_children_s", lambda: busy * time.process_time())
    return visited(worker_with(cheats.numpy(one_core)))


def test_a_kernel_that_takes_more_threads_than_it_was_given_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, reason = refused(cores(1.9, monkeypatch))
    assert (status, reason) == ("error", "it kept 1.9 cores busy and was given 1 thread")


def test_one_that_takes_what_it_was_given_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(cores(1.4, monkeypatch), messages.Closed)


def test_a_glimpse_of_many_cores_is_none_of_its_own() -> None:
    CheatChecks().cores(8.0, 0.004, threads=1)
    with pytest.raises(TooManyCores, match=r"it kept 8\.0 cores busy and was given 2 threads"):
        CheatChecks().cores(8.0, 0.006, threads=2)


class Restless(AtOnce):
    """A worker whose threads never rest, as the parent sees it."""

    killed = False

    def call(
        self, request: messages.Request, timeout_s: float, files: tuple[int, int, int] | None = None
    ) -> messages.Reply:
        match request:
            case messages.Open():
                return messages.Opened("0", "cpu", 1, 0.02)
            case messages.Measure():
                return messages.Times(
                    (0.02,),
                    cores_busy=1.0,
                    control_s=1e-5,
                    measured_s=0.02,
                    waited_s=0.0,
                    probe_s=((1e-5,), (1e-5,)),
                )
            case messages.RoundTrips():
                return messages.Trips(0.0, 0.0, 0.02, 0.0, 0.02)
            case messages.HandOver():
                return messages.HandedOver(("first", "last"))
        return messages.Closed(("first", "last"), 0.1, 0, quiet_s=2.0, quiet=False)

    def kill(self) -> None:
        self.killed = True


def test_threads_left_running_are_an_error_and_end_with_their_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
        monkeypatch.setattr(visitor.judge, "check", lambda *_: Verdict(0.5))
        visitor._workers["k", 0] = worker = Restless()  # type: ignore[assignment]
        row, blocks = visitor.visit(Cell("k", CASE, 0, 1, "warm"), 1, 1, None)
    assert (row.status, row.reason) == (
        "error",
        "its threads still ran 2.0 s after the last launch",
    )
    assert not blocks
    assert worker.killed
    assert not visitor._workers


def test_the_simulated_answers_are_those_of_numpy() -> None:
    # what the cheats do beside cheating is the layer's forward step
    drawn = inputs.draw(CASE, 0, np.float32)
    layer = kernels.Layer(drawn.W, drawn.b, "relu", "float32")
    (part,) = answers.expected(drawn)
    np.testing.assert_allclose(
        cheats.forward(layer, drawn.A_in), np.maximum(part.z, 0), rtol=1e-5, atol=1e-6
    )
