"""What a history asks of a run's machine: which one it is, and what its times depend on."""

import hashlib
from datetime import datetime

from bench.data.machine import Machine

GIB = 2**30


def key(machine: Machine) -> str:
    """Of host and hardware: 12 hex digits. What is installed on it is none of it, so that a series
    goes on from one NumPy to the next.
    """
    hardware = (
        machine.host,
        machine.cpu.model,
        machine.cpu.cores_usable,
        round(machine.memory_bytes / GIB),  # another kernel keeps some more for itself
        [(gpu.name, gpu.uuid or gpu.bus) for gpu in machine.gpus.devices],
    )
    return _digest(hardware)


def lock(machine: Machine) -> str:
    """Of the packages and their versions: 12 hex digits; empty where they are not known."""
    return _digest(sorted(machine.packages.items())) if machine.packages else ""


def facts(machine: Machine) -> dict[str, str]:
    """What times may depend on beside the code and the hardware, in words."""
    cores = f"{machine.cpu.model}, {machine.cpu.cores_usable} cores"
    words = {
        "CPU": cores if machine.cpu.model else "",
        "OS": machine.os,
        "Python": machine.python,
        "NumPy": machine.numpy,
        "BLAS": ", ".join(f"{b.library} {b.version} {b.core_type}" for b in machine.blas),
        "driver's CUDA": machine.gpus.driver or "",
        "GPU library": machine.gpu_library,
        "governor": machine.cpu.governor or "",
        "variables": ", ".join(f"{name}={value}" for name, value in machine.overrides.items()),
    }
    return {name: value for name, value in words.items() if value}


def began_s(machine: Machine) -> float:
    """When a run began, in seconds since 1970; 0 where that is not known."""
    try:
        return datetime.fromisoformat(machine.started).timestamp()
    except ValueError:
        return 0.0


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]
