"""What NVML says of each GPU, by pynvml. It is asked and never told: nothing is set.

Devices are found by their PCI address: NVML numbers them otherwise than CUDA does, and doesn't
follow CUDA_VISIBLE_DEVICES. Written from pynvml's source and run on a double of it, not on a GPU.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from bench.doctor.seen import GpuState


class Nvml:
    """NVML, where it is there: `trouble` says why it isn't."""

    def __init__(self) -> None:
        self.trouble = ""
        self._nvml: Any = None
        try:
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
        except ModuleNotFoundError:
            self.trouble = "nvidia-ml-py is not installed"
        except Exception as error:  # noqa: BLE001 - NVMLError, or a library that can't be loaded
            self.trouble = str(error)

    def state(self, bus: str) -> GpuState | None:
        """What it says of the device at this PCI address; None where it doesn't know it."""
        if self._nvml is None:
            return None
        nvml, handle = self._nvml, self._handle(bus)
        if handle is None:
            return None
        used = self._told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        memory = self._told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        processes = self._told(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()
        return GpuState(
            bus=bus,
            busy=None if used is None else used / 100,
            others=tuple(p.pid for p in processes if p.pid != os.getpid()),
            free_bytes=None if memory is None else memory.free,
            total_bytes=None if memory is None else memory.total,
            temperature_c=self._told(
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            ),
            power_limit_w=self._watts(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle)),
            power_default_w=self._watts(
                lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
            ),
            compute_mode=self._told(lambda: nvml.nvmlDeviceGetComputeMode(handle)),
        )

    def reasons(self, bus: str) -> int:
        """What holds its clocks back at this moment, as bits; 0 where NVML doesn't say."""
        if self._nvml is None:
            return 0
        nvml, handle = self._nvml, self._handle(bus)
        if handle is None:
            return 0
        found = self._told(lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
        if found is None:  # a driver before 535 has it by its older name
            found = self._told(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return found or 0

    def close(self) -> None:
        if self._nvml is not None:
            self._told(self._nvml.nvmlShutdown)

    def _handle(self, bus: str) -> Any:
        return self._told(lambda: self._nvml.nvmlDeviceGetHandleByPciBusId(bus.encode()))

    def _told(self, ask: Callable[[], Any]) -> Any:
        """The answer, or None where this GPU or driver hasn't got one."""
        try:
            return ask()
        except self._nvml.NVMLError:
            return None

    def _watts(self, ask: Callable[[], Any]) -> float | None:
        milliwatts = self._told(ask)
        return None if milliwatts is None else milliwatts / 1000


def with_reasons(state: GpuState, seen: Iterable[int]) -> GpuState:
    """The state with every reason that was seen at any moment."""
    reasons = state.reasons
    for each in seen:
        reasons |= each
    return replace(state, reasons=reasons)
