"""A double of PyTorch on a simulated GPU: the names that kernels/torch_linear.py uses, no others.

The hardware is that of tests/doubles/cupy_double.py: work is queued on a stream and runs when
somebody waits for it; until then a tensor holds NaN. It cannot show that PyTorch and CUDA do the
same.
"""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cupy_double
import numpy as np
from cupy_double import COPY_NS, MATMUL_NS, MEMSET_NS, Array, Machine, Stream
from numpy.typing import NDArray


class Tensor:
    """Numbers on the host (a NumPy array) or on the device (the double's own array)."""

    def __init__(self, machine: Machine, held: Any) -> None:
        self._machine = machine
        self._held = held

    def to(self, place: str, dtype: Any) -> "Tensor":
        if place == "cpu":
            self._machine.now_ns += COPY_NS
            host = self._held._values.copy()
            if self._held._pending:  # PyTorch's own would wait; this one shows that nobody waited
                host.fill(np.nan)
            return Tensor(self._machine, host.astype(dtype, copy=False))
        assert isinstance(self._held, np.ndarray)
        return Tensor(self._machine, self._machine.cupy.asarray(self._held.astype(dtype)))

    def numpy(self) -> NDArray[Any]:
        assert isinstance(self._held, np.ndarray)
        return self._held

    @property
    def device(self) -> Any:
        return SimpleNamespace(index=getattr(self._held.device, "id", None))

    def fill_(self, value: float) -> None:
        held = self._held
        self._machine.stream._add(MEMSET_NS, lambda: held._values.fill(value), held)

    def copy_(self, other: "Tensor") -> "Tensor":
        held, source = self._held, other._held
        self._machine.stream._add(MEMSET_NS, lambda: np.copyto(held._values, source._values), held)
        return self

    def zero_(self) -> None:
        held = self._held
        self._machine.stream._add(MEMSET_NS, lambda: held._values.fill(0), held)

    def __getitem__(self, row: int) -> "Tensor":
        return Tensor(self._machine, Array(self._machine, self._held._values[row]))

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return Tensor(self._machine, self._held @ other._held)


class Event(cupy_double.Event):
    """With PyTorch's way to the time."""

    def elapsed_time(self, stop: "Event") -> float:
        """In milliseconds."""
        return self._machine.cupy.cuda.get_elapsed_time(self, stop)


class Captured:
    """torch.cuda.CUDAGraph: what was captured, to be queued again on the current stream."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._captured: cupy_double.Graph | None = None

    def replay(self) -> None:
        assert self._captured is not None
        self._captured.launch(self._machine.stream)


class Cuda:
    """torch.cuda."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def is_available(self) -> bool:
        return self._machine.devices > 0

    def device_count(self) -> int:
        return self._machine.devices

    def current_device(self) -> int:
        return self._machine.device

    def synchronize(self, index: int) -> None:
        cupy_double.Device(self._machine, index).synchronize()

    def set_device(self, index: int) -> None:
        self._machine.device = index

    def Stream(self, index: int) -> Stream:  # noqa: N802 - PyTorch's names
        assert index == self._machine.device
        return Stream(self._machine)

    def set_stream(self, stream: cupy_double.Stream) -> None:
        self._machine.stream = stream

    @contextlib.contextmanager
    def stream(self, stream: cupy_double.Stream) -> Iterator[None]:
        before, self._machine.stream = self._machine.stream, stream
        yield
        self._machine.stream = before

    def CUDAGraph(self) -> "Captured":  # noqa: N802
        return Captured(self._machine)

    @contextlib.contextmanager
    def graph(self, graph: "Captured", *, stream: cupy_double.Stream) -> Iterator[None]:
        stream.begin_capture()
        yield
        graph._captured = stream.end_capture()

    def Event(self, *, enable_timing: bool) -> Event:  # noqa: N802
        assert enable_timing, "an event without has no time"
        return Event(self._machine)

    def get_device_properties(self, index: int) -> Any:
        return SimpleNamespace(
            name="Simulated GPU",
            pci_domain_id=0,
            pci_bus_id=0x1A + index,
            pci_device_id=0,
            L2_cache_size=4096,
        )

    def mem_get_info(self, index: int) -> tuple[int, int]:
        return self._machine.free, 2**30

    def memory_reserved(self, index: int) -> int:
        return 5000 + self._machine.unused

    def memory_allocated(self, index: int) -> int:
        return 5000

    def empty_cache(self) -> None:
        self._machine.cupy.get_default_memory_pool().free_all_blocks()


class Torch:
    """The module itself."""

    float64, float32, float16, uint8 = np.float64, np.float32, np.float16, np.uint8

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.cuda = Cuda(machine)
        self.Tensor: Any = Tensor
        self.matmul = SimpleNamespace(fp32_precision="none")
        self.backends = SimpleNamespace(cuda=SimpleNamespace(matmul=self.matmul))

    def from_numpy(self, values: NDArray[Any]) -> Tensor:
        assert values.flags.c_contiguous
        assert values.flags.writeable, "PyTorch warns of memory that is read-only"
        return Tensor(self._machine, values)

    def empty(self, shape: Any, *, dtype: Any, device: str) -> Tensor:
        assert device == f"cuda:{self._machine.device}"
        return Tensor(self._machine, self._machine.cupy.empty(shape, dtype))

    def ones(self, shape: Any, *, device: str) -> Tensor:
        assert device == f"cuda:{self._machine.device}"
        return Tensor(self._machine, self._machine.cupy.ones(shape, np.float32))

    def addmm(self, b: Tensor, a: Tensor, w: Tensor, *, out: Tensor) -> Tensor:
        B, A, W, target = b._held, a._held, w._held, out._held
        assert B._values.shape == (W._values.shape[1],)
        sums = np.result_type(A._values, np.float32)

        def work() -> None:
            np.copyto(target._values, np.matmul(A._values, W._values, dtype=sums) + B._values)

        self._machine.stream._add(MATMUL_NS, work, target)
        return out

    def relu_(self, z: Tensor) -> Tensor:
        self._machine.cupy.maximum(z._held, 0, out=z._held)
        return z

    def tanh_(self, z: Tensor) -> Tensor:
        self._machine.cupy.tanh(z._held, out=z._held)
        return z

    def sigmoid_(self, z: Tensor) -> Tensor:
        halves: Any = lambda values: 0.5 * np.tanh(0.5 * values) + 0.5  # noqa: E731
        self._machine.cupy._elementwise(halves, z._held, out=z._held)
        return z
