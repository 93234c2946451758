"""The process between the harness and a worker: it outlives the worker and clears up behind it.

Started as `python -m bench.worker.keeper FD THREADS`; it forks before anything heavy is imported,
and the child is the worker. A kernel may print without end, start processes and abandon them, or
die by any signal. The keeper reads what is printed and keeps the end of it, so that no disk fills;
Linux hands it the processes that others abandon (PR_SET_CHILD_SUBREAPER), however they detached
themselves, and they end with the worker. It ends as the worker did, with the last that was printed
on its stdout; and should the harness be killed, it ends everything.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # a signal to get when the parent dies: from linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36

LAST_BYTES = 4000
"""Of what the worker printed, this much is kept: a pipe holds it until someone reads."""


def main(descriptor: int, threads: int) -> NoReturn:
    """Become the keeper of a worker that speaks on the file descriptor."""
    linux(PR_SET_CHILD_SUBREAPER, 1)
    linux(PR_SET_PDEATHSIG, signal.SIGTERM)
    printed, sink = os.pipe()
    try:
        worker = os.fork()
    except OSError as error:
        sys.exit(f"can't start a process ({error.strerror})")
    if worker == 0:
        os.close(printed)
        _work(descriptor, threads, sink)
    os.close(descriptor)
    os.close(sink)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is the worker's: one core file
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    last = bytearray()
    reader = threading.Thread(target=_keep_last, args=(printed, last), daemon=True)
    status = 0
    try:
        reader.start()
        status = _wait(worker)
    except RuntimeError as error:  # no thread can be started
        last += str(error).encode()
        status = 1 << 8  # as if the worker had exited with 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_all(worker)
        if reader.ident is not None:
            reader.join(timeout=1.0)
        os.write(sys.stdout.fileno(), last)
    _end_like(status)


def _work(descriptor: int, threads: int, sink: int) -> NoReturn:
    """Be the worker, in a session of its own: a kernel may signal its whole process group."""
    os.setsid()
    linux(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):
        # where memory runs out all the same, Linux shall take this process and not the harness
        Path("/proc/self/oom_score_adj").write_text("1000")
    for stream in (1, 2):
        os.dup2(sink, stream)
    os.close(sink)
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - its signature
    from bench.worker import server

    server.main(descriptor, threads)
    sys.exit()


def _keep_last(printed: int, last: bytearray) -> None:
    while chunk := os.read(printed, 2**16):
        last[:] = (last + chunk)[-LAST_BYTES:]


def _wait(worker: int) -> int:
    """The worker's exit status. Abandoned processes that end meanwhile are let go."""
    while True:
        pid, status = os.wait()
        if pid == worker:
            return status


def end_all(worker: int) -> None:
    """End the worker, all that it started, and what those started, until nothing is left."""
    for end in (os.killpg, os.kill):  # where there is no Linux, this is all
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(worker, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            os.wait()  # the children of this one are ours now


def _children() -> list[int]:
    """The children of this process, adopted ones too; none where there is no /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = stat.read_bytes().rpartition(b")")[2].split()
            if int(after_name[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def _end_like(status: int) -> NoReturn:
    """Exit with the worker's exit code, or die by the signal that it died by."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL and the like have no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def linux(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
