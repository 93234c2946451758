"""Step -> times. The only code that holds the clock while a kernel runs.

One path for every kernel: launches between two marks of the step's own device. Nothing here knows
whether a launch returns early, and nothing needs to. What has to be known is whether the device
does the work that nobody asks for: where it doesn't say so, each launch is fenced.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import kernels
from bench.worker.streams import is_eager

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kernels import Device, Step

Clock = Callable[[], float]
Sleep = Callable[[float], None]

BLOCK_S = max(1e-3, 1000 * time.get_clock_info("perf_counter").resolution)
"""A block lasts at least a millisecond and a thousand ticks of the clock."""

KNOWN_IS_OFF = 1.2
"""A launch may be faster by this than on another visit, and its block still lasts long enough."""

LEAD_S = 5e-3
"""Launches shorter than this get one launch ahead of the first mark. On a device that works behind
the host's back the first mark would otherwise be passed while the device still waits for the first
launch to be queued, which would count as work. For longer launches that gap is nothing."""

LEAD_EACH_S = 1e-4
"""Shorter ones get one before each block: what is done between two blocks may leave a device idle.
Blocks of longer launches keep it busy meanwhile, for they are queued in a fraction of a block."""

AGREE = 0.05
"""Warm-up ends when three blocks in a row agree within this, or one with what is known."""

CLOCK_AGREES = 0.03
"""A device's clock is as it is under load within this: at a power limit it moves by that much."""

WARM_CAP_S = 0.01
"""Warm-up ends after this beyond the device's own need, whether blocks agree or not; and a launch
that takes longer by itself is its own warm-up."""


class OddClock(Exception):
    """What a device's clock says is no time: the text says what it was."""


def _between(step: Step, start: Any, stop: Any) -> float:
    """Seconds between two marks, by the step's device. Raises OddClock."""
    seconds = step.device.seconds(start, stop)
    kind = type(seconds)
    if kind is not float and kind is not int:
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise OddClock(f"the device's seconds() returned a {name}, should be a float")
    if not 0 <= seconds < math.inf:  # 0: a coarse clock has not moved
        raise OddClock(f"the device's seconds() returned {seconds:g} between two marks")
    return float(seconds)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Garbage collection off, so that a block never pays for another's garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _nothing() -> None:
    pass


def blocks(
    step: Step,
    x: Any,
    loops: int,
    count: int,
    *,
    lead: bool,
    lead_each: bool = False,
    beside: Callable[[], None] = _nothing,
    meanwhile: Callable[[], None] = _nothing,
) -> tuple[list[float], Any]:
    """`count` blocks of `loops` launches each -> seconds a launch, and the last output.

    `beside` is called before the first block, between every two and after the last, outside of
    what is timed. `lead` puts one launch ahead of the first block, `lead_each` ahead of each.
    `meanwhile` is called once all is queued, after the last mark and before anything waits: a
    device that works behind the host's back is under load then, and no time counts.
    """
    device, launch = step.device, step.launch
    fence = None if is_eager(device) else device.fence
    out: Any = None
    marks = []
    with _no_collection():
        device.fence(out)
        for number in range(count):
            beside()
            if lead_each or (lead and not number):
                out = launch(x)
            start = device.mark(out)
            if fence is None:
                for _ in repeat(None, loops):
                    out = launch(x)
            else:  # a lazy library computes only what is looked at
                for _ in repeat(None, loops):
                    out = launch(x)
                    fence(out)
            marks.append((start, device.mark(out)))
        meanwhile()
        beside()
        return [_between(step, start, stop) / loops for start, stop in marks], out


def cold_blocks(
    step: Step,
    x: Any,
    count: int,
    beside: Callable[[], None] = _nothing,
    meanwhile: Callable[[], None] = _nothing,
) -> tuple[list[float], Any]:
    """`count` single launches, the device's caches flushed before each -> seconds, last output.

    `beside` and `meanwhile` are called as in `blocks`.
    """
    device = step.device
    out: Any = None
    times = []
    with _no_collection():
        for left in reversed(range(count)):
            device.fence(out)
            beside()
            device.flush()
            start = device.mark(out)
            out = step.launch(x)
            stop = device.mark(out)
            if not left:
                meanwhile()
            times.append(_between(step, start, stop))
        beside()
    return times, out


class RoundTrip(NamedTuple):
    """One input's way through the kernel on the host's clock, in seconds."""

    send: float  # the input to where the kernel computes
    launch: float  # what the host itself spends on the launch
    latency: float  # the launch and its fence
    fetch: float  # the output back to the host
    end_to_end: float  # all of it


def round_trip(step: Step, A_in: NDArray[Any], clock: Clock = time.perf_counter) -> RoundTrip:
    """Send, launch, fence and fetch once."""
    device = step.device
    with _no_collection():
        start = clock()
        x = step.send(A_in)
        device.fence(None)
        sent = clock()
        out = step.launch(x)
        launched = clock()
        device.fence(out)
        done = clock()
        step.fetch(out)
        end = clock()
    return RoundTrip(sent - start, launched - sent, done - sent, end - done, end - start)


def find_loops(step: Step, x: Any, loops: int, launch_s: float) -> tuple[int, float]:
    """How many launches make a block last long enough, by doubling, and the seconds of one.

    `loops` is where to begin and `launch_s` what a launch was seen to take. A block that reached
    the length is believed the second time: a disturbed one would make all that follow too short.
    """
    while True:
        (seconds,), _ = blocks(step, x, loops, 1, lead=loops > 1)
        least = min(launch_s, seconds)
        if loops * least >= BLOCK_S or loops >= 2**24:
            return loops, least
        if loops * seconds < BLOCK_S:
            loops *= 2
        launch_s = seconds


@dataclass(frozen=True, slots=True)
class Rest:
    """What is known of a device before a visit: how long it did nothing, and its clock under load.

    `load_mhz` is the clock that it had under the same load before; None where that isn't known.
    """

    seconds: float = math.inf
    load_mhz: float | None = None

    def warm_s(self, device: Device, mhz: float | None) -> float:
        """The longest that it needs to warm up for, in seconds, with its clock at `mhz` now.

        0.0 where that is its clock under load. One that is lower needs no longer than the device
        rested; one that is higher falls only while there is load. By time alone where the device
        tells no clock, or the one under load isn't known yet.
        """
        if mhz is None or self.load_mhz is None or mhz < (1 - CLOCK_AGREES) * self.load_mhz:
            return min(device.warm_s, self.seconds)
        return device.warm_s if mhz > (1 + CLOCK_AGREES) * self.load_mhz else 0.0

    def needs_none(self, device: Device) -> bool:
        """Whether the device's own clock says that it is warm."""
        return self.load_mhz is not None and (
            (mhz := clock_mhz(device)) is not None and self.warm_s(device, mhz) == 0
        )


UNKNOWN = Rest()


def clock_mhz(device: Device) -> float | None:
    """The device's clock now, by its driver; None where it doesn't tell a number above 0."""
    state = device.state() if isinstance(device, kernels.Watched) else None
    mhz = getattr(state, "mhz", None)
    return float(mhz) if isinstance(mhz, int | float) and 0 < mhz < math.inf else None


def warm_up(
    step: Step,
    x: Any,
    loops: int,
    clock: Clock = time.perf_counter,
    rest: Rest = UNKNOWN,
    known_s: float = 0.0,
) -> float:
    """Run blocks until the device is warm and three agree -> least seconds a launch.

    One is enough that is as fast as launches were before, in `known_s` seconds. The device's clock,
    where it tells one, is read while each block's work is queued.
    """
    start = clock()
    recent: deque[float] = deque(maxlen=3)
    mhz: float | None = None

    def look() -> None:
        nonlocal mhz
        mhz = clock_mhz(step.device) if rest.load_mhz is not None else None

    while True:
        (seconds,), _ = blocks(step, x, loops, 1, lead=False, meanwhile=look)
        recent.append(seconds)
        elapsed = clock() - start
        agreed = seconds <= (1 + AGREE) * known_s
        agreed |= len(recent) == 3 and max(recent) <= (1 + AGREE) * min(recent)
        needed_s = rest.warm_s(step.device, mhz)
        if elapsed >= needed_s + (0.0 if agreed else WARM_CAP_S):
            return min(recent)


def recall(step: Step, x: Any, A_in: NDArray[Any], loops: int = 1) -> float:
    """How many times faster the step answers an input again than a new one: 1.0 for an honest one.

    `x` is what `send` made of `A_in`. Nine times a launch on `x`, after `loops` of them as in a
    block, and one on an input that is new to it; after three of them (or one, if it is a long one),
    all is well as soon as the fastest new one took no more than twice as long as the middle one of
    the others. Before each there is a launch to wake the machine up and an input sent, so that both
    find the caches, and a buffer that `send` may use again, in the same state.
    """
    new_s, again_s = [], []
    for _ in range(9):
        for _ in repeat(None, loops):
            out = step.launch(x)
        step.device.fence(out)
        step.send(A_in * 1.0)
        again_s.append(_once(step, x))
        step.device.fence(step.launch(x))
        new_s.append(_once(step, step.send(altered(A_in))))
        enough = len(new_s) >= 3 or sum(new_s) >= WARM_CAP_S
        if enough and min(new_s) <= 2 * median(again_s):
            return 1.0
    return min(new_s) / max(median(again_s), 1e-9)


def altered(A_in: NDArray[Any]) -> NDArray[Any]:
    """An input that is new, and no multiple of another: each number is up to a half smaller."""
    coins = np.frombuffer(os.urandom(2 * np.size(A_in)), np.uint16)
    factors = 1 - coins.reshape(np.shape(A_in)) / 2**17
    altered: NDArray[Any] = np.multiply(A_in, factors).astype(np.result_type(A_in))
    return altered


def _once(step: Step, x: Any) -> float:
    """Seconds of one launch between two marks."""
    (seconds,), _ = blocks(step, x, 1, 1, lead=False)
    return seconds


SETTLE_S = 2.0
"""Threads that run for longer than this after a visit are left running."""

LOOK_S = 5e-4
"""How long they are looked at, twice in a row."""


TASKS = Path("/proc/self/task")


def others_ready(tasks: Path = TASKS) -> bool:
    """Whether another thread of this process runs, or would if it had a core: on a busy machine a
    thread that spins may use no CPU for a while. False where the system doesn't say.

    From the third field of /proc/<pid>/task/<tid>/stat (proc(5)).
    """
    own = str(threading.get_native_id())
    with contextlib.suppress(OSError, IndexError):  # a thread may end while it is looked at
        for task in tasks.iterdir():
            if (
                task.name != own
                and (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
            ):
                return True
    return False


def settle(
    limit_s: float = SETTLE_S,
    cpu_clock: Clock = time.process_time,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
    ready: Callable[[], bool] = others_ready,
) -> tuple[float, bool]:
    """Wait until this process uses no CPU -> seconds waited, and whether it stands still.

    BLAS threads spin for a while after a product, for work that may come; the next kernel's first
    product would read up to twice too slow.
    """
    start = clock()
    quiet = 0
    while quiet < 2:
        cpu, wall = cpu_clock(), clock()
        if wall - start > limit_s:
            return wall - start, False
        sleep(LOOK_S)
        busy = (cpu_clock() - cpu) / max(clock() - wall, 1e-9)
        quiet = quiet + 1 if busy < 0.25 and not ready() else 0
    return clock() - start, True
