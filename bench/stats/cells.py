"""A run's visits -> the rows of cells.csv."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from bench.data.machine import CPU, Peaks
from bench.data.records import CellRow
from bench.stats.cell_visits import CellVisits
from bench.stats.estimate import Estimate, estimate
from bench.stats.interval import Interval
from bench.stats.speedup import BASELINE, speedup

LAUNCH_BOUND = 0.8
"""From this share of its time on, the host's launch is what a cell on a device consists of. Below
1, because a launch by itself may be found quicker than one of many that follow each other."""

FENCE, FENCE_S = 0.02, 1e-6
"""A fence that takes less than this share of a latency, or less than these seconds, had nothing to
wait for: the launch had returned with the work done."""


def rows(cells: Iterable[CellVisits], peaks_by_device: Mapping[str, Peaks]) -> list[CellRow]:
    """One row a cell, by layer, batch and kernel."""
    estimates = [estimate(visits, peaks_by_device) for visits in cells]
    loops = [e for e in estimates if e.visits.last.kernel == BASELINE and e.time is not None]
    return sorted(
        (_row(cell, loops) for cell in estimates),
        key=lambda row: (row.n_in, row.n_units, row.batch, row.kernel),
    )


def _row(cell: Estimate, loops: Sequence[Estimate]) -> CellRow:
    visits, case, peaks, time = cell.visits, cell.case, cell.peaks, cell.time
    last = visits.last
    counted = visits.good if time else {}
    ratio, basis = speedup(cell, loops)

    def over_counted(numbers: Mapping[int, float]) -> float | None:
        return _middle(numbers.get(p) for p in counted)

    seconds = {quantity: over_counted(by_pass) for quantity, by_pass in visits.seconds.items()}

    def share(rate: float | None) -> float | None:
        return 100 * case.flops / time.value / rate if time and rate else None

    good = [v for v in visits.visits if v.status == "ok" and v.pass_number in counted]
    known_time = time if time and time.known else None
    known_ratio = ratio if ratio and ratio.known else None
    return CellRow(
        kernel=last.kernel,
        kernel_hash=next((v.kernel_hash for v in visits.visits if v.kernel_hash), ""),
        n_in=case.n_in,
        n_units=case.n_units,
        batch=case.batch,
        precision=case.precision,
        activation=case.activation,
        device_index=last.device_index,
        device=visits.device,
        threads=last.threads,
        cache=last.cache,
        status=cell.status,
        reason=cell.reason,
        visits=len(counted),
        disturbed=len(visits.times) - len(counted) if time else 0,
        time_s=time.value if time else None,
        time_low_s=known_time.low if known_time else None,
        time_high_s=known_time.high if known_time else None,
        median_s=median(median(visits.blocks[p]) for p in counted) if time else None,
        best_s=min(map(min, visits.blocks.values())) if time else None,
        cores_busy=over_counted(visits.cores_busy),
        latency_s=seconds.get("latency"),
        launch_s=seconds.get("launch"),
        send_s=seconds.get("send"),
        fetch_s=seconds.get("fetch"),
        end_to_end_s=seconds.get("end_to_end"),
        flops=case.flops,
        bytes=case.bytes,
        flop_per_s=case.flops / time.value if time else None,
        flop_per_s_low=case.flops / known_time.high if known_time else None,
        flop_per_s_high=case.flops / known_time.low if known_time else None,
        percent_of_peak=share(peaks.flop_per_s),
        speedup=ratio.value if ratio else None,
        speedup_low=known_ratio.low if known_ratio else None,
        speedup_high=known_ratio.high if known_ratio else None,
        speedup_basis=basis,
        predicted_s=last.predicted_s,
        error=max((v.error for v in visits.visits if v.error is not None), default=None),
        percent_of_measured=share(peaks.measured_flop_per_s),
        percent_of_stated=share(peaks.theoretical_flop_per_s),
        launch_bound=_launch_bound(
            visits.device, time, seconds.get("launch"), seconds.get("latency")
        ),
        device_mhz=_middle(v.device_mhz for v in good),
        device_celsius=_middle(v.device_celsius for v in good),
        device_watts=_middle(v.device_watts for v in good),
        throttled=sum(v.device_throttled != () for v in good),
        layer=case.layer,
    )


def _middle(numbers: Iterable[float | None]) -> float | None:
    """The median of those that are known."""
    known = [number for number in numbers if number is not None]
    return median(known) if known else None


def _launch_bound(
    device: str, time: Interval | None, launch_s: float | None, latency_s: float | None
) -> str:
    """Whether the time is that of the host, which queues launches, and not the device's.

    Pipelined launches take as long as the slower of the two. A launch that lasts as long as its
    latency has done the work itself, as a CPU's always does: it has nothing to queue.
    """
    if time is None:
        return ""
    if device == CPU:
        return "no"
    if launch_s is None or latency_s is None:
        return ""
    if latency_s - launch_s < max(FENCE * latency_s, FENCE_S):
        return "no"
    return "yes" if launch_s >= LAUNCH_BOUND * time.value else "no"
