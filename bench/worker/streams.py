"""Devices with more than one stream, and all that may be on them beside the work that is timed.

`kernels.Streamed` is named in types alone: a side of a comparison may be older than it.
"""

from typing import Any, TypeGuard

import kernels


def is_streamed(device: object) -> TypeGuard["kernels.Streamed"]:
    """Whether a device can be drained and put right; never one of an older commit's kernels."""
    return isinstance(device, getattr(kernels, "Streamed", ()))


def fence_all(device: kernels.Device, out: Any) -> None:
    """Return when the device has nothing left to do, whichever way the work went.

    The device's own fence is part of the kernel's times; what it doesn't wait for shows here.
    """
    device.fence(out)
    if is_streamed(device):
        device.drain(out)
