"""The NVIDIA driver and its devices, asked of the driver's own library through ctypes.

Nothing is parsed from nvidia-smi, whose words change between versions, and nothing but the standard
library is imported: it is asked while the environment is still being made. Written from the CUDA
driver API's header (cuda.h); run against a stub of the driver (tests/doubles/stub_cuda.c), not on a
GPU.
"""

import ctypes
import json
import sys
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from bench.machine import isolated

LIBRARIES = ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
"""Where the dynamic linker finds it, and where WSL has it."""

ABSENT = "no NVIDIA driver (libcuda.so.1)"

NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE, and cudaErrorNoDevice of the runtime."""

NAMES = {
    3: "CUDA_ERROR_NOT_INITIALIZED",
    34: "CUDA_ERROR_STUB_LIBRARY",
    NO_DEVICE: "CUDA_ERROR_NO_DEVICE",
    802: "CUDA_ERROR_SYSTEM_NOT_READY",
    803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    999: "CUDA_ERROR_UNKNOWN",
}
"""Errors whose names a driver in trouble may not be able to tell (cuda.h)."""

ATTRIBUTES = {
    "clock_hz": (13, 1000),  # kHz in the driver
    "multiprocessors": (16, 1),
    "memory_clock_hz": (36, 1000),
    "memory_bus_bits": (37, 1),
    "l2_bytes": (38, 1),
}
"""Field of Device -> CUdevice_attribute, and what its unit has to be multiplied by."""

COMPUTE_MAJOR, COMPUTE_MINOR = 75, 76


@dataclass(frozen=True, slots=True)
class Device:
    """A device, by the index that CUDA programs here know it by. None: the driver doesn't say."""

    index: int
    name: str
    bus: str  # its PCI address, like "0000:17:00.0": the only name that NVML and CUDA share
    compute: str  # its compute capability, like "9.0"
    memory_bytes: int | None = None
    clock_hz: int | None = None
    multiprocessors: int | None = None
    memory_clock_hz: int | None = None
    memory_bus_bits: int | None = None
    l2_bytes: int | None = None
    uuid: str = ""  # like "GPU-3f2a...": the same in whichever slot and host; empty: not told

    @property
    def capability(self) -> tuple[int, int]:
        """9.0 as (9, 0), which compares as it should."""
        major, _, minor = self.compute.partition(".")
        return int(major), int(minor)


@dataclass(frozen=True, slots=True)
class Driver:
    """What the driver says. `version` is CUDA's number for what it can do, 12080 for 12.8."""

    version: int | None = None
    devices: tuple[Device, ...] = ()
    status: int = 0  # of the call that failed, a CUresult
    trouble: str = ""  # why there are no devices

    @property
    def release(self) -> str | None:
        """The version for people: "12.8"."""
        return release(self.version) if self.version is not None else None


class Failed(Exception):
    """A call of the driver's library: its CUresult, and what that means."""

    def __init__(self, call: str, status: int, name: str) -> None:
        super().__init__(f"{call}: CUDA error {status}, {name}")
        self.status = status


def release(version: int) -> str:
    """12080 -> "12.8"."""
    return f"{version // 1000}.{version % 1000 // 10}"


def ask(timeout_s: float = 60.0) -> Driver:
    """Ask in a process of its own: a driver that crashes or hangs takes nothing with it, and this
    process holds no GPU. Raises nothing: what goes wrong is the record's trouble.
    """
    ended = isolated.run([sys.executable, "-m", "bench.machine.driver"], timeout_s)
    if ended.code is None:
        return Driver(trouble=f"the NVIDIA driver gave no answer in {timeout_s:g} s")
    try:
        found = json.loads(ended.out)
    except ValueError:
        return Driver(trouble=f"the NVIDIA driver, asked for its devices, {ended.how}")
    return Driver(**found | {"devices": tuple(Device(**device) for device in found["devices"])})


def ask_here() -> Driver:
    """Load the driver's library into this process and ask."""
    try:
        cuda = _load()
    except FileNotFoundError:
        return Driver(trouble=ABSENT)
    except OSError as error:
        return Driver(trouble=f"the NVIDIA driver's library can't be loaded: {error}")
    version: int | None = None
    try:
        version = _version(cuda)
        _call(cuda, "cuInit", 0)
        count = ctypes.c_int()
        _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
        if count.value == 0:
            return Driver(version, status=NO_DEVICE, trouble="the NVIDIA driver has no device")
        return Driver(version, tuple(_device(cuda, index) for index in range(count.value)))
    except Failed as failed:
        return Driver(version, status=failed.status, trouble=str(failed))


def record(found: Driver) -> dict[str, Any]:
    """For machine.json: {"driver": "12.8" or None, "version": 12080, "devices": [...], ...}."""
    return {"driver": found.release, **asdict(found), "devices": [asdict(d) for d in found.devices]}


def _load() -> ctypes.CDLL:
    """Raises FileNotFoundError where there is none, OSError where it can't be loaded."""
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            if "no such file" not in str(error).lower():  # macOS says it in small letters
                raise
    raise FileNotFoundError


def _version(cuda: ctypes.CDLL) -> int:
    version = ctypes.c_int()
    _call(cuda, "cuDriverGetVersion", ctypes.byref(version))
    return version.value


def _device(cuda: ctypes.CDLL, index: int) -> Device:
    device = ctypes.c_int()
    _call(cuda, "cuDeviceGet", ctypes.byref(device), index)
    name, bus = ctypes.create_string_buffer(256), ctypes.create_string_buffer(32)
    _call(cuda, "cuDeviceGetName", name, len(name), device)
    _call(cuda, "cuDeviceGetPCIBusId", bus, len(bus), device)
    major = _attribute(cuda, COMPUTE_MAJOR, device)
    minor = _attribute(cuda, COMPUTE_MINOR, device)
    return Device(
        index=index,
        name=name.value.decode(errors="replace"),
        bus=bus.value.decode(errors="replace"),
        compute=f"{major}.{minor}",
        memory_bytes=_memory(cuda, device),
        uuid=_uuid(cuda, device),
        **{
            field: _perhaps(cuda, which, factor, device)
            for field, (which, factor) in ATTRIBUTES.items()
        },
    )


def _uuid(cuda: ctypes.CDLL, device: ctypes.c_int) -> str:
    """As nvidia-smi -L says it."""
    raw = (ctypes.c_ubyte * 16)()
    try:
        _call(cuda, "cuDeviceGetUuid", ctypes.byref(raw), device)
    except Failed:
        return ""
    return f"GPU-{uuid.UUID(bytes=bytes(raw))}"


def _memory(cuda: ctypes.CDLL, device: ctypes.c_int) -> int | None:
    total = ctypes.c_size_t()
    try:
        _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(total), device)
    except Failed:
        return None
    return total.value


def _perhaps(cuda: ctypes.CDLL, which: int, factor: int, device: ctypes.c_int) -> int | None:
    """An attribute that a driver may not tell, or not for this device (it says 0 then)."""
    try:
        return _attribute(cuda, which, device) * factor or None
    except Failed:
        return None


def _attribute(cuda: ctypes.CDLL, which: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), which, device)
    return value.value


def _call(cuda: ctypes.CDLL, name: str, *arguments: Any) -> None:
    try:
        function = getattr(cuda, name)
    except AttributeError:
        raise Failed(name, 500, "not in this driver") from None
    if status := function(*arguments):
        raise Failed(name, status, _name(cuda, status))


def _name(cuda: ctypes.CDLL, status: int) -> str:
    """A CUresult's name, as the driver has it, or else cuda.h."""
    told = ctypes.c_char_p()
    try:
        unknown = cuda.cuGetErrorName(status, ctypes.byref(told))
    except AttributeError:
        unknown = 1
    if unknown or not told.value:
        return NAMES.get(status, "which has no name here")
    return told.value.decode(errors="replace")


if __name__ == "__main__":
    print(json.dumps(asdict(ask_here())))  # noqa: T201 - for `ask`
