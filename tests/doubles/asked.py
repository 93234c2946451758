"""What a worker is asked, in tests that play the parent."""

from typing import Any

import msgspec

from bench.plan.case import Case
from bench.worker import messages


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
