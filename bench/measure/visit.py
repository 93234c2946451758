"""One visit to a cell, as the parent sees it: what the workers answer -> a row and its blocks.

Each kernel has a worker of its own, so that whatever happens to one of them stays its own.
"""

import random
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

from msgspec import structs

from bench.data import fit
from bench.data.machine import Peaks
from bench.data.records import BOUNDS, THROTTLES, Block, Status, Visit
from bench.judge.messages import Verdict
from bench.measure import counters, worker_process
from bench.measure.device_memory import DeviceMemory
from bench.measure.judge_process import CantJudge, JudgeProcess, Lent
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal import text
from bench.terminal.errors import BadInput
from bench.worker import messages

VISIT_S = 0.01
"""About how long the blocks of a visit last together."""

BLOCKS = 10
"""Blocks a visit, where they are short enough."""

COLD_BLOCKS = 3
"""The same with cold caches: flushing them takes longer than what is timed."""

TRIP_LIMIT_S = 0.01
"""Slower launches than this make their round trip on the first passes only."""

TRIP_PASSES = 3
"""So many: the first may be disturbed."""

TRIPS_S = 0.005
"""About how long the round trips of a visit last together: three of them, where they are short."""

HOPELESS = 20
"""A first launch that takes this many times the limit is the last one. Below that it may have been
a compilation, and the next ones are faster."""

FIRST_PATIENCE_S = 120.0
"""A worker's first answer may take this long: it starts Python and loads libraries."""

TROUBLE = ("error", "out_of_memory", "crashed", "timeout")
"""After these the kernel gets a fresh worker: nobody knows what the old one still holds or does."""

PATIENCE_S = 20.0
"""Any later answer may take this much longer than thirty times the expected launch."""


def refusal(
    cell: Cell,
    number: int,
    pass_number: int,
    status: Status,
    reason: str,
    predicted_s: float | None = None,
) -> Visit:
    """The row of a cell that has no number, and why."""
    return Visit(
        visit=number,
        pass_number=pass_number,
        kernel=cell.name,
        kernel_hash="",
        n_in=cell.case.n_in,
        n_units=cell.case.n_units,
        batch=cell.case.batch,
        precision=cell.case.precision,
        activation=cell.case.activation,
        device_index=cell.device,
        device="",
        threads=cell.threads,
        cache=cell.cache,
        status=status,
        reason=reason,
        error=None,
        at_s=round(time.time(), 3),
        wall_s=None,
        cpu_s=None,
        cores_busy=None,
        quiet_s=None,
        control_s=None,
        measured_s=None,
        waited_s=None,
        preempted=None,
        steal_s=None,
        pressure_s=None,
        throttled_s=None,
        suspended_s=None,
        stepped_s=None,
        layer=cell.case.layer,
        predicted_s=predicted_s,
    )


class Visitor:
    """Visits cells through workers that it starts, and starts again, as needed."""

    def __init__(self, threads: int, seed: int, limit_s: float) -> None:
        self._threads = threads
        self.judge = JudgeProcess(threads, seed)
        self._limit_s = limit_s
        self._workers: dict[
            tuple[str, int], worker_process.WorkerProcess
        ] = {}  # a process drives one device
        self._offsets = random.Random(seed)
        self._memory = DeviceMemory()
        self._hashes: dict[str, str] = {}  # each kernel's, when it was first seen
        self._rated: dict[str, Cell] = {}  # the first cell of each device that tells its peaks
        self._examined: set[Cell] = set()  # what a worker has closed without a doubt
        self.peaks: dict[str, list[Peaks]] = {}  # each device's, as often as it was asked

    def load(self, kernel: str, device: int = 0) -> messages.Loaded | messages.Refused:
        """Start the kernel's worker and import it there."""
        try:
            reply = self._worker(kernel, device).call(messages.Load(kernel), FIRST_PATIENCE_S)
            if not isinstance(reply, messages.Loaded):
                return _refused(reply)
            self._hashes.setdefault(kernel, reply.kernel_hash)
        except worker_process.WorkerLost as lost:
            self._end(kernel, device)
            return messages.Refused(lost.status, lost.reason)
        return reply

    def visit(
        self, cell: Cell, number: int, pass_number: int, launch_s: float | None
    ) -> tuple[Visit, list[Block]]:
        """Visit the cell -> its row and blocks, as the files take them. `launch_s`: what a launch
        took before, or is predicted to take.
        """
        row = refusal(cell, number, pass_number, "ok", "")
        start = time.perf_counter()
        blocks: list[Block] = []
        opened: messages.Opened | None = None
        times: messages.Times | None = None
        end: messages.Closed | messages.Refused
        happened: counters.Conditions | None = None
        verdict: Verdict | None = None
        try:
            self.judge.start()  # while the worker does
            self._worker(cell.kernel, cell.device)
            with closing(self.judge.lend(cell.case, cell.weights)) as lent:
                before = counters.now()
                try:
                    opened, times, end, verdict = self._measure(
                        cell, number, pass_number, launch_s, blocks, lent
                    )
                finally:
                    happened = counters.now().since(before)
                if verdict is None and end.outputs:
                    verdict = self.judge.check(lent, end.outputs)
            if verdict is not None and verdict.wrong:  # whatever else there was to say of it
                end = messages.Refused("wrong", verdict.wrong)
        except (worker_process.WorkerLost, CantJudge) as lost:
            end = messages.Refused(lost.status, lost.reason)
        row = replace(row, wall_s=time.perf_counter() - start)
        if happened is not None:
            row = replace(
                row,
                steal_s=happened.steal,
                pressure_s=happened.pressure,
                throttled_s=happened.throttled,
                suspended_s=happened.suspended,
                stepped_s=happened.stepped,
            )
        if opened is not None:
            row = replace(row, kernel_hash=opened.kernel_hash, device=opened.device)
        if times is not None:
            row = replace(
                row,
                # a difference of coarse readings may be below nothing
                cores_busy=max(times.cores_busy, 0.0),
                control_s=times.control_s or None,  # a coarse clock saw nothing of it
                measured_s=times.measured_s,
                waited_s=times.waited_s,
                **_device_columns(times.state),
            )
        if isinstance(end, messages.Refused):
            if end.status in TROUBLE:
                self._end(cell.kernel, cell.device)
            row = replace(row, status=end.status, reason=end.reason)
            return fit.visit(replace(row, kernel_hash=end.kernel_hash or row.kernel_hash), [])
        row = replace(
            row,
            error=verdict.error if verdict is not None else None,
            cpu_s=end.cpu_s,
            quiet_s=end.quiet_s,
            preempted=end.preempted,
        )
        if opened is not None and opened.rated and opened.device not in self._rated:
            self._rated[opened.device] = cell
            self._ask_peaks(opened.device, cell)
        return fit.visit(row, blocks)

    def ask_peaks(self) -> None:
        """Ask each device once more what it can do: the first answer may have been disturbed."""
        for device, cell in self._rated.items():
            self._ask_peaks(device, cell)

    def _ask_peaks(self, device: str, cell: Cell) -> None:
        request = messages.AskPeaks(cell.kernel, cell.case.precision, cell.device)
        try:
            reply = self._worker(cell.kernel, cell.device).call(request, FIRST_PATIENCE_S)
        except worker_process.WorkerLost:  # the visits are the run's; it goes on without peaks
            self._end(cell.kernel, cell.device)
            return
        if isinstance(reply, messages.DevicePeaks):
            self.peaks.setdefault(device, []).append(reply.peaks)
        self._memory.worked(cell, device)

    def device(self, kernel: str, index: int) -> str:
        """The name of the device that a kernel computes on when it is given this number; empty
        where it can't be told.
        """
        tiny = Case(4, 3, 2, "float32", "relu")
        row, _ = self.visit(Cell(kernel, tiny, index, self._threads, "warm"), 1, 1, None)
        return row.device

    def _measure(
        self,
        cell: Cell,
        number: int,
        pass_number: int,
        launch_s: float | None,
        blocks: list[Block],
        lent: Lent,
    ) -> tuple[
        messages.Opened | None,
        messages.Times | None,
        messages.Closed | messages.Refused,
        Verdict | None,
    ]:
        """What the worker answers, and what the judge says of it where it was asked already."""
        worker = self._worker(cell.kernel, cell.device)
        patience = PATIENCE_S + 30 * max(launch_s or 0.0, self._limit_s)
        key = number
        opened = worker.call(
            messages.Open(
                key=key,
                kernel=cell.kernel,
                case=cell.case,
                device=cell.device,
                cache=cell.cache,
                offset=self._offsets.randrange(64),
                launch_s=launch_s if pass_number > 1 else None,
                limit_s=HOPELESS * self._limit_s,
                examined=cell in self._examined,
                **self._memory.warmth(cell),
            ),
            patience,
            lent.files,
        )
        if not isinstance(opened, messages.Opened):
            return None, None, _refused(opened), None
        opened = structs.replace(opened, device=text.short(opened.device))
        self._refuse_other_content(cell.kernel, opened.kernel_hash)
        patience += 30 * opened.launch_s * opened.loops
        most = BLOCKS if cell.cache == "warm" else COLD_BLOCKS
        count = _count(VISIT_S, opened.loops * opened.launch_s, most)
        times = worker.call(messages.Measure(key, opened.loops, count), patience)
        if not isinstance(times, messages.Times):
            return opened, None, _refused(times), None
        _refuse_other(times, count)
        self._memory.worked(cell, opened.device, times.state)
        blocks += _time_blocks(number, opened.loops, times)
        if opened.launch_s < TRIP_LIMIT_S or pass_number <= TRIP_PASSES:
            count = _count(TRIPS_S, opened.launch_s, 3)
            trips = worker.call(messages.RoundTrips(key, count), patience)
            if not isinstance(trips, messages.Trips):
                return opened, times, _refused(trips), None
            if cell.cache == "warm":
                blocks += _trip_blocks(number, trips)
        end, verdict = self._close(cell, messages.Close(key), patience, lent)
        return opened, times, end, verdict

    def _close(
        self, cell: Cell, close: messages.Close, patience: float, lent: Lent
    ) -> tuple[messages.Closed | messages.Refused, Verdict | None]:
        """Close the cell; while the worker's threads come to rest its answers are judged."""
        worker = self._worker(cell.kernel, cell.device)
        handed = worker.call(messages.HandOver(close.key), patience)
        if not isinstance(handed, messages.HandedOver):
            return _refused(handed), None
        if not {"first", "last"} <= set(handed.outputs):
            raise worker_process.WorkerLost("crashed", "the worker handed no answers over")
        worker.ask(close, patience)
        try:
            verdict = self.judge.check(lent, handed.outputs)
        finally:
            closed = worker.answer(close, patience)
        if not isinstance(closed, messages.Closed):
            return _refused(closed), verdict
        if not verdict.wrong:
            self._examined.add(cell)
        reason = f"its threads still ran {closed.quiet_s:.1f} s after the last launch"
        if not closed.quiet or worker.left_busy():
            if closed.quiet:
                reason = "it left a process running, which used a core after the last launch"
            self._end(cell.kernel, cell.device)
            return messages.Refused("error", reason), verdict
        return closed, verdict

    def _refuse_other_content(self, kernel: str, digest: str) -> None:
        """Raise WorkerLost for a kernel that is another one than when the run began."""
        if digest != self._hashes.setdefault(kernel, digest):
            changed = "its file, or one that it uses, has changed since the run began"
            raise worker_process.WorkerLost("error", f"{changed}: start a new run")

    def _worker(self, kernel: str, device: int) -> worker_process.WorkerProcess:
        if (kernel, device) not in self._workers:
            try:
                worker = worker_process.WorkerProcess(self._threads)
            except BadInput as error:  # no reason to lose the other kernels' rows
                raise worker_process.WorkerLost("crashed", str(error)) from error
            self._workers[kernel, device] = worker
            worker.call(messages.AskSoftware(), FIRST_PATIENCE_S)
        return self._workers[kernel, device]

    def _end(self, kernel: str, device: int) -> None:
        """End the kernel's worker: its next visit gets a fresh one."""
        if (worker := self._workers.pop((kernel, device), None)) is not None:
            worker.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> None:
        """End all processes."""
        self.respawn()
        self.judge.end()

    def respawn(self) -> None:
        """End all workers: the next visits get fresh ones, with another memory layout."""
        for kernel, device in list(self._workers):
            self._end(kernel, device)


def _count(together_s: float, one_s: float, most: int) -> int:
    """How many of them last about so long together: one at least."""
    return min(max(round(min(together_s / one_s, most)), 1), most)


def _device_columns(state: messages.DeviceState | None) -> dict[str, Any]:
    """A device's state as columns of a row; a number that no file may hold is left out, and a word
    that none of its reasons is becomes "other".
    """
    if state is None:
        return {}
    numbers = {
        "device_mhz": state.mhz,
        "device_memory_mhz": state.memory_mhz,
        "device_celsius": state.celsius,
        "device_watts": state.watts,
        "device_others": state.others,
    }
    for name, value in numbers.items():
        low, high = BOUNDS[name]
        if value is not None and not low <= value <= high:
            numbers[name] = None
    words = (word if word in THROTTLES else "other" for word in state.throttled)
    return {**numbers, "device_throttled": tuple(dict.fromkeys(words))}


def _refused(reply: Any) -> messages.Refused:
    if isinstance(reply, messages.Refused) and reply.status not in ("ok", "pending"):
        limited = worker_process.NO_MORE.search(reply.reason)
        reason = reply.reason or "the kernel gave no reason"
        return structs.replace(reply, reason=reason + (worker_process.RAISE if limited else ""))
    # a kernel that found the socket and answered in the worker's place
    raise worker_process.WorkerLost(
        "crashed", f"the worker answered out of turn: {type(reply).__name__}"
    )


def _refuse_other(times: messages.Times, count: int) -> None:
    """Raise WorkerLost for times that nobody asked for: a kernel has found the socket."""
    if (len(times.seconds), len(times.probe_s)) != (count, count + 1) or () in times.probe_s:
        raise worker_process.WorkerLost("crashed", "the worker didn't time what it was asked")


def _time_blocks(number: int, loops: int, times: messages.Times) -> Sequence[Block]:
    """The blocks, each with the speed probe's readings around it."""
    cores = [(own, max(others, default=None)) for own, *others in times.probe_s]
    return [
        Block(number, "time", loops, seconds, before, after, others_before, others_after)
        for seconds, ((before, others_before), (after, others_after)) in zip(
            times.seconds, pairwise(cores), strict=True
        )
    ]


def _trip_blocks(number: int, trips: messages.Trips) -> Sequence[Block]:
    return [
        Block(number, "latency", 1, trips.latency),
        Block(number, "launch", 1, trips.launch),
        Block(number, "send", 1, trips.send),
        Block(number, "fetch", 1, trips.fetch),
        Block(number, "end_to_end", 1, trips.end_to_end),
    ]


def describe(
    kernel: str, device: int, threads: int
) -> tuple[str, messages.Loaded | messages.Refused]:
    """A kernel tried on a tiny case -> its summary, and Loaded, or why it can't run here."""
    with Visitor(threads, seed=0, limit_s=1.0) as visitor:
        loaded = visitor.load(kernel, device)
        if isinstance(loaded, messages.Refused):
            return "", loaded
        cell = Cell(kernel, Case(4, 3, 2, "float32", "relu"), device, threads, "warm")
        row, _ = visitor.visit(cell, 1, 1, None)
        if row.status == "ok":
            return loaded.summary, loaded
        return loaded.summary, messages.Refused(row.status, row.reason)


def software(threads: int) -> messages.Software:
    """What a worker's process is made of, asked of a worker."""
    worker = worker_process.WorkerProcess(threads)
    try:
        reply = worker.call(messages.AskSoftware(), FIRST_PATIENCE_S)
    except worker_process.WorkerLost as lost:
        raise BadInput(f"no worker can start: {lost.reason}") from lost
    finally:
        worker.kill()
    assert isinstance(reply, messages.Software)  # no kernel is there that could interfere
    return reply
