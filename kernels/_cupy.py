"""What the CuPy kernels share: one stream a device, its events as the clock, and the reason where
there is no GPU to use.

Written from CuPy 14's source; nothing here has run on a GPU yet (see CONTRIBUTING.md). A process
drives one device: the stream is made current once, so that a launch costs no context switch.
"""

import ctypes
from functools import cache
from typing import Any

from kernels import DTYPES, Rates, State, Step, Unavailable, Unsupported, _nvidia, _nvml


@cache
def open_device(index: int) -> "CudaDevice":
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


class CudaDevice:
    """One CUDA device, a stream of its own on it, and that stream's events as its clock."""

    warm_s = 0.3
    """GPU clocks take a few tenths of a second of load to leave idle."""

    def __init__(self, cupy: Any, index: int) -> None:
        self.cupy = cupy
        self._device = cupy.cuda.Device(index)
        self._device.use()
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.stream.use()
        properties = self._properties = cupy.cuda.runtime.getDeviceProperties(index)
        bus = cupy.cuda.runtime.deviceGetPCIBusId(index)
        self.name = f"cuda:{index} {properties['name'].decode()} at {bus}"
        self._cache_bytes: int = properties["l2CacheSize"]
        self._eviction_buffer: Any = None
        self._monitor = _nvml.monitor(bus)

    def prove(self) -> None:
        """A product (cuBLAS) and an elementwise operation (NVRTC); raises what CUDA raises."""
        ones = self.cupy.ones((2, 2), "float32")
        self.cupy.maximum(ones @ ones, 0)
        self.stream.synchronize()

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

    def state(self) -> State | None:
        """Clocks, temperature, power and what holds them back, from NVML."""
        return self._monitor.state() if self._monitor else None

    def stated(self, precision: str) -> Rates:
        return _nvidia.stated(self._properties, precision)

    def product(self, n: int, precision: str) -> Step:
        """Two (n, n) matrices of ones, by cuBLAS."""
        if precision not in ("float64", "float32", "float16"):
            raise Unsupported(f"precision {precision}")
        A, B = (self.cupy.ones((n, n), DTYPES[precision]) for _ in range(2))
        out = self.cupy.empty((n, n), DTYPES[precision])
        return Step(lambda _: self.cupy.matmul(A, B, out=out), device=self)

    def copy(self, size: int) -> Step:
        """From one half of `size` bytes to the other, on this device's stream."""
        half = size // 2
        source, target = (self.cupy.ones(half, "uint8") for _ in range(2))

        def launch(_: Any) -> Any:
            target.data.copy_from_device_async(source.data, half, self.stream)
            return target

        return Step(launch, device=self)
