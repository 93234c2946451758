"""What the GPU's kernels share: one stream for each device, with its events as the clock; transfers
there and back; what each precision needs; and, where no GPU can be used, the reason.

A process drives one device: the stream is made current once, so that a launch costs no context
switch. Ran on an H100 as it was at bc3fc83; what is newer ran on a double only (`restore`, `drain`,
`spoil`, `joules`, `captured`, `keep`, inputs in pieces; see kernels/README.md).
"""

import ctypes
import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import (
    DTYPES,
    DeviceState,
    Rates,
    Step,
    Unavailable,
    Unsupported,
    _nvidia,
    _nvml,
    supported,
)

NEEDS = {"float64": 0, "float32": 0, "tf32": 80, "float16": 0, "bfloat16": 80}
"""Compute capability, times ten, from which cuBLAS has a precision."""


def open_device(index: int) -> "CudaDevice":
    """The device, proved to work, its stream the current one. Raises Unavailable, as `proved`."""
    device = proved(index)
    device.use()
    return device


@cache
def proved(index: int) -> "CudaDevice":
    """The device, proved to work by a small product and an elementwise operation.

    `cupy.is_available()` only counts devices, so it would miss a broken cuBLAS or missing headers.
    Raises Unavailable with the reason: no driver, no CuPy, no such device, or what CUDA said.
    """
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise Unavailable("no NVIDIA driver on this machine (libcuda.so.1 is not there)") from None
    try:
        import cupy
    except (ImportError, RuntimeError) as error:  # a missing CUDA library is either
        raise Unavailable(_import_trouble(error)) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if index >= count:
            raise Unavailable(f"no CUDA device {index}: this machine has {count}")
        device = CudaDevice(cupy, index)
        device.prove()
    except (
        RuntimeError,
        ImportError,
    ) as error:  # every CUDA, cuBLAS and NVRTC error is one of them
        raise Unavailable(f"CUDA device {index} doesn't work: {error}") from error
    return device


def _import_trouble(error: ImportError | RuntimeError) -> str:
    if getattr(error, "name", "") != "cupy":
        return f"CuPy can't be imported: {error}"
    return (
        "CuPy is not installed: .venv/bin/python -m pip install 'cupy-cuda13x[ctk]' for driver 580 "
        "or newer and compute capability 7.5 or newer, else 'cupy-cuda12x[ctk]'"
    )


def device_dtype(gpu: "CudaDevice", precision: str) -> np.dtype[Any]:
    """What holds a precision on the device: NumPy's own type, or ml_dtypes' bfloat16.

    Raises Unsupported where this device has no such arithmetic, Unavailable without ml_dtypes.
    """
    needed = supported("precision", precision, NEEDS)
    if gpu.capability < needed:
        has, needs = (f"{c // 10}.{c % 10}" for c in (gpu.capability, needed))
        raise Unsupported(f"precision {precision} needs compute capability {needs}, this is {has}")
    if precision == "tf32" and os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        raise Unsupported("precision tf32: NVIDIA_TF32_OVERRIDE=0 in the environment turns it off")
    if precision != "bfloat16":
        return np.dtype(DTYPES[precision])
    try:
        import ml_dtypes
    except ImportError:
        line = ".venv/bin/python -m pip install ml_dtypes"
        raise Unavailable(f"bfloat16 in CuPy needs ml_dtypes: {line}") from None
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def full_float32(cupy: Any) -> None:
    """float32 is float32: CuPy's own default, whatever CUPY_TF32 says."""
    kinds = cupy._core._routines_linalg  # noqa: SLF001 - CuPy has no public name for it
    cupy._core.set_compute_type("float32", kinds.COMPUTE_TYPE_DEFAULT)  # noqa: SLF001


def product(gpu: "CudaDevice", precision: str) -> Callable[[Any, Any, Any], None]:
    """A function (A_in, W, out) that queues A_in @ W into `out`, in the precision's arithmetic.

    All three are 2-D, of one dtype and in C order: CuPy then calls cuBLAS straight away, and
    neither casts nor copies. float16 and bfloat16 are summed in float32.

    CuPy's switch for TF32 belongs to the process and is read when a product is queued. So it is
    turned on around that call alone, which costs the host about a microsecond, and no other cell
    sees it.
    """
    cupy = gpu.cupy

    def as_it_is(A_in: Any, W: Any, out: Any) -> None:
        cupy.matmul(A_in, W, out=out)

    def tf32(A_in: Any, W: Any, out: Any) -> None:
        set_type("float32", fast)
        try:
            cupy.matmul(A_in, W, out=out)
        finally:
            full_float32(cupy)

    set_type = cupy._core.set_compute_type  # noqa: SLF001 - as in full_float32
    fast = cupy._core._routines_linalg.COMPUTE_TYPE_TF32  # noqa: SLF001
    return tf32 if precision == "tf32" else as_it_is


PIECE_BYTES = 2**21
"""An input up to this size is copied at once: waking other threads would take as long."""

MOST_COPIERS = 8
"""More threads copy no faster than a few do: they share the memory."""


@cache
def _copiers() -> ThreadPoolExecutor:
    """Threads that copy, no more than this process was given. They rest in between."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return ThreadPoolExecutor(min(int(given) if given.isdecimal() else 1, MOST_COPIERS) or 1)


class Bus:
    """Transfers of inputs to the device and of outputs back, through page-locked memory.

    The device reads and writes page-locked memory by itself, at the bus's full speed and on the
    stream, in order with the work. An input comes from anywhere, so the host first copies it there
    (and rounds it, for bfloat16): that copy is part of `send_s`, and what limits it. One thread
    copied 8 GB/s on an H100's host, whose bus took 55. So a large input is copied in pieces by
    several threads, and a piece crosses the bus while the next ones are copied. Ran on a double
    only.
    """

    def __init__(self, gpu: "CudaDevice", shape: tuple[int, int], precision: str) -> None:
        import cupyx

        self._empty_pinned = cupyx.empty_pinned
        self._gpu = gpu
        self._host_dtype = DTYPES[precision]
        self._staging: NDArray[Any] = cupyx.empty_pinned(shape, device_dtype(gpu, precision))
        self._has_left = gpu.cupy.cuda.Event()

    def send(self, A_in: NDArray[Any]) -> Any:
        """(batch, n_in) on the host -> a new array of that shape on the device."""
        return self.send_into(self._gpu.cupy.empty(A_in.shape, self._staging.dtype), A_in)

    def send_into(self, x: Any, A_in: NDArray[Any]) -> Any:
        """The same into an array that is already there."""
        self._has_left.synchronize()  # the last input may still be on its way
        if self._staging.nbytes <= PIECE_BYTES:
            self._stage(A_in)
            x.set(self._staging, stream=self._gpu.stream)
        else:
            for rows in self._staged(A_in):
                x[rows].set(self._staging[rows], stream=self._gpu.stream)
        self._has_left.record(self._gpu.stream)
        return x

    def _stage(self, A_in: NDArray[Any], rows: slice = slice(None)) -> slice:
        """Copy rows of an input into page-locked memory -> which ones."""
        np.copyto(self._staging[rows], A_in[rows], casting="same_kind")
        return rows

    def _staged(self, A_in: NDArray[Any]) -> Iterator[slice]:
        """Copy an input there by several threads -> its rows, a piece as soon as it is there."""
        each = max(PIECE_BYTES * len(A_in) // self._staging.nbytes, 1)
        pieces = [slice(first, first + each) for first in range(0, len(A_in), each)]
        return _copiers().map(partial(self._stage, A_in), pieces)

    def fetch(self, out: Any) -> NDArray[Any]:
        """(batch, n_units) on the device -> the same on the host; bfloat16 comes as float32."""
        host: NDArray[Any] = self._empty_pinned(out.shape, out.dtype)
        out.get(stream=self._gpu.stream, out=host)
        return host.astype(self._host_dtype, copy=False)


SPOILT = 0x6E
"""Every byte of an output that is overwritten: 6584 in float16, from 1e28 to 1e224 elsewhere. A
number and not NaN: 0 times that is 0, should a library ever read an output that it may ignore."""

MOST_KEPT = 512
"""A device keeps so many things for kernels, some hundred bytes each."""


class CudaDevice:
    """One CUDA device, a stream of its own on it, and that stream's events as its clock."""

    warm_s = 0.3
    """GPU clocks take a few tenths of a second of load to leave idle."""

    def __init__(self, cupy: Any, index: int) -> None:
        self.cupy = cupy
        self._index = index
        self._device = cupy.cuda.Device(index)
        self._device.use()
        self.stream = cupy.cuda.Stream(non_blocking=True)
        # entered for good, not only used: after a with-block of another stream, which libraries
        # have too, CuPy goes back to the one that was entered before
        self.stream.__enter__()
        properties = self._properties = cupy.cuda.runtime.getDeviceProperties(index)
        bus = cupy.cuda.runtime.deviceGetPCIBusId(index)
        self.name = f"cuda:{index} {properties['name'].decode()} at {bus}"
        self.capability = int(self._device.compute_capability)  # 90 is 9.0
        self._cache_bytes: int = properties["l2CacheSize"]
        self._eviction_buffer: Any = None
        self._monitor = _nvml.monitor(bus)
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        # CUPY_TF32=1 would make float32 something else than what was asked for
        full_float32(cupy)
        self._types = self._compute_types()
        self._pool_limit = cupy.get_default_memory_pool().get_limit()
        self._math_mode = cupy.cuda.cublas.getMathMode(self._device.cublas_handle)

    def prove(self) -> None:
        """A product (cuBLAS) and an elementwise operation (NVRTC); raises what CUDA raises."""
        ones = self.cupy.ones((2, 2), "float32")
        self.cupy.maximum(ones @ ones, 0)
        self.stream.synchronize()

    def keep(self, key: Hashable, found: Any) -> None:
        """Keep what a set-up found out about this device, for the next one; no arrays."""
        self._kept[key] = found
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def kept(self, key: Hashable) -> Any:
        """What was kept under this name; None where nothing was, or others have displaced it."""
        return self._kept.get(key)

    def use(self) -> None:
        """Make the device and its stream the current ones."""
        self._device.use()
        self.stream.use()

    def restore(self) -> str:
        """The current stream and cuBLAS's math mode are put back silently: libraries leave others.

        The rest is a kernel's own doing: the current device, the arithmetic of CuPy's products and
        the limit of its memory pool.
        """
        cuda, pool = self.cupy.cuda, self.cupy.get_default_memory_pool()
        changed = []
        if (current := cuda.runtime.getDevice()) != self._index:
            changed.append(f"CUDA's current device from {self._index} to {current}")
        self.use()
        for dtype, kind in self._compute_types().items():
            if kind != self._types[dtype]:
                changed.append(f"the arithmetic of CuPy's {dtype} products")
                self.cupy._core.set_compute_type(dtype, self._types[dtype])  # noqa: SLF001
        if (limit := pool.get_limit()) != self._pool_limit:
            changed.append(f"the limit of CuPy's memory pool from {self._pool_limit} to {limit}")
            pool.set_limit(size=self._pool_limit)
        cuda.cublas.setMathMode(self._device.cublas_handle, self._math_mode)
        return " and ".join(changed)

    def _compute_types(self) -> dict[str, int]:
        kind = self.cupy._core.get_compute_type  # noqa: SLF001 - as in full_float32
        return {dtype: kind(dtype) for dtype in ("float16", "float32", "float64")}

    def drain(self, out: Any) -> None:
        # what is no array of CuPy's is on no device
        where = out.device.id if isinstance(out, self.cupy.ndarray) else self._index
        if where != self._index:
            raise RuntimeError(f"its output is on CUDA device {where}, not {self._index}")
        self._device.synchronize()

    def spoil(self, out: Any) -> bool:
        # of what is not in one piece, the bytes between may belong to somebody else
        whole: bool = isinstance(out, self.cupy.ndarray) and (
            out.flags.c_contiguous or out.flags.f_contiguous
        )
        if whole:
            out.data.memset_async(SPOILT, out.nbytes, self.stream)
        return whole

    def mark(self, out: Any) -> Any:
        event = self.cupy.cuda.Event()
        event.record(self.stream)
        return event

    def seconds(self, start: Any, stop: Any) -> float:
        stop.synchronize()
        milliseconds: float = self.cupy.cuda.get_elapsed_time(start, stop)
        return milliseconds / 1e3

    def fence(self, out: Any) -> None:
        self.stream.synchronize()

    def captured(self, launch: Callable[[], object]) -> Any:
        """A CUDA graph of what `launch` queues on this device's stream, ready to be replayed."""
        self.stream.begin_capture()
        try:
            launch()
        finally:
            graph = self.stream.end_capture()  # whatever happened, or the stream stays unusable
        graph.upload(self.stream)
        return graph

    def free_bytes(self) -> int:
        """What the driver has free and what CuPy's pool holds unused."""
        free: int = self._device.mem_info[0]
        return free + int(self.cupy.get_default_memory_pool().free_bytes())

    def release(self) -> None:
        self._eviction_buffer = None
        self.cupy.get_default_memory_pool().free_all_blocks()
        self.cupy.get_default_pinned_memory_pool().free_all_blocks()

    def flush(self) -> None:
        """Overwrite as much memory as the L2 cache holds, on the same stream."""
        if self._eviction_buffer is None:
            self._eviction_buffer = self.cupy.empty(self._cache_bytes, "uint8")
        buffer = self._eviction_buffer
        buffer.data.memset_async(0, buffer.nbytes, self.stream)

    def state(self) -> DeviceState | None:
        """Clocks, temperature, power and what holds them back, from NVML."""
        return self._monitor.state() if self._monitor else None

    def joules(self) -> float | None:
        """The board's energy, from NVML."""
        return self._monitor.joules() if self._monitor else None

    def stated(self, precision: str) -> Rates:
        return _nvidia.stated(self._properties, precision)

    def product(self, n: int, precision: str) -> Step:
        """Two (n, n) matrices of ones, by cuBLAS."""
        multiply, dtype = product(self, precision), device_dtype(self, precision)
        A, W = (self.cupy.ones((n, n), dtype) for _ in range(2))
        out = self.cupy.empty((n, n), dtype)

        def launch(_: Any) -> Any:
            multiply(A, W, out)
            return out

        return Step(launch, device=self)

    def copy(self, size: int) -> Step:
        """From one half of `size` bytes to the other, on this device's stream."""
        half = size // 2
        source, target = (self.cupy.ones(half, "uint8") for _ in range(2))

        def launch(_: Any) -> Any:
            target.data.copy_from_device_async(source.data, half, self.stream)
            return target

        return Step(launch, device=self)
