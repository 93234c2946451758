"""A child process that holds kernels: opens cells, times them, closes them.

Started by `bench.worker.keeper`; speaks `bench.worker.messages`'s messages on that file descriptor,
one at a time, until the other side hangs up. Everything that isn't timing happens here too, but
outside the clock: set-up, handing outputs over, and what a kernel does besides that
(`bench.worker.cheat_checks`, `bench.worker.shared_state`). Inputs come from the judge, and nobody
here knows what a right answer is (`bench.judge`).
"""

import contextlib
import gc
import math
import os
import platform
import reprlib
import resource
import socket
import traceback
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time, sleep  # a kernel can't put others in their places

import msgspec
import numpy as np
import threadpoolctl

import kernels
from bench.data.machine import Peaks, rate
from bench.data.records import SPAN
from bench.ipc import arrays, lines
from bench.ipc.outputs import Label, Wrong
from bench.terminal import text
from bench.worker import (
    cpu_time,
    device_peaks,
    given,
    limits,
    messages,
    other_processes,
    speed_probe,
    timing,
)
from bench.worker.cheat_checks import CheatChecks, TooManyCores
from bench.worker.limits import usable_cores
from bench.worker.open_cell import OpenCell
from bench.worker.shared_state import BROUGHT_BY_IMPORTS, Changed, SharedState
from bench.worker.streams import fence_all

MOST_WARM_S = 60.0
"""No device needs longer under load until its clock has settled."""


class OddDevice(Exception):
    """A device that doesn't keep the contract: the text says what it has and what it should."""


class FileChanged(Exception):
    """What was loaded is no longer what stands on disk."""


class NoStep(Exception):
    """What `prepare` returned is nothing that can be launched."""


class TooSlow(Exception):
    """The first launch took far longer than the sweep allows; the argument is its seconds."""


class Server:
    """The kernels that are loaded, and the cells that are open."""

    def __init__(
        self,
        threads: int = 1,
        clock: timing.Clock = perf_counter,
        sleep: timing.Sleep = sleep,
    ) -> None:
        self._threads = threads
        self._speed_probe = speed_probe.SpeedProbe(threads)
        self._clock = clock
        self._cheat_checks = CheatChecks(clock, sleep)
        self.cells: dict[int, OpenCell] = {}
        self._kernels: dict[str, kernels.Kernel] = {}
        self._shared_state = SharedState()
        self._prepared: set[str] = set()  # kernels that have imported what they need
        self._visited: set[str] = set()  # kernels that have had a whole visit
        self._devices: dict[tuple[str, int], kernels.Device] = {}  # that kernels were seen on

    def answer(self, request: messages.Request) -> messages.Reply:
        """Do what is asked; trouble with a kernel becomes a Refused with its status."""
        try:
            return self._do(request)
        except Exception as error:  # noqa: BLE001 - whatever a kernel raises is the cell's result
            name = getattr(request, "kernel", "")
            outputs: tuple[Label, ...] = ()
            if (cell := self.cells.pop(getattr(request, "key", -1), None)) is not None:
                name, outputs = cell.kernel, tuple(cell.handed)
                with contextlib.suppress(Exception):  # it is in trouble already
                    cell.close()
                timing.settle(timing.SETTLE_S)
            self._shared_state.restore(but=self._excused(name))
            refused = refusal(error, self._kernels.get(name))
            return msgspec.structs.replace(refused, outputs=outputs)

    def _do(self, request: messages.Request) -> messages.Reply:
        match request:
            case messages.AskSoftware():
                return software()
            case messages.Load():
                kernel = self._load(request.kernel)
                return messages.Loaded(kernel.hash, text.short(kernel.summary))
            case messages.Open():
                return self._open(request)
            case messages.Measure():
                return self._measure(request)
            case messages.RoundTrips():
                return self._round_trips(request)
            case messages.HandOver():
                return messages.HandedOver(self._hand_over(self.cells[request.key]))
            case messages.Close():
                return self._close(request)
            case messages.AskPeaks():
                return self._peaks(request)

    def line(self, request: messages.Request) -> bytes:
        """The answer as a line; what the other side would not take of a kernel is refused."""
        try:
            return messages.encoded(self.answer(request))
        except ValueError as error:
            return messages.encoded(messages.Refused("error", text.short(str(error))))

    def _load(self, name_or_path: str) -> kernels.Kernel:
        if name_or_path not in self._kernels:
            kernel = kernels.load(name_or_path)
            self._shared_state.hold("when it was imported", but=BROUGHT_BY_IMPORTS)
            self._shared_state.accept()
            self._kernels[name_or_path] = kernel
            # what is loaded stays; collecting between visits needn't look at it again
            gc.collect()
            gc.freeze()
        return self._kernels[name_or_path]

    def _open(self, request: messages.Open) -> messages.Opened:
        asked_at = self._clock()
        kernel = self._load(request.kernel)
        case = request.case
        dtype = kernels.DTYPES[case.precision]
        if case.activation not in kernels.ACTIVATIONS:  # a side of a comparison may be older
            known = ", ".join(kernels.ACTIVATIONS)
            raise kernels.Unsupported(f"activation {case.activation}: this side has {known}")
        self._size(request)
        assert request.files is not None
        shared = arrays.shared(*request.files[:2], case, dtype)
        own = arrays.Arrays(
            *(
                given.aligned_copy(array, request.offset + position)
                for position, array in enumerate((shared.input("strong"), shared.W, shared.b))
            )
        )
        layer = kernels.Layer(own.W, own.b, case.activation, case.precision)
        layer.check(own.A_in)
        preempted = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        step = self._prepare(kernel, request, layer)
        cell = OpenCell(
            kernel=request.kernel,
            case=case,
            cache=request.cache,
            step=step,
            prepare=partial(kernel.prepare, device=request.device),
            shared=shared,
            given=own,
            file=os.dup(request.files[2]),
            preempted=preempted,
            examined=request.examined,
        )
        self.cells[request.key] = cell
        device_name = _described(step.device)
        self._devices[request.kernel, request.device] = step.device
        if not isinstance(step.device, kernels.Host):
            _room(step.device, own.A_in.nbytes)
        x = step.send(own.A_in)
        cell.cpu_s = process_time()
        step.device.fence(None)
        start = self._clock()
        first = step.launch(x)
        step.device.fence(first)
        first_s = self._clock() - start
        fence_all(step.device, first)
        cell.hand_over("first", step.fetch(first))
        # what is measured has not been seen before: an answer that was kept is wrong
        np.copyto(own.A_in, shared.input("plain"))
        cell.x = step.send(own.A_in)
        if first_s > request.limit_s:
            raise TooSlow(first_s)
        rested_s = math.inf
        if request.rested_s is not None:
            rested_s = request.rested_s + self._clock() - asked_at
        rest = timing.Rest(rested_s, request.load_mhz)
        self._cheat_checks.clock(cell, first_s)
        loops, launch_s = self._warm(cell, first_s, request.launch_s, rest)
        _refuse_standstill(launch_s)
        cell.loops, cell.launch_s = loops, launch_s
        rated = isinstance(step.device, kernels.Rated)
        return messages.Opened(kernel.hash, device_name, loops, launch_s, rated)

    def _size(self, request: messages.Open) -> None:
        """Raise MemoryError where the cell has no room, before anything of it is there.

        On the host: the kernel's copies, and what it makes of them. On a device with memory of its
        own, each array once; which one that is, is known from the kernel's first visit on, which
        has the least work.
        """
        case = request.case
        _room(kernels.HOST, 2 * case.bytes)
        device = self._devices.get((request.kernel, request.device), kernels.HOST)
        if not isinstance(device, kernels.Host):
            _room(device, case.bytes)

    def _prepare(
        self, kernel: kernels.Kernel, request: messages.Open, layer: kernels.Layer
    ) -> kernels.Step:
        step = kernel.prepare(layer, request.case.batch, request.device)
        if not isinstance(step, kernels.Step) or not callable(step.launch):
            raise NoStep(f"prepare returned {reprlib.repr(step)}, should be a Step that launches")
        self._shared_state.watch(step.device)
        try:
            self._shared_state.hold("in prepare", but=self._excused(request.kernel))
        except Changed:
            _let_go(step)
            raise
        if request.kernel not in self._prepared:
            self._prepared.add(request.kernel)
            self._shared_state.accept()
        return step

    def _excused(self, kernel: str) -> frozenset[str]:
        """What a kernel may change: a little, until it has imported what it needs."""
        return frozenset() if kernel in self._prepared else BROUGHT_BY_IMPORTS

    def _warm(
        self, cell: OpenCell, first_s: float, known_s: float | None, rest: timing.Rest
    ) -> tuple[int, float]:
        """Warm the cell up -> launches a block, seconds a launch."""
        if cell.cache == "cold":
            # what a launch takes on an input that is not new to it
            (_, seconds), _ = timing.cold_blocks(cell.step, cell.x, 2)
            return 1, seconds
        step, x = cell.step, cell.x
        if known_s is not None and self._warm_already(step.device, first_s, known_s, rest):
            cell.lead = known_s < timing.LEAD_S
            return 1, known_s
        if known_s:  # one block shows whether a visit's blocks are long enough as they were before
            begin = math.ceil(timing.KNOWN_IS_OFF * timing.BLOCK_S / known_s)
            loops, launch_s = timing.find_loops(step, x, begin, known_s)
        else:
            loops, launch_s = timing.find_loops(step, x, 1, first_s)
        if launch_s >= timing.WARM_CAP_S:
            return loops, launch_s
        if not rest.needs_none(step.device):
            launch_s = timing.warm_up(step, x, loops, self._clock, rest, known_s or 0.0)
            if loops * launch_s < timing.BLOCK_S:
                loops, launch_s = timing.find_loops(step, x, loops, launch_s)
        cell.lead = launch_s < timing.LEAD_S
        return loops, launch_s

    @staticmethod
    def _warm_already(
        device: kernels.Device, first_s: float, known_s: float, rest: timing.Rest
    ) -> bool:
        """Whether the checked launch was long enough, and as fast as any: it has warmed up all."""
        if min(first_s, known_s) < timing.BLOCK_S or first_s >= 1.5 * known_s:
            return False
        return first_s >= timing.WARM_CAP_S or rest.needs_none(device)

    def _measure(self, request: messages.Measure) -> messages.Times:
        cell = self.cells[request.key]
        cell.step.device.fence(cell.out)
        start, waited = self._clock(), speed_probe.waited_s()
        seen = Look(cell.step.device, self._clock)
        probe = speed_probe.Readings(self._speed_probe, perf_counter, process_time)
        began, real_began, cpu_s = self._clock(), perf_counter(), cpu_time.with_children_s()
        if cell.cache == "cold":
            seconds, cell.out = timing.cold_blocks(cell.step, cell.x, request.count, probe, seen)
        else:
            each = cell.launch_s < timing.LEAD_EACH_S
            seconds, cell.out = timing.blocks(
                cell.step,
                cell.x,
                request.loops,
                request.count,
                lead=cell.lead,
                lead_each=each,
                beside=probe,
                meanwhile=seen,
            )
            fence_all(cell.step.device, cell.out)
        _refuse_standstill(*seconds)
        all_s = self._clock() - began
        took = all_s - seen.took_s - probe.took_s
        cpu_s = cpu_time.with_children_s() - cpu_s - probe.cpu_s
        cores_busy = cpu_s / max(perf_counter() - real_began - probe.took_s, 1e-9)
        now_waited, measured_s = speed_probe.waited_s(), self._clock() - start
        self._cheat_checks.cores(cores_busy, took, self._threads)
        said = request.loops * sum(seconds)
        launches = request.loops * len(seconds)
        if cell.cache == "cold":
            self._cheat_checks.flush(cell)
            took = 0.0
        elif cell.lead:
            took *= launches / (launches + (len(seconds) if each else 1))
        self._cheat_checks.marks(cell, said, launches, took, all_s)
        return messages.Times(
            tuple(seconds),
            cores_busy=cores_busy,
            control_s=probe.slowest(cores_busy),
            probe_s=tuple(map(tuple, probe.seconds)),
            measured_s=measured_s,
            waited_s=None if waited is None or now_waited is None else now_waited - waited,
            state=seen.state,
        )

    def _round_trips(self, request: messages.RoundTrips) -> messages.Trips:
        cell = self.cells[request.key]
        trips = [
            timing.round_trip(cell.step, cell.given.A_in, self._clock) for _ in range(request.count)
        ]
        middle = sorted(trips, key=lambda trip: trip.end_to_end)[len(trips) // 2]
        self._cheat_checks.fence(cell, middle)
        return messages.Trips(**middle._asdict())

    def _hand_over(self, cell: OpenCell) -> tuple[Label, ...]:
        if not cell.through:
            cell.cpu_s = process_time() - cell.cpu_s
            switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
            cell.preempted = switches - cell.preempted
            cell.step.device.fence(cell.out)
            self._shared_state.hold("while it ran")
            self._cheat_checks.last(cell)
            cell.through = True
        return tuple(cell.handed)

    def _close(self, request: messages.Close) -> messages.Closed:
        cell = self.cells[request.key]
        outputs = self._hand_over(cell)
        if getattr(self._kernels[cell.kernel], "changed", False):  # a side may be older
            raise FileChanged("its file, or one that it uses, changed while it was measured")
        del self.cells[request.key]
        kernel, cpu_s, preempted = cell.kernel, cell.cpu_s, cell.preempted
        cell.close()
        del cell
        self._collect(kernel)
        quiet_s, quiet = timing.settle(timing.SETTLE_S)
        return messages.Closed(outputs, cpu_s, preempted, quiet_s, quiet)

    def _collect(self, kernel: str) -> None:
        """Free what the visit left in cycles: its arrays would take the next visit's room.

        What is left after a kernel's first visit stays, above all the libraries that it imported
        when it was first set up: for them a collection takes 40 ms (PyTorch), and it never looks
        at them again.
        """
        gc.collect()
        if kernel not in self._visited:
            self._visited.add(kernel)
            gc.freeze()

    def _peaks(self, request: messages.AskPeaks) -> messages.DevicePeaks:
        """What the kernel's device can do; the kernel itself is only asked which one that is."""
        dtype = kernels.DTYPES[request.precision]
        layer = kernels.Layer(
            np.zeros((4, 3), dtype), np.zeros((1, 3), dtype), "linear", request.precision
        )
        step = self._load(request.kernel).prepare(layer, 2, request.device)
        try:
            device = step.device
            if not isinstance(device, kernels.Rated):
                raise kernels.Unsupported(f"{device.name} can't be asked for its peak rates")
            self._shared_state.watch(device)
            self._shared_state.restore()  # on another stream the events would see no work
            stated = device.stated(request.precision)
            flop_per_s, bytes_per_s = device_peaks.measure(device, request.precision, self._clock)
        finally:
            _let_go(step)
        peaks = Peaks(
            request.precision,
            rate(flop_per_s),
            rate(bytes_per_s),
            rate(stated.flop_per_s),
            rate(stated.bytes_per_s),
        )
        return messages.DevicePeaks(peaks)


class Look:
    """A look at what a device is doing, taken when it is called; none where it doesn't tell."""

    def __init__(self, device: kernels.Device, clock: timing.Clock) -> None:
        self._device = device
        self._clock = clock
        self.state: messages.DeviceState | None = None
        self.took_s = 0.0

    def __call__(self) -> None:
        if not isinstance(self._device, kernels.Watched):
            return
        start = self._clock()
        if (state := self._device.state()) is not None:
            if not is_dataclass(state):
                shown = reprlib.repr(state)
                raise OddDevice(f"the device's state is {shown}, should be a DeviceState")
            values = asdict(state)
            values["throttled"] = tuple(text.short(word) for word in values["throttled"])
            others = other_processes.share(values.pop("users", None))  # an older side has none
            self.state = messages.DeviceState(**values, others=others)
        self.took_s = self._clock() - start


def _described(device: kernels.Device) -> str:
    """The device's name, as the files have it. Raises OddDevice for one that is no name."""
    name, warm_s = device.name, device.warm_s
    if type(name) is not str or not name.strip():
        raise OddDevice(f"the device's name is {reprlib.repr(name)}, should be text")
    if type(warm_s) not in (int, float) or not 0 <= warm_s <= MOST_WARM_S:
        limits_s = f"should be seconds from 0 to {MOST_WARM_S:g}"
        raise OddDevice(f"the device's warm_s is {reprlib.repr(warm_s)}, {limits_s}")
    return text.short(name)


def _refuse_standstill(*seconds: float) -> None:
    """Raise OddClock where launches took no time, which no file may say."""
    if min(seconds) < SPAN[0]:
        least = f"a launch took {min(seconds):g} s"
        raise timing.OddClock(f"{least} by the device's clock, which is too coarse for it")


def _room(device: kernels.Device, needed: int) -> None:
    """Raise MemoryError unless so many bytes are free there."""
    if (free := device.free_bytes()) < needed:
        gigabytes = f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
        raise MemoryError(f"needs about {gigabytes} on {device.name}")


def _let_go(step: kernels.Step) -> None:
    step.close()
    step.device.release()


def software() -> messages.Software:
    """What this process is made of."""
    return messages.Software(
        contract=kernels.CONTRACT,
        kernels=kernels.names(),
        python=platform.python_version(),
        numpy=np.__version__,
        blas=tuple(threadpoolctl.threadpool_info()),
    )


def refusal(error: Exception, kernel: kernels.Kernel | None) -> messages.Refused:
    """What a kernel raised -> its cell's status and reason, on one line."""
    said = _said(error)
    digest = kernel.hash if kernel else ""
    match error:
        case kernels.Unavailable():
            return messages.Refused("unavailable", said, digest)
        case kernels.Unsupported():
            return messages.Refused("unsupported", said, digest)
        case (
            Changed() | FileChanged() | TooManyCores() | OddDevice() | NoStep() | timing.OddClock()
        ):
            return messages.Refused("error", said, digest)
        case Wrong():
            return messages.Refused("wrong", said, digest)
        case TooSlow():
            return messages.Refused(
                "skipped", f"took {error.args[0]:.3g} s for its first launch", digest
            )
        case MemoryError() | RuntimeError() if limits.is_memory(error, said):
            return messages.Refused("out_of_memory", said or "out of memory", digest)
        case ImportError() | LookupError() if kernel is None:
            return messages.Refused("error", said)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    kind = text.short(type(error).__name__)
    # the place has to be there, however much was said
    room = text.LONGEST - len(kind) - len(where) - len(": … ()")
    said = said if len(said) <= room else f"{said[:room]}…"
    return messages.Refused("error", text.short(f"{kind}: {said} ({where})"), digest)


def _said(error: Exception) -> str:
    """An exception's own words, on one line and cut; some have none that can be had."""
    try:
        words = str(error)[: 2 * text.LONGEST]
    except Exception as trouble:  # noqa: BLE001 - a kernel's own class
        return f"(no words: its str() raised {type(trouble).__name__})"
    return text.short(" ".join(words.split()))


def main(descriptor: int, threads: int) -> None:
    """Answer requests on the file descriptor until the other side hangs up."""
    worker = Server(min(threads, usable_cores()))
    decoder = msgspec.json.Decoder(messages.Request)
    with socket.socket(fileno=descriptor) as connection:
        while True:
            line, files = lines.receive(connection)
            if not line:
                return
            request = decoder.decode(line)
            if isinstance(request, messages.Open):
                request = msgspec.structs.replace(request, files=files)
            if isinstance(request, messages.Load | messages.Open):
                limits.limit(kernels.HOST.free_bytes())
            reply = worker.line(request)
            for file in files:
                with contextlib.suppress(OSError):  # closed by the kernel
                    os.close(file)
            lines.send(connection, reply)
