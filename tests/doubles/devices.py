"""A simulated device with an exact clock, for tests: nothing sleeps, and the truth is known.

Time is a whole number of ticks of a nanosecond. The host launches in `launch_ticks` and goes on;
the device works `work_ticks` a launch, one launch after the other, and a result is there (until
then it is NaN) once the device has come to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kernels
from kernels import Layer, Step

TICK = 1e-9


class HostClock:
    """The host's clock: moves only when something takes time."""

    def __init__(self) -> None:
        self.ticks = 0

    def __call__(self) -> float:
        return self.ticks * TICK

    def sleep(self, seconds: float) -> None:
        self.ticks += round(seconds / TICK)


@dataclass(slots=True)
class Pending:
    """An output that is computed, as far as the device has come."""

    values: NDArray[Any]
    done_at: int


class SimulatedDevice:
    """Asynchronous, with events: a mark is a point in the device's own queue."""

    name = "simulated:0"
    warm_s = 0.0
    eager = True

    def __init__(self, clock: HostClock, work_ticks: int, launch_ticks: int) -> None:
        self.clock = clock
        self.work_ticks = work_ticks
        self.launch_ticks = launch_ticks
        self.busy_until = 0
        self.flushes = 0

    def launch(self, values: NDArray[Any]) -> Pending:
        self.clock.ticks += self.launch_ticks
        self.busy_until = max(self.busy_until, self.clock.ticks) + self.work_ticks
        return Pending(values, self.busy_until)

    def read(self, out: Pending) -> NDArray[Any]:
        """What the memory holds now: a transfer that does not wait for the work."""
        done = out.done_at <= self.clock.ticks
        return out.values if done else np.full_like(out.values, np.nan)

    def mark(self, out: Any) -> int:
        return max(self.busy_until, self.clock.ticks)

    def seconds(self, start: int, stop: int) -> float:
        self.clock.ticks = max(self.clock.ticks, stop)
        return (stop - start) * TICK

    def fence(self, out: Any) -> None:
        self.clock.ticks = max(self.clock.ticks, self.busy_until)

    def free_bytes(self) -> int:
        return 2**30

    def release(self) -> None:
        pass

    def flush(self) -> None:
        self.flushes += 1
        self.busy_until = max(self.busy_until, self.clock.ticks) + 1_000_000


class Board(SimulatedDevice):
    """The same with memory of its own, and a driver that tells its state and its ceilings.

    Its products make 1e12 operations a second and its copies 1e11 bytes, whatever the precision.
    """

    name = "board:0 Simulated at 0000:17:00.0"

    def __init__(self, clock: HostClock, work_ticks: int, launch_ticks: int) -> None:
        super().__init__(clock, work_ticks, launch_ticks)
        self.free = 2**30
        self.look_ticks = 0
        self.looks: list[bool] = []  # whether there was work left, each time that somebody looked
        self.held_back: tuple[str, ...] = ()
        self.mhz: Callable[[float], float | None] = lambda _: 1500.0  # by seconds of work done
        self.users: dict[int, float] | None = None
        self.launches = 0
        self.stated_rates = kernels.Rates(2e12, None)

    def free_bytes(self) -> int:
        return self.free

    def state(self) -> kernels.DeviceState | None:
        self.clock.ticks += self.look_ticks
        self.looks.append(self.busy_until > self.clock.ticks)
        mhz = self.mhz(self.launches * self.work_ticks * TICK)
        return kernels.DeviceState(mhz, 900.0, 61.0, 250.5, self.held_back, self.users)

    def launch(self, values: NDArray[Any]) -> Pending:
        self.launches += 1
        return super().launch(values)

    def stated(self, precision: str) -> kernels.Rates:
        return self.stated_rates

    def product(self, n: int, precision: str) -> Step:
        return self._work(3 * n * n * 4, 2 * n**3 / 1e12)

    def copy(self, size: int) -> Step:
        return self._work(size, size / 1e11)

    def _work(self, needed: int, seconds: float) -> Step:
        if needed > self.free:
            raise MemoryError("no room")

        def launch(_: Any) -> None:
            self.clock.ticks += self.launch_ticks
            self.busy_until = max(self.busy_until, self.clock.ticks) + round(seconds / TICK)

        return Step(launch, device=self)


class UnfencedDevice(SimulatedDevice):
    """The same, whose fence returns at once."""

    def fence(self, out: Any) -> None:
        pass


def step_on(device: SimulatedDevice) -> Step:
    """A step whose launches take the device's ticks, and hand over what they are given."""
    return Step(device.launch, fetch=device.read, device=device)


def prepare_on(device: SimulatedDevice) -> Callable[..., Step]:
    """The `prepare` of a relu kernel on the simulated device."""

    def prepare(layer: Layer, batch: int, device_index: int = 0) -> Step:
        def launch(A_in: NDArray[Any]) -> Pending:
            return device.launch(np.maximum(A_in @ layer.W + layer.b, 0))

        return Step(launch, send=np.copy, fetch=device.read, device=device)

    return prepare
