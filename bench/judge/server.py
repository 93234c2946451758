"""The judge's process: it answers `bench.judge.messages`'s requests until the other side hangs up.

Started as `python -m bench.judge.server FD SEED`. It uses as many threads as a kernel does, while
no kernel is measured: the parent asks it before a visit and after.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from bench.ipc import lines
from bench.ipc.outputs import Wrong
from bench.judge import messages
from bench.judge.judge import Judge
from bench.terminal.errors import BadInput

PR_SET_PDEATHSIG = 1  # a signal to get when the parent dies: from linux/prctl.h


def answer(
    judge: Judge, request: messages.Request, files: tuple[int, ...]
) -> tuple[messages.Reply, tuple[int, ...]]:
    """Do what is asked -> the reply, and the files that go with it."""
    try:
        match request:
            case messages.Draw():
                return messages.Drawn(), judge.draw(request.case, request.weights)
            case messages.Check():
                error = judge.check(request.case, request.weights, request.labels, files[0])
                return messages.Verdict(error), ()
    except Wrong as wrong:
        return messages.Verdict(wrong=str(wrong)), ()
    except MemoryError as error:
        return messages.CantJudge("out_of_memory", str(error) or "out of memory"), ()
    except BadInput as error:
        return messages.CantJudge("error", str(error)), ()


def main(descriptor: int, seed: int) -> None:
    """Answer requests on the file descriptor until the other side hangs up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(OSError):
        # where memory runs out all the same, Linux shall take this process and not the harness
        Path("/proc/self/oom_score_adj").write_text("1000")
    judge = Judge(seed)
    decoder = msgspec.json.Decoder(messages.Request)
    with socket.socket(fileno=descriptor) as connection:
        while True:
            line, files = lines.receive(connection)
            if not line:
                return
            reply, lent = answer(judge, decoder.decode(line), files)
            for file in files:
                os.close(file)
            lines.send(connection, msgspec.json.encode(reply) + b"\n", lent)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
