"""A command in a process of its own that may crash or hang: both are answers here."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from bench import ROOT

STEP_S = 0.02
"""How often the process is looked at."""

GRACE_S = 5.0
"""One that can't be killed, because it waits inside a driver, is left behind after this long."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `code` is None where it was killed because its time was over."""

    code: int | None
    out: str
    err: str

    @property
    def how(self) -> str:
        """Like "hung", "was killed by SIGSEGV" or "ended with exit code 1: what it said last"."""
        if self.code is None:
            return "hung"
        if self.code < 0:
            return f"was killed by {_signal_name(-self.code)}"
        last = (self.err.strip().splitlines() or ["nothing said"])[-1]
        return f"ended with exit code {self.code}: {last}"


def run(
    command: Sequence[str],
    timeout_s: float,
    watch: Callable[[], None] = lambda: None,
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run it in the checkout for at most `timeout_s`; `watch` is called every so often meanwhile.

    Its output goes to files: a process that can't be killed must not be able to block a reader.
    """
    with _file() as out, _file() as err:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment or dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,  # Ctrl-C is the caller's to handle
        )
        deadline = time.monotonic() + timeout_s
        try:
            while (code := process.poll()) is None and time.monotonic() < deadline:
                watch()
                time.sleep(STEP_S)
        finally:
            if process.poll() is None:
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return Ended(code, *texts)


def _file() -> IO[bytes]:
    """A file without a name: in memory where Linux has that, for temporary folders may be full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("output"), "w+b")
    return tempfile.TemporaryFile()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return f"signal {number}"
