"""What the machine could do: the ceilings that charts draw."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.data.machine import Level, Machine
from bench.show.pictures.parts.looks import DOTTED, Dash
from bench.show.pictures.parts.picture import BROKEN, Guide

PRODUCT = "NumPy's best\nproduct here"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Of one device at one precision. What is unknown is None."""

    device: str  # its own name; "cpu"
    flop_per_s: float | None = None  # measured: the most, in a large matmul or in registers
    bytes_per_s: float | None = None  # measured, without the help of a cache
    stated_flop_per_s: float | None = (
        None  # what its data sheet, or its flags and clock, would give
    )
    product_flop_per_s: float | None = None  # of NumPy's large matmul, where it is not the most
    levels: tuple[Level, ...] = ()  # of a CPU's memory, the nearest first
    lacking: str = ""  # why the CPU's registers, and maybe its levels, are not known
    registers: bool = False  # they are known
    by: str = ""  # with which instruction, where the precision alone doesn't say that

    @property
    def short(self) -> str:
        """As a label says it: without its number and its place on the bus."""
        if self.device == "cpu":
            return "CPU"
        return self.device.split(" at ")[0].split(" ", 1)[-1]

    @property
    def label(self) -> str:
        """What is at the end of its line, in lines as wide as the names of most kernels."""
        words = f"{self.best} here" if self.device == "cpu" else f"best product on {self.short}"
        words += f" ({self.by})" if self.by else ""
        return textwrap.fill(words, 18)

    @property
    def best(self) -> str:
        """What the measured rate is, in words: a CPU's own or NumPy's, a device's library's."""
        if self.registers:
            return "the CPU's peak"
        if self.device == "cpu":
            return "NumPy's best product"
        return f"the best product on the {self.short}"

    @property
    def guides(self) -> list[tuple[str, float, Dash]]:
        """Its level lines: what is said of each, its rate and its dash."""
        most = [(self.label, self.flop_per_s, BROKEN)] if self.flop_per_s else []
        if not self.product_flop_per_s:
            return most
        return [*most, (PRODUCT, self.product_flop_per_s, DOTTED)]

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
    registers = peaks.registers_flop_per_s is not None
    return Ceiling(
        device,
        peaks.ceiling_flop_per_s,
        peaks.memory_bytes_per_s,
        None if registers else peaks.theoretical_flop_per_s,
        peaks.measured_flop_per_s if registers else None,
        peaks.levels,
        peaks.lacking,
        registers,
        peaks.registers_by,
    )


def guides(machine: Machine, rows: pd.DataFrame, widths: Sequence[int]) -> list[Guide]:
    """A level line a ceiling that is known, from before the first width to after the last."""
    ends = [widths[0] / math.sqrt(2), widths[-1] * math.sqrt(2)]
    return [
        Guide(text, ends, [rate] * 2, dash)
        for ceiling in of(machine, rows)
        for text, rate, dash in ceiling.guides
    ]


def unknown(machine: Machine, rows: pd.DataFrame) -> list[str]:
    """A phrase for each device that has none, or not all of it."""
    phrases = []
    for ceiling in of(machine, rows):
        what = "multiply-adds and memory's levels" if ceiling.flop_per_s else "ceiling"
        why = f" ({ceiling.lacking})" if ceiling.lacking else ""
        if why or not ceiling.flop_per_s:
            phrases.append(f"{what} of {ceiling.short}: not measured{why}")
    return phrases
