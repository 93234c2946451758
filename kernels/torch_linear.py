"""The layer in PyTorch, as its nn.Linear computes it: on a GPU where there is one, else here.

    addmm(b, A_in, W) then g in place        b is (n_units,), added to every row

One call takes the product and the bias together: on a CPU into MKL (oneDNN for half precisions), on
a GPU into cuBLASLt, which adds b while the tile of the product is still in registers. The
activation works in place. The output buffer is made once, and no gradient is asked for, so nothing
is kept for a backward pass.

What it costs: two microseconds of dispatching on a CPU, a few more for each of the two calls on a
GPU, where a launch is queued and returns. So there the device has a stream of its own, whose events
are the clock. float16 on a CPU without instructions for it is some fifty times slower
than float32 (1000 units, 128 examples, two Zen 5 cores): there it saves memory, not time. With
weights of 8 bits it is another call, that of PyTorch's own quantised models (weight-only int8), on
a CPU only. On x86 its vectors are written for inputs in bfloat16; float32's are left to a loop.

What it shows: what the framework that most networks run in makes of the same layer.

It computes on the GPU of the index that is asked for; CUDA_VISIBLE_DEVICES= (empty) keeps it on the
CPU, and `device` in the files says which it was. The GPU's half is written from PyTorch 2.13's
source and documentation. It ran on an H100 as it was at bc3fc83; `restore`, `drain`, `spoil`,
`joules` and `state` ran on a double only (tests/kernels/test_torch.py).
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import (
    DTYPES,
    HOST,
    Device,
    DeviceState,
    Layer,
    Step,
    Unavailable,
    Unsupported,
    _nvml,
    library,
    supported,
)
from kernels._int8 import quantised

TYPES = {
    "float64": "float64",
    "float32": "float32",
    "tf32": "float32",  # a way to multiply float32 arrays
    "float16": "float16",
    "bfloat16": "bfloat16",
    "int8": "float32",  # all but W
}
"""PyTorch's type for the arrays of each precision."""


SPOILT = 6584.0
"""What an output is overwritten with; no layer here answers with it, and float16 can hold it."""


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W (n_in, n_units), b (n_units,) and the output buffer (batch, n_units) go to the device."""
    torch = library("torch", "torch_linear")
    cuda = torch.cuda.is_available()
    if layer.precision == "int8" and cuda:
        raise Unsupported("precision int8: with inputs in float32 PyTorch has it on a CPU only")
    if layer.precision == "tf32" and not cuda:
        raise Unsupported("precision tf32: PyTorch has it on a GPU only, and sees none here")
    where: Any = _open_device(device) if cuda else HOST
    place = f"cuda:{device}" if cuda else "cpu"
    if cuda:
        matmul = torch.backends.cuda.matmul
        where.compute_float32_in("tf32" if layer.precision == "tf32" else "ieee")
        # else cuBLAS may keep partial sums in half precision
        matmul.allow_fp16_reduced_precision_reduction = False
        matmul.allow_bf16_reduced_precision_reduction = False
    dtype = getattr(torch, supported("precision", layer.precision, TYPES))

    def send(array: NDArray[Any]) -> Any:
        # PyTorch shares the array's memory where it can, and won't share what is read-only
        array = np.require(array, requirements=("C", "A", "W"))
        return torch.from_numpy(array).to(place, dtype)

    def fetch(out: Any) -> NDArray[Any]:
        carried = getattr(torch, np.dtype(DTYPES[layer.precision]).name)
        array: NDArray[Any] = out.to("cpu", carried).numpy()
        return array

    W, b = send(layer.W), send(layer.b)[0]
    out = torch.empty((batch, layer.n_units), dtype=dtype, device=place)
    addmm = torch.addmm
    activations = {
        "linear": lambda z: z,
        "relu": torch.relu_,
        "sigmoid": torch.sigmoid_,
        "tanh": torch.tanh_,
    }
    g = supported("activation", layer.activation, activations)
    where.fence(None)

    def launch(A_in: Any) -> Any:
        return g(addmm(b, A_in, W, out=out))

    if layer.precision == "int8":
        launch = _eight_bits(torch, layer, b, g)
    return Step(launch, send=send, fetch=fetch, device=where)


def _eight_bits(torch: Any, layer: Layer, b: Any, g: Any) -> Any:
    """The launch for W in 8 bits, (n_units, n_in) as PyTorch has it, and a scale a unit."""
    whole, scale = quantised(layer.W)
    W, scales = torch.from_numpy(np.ascontiguousarray(whole.T)), torch.from_numpy(scale)
    product = torch.ops.aten._weight_int8pack_mm  # noqa: SLF001 - PyTorch has no public name for it

    def launch(A_in: Any) -> Any:
        return g(product(A_in, W, scales).add_(b))

    return launch


@cache
def _open_device(index: int) -> Device:
    """The device, proved to work by a small product.

    Raises Unavailable: there is no such device, or what CUDA said.
    """
    torch = library("torch", "torch_linear")
    count = torch.cuda.device_count()
    if index >= count:
        raise Unavailable(f"no CUDA device {index}: PyTorch sees {count}")
    try:
        device = CudaDevice(torch, index)
        device.prove()
    except RuntimeError as error:  # every CUDA and cuBLAS error is one
        raise Unavailable(f"CUDA device {index} doesn't work in PyTorch: {error}") from error
    return device


class CudaDevice:
    """One CUDA device, a stream of its own on it, and that stream's events as its clock."""

    warm_s = 0.3
    """GPU clocks take a few tenths of a second of load to leave idle."""

    def __init__(self, torch: Any, index: int) -> None:
        self._torch = torch
        self._index = index
        torch.cuda.set_device(index)
        self.stream = torch.cuda.Stream(index)
        torch.cuda.set_stream(self.stream)  # for good: a launch costs no switch
        found = torch.cuda.get_device_properties(index)
        bus = f"{found.pci_domain_id:04X}:{found.pci_bus_id:02X}:{found.pci_device_id:02X}.0"
        self.name = f"cuda:{index} {found.name} at {bus}"
        self._cache_bytes: int = found.L2_cache_size
        self._eviction_buffer: Any = None
        self._float32: str = torch.backends.cuda.matmul.fp32_precision
        self._monitor = _nvml.monitor(bus)

    def compute_float32_in(self, arithmetic: str) -> None:
        """Set PyTorch's switch, which belongs to the process, for the layer that is prepared."""
        self._float32 = arithmetic
        self._torch.backends.cuda.matmul.fp32_precision = arithmetic

    def restore(self) -> str:
        """The current stream is put back silently: libraries leave another one."""
        cuda, matmul = self._torch.cuda, self._torch.backends.cuda.matmul
        changed = []
        if (current := cuda.current_device()) != self._index:
            changed.append(f"CUDA's current device from {self._index} to {current}")
            cuda.set_device(self._index)
        cuda.set_stream(self.stream)
        if (now := matmul.fp32_precision) != self._float32:
            changed.append(f"PyTorch's arithmetic of float32 from {self._float32} to {now}")
            matmul.fp32_precision = self._float32
        return " and ".join(changed)

    def drain(self, out: Any) -> None:
        if (where := self._index_of(out)) not in (None, self._index):
            raise RuntimeError(f"its output is on CUDA device {where}, not {self._index}")
        self._torch.cuda.synchronize(self._index)

    def _index_of(self, out: Any) -> int | None:
        """Its CUDA device; None where it is on none."""
        index: int | None = out.device.index if isinstance(out, self._torch.Tensor) else None
        return index

    def spoil(self, out: Any) -> bool:
        if self._index_of(out) is None:
            return False
        with self._torch.cuda.stream(self.stream):
            out.fill_(SPOILT)
        return True

    def state(self) -> DeviceState | None:
        """Clocks, temperature, power and what holds them back, from NVML."""
        return self._monitor.state() if self._monitor else None

    def joules(self) -> float | None:
        """The board's energy, from NVML."""
        return self._monitor.joules() if self._monitor else None

    def prove(self) -> None:
        """A product and an activation; raises what CUDA raises."""
        ones = self._torch.ones((2, 2), device=f"cuda:{self._index}")
        self._torch.relu_(ones @ ones)
        self.stream.synchronize()

    def mark(self, out: Any) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self.stream)
        return event

    def seconds(self, start: Any, stop: Any) -> float:
        stop.synchronize()
        milliseconds: float = start.elapsed_time(stop)
        return milliseconds / 1e3

    def fence(self, out: Any) -> None:
        self.stream.synchronize()

    def free_bytes(self) -> int:
        """What the driver has free and what PyTorch's allocator holds unused."""
        cuda = self._torch.cuda
        free: int = cuda.mem_get_info(self._index)[0]
        return free + int(cuda.memory_reserved(self._index) - cuda.memory_allocated(self._index))

    def release(self) -> None:
        self._eviction_buffer = None
        self._torch.cuda.empty_cache()

    def flush(self) -> None:
        """Overwrite as much memory as the L2 cache holds, on the same stream."""
        if self._eviction_buffer is None:
            self._eviction_buffer = self._torch.empty(
                self._cache_bytes, dtype=self._torch.uint8, device=f"cuda:{self._index}"
            )
        self._eviction_buffer.zero_()
