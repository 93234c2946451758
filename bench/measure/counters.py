"""What was done to this machine or by it while a visit lasted, as the operating system tells it."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.worker import cgroups

PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True, slots=True)
class Conditions:
    """Seconds counted since some moment in the past; the difference of two readings is a stretch's.

    All are 0.0 where the system doesn't say.
    """

    steal: float  # CPU time that the hypervisor gave to others
    pressure: float  # time that some process waited for a core (Linux: pressure stall information)
    throttled: float  # time that the container was held back because its CPU quota was used up
    suspended: float  # time that the machine slept
    stepped: float  # what the wall clock was set forward by, beyond what passed

    def since(self, before: "Conditions") -> "Conditions":
        """What came to pass between the two readings."""
        return Conditions(
            self.steal - before.steal,
            self.pressure - before.pressure,
            self.throttled - before.throttled,
            self.suspended - before.suspended,
            self.stepped - before.stepped,
        )


def now() -> Conditions:
    """A reading."""
    awake = time.monotonic()
    asleep_too = getattr(time, "CLOCK_BOOTTIME", None)
    return Conditions(
        steal=float(getattr(psutil.cpu_times(), "steal", 0.0)),
        pressure=pressure(),
        throttled=cgroups.throttled_s(),
        suspended=time.clock_gettime(asleep_too) - awake if asleep_too is not None else 0.0,
        stepped=time.time() - awake,
    )


def pressure(path: Path = PRESSURE) -> float:
    """Seconds since the start that some process of this machine, ready to run, had no core."""
    try:
        some = path.read_text().splitlines()[0]
        return int(some.rpartition("total=")[2]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0
