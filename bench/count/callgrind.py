"""Callgrind's client requests, from Python with nothing compiled.

A program under Valgrind asks for something by a sequence of instructions that does nothing on a
CPU and that Valgrind knows (valgrind.h, VALGRIND_DO_CLIENT_REQUEST_EXPR). It is written here into a
page of memory and called through ctypes. So counting is on for a kernel's launches alone, and all
else runs ten times faster than it would be counted.
"""

import ctypes
import mmap
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

from bench.count.events import Events

CODE = {
    # mov rax, rdi; xor edx, edx; rol rdi, 3, 13, 61, 51; xchg rbx, rbx; mov rax, rdx; ret
    "x86_64": "4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3",
    # mov x4, x0; mov x3, 0; ror x12, x12, 3, 13, 51, 61; orr x10, x10, x10; mov x0, x3; ret
    "aarch64": "e40300aa 030080d2 8c0dcc93 8c35cc93 8ccdcc93 8cf5cc93 4a010aaa e00303aa c0035fd6",
}
"""A function of the address of six numbers, the request's and its arguments, that returns the
answer: 0 without Valgrind. That of aarch64 was only read from valgrind.h, never run."""

RUNNING_ON_VALGRIND = 0x1001
TOOL = ord("C") << 24 | ord("T") << 16  # Callgrind's requests, from callgrind.h
ZERO, DUMP_AT, START, STOP = TOOL + 1, TOOL + 3, TOOL + 4, TOOL + 5

PROFILE = "profile"
"""What Callgrind's files are called, followed by the process and the number of the dump."""


class NoValgrind(Exception):
    """The process doesn't run under Valgrind, or its requests can't be made; the text says why."""


class Requests:
    """Makes requests; raises NoValgrind where that can't be."""

    def __init__(self) -> None:
        machine = platform.machine()
        if machine not in CODE:
            raise NoValgrind(f"no code for its requests is known for {machine}")
        code = bytes.fromhex(CODE[machine])
        try:
            self._page = mmap.mmap(-1, mmap.PAGESIZE)
        except OSError as error:
            raise NoValgrind(f"no page of memory ({error.strerror})") from error
        self._page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        libc = ctypes.CDLL(None, use_errno=True)
        # never writable and executable at once, which hardened systems refuse
        if libc.mprotect(
            ctypes.c_void_p(address),
            ctypes.c_size_t(mmap.PAGESIZE),
            mmap.PROT_READ | mmap.PROT_EXEC,
        ):
            said = os.strerror(ctypes.get_errno())
            raise NoValgrind(f"this system lets no program make code ({said})")
        self._call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)
        if not self.ask(RUNNING_ON_VALGRIND):
            raise NoValgrind("the process doesn't run under Valgrind")

    def ask(self, request: int, argument: int = 0) -> int:
        """Make a request -> Valgrind's answer; 0 without Valgrind."""
        numbers = (ctypes.c_uint64 * 6)(request, argument)
        return int(self._call(ctypes.addressof(numbers)))


class Callgrind:
    """Counts instructions by the Valgrind that the process runs under. Raises NoValgrind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._requests = Requests()
        self._label = ctypes.create_string_buffer(b"launches")
        self._dump_at = ctypes.addressof(self._label)

    def begin(self) -> None:
        """From here on all is translated so that it can be counted, and slow."""
        self._requests.ask(START)

    def end(self) -> None:
        """From here on nothing is counted."""
        self._requests.ask(STOP)

    def count(self, work: Callable[[], object]) -> Events:
        """Do the work -> what was counted, of all threads together."""
        ask = self._requests.ask
        ask(ZERO)
        work()
        ask(DUMP_AT, self._dump_at)
        for path in self._folder.glob(f"{PROFILE}.{os.getpid()}.*"):
            counted = events(path.read_text(encoding="utf-8"))
            path.unlink()
            if counted is not None:
                return counted
        raise NoValgrind("Callgrind wrote no profile")


def events(text: str) -> Events | None:
    """What a profile of Callgrind counted; None where it says nothing."""
    names = re.search(r"^events: (.*)$", text, re.MULTILINE)
    totals = re.search(r"^(?:totals|summary): (.*)$", text, re.MULTILINE)
    if names is None or totals is None:
        return None
    counts = dict.fromkeys(names[1].split(), 0.0)
    counts |= zip(names[1].split(), map(float, totals[1].split()), strict=False)  # zeros at the end

    def together(*events: str) -> float | None:
        return sum(counts[name] for name in events) if set(events) <= counts.keys() else None

    return Events(
        counts.get("Ir", 0.0),
        cache_misses=together("ILmr", "DLmr", "DLmw"),
        branch_misses=together("Bcm", "Bim"),
    )
