"""A run's visits and times -> the rows of cells.csv."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as changed
from statistics import median

from msgspec.structs import replace

from bench.data.machine import CPU, Peaks
from bench.data.records import CellRow, Count, Quantity
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import adjust
from bench.stats.cell_visits import CellVisits
from bench.stats.estimate import Estimate, estimate
from bench.stats.speedup import BASELINE, speedup
from bench.stats.times import launch_bound

Counted = tuple[str, Case]
"""A kernel and its case: what a count of instructions is of."""


def rows(
    by_cell: Mapping[Cell, CellVisits],
    times: Mapping[Cell, adjust.Estimate],
    peaks_by_device: Mapping[str, Peaks],
    instructions: Mapping[Counted, float] | None = None,
) -> list[CellRow]:
    """One row a cell, by layer, batch and kernel. `instructions`: those of a launch (`counted`)."""
    estimates = [
        estimate(visits, times.get(cell), peaks_by_device) for cell, visits in by_cell.items()
    ]
    reached = _reached(estimates)
    estimates = [_at_least(cell, reached.get(cell.visits.device, 0.0)) for cell in estimates]
    loops = [cell for cell in estimates if cell.visits.last.kernel == BASELINE]
    return sorted(
        (_row(cell, loops, instructions or {}) for cell in estimates),
        key=lambda row: (row.n_in, row.n_units, row.batch, row.kernel),
    )


def _reached(estimates: Iterable[Estimate]) -> dict[str, float]:
    """The highest rate that a cell of the run reached on each device, in FLOP/s."""
    reached: dict[str, float] = {}
    for cell in estimates:
        if cell.time is not None:
            rate = cell.case.flops / cell.time.value
            reached[cell.visits.device] = max(rate, reached.get(cell.visits.device, 0.0))
    return reached


def _at_least(cell: Estimate, rate: float) -> Estimate:
    """The cell, its device's ceiling no lower than what a cell of this run has reached."""
    ceiling = cell.peaks.ceiling_flop_per_s
    if ceiling is None or ceiling >= rate:
        return cell
    return changed(cell, peaks=replace(cell.peaks, measured_flop_per_s=rate))


def counted(counts: Iterable[Count]) -> dict[Counted, float]:
    """The instructions of a launch, by kernel and case: the median of the processes' counts."""
    numbers: dict[Counted, list[float]] = {}
    for row in counts:
        if row.instructions is not None:
            case = Case(row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer)
            numbers.setdefault((row.kernel, case), []).append(row.instructions)
    return {cell: median(each) for cell, each in numbers.items()}


def _row(
    cell: Estimate, loops: Sequence[Estimate], instructions: Mapping[Counted, float]
) -> CellRow:
    visits, case, peaks, time = cell.visits, cell.case, cell.peaks, cell.time
    last, measured = visits.last, visits.measured
    ratio, basis = speedup(cell, loops)

    def share(rate: float | None) -> float | None:
        return 100 * case.flops / time.value / rate if time and rate else None

    def trip_s(quantity: Quantity) -> float | None:
        return measured.trip_s(quantity) if time else None

    behind = visits.counted if time else []
    executed = instructions.get((last.kernel, case)) if visits.device == CPU and time else None
    launches = list(measured.counted.values()) if time else []
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
        visits=len(behind),
        disturbed=visits.set_aside.total(),
        time_s=time.value if time else None,
        time_low_s=known_time.low if known_time else None,
        time_high_s=known_time.high if known_time else None,
        median_s=_middle(median(its.seconds) for its in launches),
        best_s=min((its.fastest for its in launches), default=None),
        cores_busy=_middle(v.cores_busy for v in behind),
        latency_s=trip_s("latency"),
        launch_s=trip_s("launch"),
        send_s=trip_s("send"),
        fetch_s=trip_s("fetch"),
        end_to_end_s=trip_s("end_to_end"),
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
        percent_of_measured=share(peaks.ceiling_flop_per_s),
        percent_of_stated=share(peaks.theoretical_flop_per_s),
        launch_bound=launch_bound(measured) if time else "",
        device_mhz=_middle(v.device_mhz for v in behind),
        device_celsius=_middle(v.device_celsius for v in behind),
        device_watts=_middle(v.device_watts for v in behind),
        throttled=sum(v.device_throttled != () for v in behind),
        layer=case.layer,
        as_found_s=time.as_found if time else None,
        as_found_ratio=time.factor if time else None,
        probe_slope=time.slope if time else None,
        waited=visits.waited if time else 0,
        instructions=executed,
        instructions_per_flop=executed / case.flops if executed else None,
    )


def _middle(numbers: Iterable[float | None]) -> float | None:
    """The median of those that are known."""
    known = [number for number in numbers if number is not None]
    return median(known) if known else None
