"""What a worker is asked, in tests that play the parent."""

from typing import Any

import msgspec

from bench.plan.case import Case
from bench.worker import messages
from bench.worker.server import Server


def an_open(kernel: str, case: Case, **changes: Any) -> messages.Open:
    """A request to ready a cell, on the first device, with warm caches and no hurry."""
    plain = messages.Open(
        key=1,
        kernel=kernel,
        case=case,
        device=0,
        cache="warm",
        seed=0,
        offset=3,
        launch_s=None,
        limit_s=60.0,
    )
    return msgspec.structs.replace(plain, **changes)


def visit(worker: Server, asked: messages.Open) -> messages.Reply:
    """A whole visit -> the reply that ended it."""
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
    return reply
