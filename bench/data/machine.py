"""machine.json: what a run was measured on and what that machine can do, as a type.

A field that a file lacks has its default here (older runs have fewer), and a field that is not here
is passed over (newer runs have more). What a file does have is checked.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bench.data.records import Says
from bench.data.speed_history import History
from bench.terminal import text
from bench.terminal.errors import BadInput

Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Rate = Annotated[float, Meta(gt=0, lt=1e30)]

CPU = "cpu"
"""The CPU's name as a device, as `kernels.Host` has it."""

MEMORY = "memory"
"""The name of the level behind all caches."""

NUMPYS = ("float64", "float32")
"""The precisions in which NumPy's BLAS multiplies matrices."""

WIDENED = "float32"
"""In the place of an instruction's name: numbers of a smaller precision are made float32 first."""


class Cpu(msgspec.Struct, frozen=True):
    """The processor."""

    model: str = ""
    cores_present: Whole | None = None
    cores_usable: Whole = 0  # by this process
    mhz: Annotated[float, Meta(ge=0, lt=1e9)] | None = None  # the highest clock rate that it states
    vector_flags: tuple[str, ...] = ()
    governor: str | None = None


class Blas(msgspec.Struct, frozen=True):
    """A library of matrix products that NumPy uses."""

    library: str | None = None
    version: str | None = None
    core_type: str | None = None  # the CPU that it takes this one for
    threads: Whole | None = None
    threading: str | None = None


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A device, as the driver describes it; None for what it doesn't say."""

    index: Whole = 0  # CUDA's number of it
    name: str
    bus: str  # its PCI address
    compute: str = ""  # its compute capability
    memory_bytes: Whole | None = None
    clock_hz: Whole | None = None
    multiprocessors: Whole | None = None
    memory_clock_hz: Whole | None = None
    memory_bus_bits: Whole | None = None
    l2_bytes: Whole | None = None
    uuid: str = ""


class Gpus(msgspec.Struct, frozen=True):
    """What the NVIDIA driver says."""

    driver: str | None = None  # the CUDA version that it can do, like "12.8"
    version: Whole | None = None  # the same as CUDA's number, 12080
    devices: tuple[Gpu, ...] = ()
    status: int = 0  # of the call that failed
    trouble: str = ""  # why there are no devices


class Level(msgspec.Struct, frozen=True):
    """What all threads together read and copy where a level of a CPU's memory feeds them, in
    bytes/s; a copied byte counts twice, because it is read and written.
    """

    name: str  # L1 and so on, or memory
    read_bytes_per_s: Rate
    copy_bytes_per_s: Rate

    @property
    def bytes_per_s(self) -> float:
        """The larger of the two: no kernel moves more."""
        return max(self.read_bytes_per_s, self.copy_bytes_per_s)


class Peaks(msgspec.Struct, frozen=True):
    """The peak rates of one device, the CPU's of all threads together; None for what isn't known.

    `measured` are the best of its library's products and copies (a CPU's: NumPy's, which has none
    but NUMPYS), `registers` the multiply-adds of a loop that touches no memory. `theoretical` is
    what its units and the clock rate that it states would give (a CPU's vector flags, a GPU's
    multiprocessors); its true clock may be higher, or lower under load.
    """

    precision: str
    measured_flop_per_s: Rate | None
    measured_bytes_per_s: Rate | None
    theoretical_flop_per_s: Rate | None
    theoretical_bytes_per_s: Rate | None = None
    registers_flop_per_s: Rate | None = None
    levels: tuple[Level, ...] = ()  # the nearest first
    lacking: str = ""  # why a CPU's registers, and maybe its levels, are not known
    # which of the CPU's instructions `registers` are of, or WIDENED; empty: the precision's own
    registers_by: str = ""

    @property
    def ceiling_flop_per_s(self) -> float | None:
        """The most arithmetic that was seen, in a product or in registers."""
        return max(self.measured_flop_per_s or 0.0, self.registers_flop_per_s or 0.0) or None

    @property
    def flop_per_s(self) -> float | None:
        """The ceiling where it comes from registers, which show what the units do; else the larger
        of it and the theoretical peak.
        """
        if self.registers_flop_per_s:
            return self.ceiling_flop_per_s
        return max(self.ceiling_flop_per_s or 0.0, self.theoretical_flop_per_s or 0.0) or None

    @property
    def memory_bytes_per_s(self) -> float | None:
        """The most that was read or copied where no cache helps."""
        memory = [level.bytes_per_s for level in self.levels if level.name == MEMORY]
        return max(self.measured_bytes_per_s or 0.0, *memory, 0.0) or None


class Comparison(msgspec.Struct, frozen=True):
    """What a comparison of two commits was asked, and what it says."""

    base: str = ""  # a commit, or worktree
    head: str = ""
    slower_than: float = 0.05
    locked: bool = False
    says: Says = "can't tell"
    problem: str | None = None
    seed: int = 0
    witness: str = "time"  # or count, or both


LEAST_RATE, LARGEST_RATE = 1.0, 1e25
"""Operations or bytes a second: below or above, what a device says of itself makes no sense."""


def rate(value: object) -> float | None:
    """A rate as machine.json may hold it; None for what is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if LEAST_RATE <= number <= LARGEST_RATE else None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """All of machine.json."""

    started: str = ""  # date and time (UTC) in ISO 8601
    cpu: Cpu = Cpu()
    memory_bytes: Whole = 0
    os: str = ""
    python: str = ""
    numpy: str = ""
    blas: tuple[Blas, ...] = ()
    threads: Whole = 0  # that the libraries were told to use
    gpus: Gpus = Gpus()
    gpu_library: str = ""  # package and version of the GPU's library
    commit: str | None = None
    clean: bool | None = None  # whether the checkout was as that commit has it
    load: float = 0.0  # average over the minute before the run
    overrides: dict[str, str] = {}  # environment variables that make a library run other code
    fingerprint: str = ""  # hash of what has to be the same for times to be comparable
    warnings: tuple[str, ...] = ()
    tuned: str = ""  # numba_packed's parameters that --tune found, as JSON; empty: the defaults
    peaks: Peaks | None = None  # the CPU's
    stopped: str = ""  # why the run ended
    device_peaks: dict[str, Peaks] = {}  # those of other devices, by the device's name
    comparison: Comparison | None = None  # where two commits were compared
    # what earlier runs had told of the machine's speed when this one was estimated
    speed_history: History = History()
    host: str = ""  # a hash of its name, or what BENCH_HOST calls it
    packages: dict[str, str] = {}  # of the environment: name and version

    @property
    def peaks_by_device(self) -> dict[str, Peaks]:
        """All that are known, the CPU's among them."""
        return self.device_peaks | ({CPU: self.peaks} if self.peaks else {})


def read(path: Path) -> Machine:
    """The machine, each field checked. Raises BadInput, naming file and field."""
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise BadInput(f"{path} can't be read: it is no file, move it away")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Machine)
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        what, _, field = str(error).partition(" - at `$.")
        if not field:
            raise BadInput(f"{path}: not an object") from error
        raise BadInput(f"{path}, field {field.rstrip('`')}: {what}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON: {error}") from error


def dumps(machine: Machine) -> str:
    """The text of machine.json, in which every text is on one line and short."""
    content = msgspec.json.encode(_plain(msgspec.to_builtins(machine)))
    return msgspec.json.format(content, indent=2).decode() + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {text.short(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return text.short(value) if isinstance(value, str) else value
