"""The gate on a simulated machine: every round, block and control, and no real clock.

Launches take what the machine's pace makes of their true time. The control beside a block feels the
pace too, unless the trouble is of a kind that it can't feel.
"""

import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import Done, bench

from bench import ROOT
from bench.count import counting, sources
from bench.count.counting import Counts
from bench.count.events import Counted, Events
from bench.data import store
from bench.data.machine import CPU
from bench.data.records import Verdict
from bench.gate import compare, decide, rounds
from bench.gate.checkouts import Side
from bench.gate.compare import Comparison
from bench.gate.rounds import CantMeasure
from bench.measure import worker_process
from bench.measure.device_memory import DeviceMemory
from bench.measure.judge_process import JudgeProcess
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal.errors import BadInput
from bench.worker import messages

CELLS = [
    Cell(kernel, Case(width, width, batch, "float32", "relu"))
    for kernel in ("python_loop", "numpy_matmul")
    for width in (16, 64, 256)
    for batch in (1, 16)
]
CONTROL_S = 4e-5
BUDGET_S = 20.0

Pace = Callable[["Machine"], float]


@dataclass
class Machine:
    """Two sides' kernels on one simulated core; time passes only while something is done."""

    seed: int
    pace: Pace = lambda machine: 1.0
    felt: bool = True  # whether the control feels the pace
    placement: float = 0.01  # what a fresh process and its buffers are worth, log SD
    noise: Callable[[random.Random], float] = lambda generator: generator.gauss(0.0, 0.01)
    slowed: dict[str, float] = field(default_factory=dict)  # the head's cells
    dies_at: float = math.inf
    stands_still: bool = False
    control_off: float = 0.0  # how much longer the control takes beside the head
    setup_s: float = 0.01
    now: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def arm(self, side: Side, core: int | None, memory: object, *_: object) -> "SimulatedArm":
        return SimulatedArm(self, side.name)


class SimulatedArm:
    """Stands for rounds.Arm: one side's process, for one round."""

    def __init__(self, machine: Machine, side: str) -> None:
        self.machine = machine
        self.side = side
        self.true_s: dict[int, float] = {}
        machine.now += 0.1

    def software(self) -> messages.Software:
        return messages.Software(1, ("numpy_matmul", "python_loop"), "3.11", "2", ())

    def open(self, cell: Cell, key: int, offset: int, limit_s: float) -> messages.Opened:
        machine = self.machine
        machine.now += machine.setup_s
        true_s = 2e-5 + cell.case.flops / 1e10
        true_s *= 1 + (machine.slowed.get(cell.label, 0.0) if self.side == "head" else 0.0)
        self.true_s[key] = true_s * math.exp(machine.random.gauss(0.0, machine.placement))
        launch_s = 0.0 if machine.stands_still else true_s
        return messages.Opened("", CPU, 1, launch_s)

    def block(self, cell: Cell, key: int, loops: int) -> tuple[float, float]:
        machine = self.machine
        if machine.now > machine.dies_at and self.side == "head":
            raise CantMeasure(cell, self.side, "crashed", "the worker died: killed by SIGSEGV")
        pace = machine.pace(machine)
        seconds = self.true_s[key] * pace * math.exp(machine.noise(machine.random))
        control_s = CONTROL_S * (pace if machine.felt else 1.0)
        control_s *= 1 + machine.control_off * (self.side == "head")
        machine.now += loops * seconds + 2 * control_s
        return (0.0, 0.0) if machine.stands_still else (seconds, control_s)

    def close(self, cell: Cell, key: int) -> None:
        self.machine.now += 0.002

    def end(self) -> None:
        pass


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], Comparison]:
    def run(machine: Machine) -> Comparison:
        monkeypatch.setattr(rounds, "Arm", machine.arm)
        monkeypatch.setattr(compare, "time", SimpleNamespace(monotonic=lambda: machine.now))
        sides: list[Any] = [
            SimpleNamespace(name=name, python="", folder=name) for name in ("base", "head")
        ]
        return compare.compare(
            CELLS,
            sides,
            decide.Spread(),
            0.05,
            limit_s=1.0,
            budget_s=BUDGET_S,
            seed=machine.seed,
        )

    return run


def heavy_tails(generator: random.Random) -> float:
    """Student's t with two degrees of freedom: its variance is infinite."""
    return 0.01 * generator.gauss(0, 1) / math.sqrt(generator.gammavariate(1, 1))


def steps(machine: Machine) -> float:
    """Two speeds, changed every few milliseconds: within a round, and within a pair."""
    return 1.25 if math.sin(700 * machine.now) + math.sin(431 * machine.now) > 0 else 1.0


def drift(machine: Machine) -> float:
    """By the end all takes half as long again."""
    return 1 + 0.5 * machine.now / BUDGET_S


def one_wild_round(machine: Machine) -> float:
    return machine.random.lognormvariate(0, 1) if 4 < machine.now < 4.5 else 1.0


def half_a_neighbour(machine: Machine) -> float:
    """One that takes a core now and then, for half of the run."""
    awake = machine.now > BUDGET_S / 2
    return machine.random.choice([1.0, 1.0, 1.0, 2.5]) if awake else 1.0


def mayhem(machine: Machine) -> float:
    return machine.random.lognormvariate(0, 1.5)


TROUBLES = {
    "calm": Machine(0),
    "heavy tails": Machine(0, noise=heavy_tails),
    "steps": Machine(0, pace=steps),
    "steps that the control can't feel": Machine(0, pace=steps, felt=False),
    "drift": Machine(0, pace=drift),
    "a wild round": Machine(0, pace=one_wild_round),
    "a wild round that the control can't feel": Machine(0, pace=one_wild_round, felt=False),
    "a neighbour for half the run": Machine(0, pace=half_a_neighbour),
    "one that the control can't feel": Machine(0, pace=half_a_neighbour, felt=False),
    "placement of five percent": Machine(0, placement=0.05),
    "mayhem": Machine(0, pace=mayhem),
    "mayhem that the control can't feel": Machine(0, pace=mayhem, felt=False),
}


def again(trouble: str, seed: int, **changes: Any) -> Machine:
    like = TROUBLES[trouble]
    kept = {name: getattr(like, name) for name in ("pace", "felt", "placement", "noise")}
    return Machine(seed, **kept, **changes)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_identical_sides_are_never_red(
    trouble: str, compared: Callable[[Machine], Comparison]
) -> None:
    for seed in range(5):
        found = compared(again(trouble, seed))
        assert decide.outcome(found.verdicts, found.problem) in ("not slower", "can't tell")


SLOWED = {cell.label: 0.05 for cell in CELLS[::2]}
TOO_NOISY = ("mayhem",)
UNTELLABLE = ("placement of five percent", "mayhem that the control can't feel")


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_slowdown_is_found_or_it_is_said_that_it_could_not_be(
    trouble: str, compared: Callable[[Machine], Comparison]
) -> None:
    for seed in range(3):
        found = compared(again(trouble, seed, slowed=SLOWED))
        says = {verdict.cell: verdict.says for verdict in found.verdicts}
        slower = {cell for cell, its in says.items() if its == "slower"}
        assert slower <= set(SLOWED)
        if trouble in TOO_NOISY:
            assert "too unsteady to judge by" in str(found.problem)
        elif trouble in UNTELLABLE:
            assert sum(says[cell] == "can't tell" for cell in SLOWED) >= len(SLOWED) - 1
            blind = [v for v in found.verdicts if v.says == "can't tell"]
            assert all(v.visible is None or v.visible > 0.05 for v in blind)
        else:
            assert found.problem is None
            assert slower == set(SLOWED)


def test_an_arm_that_dies_is_never_green_and_never_red(
    compared: Callable[[Machine], Comparison],
) -> None:
    with pytest.raises(
        BadInput, match=r"crashed on the head's side: .*SIGSEGV: .*can't be compared"
    ):
        compared(Machine(1, dies_at=2.0))


def test_a_clock_that_stands_still_is_never_green_and_never_red(
    compared: Callable[[Machine], Comparison],
) -> None:
    with pytest.raises(
        BadInput, match=r"takes no time: .* clock stands still: .*can't be compared"
    ):
        compared(Machine(1, stands_still=True))


@pytest.mark.parametrize(("slowdown", "says"), [(0.0, "can't tell"), (0.3, "slower")])
@pytest.mark.parametrize("off", [0.02, -0.02])
def test_fixed_work_that_moved_hides_a_small_change_and_no_large_one(
    off: float, slowdown: float, says: str, compared: Callable[[Machine], Comparison]
) -> None:
    slowed = dict.fromkeys(SLOWED, slowdown)
    found = compared(Machine(2, control_off=off, slowed=slowed))
    assert decide.outcome(found.verdicts, found.problem) == says
    assert {v.cell for v in found.verdicts if v.says == "slower"} == (
        set(SLOWED) if slowdown else set()
    )


def test_a_budget_without_time_for_a_screen_is_named_and_never_green(
    compared: Callable[[Machine], Comparison],
) -> None:
    for setup_s, done in ((0.13, 4), (1.0, 0)):
        found = compared(Machine(3, setup_s=setup_s))
        assert found.short
        assert re.search(
            rf"for only {done} of the first 6 .*--budget of .* or", found.problem or ""
        )
        assert decide.outcome(found.verdicts, found.problem) == "can't tell"
        assert {(v.cell, v.untold) for v in found.verdicts} == {
            (cell.label, "few rounds") for cell in CELLS
        }


def test_where_all_is_slower_and_time_is_short_some_are_still_found(
    compared: Callable[[Machine], Comparison],
) -> None:
    everything = {cell.label: 0.3 for cell in CELLS}
    found = compared(Machine(4, setup_s=0.042, slowed=everything))
    assert decide.outcome(found.verdicts, found.problem) == "slower"
    slower = sum(verdict.says == "slower" for verdict in found.verdicts)
    assert 0 < slower < len(CELLS)
    (note,) = found.notes
    assert note == f"no time to measure {12 - slower} of 12 doubtful cells again (longer --budget)"


@pytest.mark.parametrize(
    ("trouble", "slowdown", "options", "code"),
    [
        ("calm", 0.0, [], 0),
        ("calm", 0.3, [], 1),
        ("calm", 0.3, ["--inconclusive", "warn"], 1),
        ("mayhem", 0.3, [], 3),
        ("mayhem", 0.3, ["--inconclusive", "warn"], 0),
        ("calm", 0.3, ["--budget", "2s", "--inconclusive", "warn"], 2),
    ],
)
def test_the_command_exits_with_what_was_found(
    trouble: str,
    slowdown: float,
    options: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slowed = {cell.label: slowdown for cell in CELLS}
    simulated(again(trouble, 5, slowed=slowed), monkeypatch)
    done = gate(tmp_path / "gate", "--witness", "time", *options)
    assert done.code == code, done
    assert (tmp_path / "gate").exists() == (code != 2)


def simulated(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's command measures on that machine."""
    monkeypatch.setattr(rounds, "Arm", machine.arm)
    monkeypatch.setattr(compare, "time", SimpleNamespace(monotonic=lambda: machine.now))
    monkeypatch.setattr("bench.show.runs.draw", lambda *_: [])


def gate(folder: Path, *options: str) -> Done:
    kernels = ["--kernel", "python_loop", "--kernel", "numpy_matmul"]
    asked = ["--base", "HEAD", *kernels, "--budget", "60s", *options]
    return bench("gate", *asked, "--out", str(folder))


@pytest.mark.parametrize(
    ("head", "options", "code"),
    [
        ({"python_loop": 1000.0, "numpy_matmul": 1000.0}, [], 0),
        ({"python_loop": 1000.0, "numpy_matmul": 1020.0}, [], 1),
        ({"python_loop": 1000.0}, [], 3),
        ({"python_loop": 1000.0}, ["--inconclusive", "warn"], 0),
        ({}, [], 2),
    ],
)
def test_where_time_is_short_for_rounds_the_counts_are_taken_all_the_same(
    head: dict[str, float],
    options: list[str],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`head`: the instructions of its kernels, those that can be counted."""
    simulated(Machine(6), monkeypatch)
    monkeypatch.setattr(sources, "find", lambda _: sources.Source("callgrind", "Valgrind 3.19.0"))

    def count(cells: Sequence[Cell], places: Any, *_: Any, repeats: int, **__: Any) -> list[Counts]:
        return [
            Counts(
                {
                    cell: [Counted(0, "h", 1, (Events(instructions),))] * repeats
                    for cell in cells
                    if cell.kernel in head
                    for instructions in [head[cell.kernel] if side.name == "head" else 1000.0]
                },
                {},
                {},
            )
            for side in places
        ]

    monkeypatch.setattr(counting, "count", count)
    done = gate(tmp_path / "gate", "--witness", "both", "--budget", "2s", *options)
    assert done.code == code, done
    assert "there was time for only " in done.err + done.out
    if code != 2:
        verdicts = store.load(tmp_path / "gate", Verdict)
        assert {v.by for v in verdicts if v.kernel in head} == {"count"}
        assert {v.untold for v in verdicts if v.kernel not in head} <= {"few rounds"}


JUDGE = JudgeProcess(1, rounds.SEED)


@pytest.fixture(scope="module", autouse=True)
def _judge() -> Iterator[None]:
    yield
    JUDGE.end()


class Answering:
    """Stands for a worker on a GPU whose clock is 1980 MHz; keeps what it was asked."""

    def __init__(
        self, asked: list[messages.Request], *, quiet: bool = True, busy: bool = False
    ) -> None:
        self.asked = asked
        self.quiet = quiet
        self.busy = busy

    def call(
        self, request: messages.Request, patience_s: float, files: Sequence[int] = ()
    ) -> messages.Reply:
        self.asked.append(request)
        match request:
            case messages.Open():
                return messages.Opened("0", "board:0", 1, 1e-3)
            case messages.Measure():
                state = messages.DeviceState(1980.0, None, None, None, ())
                return messages.Times((1e-3,), 1.0, 4e-5, 1e-3, None, (), state)
        return messages.Closed((), 0.0, 0, 0.0, quiet=self.quiet)

    def left_busy(self) -> bool:
        return self.busy

    def kill(self) -> None:
        pass


def test_a_gpu_that_one_side_has_warmed_up_is_warm_for_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without that each side's fresh process would warm it up by time, for each cell anew."""
    asked: list[messages.Request] = []
    monkeypatch.setattr(worker_process, "WorkerProcess", lambda *_: Answering(asked))
    sides = [Side(name, ROOT, "HEAD") for name in ("base", "head")]
    memory = DeviceMemory()
    for number in (1, 2):
        rounds.measure(number, "screen", CELLS[:2], sides, random.Random(1), memory, JUDGE)
    opens = [request for request in asked if isinstance(request, messages.Open)]
    assert len(opens) == 8
    assert opens[0].rested_s is None
    assert [request.load_mhz for request in opens[:2]] == [None, None]
    assert {request.load_mhz for request in opens[2:]} == {1980.0}
    assert all(request.rested_s is not None and request.rested_s < 60 for request in opens[1:])


SIDES = [Side(name, ROOT, "HEAD") for name in ("base", "head")]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"quiet": False}, "error on the .*'s side: its threads still ran 0.0 s after the last"),
        ({"busy": True}, "error on the .*'s side: it left a process running"),
    ],
)
def test_a_kernel_that_leaves_work_running_beside_the_other_arm_is_refused(
    left: dict[str, bool], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "WorkerProcess", lambda *_: Answering([], **left))
    with pytest.raises(CantMeasure, match=words):
        rounds.measure(1, "screen", CELLS[:1], SIDES, random.Random(1), DeviceMemory(), JUDGE)


def test_arms_take_turns_abba_and_share_their_hashes_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a cell whose pages matter is opened twice."""
    seeds: list[int] = []
    order: list[str] = []

    class Arm(SimulatedArm):
        def __init__(self, side: Side, _: Any, __: Any, ___: Any, seed: int) -> None:
            super().__init__(Machine(0), side.name)
            seeds.append(seed)

        def open(self, *arguments: Any) -> messages.Opened:
            order.append("open")
            return super().open(*arguments)

        def block(self, *arguments: Any) -> tuple[float, float]:
            order.append(self.side)
            return super().block(*arguments)

    monkeypatch.setattr(rounds, "Arm", Arm)
    begun = set()
    for number in range(12):
        order.clear()
        rounds.measure(
            number, "screen", CELLS[:1], SIDES, random.Random(number), DeviceMemory(), JUDGE
        )
        assert order[:2] == ["open", "open"]
        blocks = order[2:]
        assert len(blocks) >= 2 * rounds.LEAST_PAIRS
        for first, second, third, fourth in zip(*(blocks[i::4] for i in range(4)), strict=True):
            assert first == fourth != second == third
        begun.add(blocks[0])
    assert begun == {"base", "head"}
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == 12
    order.clear()
    large = Cell("numpy_matmul", Case(512, 512, 1, "float32", "relu"))
    rounds.measure(1, "screen", [large], SIDES, random.Random(1), DeviceMemory(), JUDGE)
    assert order.count("open") == 4
