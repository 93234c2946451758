"""A double of CuPy in NumPy on a simulated GPU, for tests where there is none.

It offers the names that kernels/_cupy.py, kernels/cupy_matmul.py and kernels/_activations.py use,
and no others. What it cannot show is that CuPy and CUDA do the same: code that passes here ran on a
double only.

Work is queued on a stream and runs when somebody waits for it; until then an array holds NaN. Time
is a whole number of nanoseconds: the host spends HOST_NS on queueing anything, and the device works
through its queue behind the host's back.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOST_NS = 5_000
MATMUL_NS = 1_000_000
ELEMENTWISE_NS = 1_000
COPY_NS = 100_000
MEMSET_NS = 10_000


class Machine:
    """The simulated hardware, for a test to look at: its clock, its memory, its devices."""

    def __init__(self, devices: int = 1, free: int = 2**30) -> None:
        self.now_ns = 0
        self.free = free
        self.unused = 0  # freed by its owner, kept by CuPy's pool
        self.pinned_unused = 0
        self.devices = devices
        self.device: int | None = None  # the current one
        self.null_stream = Stream(self)
        self.stream = self.null_stream  # the current one
        self.cupy = CuPy(self)

    def clock(self) -> float:
        """The host's clock, in seconds."""
        return self.now_ns / 1e9


class Stream:
    """Work in the order in which it was queued."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ends_ns = 0  # when the device is through with all that is queued
        self._queue: list[tuple[Callable[[], Any], Array | None]] = []

    def _add(self, cost_ns: int, work: Callable[[], Any], target: "Array | None" = None) -> None:
        self._machine.now_ns += HOST_NS
        self._ends_ns = max(self._ends_ns, self._machine.now_ns) + cost_ns
        self._queue.append((work, target))
        if target is not None:
            target._pending += 1

    def _run(self, count: int) -> None:
        for work, target in self._queue[:count]:
            work()
            if target is not None:
                target._pending -= 1
        del self._queue[:count]

    def use(self) -> None:
        self._machine.stream = self

    def synchronize(self) -> None:
        self._run(len(self._queue))
        self._machine.now_ns = max(self._machine.now_ns, self._ends_ns)


class Event:
    """A point in a stream."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._stream = machine.null_stream
        self._ns = 0
        self._reached = False

    def record(self, stream: Stream) -> None:
        self._stream = stream
        stream._add(0, self._reach)
        self._ns = stream._ends_ns

    def _reach(self) -> None:
        self._reached = True

    def synchronize(self) -> None:
        for position, (work, _) in enumerate(self._stream._queue):
            if work == self._reach:
                self._stream._run(position + 1)
                break
        self._machine.now_ns = max(self._machine.now_ns, self._ns)


class Device:
    """One of the machine's devices; all of them share its memory."""

    def __init__(self, machine: Machine, index: int) -> None:
        self._machine = machine
        self._index = index

    def use(self) -> None:
        self._machine.device = self._index

    @property
    def mem_info(self) -> tuple[int, int]:
        return self._machine.free, 2**30


class Array:
    """Memory on the device. The pool keeps it when it is let go."""

    def __init__(self, machine: Machine, values: NDArray[Any]) -> None:
        self._machine = machine
        self._values = values
        self._pending = 0  # pieces of work that have yet to write here
        if machine.unused >= values.nbytes:
            machine.unused -= values.nbytes
        elif machine.free >= values.nbytes:
            machine.free -= values.nbytes
        else:
            self._values = np.empty(0)
            raise MemoryError(f"Out of memory allocating {values.nbytes} bytes")

    def __del__(self) -> None:
        self._machine.unused += self._values.nbytes

    def __matmul__(self, other: "Array") -> "Array":
        product: Array = self._machine.cupy.matmul(self, other)
        return product

    @property
    def nbytes(self) -> int:
        return self._values.nbytes

    @property
    def data(self) -> "Pointer":
        return Pointer(self)


class Pointer:
    """Where an array's memory begins."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def memset_async(self, value: int, size: int, stream: Stream) -> None:
        memory = self._array._values.reshape(-1).view(np.uint8)[:size]
        stream._add(MEMSET_NS, lambda: memory.fill(value), self._array)

    def copy_from_device_async(self, src: "Pointer", size: int, stream: Stream) -> None:
        target, source = (p._array._values.reshape(-1).view(np.uint8)[:size] for p in (self, src))
        stream._add(MEMSET_NS, lambda: np.copyto(target, source), self._array)


class Pool:
    """Freed memory, kept for the next array: `kept` names where the machine counts it."""

    def __init__(self, machine: Machine, kept: str) -> None:
        self._machine = machine
        self._kept = kept

    def free_bytes(self) -> int:
        unused: int = getattr(self._machine, self._kept)
        return unused

    def free_all_blocks(self) -> None:
        if self._kept == "unused":
            self._machine.free += self._machine.unused
        setattr(self._machine, self._kept, 0)


class Runtime:
    """cupy.cuda.runtime."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def getDeviceCount(self) -> int:  # noqa: N802 - CUDA's names
        return self._machine.devices

    def getDeviceProperties(self, index: int) -> dict[str, Any]:  # noqa: N802
        return {
            "name": b"Simulated GPU",
            "l2CacheSize": 4096,
            "major": 9,
            "minor": 0,
            "multiProcessorCount": 10,
            "clockRate": 1_000_000,  # kHz
            "memoryClockRate": 2_000_000,
            "memoryBusWidth": 1024,  # bits
        }

    def deviceGetPCIBusId(self, index: int) -> str:  # noqa: N802
        return f"0000:{index + 0x17:02x}:00.0"


class Cuda:
    """cupy.cuda."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.runtime = Runtime(machine)
        self.Device = partial(Device, machine)
        self.Event = partial(Event, machine)

    def Stream(self, *, non_blocking: bool) -> Stream:  # noqa: N802
        assert non_blocking, "a blocking stream waits for the null stream's work, whoever's it is"
        return Stream(self._machine)

    def get_elapsed_time(self, start: Event, stop: Event) -> float:
        """In milliseconds."""
        if not (start._reached and stop._reached):
            raise RuntimeError("cudaErrorNotReady: device not ready")
        return (stop._ns - start._ns) / 1e6


class CuPy:
    """The module itself."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.cuda = Cuda(machine)
        self.add = partial(self._elementwise, np.add)
        self.multiply = partial(self._elementwise, np.multiply)
        self.maximum = partial(self._elementwise, np.maximum)
        self.tanh = partial(self._elementwise, np.tanh)

    def empty(self, shape: Any, dtype: Any) -> Array:
        return Array(self._machine, np.full(shape, 0xAA).astype(dtype))

    def ones(self, shape: Any, dtype: Any) -> Array:
        out = self.empty(shape, dtype)
        self._machine.stream._add(MEMSET_NS, lambda: out._values.fill(1), out)
        return out

    def asarray(self, values: NDArray[Any], *, order: Any = None) -> Array:
        """Staged at once in pinned memory, copied later."""
        staged = np.array(values, order=order or "K")
        self._machine.pinned_unused += staged.nbytes
        out = Array(self._machine, np.empty_like(staged))
        self._machine.stream._add(COPY_NS, lambda: np.copyto(out._values, staged), out)
        return out

    def asnumpy(self, array: Array) -> NDArray[Any]:
        """What the memory holds now. CuPy's own would wait; this one shows that nobody waited."""
        self._machine.now_ns += COPY_NS
        values: NDArray[Any] = array._values.copy()
        if array._pending:
            values.fill(np.nan)
        return values

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Sums of float16 products are kept in float32, as by cuBLAS."""
        sums = np.result_type(a._values, np.float32)

        def product() -> Any:
            return np.matmul(a._values, b._values, dtype=sums)

        shape = (a._values.shape[0], b._values.shape[1])
        return self._launch(MATMUL_NS, product, out, shape, a._values.dtype)

    def _elementwise(self, ufunc: np.ufunc, *given: Any, out: Array | None = None) -> Array:
        def operation() -> Any:
            return ufunc(*(g._values if isinstance(g, Array) else g for g in given))

        first = given[0]._values
        return self._launch(ELEMENTWISE_NS, operation, out, first.shape, first.dtype)

    def _launch(
        self, cost_ns: int, result: Callable[[], Any], out: Array | None, shape: Any, dtype: Any
    ) -> Array:
        target = self.empty(shape, dtype) if out is None else out
        assert target._values.shape == shape
        self._machine.stream._add(cost_ns, lambda: np.copyto(target._values, result()), target)
        return target

    def get_default_memory_pool(self) -> Pool:
        return Pool(self._machine, "unused")

    def get_default_pinned_memory_pool(self) -> Pool:
        return Pool(self._machine, "pinned_unused")
