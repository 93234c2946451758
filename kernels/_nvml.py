"""What NVIDIA's management library says of a device: clocks, temperature, power, throttling.

Asked through nvidia-ml-py (module `pynvml`), which loads libnvidia-ml.so.1 of the driver. It only
reads. A device is found by its PCI bus id: NVML's own numbers are not CUDA's. Where the module, the
library or one of the answers is missing, that is left out; a benchmark runs without.

Two names are old on purpose: `...ThrottleReasons` and `nvmlDeviceGetTemperature` are there in every
driver that CuPy 14 runs with, their successors in new ones only; the bits are the same (nvml.h). A
power reading is the mean of the last second on Ampere and newer, says NVML's documentation, so one
visit's watts are those of a few visits. Ran on an H100; its errors ran on a stub.
"""

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


class Monitor:
    """One device, read anew at each call of `state`."""

    def __init__(self, nvml: Any, bus: str) -> None:
        self._nvml = nvml
        self._device = nvml.nvmlDeviceGetHandleByPciBusId(bus)

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
        )

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
