"""The parent's handle on one worker, a child process.

A worker is a process of its own, so that a kernel's crash, leak or threads stay its own. Its stdout
and stderr are a kernel's to print on, and the last of it becomes the reason should it die
(bench.worker.keeper).
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from bench.data.records import Status
from bench.ipc import lines
from bench.terminal import errors
from bench.terminal.errors import BadInput
from bench.worker.environment import environment
from bench.worker.messages import Reply, Request


class WorkerLost(Exception):
    """The worker died or had to be killed: `status` is crashed, timeout or out_of_memory, the text
    says how.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


MOST_BYTES = 2**24
"""No reply is longer: what is comes from a kernel that writes on the socket."""


GRACE_S = 10.0
"""A keeper that needs longer than this to end its worker is ended itself."""


LOOK_S = 0.1
"""How long the processes that a kernel left behind are looked at: ten ticks of their CPU time."""

LOOKS = 5
"""So many times: one that waits for messages wakes up now and then, and is ready at one or two."""


HINTS = {
    "SIGKILL": "; perhaps memory ran out, and Linux ended it: dmesg says so",
    "SIGXCPU": "; its CPU time was up: raise the limit (ulimit -t)",
}
"""What a death by signal suggests."""


NO_MORE = re.compile("can't start (a process|new thread)|Resource temporarily unavailable")
"""What is printed where processes or threads can't be started."""

NO_MEMORY = re.compile("Memory allocation still failed|std::bad_alloc|Cannot allocate memory")
"""What libraries print that end the process where memory runs out: OpenBLAS, C++."""

RAISE = f"; {errors.PROCESSES}"


class WorkerProcess:
    """The parent's handle on one worker process and its keeper.

    `kernels_at` is the directory of another `kernels` package than this checkout's; `core` the one
    core that all of it shall run on; `python` the interpreter, whose packages it uses;
    `hash_seed` that of Python's hashes.
    """

    def __init__(
        self,
        threads: int,
        kernels_at: Path | None = None,
        core: int | None = None,
        python: str = sys.executable,
        hash_seed: int | None = None,
    ) -> None:
        # -P: a working directory with packages of the same names must not come first
        command = [python, "-P", "-m", "bench.worker.keeper"]
        with contextlib.ExitStack() as undone:
            try:
                ours, theirs = map(undone.enter_context, socket.socketpair())
                self._keeper = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(threads)],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment(threads, kernels_at, hash_seed),
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
            except OSError as error:
                why = errors.of_system(error) or error.strerror
                raise BadInput(f"can't start a process: {why}") from error
            undone.pop_all()
        theirs.close()
        if core is not None:
            # long before the keeper has started its worker, which inherits it
            os.sched_setaffinity(self._keeper.pid, {core})
        self._socket = ours
        self._lines = ours.makefile("rb")

    def call(self, request: Request, timeout_s: float, files: Sequence[int] = ()) -> Reply:
        """Send a request, with open files, and wait for its reply.

        Raises WorkerLost; the worker is gone then.
        """
        self.ask(request, timeout_s, files)
        return self.answer(request, timeout_s)

    def ask(self, request: Request, timeout_s: float, files: Sequence[int] = ()) -> None:
        """Send a request, whose answer must be taken before the next one is sent."""
        self._socket.settimeout(min(timeout_s, 1e6))
        with contextlib.suppress(OSError):  # the answer says what has happened to it
            lines.send(self._socket, msgspec.json.encode(request) + b"\n", files)

    def answer(self, request: Request, timeout_s: float) -> Reply:
        """Wait for the reply to what was asked. Raises WorkerLost, as `call`."""
        try:
            line = self._lines.readline(MOST_BYTES)
        except TimeoutError:
            reason = f"no answer to {type(request).__name__.lower()} in {timeout_s:.0f} s"
            raise WorkerLost("timeout", reason + self._end()) from None
        except OSError:
            line = b""
        try:
            reply: Reply = msgspec.json.decode(line, type=Reply)
        except msgspec.DecodeError:
            reason = self._death(line)
            status: Status = "out_of_memory" if NO_MEMORY.search(reason) else "crashed"
            raise WorkerLost(status, reason) from None
        return reply

    def _death(self, line: bytes) -> str:
        """How the process ended, or what it wrote in place of a reply, and what it printed last."""
        if line.endswith(b"\n") or len(line) == MOST_BYTES:
            return f"the worker answered {line[:40]!r}" + self._end()
        try:
            code = self._keeper.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return "the worker closed its connection" + self._end()
        if code >= 0:
            return f"the worker died: exit code {code}" + self._end()
        name = _signal_name(-code)
        return f"the worker died: killed by {name}{HINTS.get(name, '')}" + self._end()

    def _end(self) -> str:
        """End the worker -> the last line that it printed, as the end of a reason."""
        printed = self.kill().decode(errors="replace").strip()
        if (limited := NO_MORE.search(printed)) is not None:
            start = printed.rfind("\n", 0, limited.start()) + 1
            return f"; it printed: {printed[start:].splitlines()[0]}{RAISE}"
        return f"; it last printed: {printed.splitlines()[-1]}" if printed else ""

    def left_busy(self) -> bool:
        """Whether processes that the kernel has started are still there and use a core."""
        if not self._others():
            return False
        before = sum(map(_cpu_s, self._others()))
        ready = set(self._others())
        for _ in range(LOOKS):
            time.sleep(LOOK_S / LOOKS)
            ready = {process for process in ready if _runs(process)}
        used = sum(map(_cpu_s, self._others())) - before
        # on a busy machine one that wants a core may have none for so long
        return used > LOOK_S / 4 or bool(ready)

    def _others(self) -> list[psutil.Process]:
        """The processes below the keeper, without the worker: the first that it started."""
        with contextlib.suppress(psutil.Error):
            # only where Linux doesn't rule it out: psutil reads of every process of the machine
            if _children(self._keeper.pid) != 1 or _children(self._worker_pid()) != 0:
                return list(psutil.Process(self._keeper.pid).children(recursive=True)[1:])
        return []

    def _worker_pid(self) -> int:
        with contextlib.suppress(OSError, IndexError, ValueError):
            pid = self._keeper.pid
            return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return -1

    def kill(self) -> bytes:
        """End the process and all that it started, at once -> the end of what it printed."""
        assert self._keeper.stdout is not None
        if self._keeper.stdout.closed:
            return b""
        self._keeper.terminate()
        try:
            self._keeper.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._lines.close()
        self._socket.close()
        with self._keeper.stdout as printed:
            return printed.read()


def _children(pid: int) -> int | None:
    """How many children a process has, if Linux says so in one place (CONFIG_PROC_CHILDREN)."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(len((task / "children").read_text().split()) for task in tasks)
    except OSError:
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return f"signal {number}"


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() == psutil.STATUS_RUNNING)
    return False


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
