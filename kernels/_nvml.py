"""What NVIDIA's management library says of a device: clocks, temperature, power, throttling.

Asked through nvidia-ml-py (module `pynvml`), which loads libnvidia-ml.so.1 of the driver. It only
reads. A device is found by its PCI bus id: NVML's own numbers are not CUDA's. Where the module, the
library or one of the answers is missing, that is left out; a benchmark runs without.

Two names are old on purpose: `...ThrottleReasons` and `nvmlDeviceGetTemperature` are there in every
driver that CuPy 14 runs with, their successors in new ones only; the bits are the same (nvml.h). A
power reading is the mean of the last second on Ampere and newer, says NVML's documentation, so one
visit's watts are those of a few visits. Ran on an H100; its errors ran on a stub.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from kernels import DeviceState

REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "too warm, says the driver",
    0x40: "too warm, says the hardware",
    0x80: "power brake",
}
"""Bits of nvmlClocksEventReasons that mean a clock held back. The others don't: 0x01 is an idle
device, 0x02, 0x10 and 0x100 are clocks that somebody has set."""


WINDOW_S = 1.0
"""The driver samples what each process used some times a second: it is asked for the last second,
and no more often."""


class Monitor:
    """One device, read anew at each call of `state`."""

    def __init__(self, nvml: Any, bus: str) -> None:
        self._nvml = nvml
        self._device = nvml.nvmlDeviceGetHandleByPciBusId(bus)
        self._users: dict[int, float] | None = None
        self._asked_at = -WINDOW_S

    def state(self) -> DeviceState:
        nvml, device = self._nvml, self._device
        reasons = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, device)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, device)
        return DeviceState(
            mhz=self._ask(nvml.nvmlDeviceGetClockInfo, device, nvml.NVML_CLOCK_SM),
            memory_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, device, nvml.NVML_CLOCK_MEM),
            celsius=self._ask(nvml.nvmlDeviceGetTemperature, device, nvml.NVML_TEMPERATURE_GPU),
            watts=None if milliwatts is None else milliwatts / 1e3,
            throttled=tuple(word for bit, word in REASONS.items() if int(reasons or 0) & bit),
            users=self.users(),
        )

    def users(self) -> dict[int, float] | None:
        """The share of the device's time in the last second that each process used, by its number.

        None where the driver doesn't tell, and where this process isn't among those that it lists:
        in a container it may number them otherwise.
        """
        if time.monotonic() - self._asked_at < WINDOW_S:
            return self._users
        self._asked_at = time.monotonic()
        try:
            listed = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._device)
            since = int(1e6 * (time.time() - WINDOW_S))  # microseconds
            samples = self._nvml.nvmlDeviceGetProcessUtilization(self._device, since)
        except self._nvml.NVMLError:
            listed = samples = []
        known = os.getpid() in [process.pid for process in listed]
        # some drivers tell of processes that have ended, in numbers that are no shares
        used = {s.pid: s.smUtil / 100 for s in samples if s.smUtil <= 100}
        self._users = used if known else None
        return self._users

    def joules(self) -> float | None:
        """The board's energy since the driver was loaded; Volta and newer tell it."""
        millijoules = self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._device)
        return None if millijoules is None else millijoules / 1e3

    def _ask(self, question: Callable[..., int], *given: Any) -> float | None:
        """The answer; None where this card or its driver has none (a GeForce's power, a vGPU)."""
        try:
            return float(question(*given))
        except self._nvml.NVMLError:
            return None


def monitor(bus: str) -> Monitor | None:
    """The device at this PCI bus id ("0000:17:00.0"); None where NVML can't be asked of it."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return Monitor(pynvml, bus)
    except pynvml.NVMLError:
        return None
