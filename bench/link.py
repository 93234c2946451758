"""The two ends of a worker: the messages, and the parent's handle on the child process.

A worker is a process of its own, so that a kernel's crash, leak or threads stay its own. Messages
are lines of JSON over a socket; the worker's own stdout and stderr are a kernel's to print on, kept
aside for the reason should it die.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import msgspec

from bench.records import Status
from bench.sweep import Case

ROOT = Path(__file__).parent.parent

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)


class Facts(msgspec.Struct, frozen=True, tag=True):
    """Ask what the worker's process is made of; answered by FactsReply."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Import a kernel: a name in kernels/, or the absolute path of a file."""

    kernel: str


class Open(msgspec.Struct, frozen=True, tag=True):
    """Ready one cell under the name `key`: inputs, set-up, check, warm-up."""

    key: int
    kernel: str  # a name in kernels/, or the absolute path of a file
    case: Case
    device: int
    cache: str
    seed: int  # of the input values
    offset: int  # where in a page the arrays begin, in cache lines
    launch_s: float | None  # what a launch took before, if that is known
    limit_s: float  # a first launch that takes longer is not followed by a second


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Time `count` blocks of `loops` launches of an open cell."""

    key: int
    loops: int
    count: int


class RoundTrips(msgspec.Struct, frozen=True, tag=True):
    """Time `count` ways of one input through an open cell, transfers included."""

    key: int
    count: int


class Close(msgspec.Struct, frozen=True, tag=True):
    """Check the last output, let go of the cell, wait until no thread of the worker runs."""

    key: int


Request = Facts | Load | Open | Measure | RoundTrips | Close


class FactsReply(msgspec.Struct, frozen=True, tag=True):
    """What the worker's process is made of."""

    contract: int
    kernels: tuple[str, ...]
    python: str
    numpy: str
    blas: tuple[dict[str, Any], ...]  # threadpoolctl's report


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The kernel's file is there and defines `prepare`."""

    kernel_hash: str
    summary: str  # the first line of its docstring


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The cell gives the right answer and is warm."""

    kernel_hash: str
    device: str
    loops: int
    launch_s: float
    error: float


class Times(msgspec.Struct, frozen=True, tag=True):
    """Seconds per launch, a number a block."""

    seconds: tuple[float, ...]
    control_s: float  # what the control took, before or after, whichever was longer
    measured_s: float  # how long all of it took
    waited_s: float | None  # for a core, all threads of the worker together, meanwhile


class Trips(msgspec.Struct, frozen=True, tag=True):
    """The middle one of the round trips, by its whole length."""

    send: float
    launch: float
    latency: float
    fetch: float
    end_to_end: float


class Closed(msgspec.Struct, frozen=True, tag=True):
    """The last output was right too."""

    error: float
    cpu_s: float
    preempted: int
    quiet_s: float
    quiet: bool  # False: threads still run; an error, and the worker has to be replaced


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The cell has no number, and why. It is no longer open."""

    status: Status
    reason: str
    kernel_hash: str = ""


Reply = FactsReply | Loaded | Opened | Times | Trips | Closed | Refused


class WorkerLost(Exception):
    """The worker died or had to be killed: `status` is crashed or timeout, the text says how."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Worker:
    """The parent's handle on one worker process."""

    def __init__(self, threads: int) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", str(theirs.fileno()), str(threads)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=environment(threads),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        self._socket = ours
        self._lines = ours.makefile("rb")

    def call(self, request: Request, timeout_s: float) -> Reply:
        """Send a request and wait for its reply. Raises WorkerLost; the worker is gone then."""
        self._socket.settimeout(min(timeout_s, 1e6))
        try:
            self._socket.sendall(msgspec.json.encode(request) + b"\n")
            line = self._lines.readline()
        except TimeoutError:
            self.kill()
            reason = f"no answer to {type(request).__name__.lower()} in {timeout_s:.0f} s"
            raise WorkerLost("timeout", reason) from None
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise WorkerLost("crashed", self._death())
        reply: Reply = msgspec.json.decode(line, type=Reply)
        return reply

    def _death(self) -> str:
        """How the process ended, and the last line that it printed."""
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        self._log.seek(0)
        printed = self._log.read()[-4000:].decode(errors="replace").strip().splitlines()
        self.kill()
        return f"the worker died: {how}" + (f"; it last printed: {printed[-1]}" if printed else "")

    def kill(self) -> None:
        """End the process and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._lines.close()
        self._socket.close()
        self._log.close()


def environment(threads: int) -> dict[str, str]:
    """The environment of a worker: how many threads, and where `bench` and `kernels` are.

    OpenBLAS threads spin on after a product, for work that may come. OPENBLAS_THREAD_TIMEOUT is
    the power of two of clock cycles that they do; 2**20 is far longer than the gap between two
    launches, and leaves a visit less to wait for (`quiet_s` in visits.csv). A value that the user
    has set is kept.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        "OPENBLAS_THREAD_TIMEOUT": "20",
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "PYTHONPATH": path,
    }
