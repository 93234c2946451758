"""What each of a run's devices can do, as machine.json has it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Peaks:
    """Ceilings of one device, the CPU's of all threads together; None for what isn't known.

    `theoretical` is what its units and the clock rate that it states would give (a CPU's vector
    flags, a GPU's multiprocessors); its true clock may be higher, or lower under load.
    """

    precision: str
    measured_flop_per_s: float | None
    measured_bytes_per_s: float | None
    theoretical_flop_per_s: float | None
    theoretical_bytes_per_s: float | None = None

    @property
    def flop_per_s(self) -> float | None:
        """The larger of the measured and the stated ceiling of arithmetic."""
        known = (self.measured_flop_per_s or 0.0, self.theoretical_flop_per_s or 0.0)
        return max(known) or None


CPU = "cpu"
"""The CPU's name as a device, as `kernels.Host` has it."""


def of(machine: Mapping[str, Any]) -> dict[str, Peaks]:
    """Each device's ceilings by the device's name, from machine.json's facts."""
    found = dict(machine.get("device_peaks") or {})
    if machine.get("peaks"):
        found[CPU] = machine["peaks"]
    names = [field.name for field in fields(Peaks)]
    return {device: Peaks(*map(its.get, names)) for device, its in found.items()}


def ceiling(machine: Mapping[str, Any], device: str = CPU) -> float | None:
    """The larger of a device's measured and stated ceiling, in FLOP/s; None if neither is known."""
    its = of(machine).get(device)
    return its.flop_per_s if its else None
