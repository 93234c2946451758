"""The CPU's own counters, by Linux's perf_event_open: user-mode instructions and cycles.

They cost nothing and know every instruction; a virtual machine often has none. From
linux/perf_event.h and perf_event_open(2).
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable, Sequence

from bench.count.events import Events

NUMBERS = {"x86_64": 298, "aarch64": 241}
"""perf_event_open's number as a system call."""

HARDWARE, SOFTWARE = 0, 1
CYCLES, INSTRUCTIONS = 0, 1
PAGE_FAULTS = 2  # of SOFTWARE: there wherever perf is

INHERIT, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
TIMES = 1 | 2  # with each reading: how long it was enabled, and how long it ran

SIZE = 128  # of struct perf_event_attr


class NoCounters(Exception):
    """The system gives no counters; the text says why."""


LACKING = {
    errno.ENOENT: "this CPU, or the virtual machine, has none",
    errno.ENOSYS: "its kernel was built without them",
    errno.EACCES: "they are kept from programs: kernel.perf_event_paranoid",
    errno.EPERM: "they are kept from programs, as in most containers",
}
"""What an error of the call means here: a file that is missing says nothing to a reader."""


class Counter:
    """One event of this process, running: its own threads and those that they start."""

    def __init__(self, kind: int, event: int) -> None:
        number = NUMBERS.get(platform.machine())
        if number is None or platform.system() != "Linux":
            raise NoCounters(f"perf's system call is not known for {platform.machine()}")
        flags = INHERIT | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR
        start = struct.pack("=IIQQQQQ", kind, SIZE, event, 0, 0, TIMES, flags)
        attributes = ctypes.create_string_buffer(start, SIZE)
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.syscall(number, attributes, 0, -1, -1, 0)
        if self._file < 0:
            number = ctypes.get_errno()
            said = LACKING.get(number) or os.strerror(number)
            raise NoCounters(f"the system gives no counters of the CPU ({said})")

    def read(self) -> int:
        """The count so far. Raises NoCounters where the counter was shared: the rest is a guess."""
        count, enabled, ran = struct.unpack("=QQQ", os.read(self._file, 24))
        if ran < enabled:
            raise NoCounters("the CPU's counters are used by other programs too")
        return int(count)

    def close(self) -> None:
        """Give the counter back."""
        os.close(self._file)


class Perf:
    """Counts by the CPU's counters. Raises NoCounters."""

    def __init__(
        self, wanted: Sequence[tuple[int, int]] = ((HARDWARE, INSTRUCTIONS), (HARDWARE, CYCLES))
    ) -> None:
        self._counters: list[Counter] = []
        for what in wanted:
            self._counters.append(Counter(*what))

    def begin(self) -> None:
        """Nothing to do: a counter counts by itself."""

    def end(self) -> None:
        """Nothing to do."""

    def count(self, work: Callable[[], object]) -> Events:
        """Do the work -> what was counted, of this thread and of those that it started."""
        before = [counter.read() for counter in self._counters]
        work()
        after = [counter.read() for counter in self._counters]
        return Events(*(b - a for a, b in zip(before, after, strict=True)))

    def close(self) -> None:
        """Give the counters back."""
        for counter in self._counters:
            counter.close()
