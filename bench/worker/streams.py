"""What can be asked of a device: whose clock is it, is all of a launch done, what else is on it?

`kernels.Streamed` is named in types alone: a side of a comparison may be older than it.
"""

from typing import Any, TypeGuard

import kernels

_FENCE, _MARK, _SECONDS = kernels.Host.fence, kernels.Host.mark, kernels.Host.seconds
"""Held from before kernels are imported: one may put something else in their places."""


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


def waits_for_nothing(device: kernels.Device) -> bool:
    """Whether a launch shall return with its work done: the device has no fence but Host's."""
    return getattr(device.fence, "__func__", None) is _FENCE


def is_eager(device: kernels.Device) -> bool:
    """Whether the work of a launch gets done though nobody asks for its output.

    So it is where a launch returns with its work done, on a device with a stream of its own, and
    where the device says it. Anything else may be a lazy library, which computes what is looked at.
    """
    return waits_for_nothing(device) or getattr(device, "eager", is_streamed(device)) is True


def has_own_clock(device: kernels.Device) -> bool:
    """Whether a device's time is another than kernels.Host's."""
    methods = (device.mark, device.seconds)
    return [getattr(method, "__func__", None) for method in methods] != [_MARK, _SECONDS]
