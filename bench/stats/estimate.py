"""How a cell stands, and its time where it has one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.data.machine import CPU, Peaks
from bench.data.records import Status
from bench.plan.case import Case
from bench.stats import adjust
from bench.stats.cell_visits import CellVisits, case_of

IMPOSSIBLE = 1.25
"""A cell this many times above the machine's arithmetic peak didn't do its work."""

TURBO = 1.6
"""A CPU may run this many times as fast as the clock that it states: a virtual machine knows the
base clock alone, and the measured peak is low where NumPy's BLAS doesn't know the CPU."""

UNKNOWN = Peaks("", None, None, None)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A cell's visits, its status, and its time if it has one."""

    visits: CellVisits
    case: Case
    peaks: Peaks  # of its device
    status: Status
    reason: str
    time: adjust.Estimate | None


def estimate(
    visits: CellVisits, time: adjust.Estimate | None, peaks_by_device: Mapping[str, Peaks]
) -> Estimate:
    """A wrong answer in any visit, or a rate over 1.25 times the peak, removes the cell's time."""
    case = case_of(visits.last)
    peaks = peaks_by_device.get(visits.device, UNKNOWN)
    if (void := visits.void) is not None:
        return Estimate(visits, case, peaks, void.status, void.reason, None)
    if time is None:
        return Estimate(visits, case, peaks, visits.last.status, visits.last.reason, None)
    time = no_faster(time, visits, case, peaks)
    rate = case.flops / time.value
    peak = _peak(peaks, visits.device)
    if peak is not None and rate > IMPOSSIBLE * peak:
        reason = f"{rate:.3g} FLOP/s; this machine's arithmetic peak is {peak:.3g}"
        return Estimate(visits, case, peaks, "impossible", reason, None)
    return Estimate(visits, case, peaks, visits.last.status, visits.last.reason, time)


def no_faster(
    time: adjust.Estimate, visits: CellVisits, case: Case, peaks: Peaks
) -> adjust.Estimate:
    """The time, and its interval, as long as the CPU's multiply-adds in registers take at least.

    What is adjusted for a disturbed core may come out shorter where few visits were left alone. A
    block that was found shorter than that shows that the registers can do more.
    """
    if peaks.registers_flop_per_s is None or peaks.ceiling_flop_per_s is None:
        return time
    found = min(launches.fastest for launches in visits.measured.counted.values())
    least = min(found, case.flops / peaks.ceiling_flop_per_s)
    value, low, high = (max(seconds, least) for seconds in (time.value, time.low, time.high))
    return replace(time, value=value, low=low, high=high)


def _peak(peaks: Peaks, device: str) -> float | None:
    """FLOP/s that the device can hardly exceed; None if nothing is known of it."""
    theoretical = (peaks.theoretical_flop_per_s or 0.0) * (TURBO if device == CPU else 1.0)
    return max(peaks.ceiling_flop_per_s or 0.0, theoretical) or None
