"""The contract between a kernel and whoever runs it.

A kernel is one file in this folder that defines one function,

    def prepare(layer: Layer, batch: int, device: int = 0) -> Step

and is found by its file name: adding one touches no other file. `prepare` does all the set-up and
never sees an input. It raises `Unavailable("why")` where it can't run on this machine and
`Unsupported("what")` for a precision or an activation that it doesn't do; anything else that it
raises is reported as an error of the kernel.

Whoever runs a `Step` does the same for every kernel:

    x = step.send(A_in)                   # (batch, n_in) array -> where the kernel wants it
    step.device.fence(None)
    start = step.device.mark(None)
    out = step.launch(x)                  # as often as needed; may return before the work is done
    step.device.fence(out)                # after each, unless the device is eager: see `Device`
    stop = step.device.mark(out)
    step.device.seconds(start, stop)      # how long the work took, not how long the call took
    step.fetch(out)                       # -> (batch, n_units) array on the host
    step.close()

A device may offer more: what it is doing while it works (`Watched`), the energy that it uses
(`Metered`), the highest rates that it could reach (`Rated`), and what else than its own stream
there is on it (`Streamed`).

The contract is here; the CPU as a device is in `_host.py`, the activations are in `_activations.py`
and the loader is in `_load.py`. This package imports the standard library and NumPy; a kernel's own
library is imported in that kernel's file alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kernels._activations import ACTIVATIONS
from kernels._host import HOST, Host
from kernels._load import Kernel, library, load, names

__all__ = [
    "ACTIVATIONS",
    "CONTRACT",
    "DTYPES",
    "HOST",
    "Device",
    "DeviceState",
    "Host",
    "Kernel",
    "Layer",
    "Metered",
    "Rated",
    "Rates",
    "ShapeError",
    "Step",
    "Streamed",
    "Unavailable",
    "Unsupported",
    "Watched",
    "library",
    "load",
    "names",
    "supported",
]

CONTRACT = 1
"""Which contract this package speaks; two sides with different numbers can't be compared."""

DTYPES: dict[str, type[np.floating[Any]]] = {
    "float64": np.float64,
    "float32": np.float32,
    "tf32": np.float32,
    "float16": np.float16,
    "bfloat16": np.float32,
    "int8": np.float32,
}
"""The NumPy type that holds each precision's arrays. NumPy has no tf32 and no bfloat16: their
values are held in float32, and a kernel that computes in them converts its own copies. With int8
only W's numbers are small: whole ones times a scale a unit (`kernels._int8`), all else float32."""


class Unavailable(Exception):
    """The kernel can't run on this machine; the message says why and what would help."""


class Unsupported(Exception):
    """The kernel doesn't do what was asked (a precision, an activation); the message says what."""


Entry = TypeVar("Entry")


def supported(kind: str, word: str, table: Mapping[str, Entry]) -> Entry:
    """What a kernel has for a word: `supported("activation", layer.activation, ITS_TABLE)`.

    Raises Unsupported where the kernel's table lacks the word. A kernel that looks words up in this
    way refuses an activation that was added after it was written, where an `else` would compute it
    as another one and the answer would be called wrong.
    """
    if word not in table:
        raise Unsupported(f"{kind} {word}: this kernel has {', '.join(table)}")
    return table[word]


class ShapeError(ValueError):
    """An array's shape breaks the layer's contract: the axis, what it is and what it must be."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A dense layer, `A_out = g(A_in @ W + b)`.

    W: (n_in, n_units), unit j's weights in column j. b: (1, n_units). Both in `DTYPES[precision]`.
    g, the activation, acts element by element. Raises ShapeError where W and b don't fit together,
    ValueError for an unknown activation or precision, TypeError for another dtype.
    """

    W: NDArray[Any]
    b: NDArray[Any]
    activation: str = "linear"
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation is {self.activation!r}, must be one of {known}")
        if self.precision not in DTYPES:
            known = ", ".join(DTYPES)
            raise ValueError(f"precision is {self.precision!r}, must be one of {known}")
        _two_axes("W", self.W, "(n_in, n_units)")
        _two_axes("b", self.b, "(1, n_units)")
        for axis, name in enumerate(("n_in", "n_units")):
            if self.W.shape[axis] == 0:
                raise ShapeError(f"W axis {axis} ({name}) is 0, must be at least 1")
        _axis("b", self.b, 0, 1, "one row, added to every example")
        fits_transposed = self.b.shape[1] == self.W.shape[0]
        remedy = "; W looks transposed, as PyTorch keeps it: give W.T" if fits_transposed else ""
        _axis("b", self.b, 1, self.n_units, f"n_units, W's axis 1{remedy}")
        for name, array in (("W", self.W), ("b", self.b)):
            self._dtype(name, array)

    @property
    def n_in(self) -> int:
        """Inputs of each unit: W's axis 0."""
        return int(self.W.shape[0])

    @property
    def n_units(self) -> int:
        """Units, the layer's width: W's axis 1."""
        return int(self.W.shape[1])

    def check(self, A_in: NDArray[Any]) -> None:
        """Raise unless `A_in` is (batch, n_in), batch >= 1, in the layer's dtype."""
        _two_axes("A_in", A_in, "(batch, n_in); one example is (1, n_in)")
        if A_in.shape[0] == 0:
            raise ShapeError("A_in axis 0 (batch) is 0, must be at least 1")
        _axis("A_in", A_in, 1, self.n_in, "n_in, W's axis 0")
        self._dtype("A_in", A_in)

    def _dtype(self, name: str, array: NDArray[Any]) -> None:
        needed = np.dtype(DTYPES[self.precision])
        if array.dtype != needed:
            message = f"{name} is {array.dtype}, must be {needed} for precision {self.precision}"
            raise TypeError(message)


def _two_axes(name: str, array: NDArray[Any], meaning: str) -> None:
    if array.ndim != 2:
        raise ShapeError(f"{name} has {array.ndim} axes, must have 2: {meaning}")


def _axis(name: str, array: NDArray[Any], axis: int, needed: int, meaning: str) -> None:
    given = array.shape[axis]
    if given != needed:
        raise ShapeError(f"{name} axis {axis} is {given}, must be {needed} ({meaning})")


class Device(Protocol):
    """Where a step's work happens, and the clock that times it.

    `out` is always the output of the last launch, or None before the first.

    All of a launch's work is done between two marks, whatever the library. A lazy one computes only
    what is looked at, so each launch is followed by a fence. It isn't where a launch returns with
    its work done (a `Host` with no fence of its own), on a device's stream (`Streamed`), and where
    the device has an attribute `eager` that is True: launches are carried out, one after the other,
    though nobody asks for their outputs. That is tried out, as is that the device's clock agrees
    with the host's, and that neither `send` nor `fetch` does the work.
    """

    @property
    def name(self) -> str:
        """Like "cpu", or "cuda:0 NVIDIA H100 80GB HBM3 at 0000:17:00.0"."""

    @property
    def warm_s(self) -> float:
        """Seconds of load after which its clock frequency has settled, at most: where `Watched`
        tells the clock, it is loaded only until that is what it was under the same load before.
        """

    def mark(self, out: Any) -> Any:
        """A point in time that comes after all work launched so far."""

    def seconds(self, start: Any, stop: Any) -> float:
        """Seconds between two marks; waits until the second has been reached."""

    def fence(self, out: Any) -> None:
        """Return when all work launched so far is done."""

    def free_bytes(self) -> int:
        """Bytes of memory that can still be allocated there."""

    def release(self) -> None:
        """Hand memory that is held but unused back to the system or the driver."""

    def flush(self) -> None:
        """Evict the layer from the device's caches, in order with the work launched so far."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device was doing at one moment, by its driver; None where the driver doesn't say."""

    mhz: float | None  # clock of the units that compute
    memory_mhz: float | None
    celsius: float | None
    watts: float | None
    throttled: tuple[str, ...] = ()  # the reasons for a clock that is held back, in words
    # the share of its time in the last second that each process used, by the process' number
    users: Mapping[int, float] | None = None


@runtime_checkable
class Watched(Protocol):
    """A device that can report its state. The method is optional: other devices lack it."""

    def state(self) -> DeviceState | None:
        """Its state now. Called outside of what is timed, while work is queued; changes nothing."""


@runtime_checkable
class Metered(Protocol):
    """A device with a counter of the energy that it uses. The method is optional."""

    def joules(self) -> float | None:
        """All that it has used since some moment in the past, in joules; None where nobody tells.

        A counter steps now and then only, on an H100 every 100 ms; some begin anew once in hours.
        """


@runtime_checkable
class Streamed(Protocol):
    """A device with several streams, in a library whose switches belong to the whole process.

    The methods are optional. The worker calls them outside of what is timed, so that what one
    kernel, or a library that it calls, has changed is not what the next one runs with.
    """

    def restore(self) -> str:
        """Put the library's switches as this device needs them -> what a kernel may not change and
        had changed, in words; empty where it had not.
        """

    def drain(self, out: Any) -> None:
        """Return when all work on the device is done, on whichever stream it is.

        Raises RuntimeError where `out`, a launch's output, is on another device.
        """

    def spoil(self, out: Any) -> bool:
        """Overwrite a launch's output with numbers that no layer answers with, in order with the
        work launched so far -> whether that could be done: of its own arrays it can.
        """


@dataclass(frozen=True, slots=True)
class Rates:
    """A device's highest rates of arithmetic and of memory; None where they aren't known."""

    flop_per_s: float | None
    bytes_per_s: float | None


@runtime_checkable
class Rated(Device, Protocol):
    """A device other than the CPU whose highest rates can be looked up, and measured on it.

    The methods `product` and `copy` return steps for the measurement: `launch(None)` does the work
    once. They raise MemoryError where there is no room, and Unsupported for a precision that the
    device can't multiply in.
    """

    def stated(self, precision: str) -> Rates:
        """The rates that follow from its number of units, their clock and its memory's clock."""

    def product(self, n: int, precision: str) -> "Step":
        """A product of two (n, n) matrices: 2 * n**3 operations."""

    def copy(self, size: int) -> "Step":
        """A copy within its memory: `size` bytes, half of them read and half written."""


def _identity(x: Any) -> Any:
    return x


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Step:
    """One layer, ready to run on one batch size: what `prepare` returns.

    `launch` may return before the work is done, and the next launch may write its output into the
    same buffer.
    """

    launch: Callable[[Any], Any]  # what `send` returned -> the output where it was computed
    send: Callable[[NDArray[Any]], Any] = _identity  # (batch, n_in) array -> what `launch` takes
    fetch: Callable[[Any], NDArray[Any]] = np.asarray  # output -> (batch, n_units) on the host
    device: Device = HOST
    close: Callable[[], None] = _nothing  # frees what the step holds
