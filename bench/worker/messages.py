"""What the parent and a worker say to each other: lines of JSON over a socket, a request and its
reply at a time.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bench.data.machine import Peaks
from bench.data.records import SPAN, TRIP, Status
from bench.ipc.outputs import Label
from bench.plan.case import Case

Seconds = Annotated[float, Meta(ge=SPAN[0], le=SPAN[1])]
Trip = Annotated[float, Meta(ge=TRIP[0], le=TRIP[1])]
Loops = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class AskSoftware(msgspec.Struct, frozen=True, tag=True):
    """Ask what the worker's process is made of; answered by Software."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """Import a kernel: a name in kernels/, or the absolute path of a file."""

    kernel: str


class Open(msgspec.Struct, frozen=True, tag=True):
    """Ready one cell under the name `key`: set-up, a first launch, warm-up.

    With its line come three open files, whose descriptors are then put into `files`: the layer, the
    inputs (bench.ipc.arrays), and where outputs go (bench.ipc.outputs).
    """

    key: int
    kernel: str  # a name in kernels/, or the absolute path of a file
    case: Case
    device: int
    cache: str
    offset: int  # where in a page the arrays begin, in cache lines
    launch_s: float | None  # what a launch took before, if that is known
    limit_s: float  # a first launch that takes longer is not followed by a second
    rested_s: float | None = None  # since the device worked last; None: not known, so long ago
    load_mhz: float | None = None  # the device's clock under this load before; None: not known
    examined: bool = False  # another worker of the run has found that the cell keeps to its stream
    files: tuple[int, int, int] | None = None


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Time `count` blocks of `loops` launches of an open cell."""

    key: int
    loops: int
    count: int


class RoundTrips(msgspec.Struct, frozen=True, tag=True):
    """Time `count` ways of one input through an open cell, transfers included."""

    key: int
    count: int


class HandOver(msgspec.Struct, frozen=True, tag=True):
    """Hand over the last outputs, so that they can be judged while the cell is closed."""

    key: int


class Close(msgspec.Struct, frozen=True, tag=True):
    """Hand over what was not, let go of the cell, wait until no thread of the worker runs."""

    key: int


class AskPeaks(msgspec.Struct, frozen=True, tag=True):
    """Ask what the device that a kernel computes on can do; answered by DevicePeaks, or Refused."""

    kernel: str
    precision: str
    device: int


Request = AskSoftware | Load | Open | Measure | RoundTrips | HandOver | Close | AskPeaks


class Software(msgspec.Struct, frozen=True, tag=True):
    """What the worker's process is made of."""

    contract: int
    kernels: tuple[str, ...]
    python: str
    numpy: str
    blas: tuple[dict[str, Any], ...]  # threadpoolctl's report


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The kernel's file is there and defines `prepare`."""

    kernel_hash: str
    summary: str  # the first line of its docstring


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The cell is warm, and its first output handed over."""

    kernel_hash: str
    device: str
    loops: Loops
    launch_s: Seconds
    rated: bool = False  # its device answers AskPeaks


class DeviceState(msgspec.Struct, frozen=True):
    """The fields of kernels.DeviceState: what a device was doing, where it tells."""

    mhz: float | None
    memory_mhz: float | None
    celsius: float | None
    watts: float | None
    throttled: tuple[str, ...]
    others: float | None = None  # the share of its time that processes not of this run used


class Times(msgspec.Struct, frozen=True, tag=True):
    """Seconds per launch, a number a block."""

    seconds: tuple[Seconds, ...]
    cores_busy: float  # CPU seconds a second while the blocks ran, all threads of the worker
    control_s: float  # the slower one of the first and the last reading of the probe
    measured_s: float  # how long all of it took
    waited_s: float | None  # for a core, all threads of the worker together, meanwhile
    probe_s: tuple[tuple[float, ...], ...]  # the probe before, between and after the blocks
    state: DeviceState | None = None  # of the device, as the last block's work was queued


class Trips(msgspec.Struct, frozen=True, tag=True):
    """The middle one of the round trips, by its whole length."""

    send: Trip
    launch: Trip
    latency: Trip
    fetch: Trip
    end_to_end: Trip


class HandedOver(msgspec.Struct, frozen=True, tag=True):
    """All outputs are where the judge finds them."""

    outputs: tuple[Label, ...]


class Closed(msgspec.Struct, frozen=True, tag=True):
    """The cell is through."""

    outputs: tuple[Label, ...]  # which were handed over
    cpu_s: float
    preempted: int
    quiet_s: float
    quiet: bool  # False: threads still run; an error, and the worker has to be replaced


class CpuPeaks(msgspec.Struct, frozen=True):
    """What `bench.worker.cpu_peaks` measured, in FLOP/s and bytes/s."""

    product: float  # NumPy's best; 0: it has none in this precision
    copy: float  # NumPy's, on all threads; a copied byte counts twice, read and written
    registers: float = 0.0
    levels: dict[str, tuple[float, float]] = {}  # by name: read, copied
    lacking: str = ""  # why there are no registers, and maybe no levels
    by: str = ""  # as Peaks.registers_by


class Tuned(msgspec.Struct, frozen=True):
    """What `bench.worker.tune` found: numba_packed's parameters, and of those that aren't the
    default their time over the default's, at most.
    """

    parameters: dict[str, float | bool | int]
    gains: dict[str, float] = {}


class DevicePeaks(msgspec.Struct, frozen=True, tag=True):
    """What a device can do at one precision."""

    peaks: Peaks


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The cell has no number, and why. It is no longer open."""

    status: Status
    reason: str
    kernel_hash: str = ""
    outputs: tuple[Label, ...] = ()  # which were handed over before


Reply = Software | Loaded | Opened | Times | Trips | HandedOver | Closed | DevicePeaks | Refused


def encoded(reply: Reply) -> bytes:
    """The reply's line. Raises ValueError where it holds what the other side would not take."""
    try:
        line = msgspec.json.encode(reply)
        msgspec.json.decode(line, type=Reply)  # a NaN has become null
    except (TypeError, ValueError) as error:
        raise ValueError(f"{type(reply).__name__.lower()}: {error}") from error
    return line + b"\n"
