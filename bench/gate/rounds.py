"""Rounds of two sides: a fresh pair of processes on one core, their blocks taken in turn.

Both arms share a core because two cores change speed independently, and blocks are short because a
core changes speed within milliseconds. What a round says of a cell is one number, the median over
neighbouring blocks of log(head / base).
"""

import math
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bench.data.records import Phase, Round, Status
from bench.gate.checkouts import Side
from bench.measure import worker_process
from bench.measure.device_memory import DeviceMemory
from bench.measure.judge_process import CantJudge, JudgeProcess, Lent
from bench.plan.cell import Cell
from bench.worker import messages

BLOCK_S = 5e-4
"""How long a block lasts at least."""

PAIRS_S = 0.004
"""About how long each arm is measured in a cell and round. A cell's numbers scatter from round to
round more than from block to block: more rounds make them steadier, longer ones hardly do.
"""

PAIRS = 8
LEAST_PAIRS = 4

PAGES_BYTES = 2**19
"""Cells whose arrays hold as much are opened twice a round, for half of the pairs each: beyond the
nearest caches the time depends on which pages of memory they got, by chance, for as long as they
are open."""

PATIENCE_S = 60.0

SEED = 0


class CantMeasure(Exception):
    """A cell that one side, or both, can't run: the text says which and why."""

    def __init__(self, cell: Cell, side: str, status: Status, reason: str) -> None:
        super().__init__(f"{cell.label}: {status} on the {side}'s side: {reason}")
        self.cell = cell
        self.side = side
        self.status = status
        self.reason = reason


class Arm:
    """One side's process, for one round."""

    def __init__(
        self,
        side: Side,
        core: int | None,
        memory: DeviceMemory,
        judge: JudgeProcess,
        hash_seed: int | None = None,
    ) -> None:
        self.side = side.name
        self._memory = memory
        self._judge = judge
        self._lent: dict[int, Lent] = {}  # to the open cells, by their key
        self._devices: dict[int, str] = {}  # of the open cells, by their key
        self._worker = worker_process.WorkerProcess(1, side.folder, core, side.python, hash_seed)

    def software(self) -> messages.Software:
        """What the process is made of."""
        reply = self._worker.call(messages.AskSoftware(), PATIENCE_S)
        assert isinstance(reply, messages.Software)
        return reply

    def open(self, cell: Cell, key: int, offset: int, limit_s: float) -> messages.Opened:
        """Ready a cell whose first launch takes no longer than the limit. Raises CantMeasure."""
        request = messages.Open(
            key=key,
            kernel=cell.kernel,
            case=cell.case,
            device=cell.device,
            cache=cell.cache,
            offset=offset,
            launch_s=None,
            limit_s=limit_s,
            **self._memory.warmth(cell),
        )
        try:
            lent = self._lent[key] = self._judge.lend(cell.case, cell.weights)
        except CantJudge as error:
            raise CantMeasure(cell, self.side, error.status, error.reason) from error
        reply = self._call(cell, request, lent.files)
        assert isinstance(reply, messages.Opened)
        self._devices[key] = reply.device
        self._memory.worked(cell, reply.device)
        return reply

    def block(self, cell: Cell, key: int, loops: int) -> tuple[float, float]:
        """Seconds a launch in one block, and those of the control beside it."""
        reply = self._call(cell, messages.Measure(key, loops, 1))
        assert isinstance(reply, messages.Times)
        self._memory.worked(cell, self._devices[key], reply.state)
        return reply.seconds[0], reply.control_s

    def close(self, cell: Cell, key: int) -> None:
        """Check the answers and let go of the cell. Raises CantMeasure, also for a kernel that
        leaves threads or processes running: the other arm is on the same core.
        """
        reply = self._call(cell, messages.Close(key))
        assert isinstance(reply, messages.Closed)
        lent = self._lent.pop(key)
        try:
            verdict = self._judge.check(lent, reply.outputs)
        except CantJudge as error:
            raise CantMeasure(cell, self.side, error.status, error.reason) from error
        finally:
            lent.close()
        if verdict.wrong:
            raise CantMeasure(cell, self.side, "wrong", verdict.wrong)
        if not reply.quiet:
            still = f"its threads still ran {reply.quiet_s:.1f} s after the last launch"
            raise CantMeasure(cell, self.side, "error", still)
        if self._worker.left_busy():
            left = "it left a process running, which used a core after the last launch"
            raise CantMeasure(cell, self.side, "error", left)

    def end(self) -> None:
        """End the process."""
        self._worker.kill()
        while self._lent:
            self._lent.popitem()[1].close()

    def _call(self, cell: Cell, request: messages.Request, files: Sequence[int] = ()) -> Any:
        try:
            reply = self._worker.call(request, PATIENCE_S, files)
        except worker_process.WorkerLost as lost:
            raise CantMeasure(cell, self.side, lost.status, lost.reason) from lost
        if isinstance(reply, messages.Refused):
            raise CantMeasure(cell, self.side, reply.status, reply.reason)
        return reply


def measure(
    number: int,
    phase: Phase,
    cells: Sequence[Cell],
    sides: Sequence[Side],
    generator: random.Random,
    memory: DeviceMemory,
    judge: JudgeProcess,
    seen: Callable[[Cell], None] = lambda cell: None,
) -> list[Round]:
    """One round over the cells, in random order. Raises CantMeasure.

    `memory` is of both sides and all rounds: what one arm did to a device the other one finds. So
    is `judge`, which lends both the same inputs. `seen` is told of each cell before it is measured.
    """
    core = generator.choice(sorted(os.sched_getaffinity(0))) if _pins() else None
    seed = generator.randrange(2**32)  # a new one each round, and the same for both arms
    arms = [
        Arm(side, core, memory, judge, seed) for side in generator.sample(list(sides), len(sides))
    ]
    try:
        rows = []
        for key, cell in enumerate(generator.sample(list(cells), len(cells)), start=1):
            seen(cell)
            rows.append(_cell(number, phase, cell, key, arms, generator))
        return rows
    finally:
        for arm in arms:
            arm.end()


def _cell(
    number: int,
    phase: Phase,
    cell: Cell,
    key: int,
    arms: Sequence[Arm],
    generator: random.Random,
) -> Round:
    found: dict[str, list[tuple[float, float]]] = {arm.side: [] for arm in arms}
    times = 1 if cell.case.bytes < PAGES_BYTES else 2
    for _ in range(times):
        offset = generator.randrange(64)
        opened = [arm.open(cell, key, offset, PATIENCE_S) for arm in arms]
        launch_s = max(one.launch_s for one in opened)
        loops = math.ceil(BLOCK_S / launch_s)
        pairs = min(max(round(PAIRS_S / (loops * launch_s)), LEAST_PAIRS), PAIRS)
        first = generator.randrange(2)
        for pair in range(pairs // times):
            # ABBA, so that what drifts hits both arms alike; which one begins is a coin's
            turn = (first + pair) % 2
            for arm in (arms[turn], arms[1 - turn]):
                found[arm.side].append(arm.block(cell, key, loops))
        for arm in arms:
            arm.close(cell, key)
    return row(number, phase, cell, found)


def row(
    number: int, phase: Phase, cell: Cell, found: Mapping[str, Sequence[tuple[float, float]]]
) -> Round:
    """A round's row for a cell, from each side's blocks: seconds a launch, and of the probe.

    All pairs count, as they are. On a busy machine half of them are disturbed: those left would
    scatter twice as far from round to round, while in the median over pairs in alternating order a
    neighbour meets both arms alike. To correct each pair by its probe gains nothing either, because
    two short blocks differ by more than the probe beside them sees (bench.studies.busy_gate).
    """
    base, head = found["base"], found["head"]
    return Round(
        round_number=number,
        phase=phase,
        cell=cell.label,
        kernel=cell.kernel,
        base_s=median(seconds for seconds, _ in base),
        head_s=median(seconds for seconds, _ in head),
        log_ratio=_middle(zip((s for s, _ in head), (s for s, _ in base), strict=True)),
        control_log_ratio=_middle(zip((c for _, c in head), (c for _, c in base), strict=True)),
        pairs=len(base),
    )


def _middle(pairs: Iterable[tuple[float, float]]) -> float:
    return median(math.log(head / base) for head, base in pairs)


def _pins() -> bool:
    return hasattr(os, "sched_getaffinity")
