"""What is known of devices between visits: when each worked last, and its clock under load.

A process of its own is behind each visit, and none of them knows what the others did to a GPU.
"""

import time
from typing import TypedDict

from bench.plan.cell import Cell
from bench.worker import messages


class Warmth(TypedDict):
    """The fields of messages.Open that say how warm a device is."""

    rested_s: float | None
    load_mhz: float | None


class DeviceMemory:
    """Of the devices that kernels were seen to compute on."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], str] = {}  # of the device that a kernel reached
        self._worked_at: dict[str, float] = {}  # when each device did so last, on our clock
        self._load_mhz: dict[Cell | str, float] = {}  # a cell's last clock, a device's highest one

    def worked(self, cell: Cell, device: str, state: messages.DeviceState | None = None) -> None:
        """The device has just worked on the cell; `state` is what it told meanwhile."""
        self._names[cell.kernel, cell.device] = device
        self._worked_at[device] = time.perf_counter()
        if state is not None and state.mhz is not None:
            highest = max(self._load_mhz.get(device, 0.0), state.mhz)
            self._load_mhz |= {cell: state.mhz, device: highest}

    def warmth(self, cell: Cell) -> Warmth:
        """How long the cell's device has not worked, and its clock when it worked on this cell
        last, or at most on any. None: not known.
        """
        device = self._names.get((cell.kernel, cell.device), "")
        worked_at = self._worked_at.get(device)
        return {
            "rested_s": None if worked_at is None else time.perf_counter() - worked_at,
            "load_mhz": self._load_mhz.get(cell, self._load_mhz.get(device)),
        }
