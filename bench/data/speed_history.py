"""What runs have told of a machine's speed so far, kept for the next run on it.

results/.speed.json holds it by the machine's fingerprint. A run on a machine that is never left
alone can't see how fast its cores are; one that was left alone once can tell.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=1e-12, lt=1e8)]
Slope = Annotated[float, Meta(ge=-10, le=10)]


@dataclass(frozen=True, slots=True)
class Trait:
    """How a kernel, or a cell, follows the speed probe."""

    slope: Slope  # log(seconds) grows by this much for each unit of log(probe)
    error: Annotated[float, Meta(ge=0, le=100)]  # standard error of the slope
    offset: Slope  # log of the probe's floor beside the kernel, over the machine's


@dataclass(frozen=True, slots=True)
class History:
    """What runs so far have told of a machine."""

    floor_s: Seconds | None = None  # seconds of the probe on a core left alone; None: never seen
    kernels: Mapping[str, Trait] = field(default_factory=dict)
    cells: Mapping[str, Trait] = field(default_factory=dict)


def read(path: Path, fingerprint: str) -> History:
    """What is known of a machine; nothing where the file is not there or makes no sense."""
    return _all(path).get(fingerprint, History())


def write(path: Path, fingerprint: str, history: History) -> None:
    """Keep it. A checkout that can't be written learns nothing."""
    text = msgspec.json.format(msgspec.json.encode({**_all(path), fingerprint: history}), indent=1)
    with contextlib.suppress(OSError):
        path.write_bytes(text)


def _all(path: Path) -> dict[str, History]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, History])
    except (OSError, ValueError, RecursionError):
        return {}
