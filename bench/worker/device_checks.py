"""Does a device keep its part of the contract? Its clock, fence and flush, by the host's clock.

Whatever disturbs a machine only makes the host's readings longer. So each check tries again before
it says no, and an honest device needs one good try.
"""

import time
from collections.abc import Callable
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np

import kernels
from bench.worker import speed_probe, timing
from bench.worker.streams import fence_all
from kernels import Device, Step

CLOSE = 0.1
"""A device's clock may miss this share of what the host saw: queueing the first launch, waiting for
the last one."""

ABOVE = 0.02
"""And it may show this much more, which is what two clocks may differ by."""

MOST_WAY = 0.3
"""No more than this share of what the host saw is taken for the way to the device and back."""

LONG_S = 2 * timing.BLOCK_S
"""Work as long as this shows which it is."""

TRY_S, TRIES = 0.5, 5
"""A clock that doesn't agree is tried again for so long, and so often at least."""

PATIENCE_S = 5.0
"""Where for so long each try may be explained by this process's wait for a core, nothing is shown,
and nobody is accused."""

OFTEN = 0.1
"""After a first try that failed so many have to be good: one may be by chance."""

KEPT = 4
"""So many launches' outputs are kept, two of long ones, and the last one is waited for."""

LINES = 2**13
"""Cache lines that are read to see whether they were evicted: half a megabyte, as large as the
nearer caches."""

EVICTED = 1.6
"""Reading them takes so many times as long and more once they are (on two Zen 5 cores beside others
3 times), and 1.3 times as long where something else was done meanwhile."""

FLUSH_TRIES = 3
"""How often that may look otherwise before it is believed: a busy machine, whose caches others
evict all the time, is no fault of the kernel."""


def clock_rate(
    step: Step,
    x: Any,
    launch_s: float,
    clock: timing.Clock,
    waited_s: Callable[[], float | None] = speed_probe.waited_s,
) -> float:
    """Seconds by the step's device in a second of the host's: 1.0 for an honest one.

    Work between two marks lies within what the host sees of it, from before the first mark until
    all is done. A device's clock can't show more than that, and little less where the work is long:
    no less than what is left without the way to the device (long under WSL) and without the time in
    which this process had no core.
    `launch_s` is what a launch takes by the host's clock, roughly; `waited_s` what this process has
    waited for cores so far.
    """
    loops = max(int(LONG_S / max(launch_s, 1e-9)) // 2, 1)
    rates: list[float] = []
    good = 0
    began = clock()
    while len(rates) < TRIES or clock() - began < TRY_S:
        timing.blocks(step, x, 1, 1, lead=False)  # done, even if the fence doesn't wait
        waited = waited_s() or 0.0
        start = clock()
        (seconds,), out = timing.blocks(step, x, loops, 1, lead=False)
        fence_all(step.device, out)
        took = clock() - start
        if took < LONG_S and loops < 2**20:
            loops *= 2
            continue
        rate = loops * seconds / took
        if rate < 1 - CLOSE:
            took -= min(_way(step, clock), MOST_WAY * took)
            rate = loops * seconds / took
        if rate < 1 - CLOSE:
            took = max(took - (waited_s() or 0.0) + waited, 1e-9)
            rate = loops * seconds / took
            if rate >= 1 - CLOSE:  # it may have been the wait for a core, or not
                if clock() - began > PATIENCE_S:
                    return median(rates or [1.0])
                continue
        rates.append(rate)
        good += 1 - CLOSE <= rates[-1] <= 1 + ABOVE
        if good and (len(rates) == 1 or good >= max(2, OFTEN * len(rates))):
            return 1.0
    return median(rates)


def _way(step: Step, clock: timing.Clock) -> float:
    """Seconds that two marks and a fence take with no work between them."""
    device = step.device
    start = clock()
    device.fence(None)
    first = device.mark(None)
    device.seconds(first, device.mark(None))
    fence_all(device, None)
    return clock() - start


def left_undone(
    step: Step,
    x: Any,
    loops: int,
    launch_s: float,
    clock: timing.Clock = time.perf_counter,
    sleep: timing.Sleep = time.sleep,
) -> float:
    """Seconds of work that the step's fence left undone: 0.0 for an honest one.

    Fetching right after a fence must take no longer than fetching after a fence and a pause. Where
    it does, three times out of three, the fence returned before the work was done, and every time
    taken with it is too short. Tried after one launch and after a block of them: some libraries
    hold the host back once enough is queued.
    """
    return max(_late(step, x, n, launch_s, clock, sleep) for n in {1, loops})


def _late(
    step: Step, x: Any, loops: int, launch_s: float, clock: timing.Clock, sleep: timing.Sleep
) -> float:
    def fetch_after(pause: float) -> float:
        for _ in repeat(None, loops):
            out = step.launch(x)
        step.device.fence(out)
        if pause:
            sleep(pause)
        start = clock()
        step.fetch(out)
        return clock() - start

    excess = []
    for _ in range(3):
        at_once = fetch_after(0.0)
        if at_once < 0.2 * loops * launch_s:
            return 0.0
        excess.append(at_once - fetch_after(2 * at_once))
        if excess[-1] < 0.5 * at_once:
            return 0.0
    return min(excess)


def not_started(step: Step, x: Any, launch_s: float, clock: timing.Clock) -> float:
    """Seconds of work in launches that nobody has waited for: 0.0 for an eager device.

    Once the last of some launches is done, all before it are, so that fencing them finds nothing
    to wait for. Where that takes half as long as launching them did, and twice as long as fencing
    the last one again as often, three times out of three, they have yet to be computed.
    """
    excess = []
    for _ in range(3):
        kept = KEPT if launch_s < timing.BLOCK_S / 2 else 2
        *others, last = [step.launch(x) for _ in range(kept)]
        step.device.fence(last)
        start = clock()
        for out in others:
            step.device.fence(out)
        left = clock() - start
        start = clock()
        for _ in others:
            step.device.fence(last)
        again = clock() - start
        if left <= 2 * again or left - again < 0.5 * len(others) * launch_s:
            return 0.0
        excess.append(left - again)
    return min(excess)


def flushes(device: Device) -> bool:
    """Whether the device's flush evicts what was in its caches.

    On the host by what it takes to read half a megabyte again; elsewhere by whether the flush is
    work at all: between two marks it takes longer than nothing. A small cache is flushed in less
    than the host needs for two marks; twenty flushes are not.
    """
    if isinstance(device, kernels.Host):
        return any(_slower_after(device) > EVICTED for _ in range(FLUSH_TRIES))

    def seconds(flushes: int) -> float:
        device.fence(None)
        start = device.mark(None)
        for _ in range(flushes):
            device.flush()
        return device.seconds(start, device.mark(None))

    nothing = min(seconds(0) for _ in range(3))
    return any(max(seconds(number) for _ in range(3)) > 2 * nothing for number in (1, 20))


def _slower_after(device: Device) -> float:
    """How many times as long reading takes after a flush as before it: the third of nine readings,
    which nothing disturbed, and the least.

    Line by line in random order, so that no prefetcher sees which is next.
    """
    buffer, out = np.ones(LINES * 16, np.float32), np.empty(LINES, np.float32)  # 64 bytes a line
    order = 16 * np.random.Generator(np.random.PCG64(0)).permutation(LINES)

    def read() -> float:
        start = time.perf_counter()
        np.take(buffer, order, out=out, mode="clip")
        return time.perf_counter() - start

    before, after = [], []
    for _ in range(9):
        before += [read() for _ in range(4)]
        device.flush()
        device.fence(None)
        after.append(read())
    return sorted(after)[2] / min(before)
