"""The parent's handle on the judge, a process beside the kernels' (bench.judge).

One for all kernels of a run. Should it end or hang, the cell gets a row that says so, and the next
one a fresh judge.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from bench.data.records import Status
from bench.ipc import lines, memory
from bench.ipc.outputs import Label
from bench.judge import messages
from bench.plan.case import Case, Weights
from bench.terminal import errors
from bench.terminal.errors import BadInput
from bench.worker.environment import environment

PATIENCE_S = 120.0
"""Drawing a layer and working out an answer may take so long."""

AT_REST = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
"""Have the judge's own BLAS threads sleep at once after a product: a kernel is next."""


class CantJudge(Exception):
    """A case can't be drawn or checked: `status` is out_of_memory, error, timeout, or
    crashed where its process can't start.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Lent:
    """A case for one visit: the files of the layer, of the inputs, and of its outputs to come."""

    case: Case
    own: Weights | None  # where the layer's own numbers are
    files: tuple[int, int, int]
    judge: int  # the process that lent it: another one has other inputs

    def close(self) -> None:
        """Let go of the files."""
        for file in self.files:
            os.close(file)


class JudgeProcess:
    """The judge of a run, started when it is first needed. Raises CantJudge."""

    def __init__(self, threads: int, seed: int) -> None:
        self._threads = threads
        self._seed = seed
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._slow: dict[tuple[Case, Weights | None], CantJudge] = {}
        self.asked_s = 0.0  # how long answers were waited for, all together

    def start(self) -> None:
        """Start its process, if there is none, and don't wait for it."""
        if self._process is not None:
            return
        command = [sys.executable, "-P", "-m", "bench.judge.server"]
        with ExitStack() as undone:
            try:
                ours, theirs = map(undone.enter_context, socket.socketpair())
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(self._seed)],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=environment(self._threads) | AT_REST,
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
            except OSError as error:
                why = errors.of_system(error) or error.strerror
                raise CantJudge("crashed", f"can't start a process: {why}") from error
            undone.pop_all()
        theirs.close()
        self._socket = ours

    def lend(self, case: Case, own: Weights | None) -> Lent:
        """The files of a visit, to be closed at its end."""
        if (case, own) in self._slow:
            raise self._slow[case, own]
        try:
            _, (layer, inputs) = self._call(messages.Draw(case, own))
        except CantJudge as error:
            if error.status == "timeout":  # not once more for each kernel
                self._slow[case, own] = error
            raise
        try:
            files = (layer, inputs, memory.anonymous("outputs"))
        except BadInput as error:
            os.close(layer)
            os.close(inputs)
            raise CantJudge("error", str(error)) from error
        assert self._process is not None
        return Lent(case, own, files, self._process.pid)

    def check(self, lent: Lent, labels: tuple[Label, ...]) -> messages.Verdict:
        """What a visit's outputs are."""
        if self._process is None or self._process.pid != lent.judge:
            raise CantJudge("error", "the judge's process ended while the kernel ran")
        reply, _ = self._call(messages.Check(lent.case, lent.own, labels), lent.files[2])
        assert isinstance(reply, messages.Verdict)
        return reply

    def _call(self, request: messages.Request, *files: int) -> tuple[Any, tuple[int, ...]]:
        self.start()
        assert self._socket is not None
        self._socket.settimeout(PATIENCE_S)
        start = time.perf_counter()
        try:
            lines.send(self._socket, msgspec.json.encode(request) + b"\n", files)
            line, came = lines.receive(self._socket)
        except TimeoutError:
            self.end()
            asked = f"to {type(request).__name__.lower()} this layer"
            raise CantJudge(
                "timeout", f"the judge needed over {PATIENCE_S:.0f} s {asked}"
            ) from None
        except OSError:
            line, came = b"", ()
        finally:
            self.asked_s += time.perf_counter() - start
        if not line.endswith(b"\n"):
            raise self._death()
        reply: messages.Reply = msgspec.json.decode(line, type=messages.Reply)
        if isinstance(reply, messages.CantJudge):
            raise CantJudge(reply.status, reply.reason)
        return reply, came

    def _death(self) -> CantJudge:
        """How its process ended by itself."""
        process, said = self._process, self.end()
        if process is not None and process.returncode == -signal.SIGKILL:
            perhaps = "; perhaps memory ran out, and Linux ended it"
            return CantJudge("out_of_memory", f"the judge's process was killed{perhaps}")
        return CantJudge("error", f"the judge's process ended{said}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> str:
        """End its process, if there is one -> the last that it said, as the end of a reason."""
        if self._process is None or self._socket is None:
            return ""
        self._socket.close()
        self._process.kill()
        _, said = self._process.communicate()
        code, self._process, self._socket = self._process.returncode, None, None
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        return f" ({code})" + "".join(f": {line}" for line in last)
