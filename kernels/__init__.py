"""The contract between a kernel and whoever runs it.

A kernel is one file in this folder that defines one function,

    def prepare(layer: Layer, batch: int, device: int = 0) -> Step

and is found by its file name: adding one touches no other file. `prepare` does all the set-up and
knows nothing of the input. It raises `Unavailable("why")` where it can't run here and
`Unsupported("what")` for a precision or an activation that it doesn't do; anything else that it
raises is reported as an error of the kernel.

Whoever runs a `Step` does, for every kernel alike:

    x = step.send(A_in)                   # (batch, n_in) array -> where the kernel wants it
    step.device.fence(None)
    a = step.device.mark(None)
    out = step.launch(x)                  # as often as needed; may return before the work is done
    b = step.device.mark(out)
    step.device.seconds(a, b)             # the time of the work, not of the call
    step.fetch(out)                       # -> (batch, n_units) array on the host
    step.close()

A device may tell more: its state while it works (`Watched`), and its ceilings (`Rated`).

This package imports the standard library and NumPy; a kernel's own library is imported only in the
file that needs it.
"""

import contextlib
import ctypes
import hashlib
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

CONTRACT = 1
"""Which contract this package speaks; two sides with different numbers can't be compared."""

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")

DTYPES: dict[str, type[np.floating[Any]]] = {
    "float64": np.float64,
    "float32": np.float32,
    "tf32": np.float32,
    "float16": np.float16,
    "bfloat16": np.float32,
}
"""The NumPy type that carries each precision. NumPy has no tf32 and no bfloat16: their values are
held in float32, and a kernel that computes in them converts on its own side."""


class Unavailable(Exception):
    """The kernel can't run on this machine; the message says why and what would help."""


def library(name: str, kernel: str) -> ModuleType:
    """A kernel's own library, imported when the kernel is prepared.

    Raises Unavailable: with the command that installs it, or with why it can't be imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise Unavailable(f"{name} can't be imported: {error}") from error
        raise Unavailable(f"{name} is not installed: make setup KERNELS={kernel}") from None
    except (ImportError, OSError) as error:  # a shared library that is missing is either
        raise Unavailable(f"{name} can't be imported: {error}") from error


class Unsupported(Exception):
    """The kernel doesn't do what was asked (a precision, an activation); the message says what."""


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
    """Where a step's work happens, and its clock.

    `out` is always the output of the last launch, or None before the first.
    """

    @property
    def name(self) -> str:
        """Like "cpu", or "cuda:0 NVIDIA H100 80GB HBM3 at 0000:17:00.0"."""

    @property
    def warm_s(self) -> float:
        """How long its clocks need under load to settle, in seconds."""

    def mark(self, out: Any) -> Any:
        """A point in time that comes after all work launched so far."""

    def seconds(self, start: Any, stop: Any) -> float:
        """Seconds between two marks, waiting for the second if need be."""

    def fence(self, out: Any) -> None:
        """Return when all work launched so far is done."""

    def free_bytes(self) -> int:
        """Memory that can still be had there."""

    def release(self) -> None:
        """Hand unused memory back."""

    def flush(self) -> None:
        """Evict the device's caches, in order with the work."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device was doing at one moment, as its driver tells it; None where it doesn't."""

    mhz: float | None  # of what computes
    memory_mhz: float | None
    celsius: float | None
    watts: float | None
    throttled: tuple[str, ...] = ()  # why its clock was held back, in words; empty: it was not


@runtime_checkable
class Watched(Protocol):
    """A device that tells its state; a device without this method has none to tell."""

    def state(self) -> DeviceState | None:
        """As it is now. Called while work is queued, outside of what is timed; sets nothing."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Operations and bytes a second; None where they aren't known."""

    flop_per_s: float | None
    bytes_per_s: float | None


@runtime_checkable
class Rated(Device, Protocol):
    """A device other than the CPU whose ceilings can be stated, and measured on it.

    The steps' `launch(None)` does the work once. Making them raises MemoryError where there is no
    room, and Unsupported for a precision that the device has no product in.
    """

    def stated(self, precision: str) -> Rates:
        """What its number of units, their clock and its memory's would give."""

    def product(self, n: int, precision: str) -> "Step":
        """A product of two (n, n) matrices: 2 * n**3 operations."""

    def copy(self, size: int) -> "Step":
        """A copy within its memory: `size` bytes, half of them read and half written."""


class Host:
    """The CPU. A launch returns when the work is done, so a fence has nothing to wait for.

    A library that computes on the CPU but returns early overrides `fence`, and everything else
    follows: a mark is a fence and a look at the clock.
    """

    name = "cpu"
    warm_s = 0.002

    def fence(self, out: Any) -> None:
        """Nothing to wait for."""

    def mark(self, out: Any) -> float:
        self.fence(out)
        return time.perf_counter()

    def seconds(self, start: float, stop: float) -> float:
        return stop - start

    def free_bytes(self) -> int:
        """What Linux says is available, and the container allows; elsewhere the free pages."""
        meminfo = Path("/proc/meminfo")
        if meminfo.exists():
            fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
            available = int(fields["MemAvailable"].split()[0]) * 1024
            return min([available, *_left_by_limits()])
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def release(self) -> None:
        """Hand the C library's freed memory back, where it can."""
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)

    def flush(self) -> None:
        """Write twice the last-level cache, so that nothing of the layer stays in it."""
        np.ndarray.fill(_eviction_buffer(), 0)


def _left_by_limits(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """What the memory limits of this process's control groups leave, an outer group's too."""
    left = []
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            top, files, prefix = root, ("memory.max", "memory.current"), ""
        elif "memory" in controllers.split(","):  # version 1
            top, prefix = root / "memory", "total_"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # in a container the path may be that of the host; its own group is then at the top
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, KeyError, ValueError):  # no limit, or not told
                limit, used = (int((folder / name).read_text()) for name in files)
                rows = (folder / "memory.stat").read_text().splitlines()
                counts = dict(row.split() for row in rows)
                # contents of files count as used, and are given up when needed
                files_kept = sum(
                    int(counts[f"{prefix}{age}_file"]) for age in ("active", "inactive")
                )
                left.append(max(limit - used + files_kept, 0))
    return left


def _eviction_buffer() -> NDArray[np.uint8]:
    if not _buffers:
        _buffers.append(np.empty(2 * _last_level_cache_bytes(), np.uint8))
    return _buffers[0]


_buffers: list[NDArray[np.uint8]] = []


def _last_level_cache_bytes() -> int:
    """The largest cache that Linux names, or 64 MiB where it names none."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    units = {"K": 2**10, "M": 2**20}
    found = [int(text[:-1]) * units[text[-1]] for text in (s.read_text().strip() for s in sizes)]
    return max(found, default=64 * 2**20)


HOST = Host()


def _identity(x: Any) -> Any:
    return x


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Step:
    """One layer, ready to run on one batch size: what `prepare` returns.

    launch: an input where `send` put it -> the output where it is computed, (batch, n_units). It
    may return early, and its buffer may be used again by the next launch.
    """

    launch: Callable[[Any], Any]
    send: Callable[[NDArray[Any]], Any] = _identity
    fetch: Callable[[Any], NDArray[Any]] = np.asarray
    device: Device = HOST
    close: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel file, loaded."""

    name: str
    hash: str  # of its file and of this package's private helpers, 12 hex digits
    summary: str  # the first line of its docstring
    prepare: Callable[..., Step]


def names() -> tuple[str, ...]:
    """The kernels in this folder, by file name, in alphabetical order."""
    here = Path(__file__).parent
    return tuple(sorted(p.stem for p in here.glob("*.py") if not p.stem.startswith("_")))


def load(name_or_path: str) -> Kernel:
    """Import one kernel, by its name here or by the path of a `.py` file from anywhere.

    Raises LookupError for a name or path that isn't there; ImportError, naming the file and what is
    wrong, where it can't be imported or defines no `prepare`.
    """
    if name_or_path.endswith(".py"):
        path = Path(name_or_path)
        module_name = f"kernel file {path}"  # no name that an import could mean
    else:
        path = Path(__file__).parent / f"{name_or_path}.py"
        module_name = f"{__name__}.{name_or_path}"
    if not path.is_file() or path.stem.startswith("_"):
        raise LookupError(f"no kernel {name_or_path!r}; known: {', '.join(names())}, or a .py file")
    module = _import(module_name, path)
    prepare = getattr(module, "prepare", None)
    if not callable(prepare):
        raise ImportError(f"{path}: defines no function prepare(layer, batch, device=0)")  # noqa: TRY004
    doc = (module.__doc__ or "").strip()
    return Kernel(path.stem, _digest(path), doc.partition("\n")[0], prepare)


def _digest(path: Path) -> str:
    """A kernel is its own file and whatever it may share with others: a change to either is a new
    kernel, whose times must not be mixed with the old one's.
    """
    shared = sorted(Path(__file__).parent.glob("_*.py"))
    content = b"".join(p.read_bytes() for p in (path, *shared))
    return hashlib.sha256(content).hexdigest()[:12]


def _import(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as import does: a dataclass looks its own module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ImportError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ImportError(f"{path}: {type(error).__name__}: {error}") from error
    return module
