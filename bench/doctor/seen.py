"""What was seen of a machine, as records that a test can make up."""

from dataclasses import dataclass, field
from typing import Literal

from bench.count.sources import Nothing, Source
from bench.data.machine import Machine
from bench.machine.driver import Driver
from bench.machine.wheel import Choice

Outcome = Literal["worked", "raised", "ended", "hung"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of having a GPU compute, in a process of its own, through CuPy."""

    device: int
    outcome: Outcome
    error: str = ""  # the exception's type
    status: int | None = None  # CUDA's number, where the exception has one
    text: str = ""  # its words; or how the process ended


@dataclass(frozen=True, slots=True)
class GpuState:
    """What NVML says of a GPU; None for what it doesn't say of this one."""

    bus: str
    busy: float | None = None  # share of the last moments in which something ran, before the probe
    others: tuple[int, ...] = ()  # processes that computed on it then
    free_bytes: int | None = None
    total_bytes: int | None = None
    reasons: int = 0  # clock event reasons, all that were seen while the probe ran
    temperature_c: int | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    compute_mode: int | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A kernel on a tiny case."""

    kernel: str
    device_index: int
    device: str  # its own name; "" where the kernel got no further than to refuse
    status: str  # of its visit
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that a diagnosis follows from."""

    machine: Machine
    environment: dict[str, str]  # those of observe.VARIABLES that are set
    quota: float | None = (
        None  # cores that the container may use, where that is fewer than there are
    )
    free_bytes: int = 2**34  # of the host's memory
    driver: Driver = field(default_factory=Driver)
    choice: Choice = field(default_factory=lambda: Choice("none", ""))
    cards: tuple[str, ...] = ()  # PCI addresses of NVIDIA's cards, driver or not
    amd: bool = False
    cupys: dict[str, str] = field(default_factory=dict)  # CuPy's distributions -> version
    nvml: str = ""  # why NVML says nothing
    states: tuple[GpuState, ...] = ()
    probes: tuple[Probe, ...] = ()
    tried: tuple[Tried, ...] = ()
    # what counts instructions here, for the gate and for run --count
    counter: Source | Nothing = field(default_factory=lambda: Source("perf", "a counter"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What shall run: kernels by name or file, none for all that this machine has hardware for; and
    the GPU, None for every one.
    """

    kernels: tuple[str, ...] = ()
    device: int | None = None
