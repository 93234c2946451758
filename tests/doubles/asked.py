"""What a worker is asked, in tests that play the parent, with a judge in the same process."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from bench.ipc import memory
from bench.ipc.outputs import Wrong
from bench.judge.judge import Judge
from bench.measure.worker_process import WorkerProcess
from bench.plan.case import Case, Weights
from bench.worker import messages
from bench.worker.server import Server


@cache
def judge() -> Judge:
    """The judge of all tests of this process."""
    return Judge(seed=0)


@cache
def _outputs() -> int:
    return memory.anonymous("outputs")


def outputs() -> int:
    """An empty file for a visit's outputs; one visit at a time."""
    os.ftruncate(_outputs(), 0)
    return _outputs()


def an_open(
    kernel: str, case: Case, weights: Weights | None = None, **changes: Any
) -> messages.Open:
    """A request to ready a cell, on the first device, with warm caches and no hurry."""
    plain = messages.Open(
        key=1,
        kernel=kernel,
        case=case,
        device=0,
        cache="warm",
        offset=3,
        launch_s=None,
        limit_s=60.0,
        files=(*judge().draw(case, weights), outputs()),
    )
    return msgspec.structs.replace(plain, **changes)


def visit(worker: Server, asked: messages.Open) -> messages.Reply:
    """A whole visit -> the reply that ended it, as the judge sees it."""
    reply = worker.answer(asked)
    if isinstance(reply, messages.Opened):
        requests = (
            messages.Measure(1, reply.loops, 3),
            messages.RoundTrips(1, 3),
            messages.Close(1),
        )
        for request in requests:
            reply = worker.answer(request)
            if isinstance(reply, messages.Refused):
                break
    assert not worker.cells
    return judged(asked.case, reply)


def judged(case: Case, reply: messages.Reply) -> messages.Reply:
    """The reply that ended a visit, or that its answers were wrong."""
    try:
        if isinstance(reply, messages.Closed | messages.Refused):
            judge().check(case, None, reply.outputs, _outputs())
    except Wrong as wrong:
        return messages.Refused("wrong", str(wrong))
    return reply


def error(case: Case, reply: messages.Reply) -> float:
    """The RMS error of a visit's answers, all of which are right."""
    assert isinstance(reply, messages.Closed), reply
    found = judge().check(case, None, reply.outputs, _outputs())
    assert found is not None
    return found


class AtOnce:
    """What stands in a worker's place and works while its answer is waited for."""

    call: Callable[..., messages.Reply]

    def ask(self, request: messages.Request, timeout_s: float) -> None:
        """Nothing is done yet."""

    def answer(self, request: messages.Request, timeout_s: float) -> messages.Reply:
        return self.call(request, timeout_s)


def ask(worker: WorkerProcess, asked: messages.Open, patience_s: float) -> messages.Reply:
    """The answer of a process, which gets the files with the request."""
    assert asked.files is not None
    return worker.call(asked, patience_s, asked.files)
