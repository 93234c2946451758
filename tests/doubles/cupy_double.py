"""A double of CuPy, and of nvmath-python, in NumPy on a simulated GPU: for tests without one.

It offers the names that kernels/_cupy.py and the kernels of the GPU use, and no others. What it
cannot show is that CuPy and CUDA do the same: code that passes here ran on a double only.

Work is queued on a stream and runs when somebody waits for it; until then an array holds NaN. Time
is a whole number of nanoseconds: the host spends HOST_NS on queueing anything, and the device works
through its queue behind the host's back.
"""

import ctypes
import math
import random
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import host_body
import numpy as np
from numpy.typing import NDArray

HOST_NS = 5_000
REPLAY_NS = 1_000  # of the host, to launch a captured graph
MATMUL_NS = 1_000_000
ELEMENTWISE_NS = 1_000
COPY_NS = 100_000
MEMSET_NS = 10_000
DEFAULT, TF32 = 1, 7  # CuPy's compute types


class Machine:
    """The simulated hardware, for a test to look at: its clock, its memory, its devices."""

    def __init__(self, devices: int = 1, free: int = 2**30) -> None:
        self.now_ns = 0
        self.capability = "90"
        self.allocations = 0  # of memory on the device
        self.transfers = 0  # over the bus
        self.tuned = 0  # products of nvmath
        self.float32 = DEFAULT  # how products of float32 are computed
        self.math_mode = 0  # cuBLAS's
        self.flop_per_ns = 100  # of large products
        self.free = free
        self.limit: int | None = None  # of CuPy's pool
        self.unused = 0  # freed by its owner, kept by CuPy's pool
        self.pinned_unused = 0
        self.devices = devices
        self.device = 0  # the current one
        self.streams: list[Stream] = []
        self.null_stream = Stream(self)
        self.stream = self.null_stream  # the current one
        self.entered = [self.null_stream]  # whose with-blocks were begun, the innermost last
        self.cupy = CuPy(self)
        self.cupyx = CuPyX(self)
        self.nvmath = NvMath(self)

    def modules(self) -> dict[str, Any]:
        """What `import` is to find."""
        return {
            "cupy": self.cupy,
            "cupyx": self.cupyx,
            "cupyx.profiler": self.cupyx.profiler,
            **self.nvmath.modules(),
        }

    def work_until(self, ns: int) -> None:
        """The host waits until then; what the streams have done is there, in order of time."""
        self.now_ns = max(self.now_ns, ns)
        while due := [s for s in self.streams if s._queue and s._queue[0][0] <= ns]:
            _, work, target = min(due, key=lambda s: s._queue[0][0])._queue.pop(0)
            work()
            if target is not None:
                target._pending -= 1

    def clock(self) -> float:
        """The host's clock, in seconds."""
        return self.now_ns / 1e9

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


class RealTime(Machine):
    """The same in real time, for processes whose clock can't be another one: what takes the host a
    while takes it that long.
    """

    @property
    def now_ns(self) -> int:
        return time.perf_counter_ns()

    @now_ns.setter
    def now_ns(self, ns: int) -> None:
        while time.perf_counter_ns() < ns:
            pass


class Stream:
    """Work in the order in which it was queued."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._ends_ns = 0  # when the device is through with all that is queued
        self._queue: list[tuple[int, Callable[[], Any], Array | None]] = []  # done at, and what
        self._captured: list[tuple[int, Callable[[], Any], Array | None]] | None = None
        self._device = machine.device
        machine.streams.append(self)

    def _add(self, cost_ns: int, work: Callable[[], Any], target: "Array | None" = None) -> None:
        self._machine.now_ns += HOST_NS
        if self._captured is not None:
            self._captured.append((cost_ns, work, target))
            return
        self._queue_up(cost_ns, work, target)

    def _queue_up(self, cost_ns: int, work: Callable[[], Any], target: "Array | None") -> None:
        self._ends_ns = max(self._ends_ns, self._machine.now_ns) + cost_ns
        self._queue.append((self._ends_ns, work, target))
        if target is not None:
            target._pending += 1

    def use(self) -> None:
        self._machine.stream = self

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, id(self)

    def __enter__(self) -> Self:
        self._machine.entered.append(self)
        self.use()
        return self

    def __exit__(self, *error: object) -> None:
        """CuPy goes back to the stream entered before, whichever one was made current by `use`."""
        self._machine.entered.pop()
        self._machine.entered[-1].use()

    def wait_event(self, event: "Event") -> None:
        self._ends_ns = max(self._ends_ns, event._ns)
        self._add(0, event.synchronize)

    def begin_capture(self) -> None:
        self._captured = []

    def end_capture(self) -> "Graph":
        assert self._captured is not None
        graph, self._captured = Graph(self._machine, self._captured), None
        return graph

    def synchronize(self) -> None:
        self._machine.work_until(self._ends_ns)


class Graph:
    """Work that was captured, to be queued again by one call."""

    def __init__(
        self, machine: Machine, work: list[tuple[int, Callable[[], Any], "Array | None"]]
    ) -> None:
        self._machine = machine
        self._work = work

    def upload(self, stream: Stream) -> None:
        stream._add(0, lambda: None)

    def launch(self, stream: Stream) -> None:
        self._machine.now_ns += REPLAY_NS
        for cost_ns, work, target in self._work:
            stream._queue_up(cost_ns, work, target)


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
        self._machine.work_until(self._ns)


class Device:
    """One of the machine's devices; all of them share its memory."""

    def __init__(self, machine: Machine, device: int) -> None:
        self._machine = machine
        self._index = device

    def use(self) -> None:
        self._machine.device = self._index

    def __enter__(self) -> Self:
        self._before = self._machine.device
        self.use()
        return self

    def __exit__(self, *error: object) -> None:
        self._machine.device = self._before

    @property
    def id(self) -> int:
        return self._index

    @property
    def cublas_handle(self) -> int:
        return 1

    def synchronize(self) -> None:
        """Wait for every stream of this device."""
        for stream in self._machine.streams:
            if stream._device == self._index:
                stream.synchronize()

    @property
    def compute_capability(self) -> str:
        return self._machine.capability

    @property
    def mem_info(self) -> tuple[int, int]:
        return self._machine.free, 2**30


class Array:
    """Memory on the device. The pool keeps it when it is let go."""

    def __init__(self, machine: Machine, values: NDArray[Any], base: "Array | None" = None) -> None:
        self._machine = machine
        self._values = values
        self._base = base  # whose memory this is, seen in another way
        self._device = machine.device
        self._waiting = 0  # pieces of work that have yet to write here
        if base is not None:
            return
        if machine.limit is not None and values.nbytes > machine.limit:
            self._values = np.empty(0)
            raise MemoryError(f"Out of memory allocating {values.nbytes} bytes (limit)")
        if machine.unused >= values.nbytes:
            machine.unused -= values.nbytes
        elif machine.free >= values.nbytes:
            machine.free -= values.nbytes
        else:
            self._values = np.empty(0)
            raise MemoryError(f"Out of memory allocating {values.nbytes} bytes")
        machine.allocations += 1

    def __del__(self) -> None:
        if self._base is None:
            self._machine.unused += self._values.nbytes

    def __matmul__(self, other: "Array") -> "Array":
        product: Array = self._machine.cupy.matmul(self, other)
        return product

    @property
    def _pending(self) -> int:
        return self._waiting if self._base is None else self._base._pending

    @_pending.setter
    def _pending(self, count: int) -> None:
        if self._base is None:
            self._waiting = count
        else:
            self._base._pending = count

    @property
    def device(self) -> Device:
        return Device(self._machine, self._device)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._values.dtype

    @property
    def T(self) -> "Array":  # noqa: N802 - NumPy's name
        return Array(self._machine, self._values.T, self)

    def __getitem__(self, rows: slice) -> "Array":
        return Array(self._machine, self._values[rows], self)

    @property
    def flags(self) -> Any:
        return self._values.flags

    @property
    def nbytes(self) -> int:
        return self._values.nbytes

    @property
    def data(self) -> "Pointer":
        return Pointer(self)

    def set(self, arr: NDArray[Any], *, stream: Stream) -> None:
        """Copied when the stream comes to it: what the host writes there meanwhile is copied."""
        _same(self, arr)
        assert pinned(arr), "from memory that is not page-locked"
        self._machine.transfers += 1
        stream._add(COPY_NS, lambda: np.copyto(self._values, arr), self)

    def get(self, *, stream: Stream, out: NDArray[Any]) -> None:
        """What the memory holds now. CuPy's own would wait; this one shows that nobody waited."""
        _same(self, out)
        assert pinned(out), "into memory that is not page-locked"
        self._machine.transfers += 1
        self._machine.now_ns += COPY_NS
        np.copyto(out, self._values)
        if self._pending:
            out.fill(np.nan)


def _same(a: Any, b: Any) -> None:
    """Where CuPy would raise for a transfer, cast or copy for a product."""
    assert a.dtype == b.dtype, f"a cast from {a.dtype} to {b.dtype}"
    assert a.shape == b.shape, f"{a.shape} is not {b.shape}"


class PinnedMemory:
    """Mixed into what lies behind an array in page-locked memory, itself a plain one."""


def pinned(array: Any) -> bool:
    """Whether an array lies in page-locked memory."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, PinnedMemory)


class Pointer:
    """Where an array's memory begins."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def memset_async(self, value: int, size: int, stream: Stream) -> None:
        memory = self._array._values.reshape(-1).view(np.uint8)[:size]
        stream._add(MEMSET_NS, lambda: memory.fill(value), self._array)

    def copy_from_device_async(self, src: "Pointer", size: int, stream: Stream) -> None:
        target, source = (p._array._values.reshape(-1).view(np.uint8)[:size] for p in (self, src))
        stream._add(max(MEMSET_NS, size // 10), lambda: np.copyto(target, source), self._array)


class Pool:
    """Freed memory, kept for the next array: `kept` names where the machine counts it."""

    def __init__(self, machine: Machine, kept: str) -> None:
        self._machine = machine
        self._kept = kept

    def set_limit(self, size: int) -> None:
        self._machine.limit = size or None

    def get_limit(self) -> int:
        return self._machine.limit or 0

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

    def getDevice(self) -> int:  # noqa: N802 - CUDA's names
        return self._machine.device

    def getDeviceCount(self) -> int:  # noqa: N802
        return self._machine.devices

    def driverGetVersion(self) -> int:  # noqa: N802
        return 13020

    def runtimeGetVersion(self) -> int:  # noqa: N802
        return 13000

    def getDeviceProperties(self, device: int) -> dict[str, Any]:  # noqa: N802
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

    def deviceGetPCIBusId(self, device: int) -> str:  # noqa: N802
        return f"0000:{device + 0x17:02x}:00.0"


class Cublas:
    """cupy.cuda.cublas."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def getMathMode(self, handle: int) -> int:  # noqa: N802 - cuBLAS's names
        return self._machine.math_mode

    def setMathMode(self, handle: int, mode: int) -> None:  # noqa: N802
        self._machine.math_mode = mode


class Cuda:
    """cupy.cuda."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.runtime = Runtime(machine)
        self.cublas = Cublas(machine)
        self.Device = partial(Device, machine)
        self.Event = partial(Event, machine)

    def Stream(self, *, non_blocking: bool) -> Stream:  # noqa: N802
        assert non_blocking, "a blocking stream waits for the null stream's work, whoever's it is"
        return Stream(self._machine)

    def get_elapsed_time(self, start_event: Event, end_event: Event) -> float:
        """In milliseconds."""
        if not (start_event._reached and end_event._reached):
            raise RuntimeError("cudaErrorNotReady: device not ready")
        return (end_event._ns - start_event._ns) / 1e6


class Core:
    """cupy._core, where the switch for TF32 is."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._routines_linalg = SimpleNamespace(
            COMPUTE_TYPE_DEFAULT=DEFAULT, COMPUTE_TYPE_TF32=TF32
        )

    def set_compute_type(self, dtype: Any, compute_type: int) -> None:
        assert np.dtype(dtype) == np.float32
        self._machine.float32 = compute_type

    def get_compute_type(self, dtype: Any) -> int:
        return self._machine.float32 if np.dtype(dtype) == np.float32 else DEFAULT


class CuPy:
    """The module itself."""

    __version__ = "14 (a double of it)"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._core = Core(machine)
        self.ndarray: Any = Array
        self.cuda = Cuda(machine)
        self.ElementwiseKernel = partial(ElementwiseKernel, machine)
        self.add = partial(self._elementwise, np.add)
        self.maximum = partial(self._elementwise, np.maximum)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the activations take: an elementwise function by its name in NumPy."""
        if name.startswith("__"):  # Python 3.13 asks each module for its __spec__
            raise AttributeError(name)
        ufunc = getattr(np, name)
        assert isinstance(ufunc, np.ufunc), f"cupy.{name} is not simulated"
        return partial(self._elementwise, ufunc)

    def empty(self, shape: Any, dtype: Any) -> Array:
        return Array(self._machine, np.full(shape, 0xAA).astype(dtype))

    def ones(self, shape: Any, dtype: Any) -> Array:
        out = self.empty(shape, dtype)
        self._machine.stream._add(MEMSET_NS, lambda: out._values.fill(1), out)
        return out

    def asarray(self, a: NDArray[Any], dtype: Any = None, order: Any = None) -> Array:
        """Staged at once in pinned memory, copied later."""
        staged = np.array(a, dtype=dtype, order=order or "K")
        self._machine.transfers += 1
        self._machine.pinned_unused += staged.nbytes
        out = Array(self._machine, np.empty_like(staged))
        self._machine.stream._add(COPY_NS, lambda: np.copyto(out._values, staged), out)
        return out

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """2-D, of one dtype. TF32 cuts its inputs off; half precisions are summed in float32."""
        assert a._values.ndim == b._values.ndim == 2
        assert a.dtype == b.dtype, f"a hidden cast of {a.dtype} and {b.dtype}"
        for given in (a, b):
            assert given._values.flags.c_contiguous, "a hidden copy"
        tf32 = self._machine.float32 == TF32

        def result() -> Any:
            return multiplied(a._values, b._values, tf32=tf32)

        cost_ns = max(
            MATMUL_NS,
            2 * math.prod(a._values.shape) * b._values.shape[1] // self._machine.flop_per_ns,
        )
        return self._launch(cost_ns, result, out, (a.shape[0], b.shape[1]), a.dtype)

    def _elementwise(self, ufunc: np.ufunc, *given: Any, out: Array | None = None) -> Array:
        def operation() -> Any:
            return ufunc(*(g._values if isinstance(g, Array) else g for g in given))

        first = given[0]
        return self._launch(ELEMENTWISE_NS, operation, out, first.shape, first.dtype)

    def _launch(
        self, cost_ns: int, result: Callable[[], Any], out: Array | None, shape: Any, dtype: Any
    ) -> Array:
        target = self.empty(shape, dtype) if out is None else out
        assert (target.shape, target.dtype) == (shape, dtype)

        def work() -> None:
            np.copyto(target._values, result(), casting="same_kind")

        self._machine.stream._add(cost_ns, work, target)
        return target

    def get_default_memory_pool(self) -> Pool:
        return Pool(self._machine, "unused")

    def get_default_pinned_memory_pool(self) -> Pool:
        return Pool(self._machine, "pinned_unused")


def multiplied(a: NDArray[Any], b: NDArray[Any], *, tf32: bool) -> NDArray[Any]:
    """The product as tensor cores form it: all but float64 is summed in float32."""
    if a.dtype != np.float64:
        a, b = a.astype(np.float32), b.astype(np.float32)
    if tf32:
        a, b = cut_off(a), cut_off(b)
    answer: NDArray[Any] = a @ b
    return answer


def cut_off(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To TF32's ten bits after the point."""
    return (values.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


class ElementwiseKernel:
    """Its body is compiled by the host's C++ compiler and run: the very text that CuPy is given."""

    def __init__(
        self,
        machine: Machine,
        in_params: str,
        out_params: str,
        operation: str,
        name: str,
        preamble: str,
    ) -> None:
        self._machine = machine
        self._run = partial(host_body.run, in_params, out_params, operation, preamble)

    def __call__(self, *arrays: Array) -> Array:
        """Inputs are broadcast to the output, which is given; all have one dtype, T."""
        *inputs, out = arrays
        assert {a.dtype for a in arrays} == {out.dtype}, "a hidden cast"
        assert np.broadcast_shapes(*(a.shape for a in inputs)) == out.shape

        def work() -> None:
            self._run([a._values for a in inputs], out._values)

        self._machine.stream._add(ELEMENTWISE_NS, work, out)
        return out


class CuPyX:
    """The module cupyx."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.profiler = Profiler(machine)

    def empty_pinned(self, shape: Any, dtype: Any) -> NDArray[Any]:
        size = max(math.prod(shape) * np.dtype(dtype).itemsize, 1)
        memory = type("Memory", (ctypes.c_char * size, PinnedMemory), {})()
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=memory)
        self._machine.pinned_unused += array.nbytes
        return array


class Profiler:
    """cupyx.profiler."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def benchmark(
        self, func: Callable[..., Any], args: Any, *, n_repeat: int, n_warmup: int
    ) -> SimpleNamespace:
        """Each call between two events on the current stream, waited for."""
        cuda, seconds = self._machine.cupy.cuda, []
        for _ in range(n_warmup + n_repeat):
            start, stop = cuda.Event(), cuda.Event()
            start.record(self._machine.stream)
            func(*args)
            stop.record(self._machine.stream)
            stop.synchronize()
            seconds.append(cuda.get_elapsed_time(start, stop) / 1e3)
        return SimpleNamespace(gpu_times=np.array([seconds[n_warmup:]]))


class NvMath:
    """nvmath.linalg and nvmath.linalg.advanced."""

    def __init__(self, machine: Machine) -> None:
        self._linalg = ModuleType("nvmath.linalg")
        self._linalg.ComputeType = SimpleNamespace(COMPUTE_32F_FAST_TF32=TF32)  # type: ignore[attr-defined]
        self._advanced = ModuleType("nvmath.linalg.advanced")
        self._advanced.Matmul = partial(Matmul, machine)  # type: ignore[attr-defined]
        self._advanced.MatmulEpilog = SimpleNamespace(BIAS=4, RELU_BIAS=6)  # type: ignore[attr-defined]

    def modules(self) -> dict[str, ModuleType]:
        top = ModuleType("nvmath")
        return {
            "nvmath": top,
            "nvmath.linalg": self._linalg,
            "nvmath.linalg.advanced": self._advanced,
        }


class Matmul:
    """nvmath's stateful product of a (m, k) and b (k, n) into c (m, n), with an epilog."""

    def __init__(
        self,
        machine: Machine,
        a: Array,
        b: Array,
        *,
        c: Array,
        beta: float,
        options: dict[str, Any],
        stream: Stream,
    ) -> None:
        assert a.dtype == b.dtype == c.dtype, "a hidden cast"
        assert c.shape == (a.shape[0], b.shape[1])
        assert options.pop("inplace")
        assert beta == 0
        self._tf32 = options.pop("compute_type", DEFAULT) == TF32
        assert not options
        self._machine = machine
        self._operands = (a, b, c)
        self._bias: Array | None = None
        self._relu = False
        self._free = False
        self._last_is_captured = False  # the event that the last call recorded

    def plan(
        self,
        *,
        algorithms: tuple[str, ...] | None,
        epilog: int,
        epilog_inputs: dict[str, Array],
        stream: Stream,
    ) -> None:
        self.algorithms = algorithms or ("first found", "fastest")
        with stream:  # as nvmath does where it allocates
            pass
        (bias,) = epilog_inputs.values()
        assert list(epilog_inputs) == ["bias"]
        if bias.shape != (m := self._operands[0].shape[:1]):
            raise ValueError(
                f"The M dimension of the bias vector ({bias.shape[0]}) must match the M dimension"
                f" of A ({m[0]})."
            )
        assert epilog in (4, 6)
        self._bias, self._relu = bias, epilog == 6

    def autotune(self, *, iterations: int, stream: Stream) -> None:
        """Draws from Python's random numbers, as nvmath 1.0 does."""
        assert iterations > 0
        assert self._bias is not None, "not planned"
        random.shuffle([1, 2, 3])
        self.algorithms = self.algorithms[::-1]
        self._machine.tuned += 1
        stream._add(iterations * MATMUL_NS, lambda: None)

    def execute(self, *, stream: Stream) -> None:
        """The bias goes along the rows of the result: one number a row."""
        assert not self._free
        a, b, c = self._operands
        bias = self._bias
        assert bias is not None, "not planned"

        def work() -> None:
            z = multiplied(a._values, b._values, tf32=self._tf32)
            z += bias._values[:, None].astype(z.dtype)
            np.copyto(c._values, np.maximum(z, 0) if self._relu else z, casting="same_kind")

        stream._add(MATMUL_NS, work, c)
        self._last_is_captured = stream._captured is not None

    def free(self) -> None:
        """Waits for the last call's event first, which belongs to a graph if it was captured."""
        if self._last_is_captured:
            raise RuntimeError("CUDA_ERROR_INVALID_VALUE: an event that a capture recorded")
        self._free = True
