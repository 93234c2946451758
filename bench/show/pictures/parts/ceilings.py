"""What the machine could do: the ceilings that charts draw."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.data.machine import Machine
from bench.show.pictures.parts.picture import Guide


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Of one device at one precision. What is unknown is None."""

    device: str  # its own name; "cpu"
    flop_per_s: float | None = None  # measured, with a large matmul
    bytes_per_s: float | None = None  # measured, with a large copy
    stated_flop_per_s: float | None = (
        None  # what its data sheet, or its flags and clock, would give
    )

    @property
    def short(self) -> str:
        """As a label says it: without its number and its place on the bus."""
        if self.device == "cpu":
            return "CPU"
        return self.device.split(" at ")[0].split(" ", 1)[-1]

    @property
    def label(self) -> str:
        """What is at the end of its line, in lines as wide as the names of most kernels."""
        words = (
            "NumPy's best product here" if self.device == "cpu" else f"best product on {self.short}"
        )
        return textwrap.fill(words, 18)

    @property
    def best(self) -> str:
        """What the measured rate is, in words: on a CPU NumPy's, on a device its own library's."""
        return (
            "NumPy's best product" if self.device == "cpu" else f"the best product on the {self.short}"
        )

    @property
    def ridge(self) -> float | None:
        """FLOPs a byte from which on arithmetic is the limit, not memory."""
        known = self.flop_per_s and self.bytes_per_s
        return self.flop_per_s / self.bytes_per_s if known else None  # type: ignore[operator]


def of(machine: Machine, rows: pd.DataFrame) -> list[Ceiling]:
    """The ceilings of the devices that these cells ran on, the CPU's first."""
    devices = sorted({str(name) for name in rows["device"]} - {""}, key=lambda d: (d != "cpu", d))
    precisions = set(rows["precision"])
    return [_of(machine, device, precisions) for device in devices]


def _of(machine: Machine, device: str, precisions: set[str]) -> Ceiling:
    """A device's, where it was measured at the one precision that is shown."""
    peaks = machine.peaks_by_device.get(device)
    if not peaks or precisions != {peaks.precision}:
        return Ceiling(device)
    measured = peaks.measured_flop_per_s, peaks.measured_bytes_per_s
    return Ceiling(device, *measured, peaks.theoretical_flop_per_s)


def guides(machine: Machine, rows: pd.DataFrame, widths: Sequence[int]) -> list[Guide]:
    """A level line a ceiling that is known, from before the first width to after the last."""
    ceilings = of(machine, rows)
    ends = [widths[0] / math.sqrt(2), widths[-1] * math.sqrt(2)]
    return [Guide(c.label, ends, [rate] * 2) for c in ceilings if (rate := c.flop_per_s)]


def unknown(machine: Machine, rows: pd.DataFrame) -> list[str]:
    """A phrase for each device that has none."""
    return [f"ceiling of {c.short}: not measured" for c in of(machine, rows) if not c.flop_per_s]
