"""Does a kernel compute what it is given, in the time that it says? A right answer doesn't show it.

A visit launches on one input again and again, so a kernel that remembers its answer, or returns an
old buffer, would be right and fast. What gives it away: another input, and how long that takes.
Here is only what a doubt looks into; `bench.worker.timing` has the clock,
`bench.worker.device_checks` what a device promises, and `bench.worker.placement` finds out where
the work is done. What is right the judge knows, in a process of its own (`bench.judge`): it is
handed each output.
"""

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.ipc.arrays import Arrays
from bench.ipc.outputs import Wrong
from bench.plan.case import Case
from bench.worker import device_checks, given, limits, placement, timing
from bench.worker.open_cell import OpenCell
from bench.worker.streams import (
    fence_all,
    has_own_clock,
    is_eager,
    is_streamed,
    waits_for_nothing,
)

if TYPE_CHECKING:
    import kernels
    from kernels import Step

CHEAP_S = 0.01
CHEAP_BYTES = 2**24
"""Cells whose launch takes less than that and whose arrays hold less than this are examined on
every visit, others on the first one in a worker: it takes a launch and a few passes over them."""

AHEAD = 200
"""So many flushes of the cache keep a GPU busy for a few milliseconds (an H100 needs 20 us for each
and is told in 3), while the host sends an input and launches."""

TRIES = 3
"""What would accuse a kernel is seen so many times in a row before it does."""

ALIKE = 0.02
"""Two answers to one input differ by less than this share of the largest number in them."""

SUSPECT = 0.2
"""A fetch or a send that takes more than this share of a launch and its fence is looked into."""

TRIES = 3
"""What doesn't show at once is looked into so often."""

MISSED = 1.2
"""Blocks that took so many times as long on the host's clock as on the device's are looked into."""

COUNTED = 1.02
"""And those that took so many times as long on the device's clock as on the host's."""

ROW = 8
"""So many launches on one input, if they are short, are enough for one who remembers."""

TWICE = 2.0
"""What takes more than so many times as long as it should is looked into."""


GREEDY = 1.5
"""A kernel may keep so many times as many cores busy as it was given threads: an asynchronous
library's own threads work while the one that launches queues what comes next."""

LONG_S = 5e-3
"""Blocks shorter than this together say little of that: threads spin on for a moment."""


class TooManyCores(Exception):
    """A kernel used more threads than it was given: says how many cores it kept busy."""


class CheatChecks:
    """Looks into what kernels do, and remembers whom it has found honest.

    Raises Wrong, and TooManyCores.
    """

    def __init__(
        self, clock: timing.Clock = time.perf_counter, sleep: timing.Sleep = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._flushes: set[str] = set()  # whose caches are flushed between launches
        self._waits: set[tuple[str, Case]] = set()  # whose fence was seen to wait
        self._starts: set[tuple[str, Case]] = set()  # who computes what nobody looks at
        self._clocks: set[str] = set()  # whose clock agrees with the host's
        # what part of whom, in which precision, was seen to do none of the work, or how often not
        self._placed: dict[tuple[str, str, str], int] = {}
        self._computes: set[tuple[str, Case]] = set()  # what was examined

    def clock(self, cell: OpenCell, launch_s: float) -> None:
        """Before anything is timed with it: a device's own clock has to agree with the host's.

        `launch_s` is what a launch took by the host's clock. Once a kernel and worker: after that
        `marks` sees what is far off.
        """
        if cell.kernel not in self._clocks and has_own_clock(cell.step.device):
            self._hold_clock(cell, launch_s)
            self._clocks.add(cell.kernel)

    def marks(
        self, cell: OpenCell, said_s: float, launches: int, took_s: float, all_s: float
    ) -> None:
        """What blocks took by their marks, and by the host's clock.

        `said_s` is for `launches` of them; by the host's clock they took `took_s` without what was
        done between them, and `all_s` with it. Cold launches have more between them than is known:
        there took_s is 0.
        """
        if took_s > MISSED * said_s or said_s > COUNTED * all_s:
            self._hold_clock(cell, all_s / launches)

    def _hold_clock(self, cell: OpenCell, launch_s: float) -> None:
        rate = device_checks.clock_rate(cell.step, cell.x, launch_s, self._clock)
        if rate == 1:
            return
        said = f"its device's clock counts {rate:.3g} s in a second of the host's"
        if rate < 1:
            raise Wrong(f"{said}: its marks missed the rest of the work, or tell no seconds")
        raise Wrong(f"{said}: what its seconds() returns is not in seconds")

    def cores(self, busy: float, took_s: float, threads: int) -> None:
        """All kernels run with the same number of threads, or their times can't be compared."""
        if took_s >= LONG_S and busy > GREEDY * threads:
            given = f"{threads} thread{'s' if threads > 1 else ''}"
            raise TooManyCores(f"it kept {busy:.1f} cores busy and was given {given}")

    def fence(self, cell: OpenCell, trip: timing.RoundTrip) -> None:
        """Work that is left undone at the fence, or done in send or fetch, is in no launch's time.

        A fetch or a send that takes long is looked into; the launches of a device that says it is
        eager are, in any case.
        """
        self._starts_all(cell)
        if trip.fetch > SUSPECT * trip.latency and cell.identity not in self._waits:
            late_s = device_checks.left_undone(
                cell.step, cell.x, cell.loops, cell.launch_s, self._clock, self._sleep
            )
            if late_s:
                raise Wrong(
                    f"the fence returned {late_s:.2g} s before the work was done:"
                    " times taken with it would be too short"
                )
            self._waits.add(cell.identity)
        self._works_in_launch(cell, trip)

    def _starts_all(self, cell: OpenCell) -> None:
        device = cell.step.device
        if (
            cell.identity in self._starts
            or waits_for_nothing(device)
            or is_streamed(device)
            or not is_eager(device)
        ):
            return
        left_s = device_checks.not_started(cell.step, cell.x, cell.launch_s, self._clock)
        if left_s:
            raise Wrong(
                f"its device says that it is eager, and {left_s:.2g} s of work were left in"
                " launches that nobody had waited for"
            )
        self._starts.add(cell.identity)

    def _works_in_launch(self, cell: OpenCell, trip: timing.RoundTrip) -> None:
        """On a device with streams an output that was overwritten tells it (`_writes`)."""
        if is_streamed(cell.step.device):
            return
        plain = cell.step.fetch is np.asarray and type(cell.out) is np.ndarray
        least_s = SUSPECT * min(trip.latency, cell.launch_s)
        seconds = {
            "fetch": 0.0 if plain else trip.fetch,
            "send": 0.0 if cell.x is cell.given.A_in else trip.send,
        }
        for where, took_s in seconds.items():
            key = (cell.kernel, cell.case.precision, where)
            if took_s <= least_s or self._placed.get(key, 0) >= TRIES:
                continue
            share = placement.share(where, cell.prepare, cell.case, cell.launch_s, self._clock)
            if share is not None and share > placement.SHARE:
                raise Wrong(
                    f"its {where} does {share:.0%} of the work, which is in no launch's time:"
                    " let launch compute, and a device's fence wait for it"
                )
            clear = share is not None and share < placement.NONE
            self._placed[key] = TRIES if clear else self._placed.get(key, 0) + 1

    def flush(self, cell: OpenCell) -> None:
        """With cold caches: a flush that takes no time leaves them warm."""
        if cell.kernel not in self._flushes and not device_checks.flushes(cell.step.device):
            raise Wrong("its device's flush does nothing: the caches were warm")
        self._flushes.add(cell.kernel)

    def last(self, cell: OpenCell) -> None:
        """Hand over the last output, after looking at all that the kernel did."""
        known = cell.identity in self._computes
        due = not known or (cell.launch_s < CHEAP_S and cell.case.bytes < CHEAP_BYTES)
        # first of all: an input that was overwritten is why an answer is wrong
        shared = cell.shared
        drawn = Arrays(shared.input("plain"), shared.W, shared.b)
        if due and (changed := given.differing(drawn, cell.given)):
            raise Wrong(f"it wrote into {' and '.join(changed)}, which it may only read")
        if cell.out is None:  # nothing was measured
            cell.out = cell.step.launch(cell.x)
            cell.step.device.fence(cell.out)
        cell.hand_over("last", cell.step.fetch(cell.out))
        if due:
            new_s = _another(cell)
            if not (known or cell.examined) and is_streamed(device := cell.step.device):
                _keeps_to_its_stream(cell)
                _writes(cell, device)
            if not known and new_s > TWICE * cell.launch_s:
                _forgets(cell)
            self._computes.add(cell.identity)


def _another(cell: OpenCell) -> float:
    """Hand over the answer to another input -> seconds of that launch.

    Where the kernel works on A_in itself, the same buffer gets other contents: a kernel that knows
    an input by its address is found out. The output is fetched when the buffer has its old contents
    again: a kernel that leaves its work to `fetch` is found out as well.
    """
    step, A_in, other = cell.step, cell.given.A_in, cell.shared.input("loud")
    if isinstance(cell.x, np.ndarray) and np.may_share_memory(cell.x, A_in):
        np.copyto(A_in, other)
        try:
            seconds, out = _launch(step, cell.x)
        finally:
            np.copyto(A_in, cell.shared.input("plain"))
    else:
        seconds, out = _launch(step, step.send(np.array(other)))
    cell.hand_over("other", step.fetch(out))
    return seconds


def _keeps_to_its_stream(cell: OpenCell) -> None:
    """Behind other work on the device's stream, an input and a launch wait for their turn.

    Work on another stream doesn't, and answers an input that has not arrived yet. That is how it is
    found out where it is so short that nobody ever waits for it.

    No real card makes an honest kernel fail it: nothing is timed; what one stream holds runs in
    order, whatever else is on the card; and the answer is looked at when the whole device is done.
    A device too fast to be kept busy, or without room, shows nothing. Only what answers the same
    input rightly once it has arrived, and wrongly behind other work, three times, is accused.
    """
    for _ in range(TRIES):
        other = timing.altered(cell.shared.input("strong"))
        try:
            behind = _answer(cell, other, AHEAD)
        except Exception as error:
            if limits.is_memory(error, str(error)):  # for what a flush overwrites
                return
            raise
        if _alike(behind, _answer(cell, other)):
            return
    raise Wrong("it answered before its input was there: its work is not on its device's stream")


def _answer(cell: OpenCell, A_in: NDArray[Any], ahead: int = 0) -> NDArray[Any]:
    """The answer to an input that is sent and launched behind so many flushes; with none ahead it
    has arrived before the launch.
    """
    step = cell.step
    for _ in range(ahead):
        step.device.flush()
    x = step.send(A_in)
    if not ahead:
        step.device.fence(None)
    out = step.launch(x)
    fence_all(step.device, out)
    return np.array(step.fetch(out))


def _alike(answer: NDArray[Any], right: NDArray[Any]) -> bool:
    """Whether two answers to one input are the same but for rounding; NaN is like nothing."""
    exact = right.astype(np.float64)
    return bool(np.abs(answer - exact).max() <= ALIKE * np.abs(exact).max())


def _writes(cell: OpenCell, device: "kernels.Streamed") -> None:
    """After a block on one input, an output that was overwritten is there again with a launch.

    A launch that does nothing, because the answer still stands in its buffer, is found out: three
    times out of three. An honest one writes all of its output, into this buffer or into another;
    that libraries read none of what they overwrite is not relied on (it holds numbers, not NaN).
    """
    step = cell.step
    x = step.send(cell.given.A_in)
    out = step.launch(x)
    fence_all(step.device, out)
    right = np.array(step.fetch(out))
    for _ in range(TRIES):
        for _ in range(max(cell.loops, 3)):
            out = step.launch(x)
        if not device.spoil(out):
            return
        out = step.launch(x)
        fence_all(step.device, out)
        if _alike(step.fetch(out), right):
            return
    raise Wrong("it launched and computed nothing: its output had been overwritten")


def _launch(step: "Step", x: Any) -> tuple[float, Any]:
    (seconds,), out = timing.blocks(step, x, 1, 1, lead=False)
    step.device.fence(out)
    return seconds, out


def _forgets(cell: OpenCell) -> None:
    """An input that it has seen must take about as long as one that it has not."""
    row = max(cell.loops, min(int(timing.WARM_CAP_S / cell.launch_s), ROW))
    times = timing.recall(cell.step, cell.x, cell.given.A_in, row)
    if times > 1:
        raise Wrong(
            f"it answers an input that it has seen {times:.3g} times faster than a new one:"
            " it remembers answers"
        )
