"""A device's ceilings, measured on it: the largest rates of a large product and a large copy.

For devices that offer both (`kernels.Rated`); the CPU's are taken by `bench.machine.peak_rates`, in
a process of their own. The clock and the warm-up are those of a kernel's times. The matrices hold
ones, as the CPU's do: some GPUs need less power for them than for random numbers and keep a higher
clock, so that a kernel stays a little below.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.worker import timing

if TYPE_CHECKING:
    from kernels import Rated, Rates, Step

SIZES = (1024, 2048, 4096, 8192)
"""Square products; how far up is a question of the device's speed and memory."""

LONG_S = 0.01
"""A product that takes longer than this has enough to do: a larger one would not be faster, and
would take eight times as long."""

COPY_BYTES = 2**30
"""A copy this large fits no cache (the largest, a B200's, holds 126 MB)."""

TAKE_S = 0.1
"""About how long the blocks of one rate last together."""


def measure(
    device: Rated, precision: str, clock: timing.Clock
) -> tuple[float | None, float | None]:
    """FLOP/s and bytes/s; None for what the device has no room for."""
    products: list[float] = []
    copies: list[float] = []
    try:
        size = min(COPY_BYTES, device.free_bytes() // 4)
        copies.append(size / _seconds(device.copy(size), clock, timing.UNKNOWN))
        for n in SIZES:
            seconds = _seconds(device.product(n, precision), clock, JUST_WORKED)
            products.append(2 * n**3 / seconds)
            if seconds > LONG_S:
                break
    except MemoryError:
        pass  # others may use the device
    return max(products, default=None), max(copies, default=None)


def believed(
    measured: tuple[float | None, float | None], stated: Rates
) -> tuple[float | None, float | None]:
    """FLOP/s and bytes/s; None for a rate above what the device's units and clocks can do.

    Work that went past the device's own stream is not in its events: so a product in float32 was
    once measured at 419 TFLOP/s on an H100, whose units do 66.9.
    """
    flop_per_s, bytes_per_s = (
        None if rate is None or rate > (most or math.inf) else rate
        for rate, most in zip(measured, (stated.flop_per_s, stated.bytes_per_s), strict=True)
    )
    return flop_per_s, bytes_per_s


JUST_WORKED = timing.Rest(seconds=0.0)


def _seconds(step: Step, clock: timing.Clock, rest: timing.Rest) -> float:
    """The shortest time of one launch, pipelined, once the device is warm."""
    loops, _ = timing.find_loops(step, None, 1, math.inf)
    launch_s = timing.warm_up(step, None, loops, clock, rest)
    count = min(max(round(TAKE_S / (loops * launch_s)), 1), 10)
    times, _ = timing.blocks(step, None, loops, count, lead=True)
    return min(launch_s, *times)
