"""machine.json: what its fields hold, and the one reader of it.

Only what is read anywhere has its type here, and only where it is there: newer runs may say more,
and older ones less.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bench.terminal.errors import BadInput

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Rate = Annotated[float, Meta(gt=0, lt=1e30)]


class Cpu(msgspec.Struct):
    """The processor."""

    model: str = ""
    cores_usable: Whole = 0
    mhz: Annotated[float, Meta(ge=0, lt=1e9)] | None = None
    vector_flags: tuple[str, ...] = ()
    governor: str | None = None


class Blas(msgspec.Struct):
    """A library of matrix products."""

    library: str | None = None
    version: str | None = None
    core_type: str | None = None
    threads: Whole | None = None


class Gpu(msgspec.Struct):
    """A device."""

    name: str
    bus: str


class Gpus(msgspec.Struct):
    """What the driver says."""

    devices: tuple[Gpu, ...] = ()


class Ceilings(msgspec.Struct):
    """The fields of bench.data.peaks.Peaks."""

    precision: str
    measured_flop_per_s: Rate | None
    measured_bytes_per_s: Rate | None
    theoretical_flop_per_s: Rate | None
    theoretical_bytes_per_s: Rate | None = None


class Facts(msgspec.Struct):
    """machine.json."""

    started: str = ""
    cpu: Cpu = msgspec.field(default_factory=Cpu)
    memory_bytes: Whole = 0
    python: str = ""
    numpy: str = ""
    blas: tuple[Blas, ...] = ()
    threads: Whole = 0
    gpus: Gpus = msgspec.field(default_factory=Gpus)
    commit: str | None = None
    warnings: tuple[str, ...] = ()
    peaks: Ceilings | None = None
    device_peaks: dict[str, Ceilings] = {}  # by the device's name
    stopped: str = ""


def read(path: Path) -> dict[str, Any]:
    """The facts as they stand there, each checked. Raises BadInput, naming file and field."""
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path}: not an object")
    try:
        msgspec.convert(found, Facts)
    except msgspec.ValidationError as error:
        what, _, field = str(error).partition(" - at `$.")
        where = f", field {field.rstrip('`')}" if field else ""
        raise BadInput(f"{path}{where}: {what}") from error
    return found
