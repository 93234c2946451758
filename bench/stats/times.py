"""All cells' good visits together -> each cell's time, on a core left alone where it is the CPU's.

The machine's state is the same for all cells of a run, so they are estimated together
(`bench.stats.adjust`). A GPU's time is left alone where the GPU does the work; a launch-bound
cell's is the CPU's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.data.machine import CPU
from bench.plan.cell import Cell
from bench.stats import adjust
from bench.stats.adjust import Blocks, Estimate, History, MachineState
from bench.stats.measured import Measured

LAUNCH_BOUND = 0.8
"""From this share of its time on, the host's launch is what a cell on a device consists of. Below
1, because a launch by itself may be found quicker than one of many that follow each other."""

STEADY = 0.02
"""A GPU's cell whose middle half of visits lies within this share of its time is left alone."""

FENCE, FENCE_S = 0.02, 1e-6
"""A fence that takes less than this share of a latency, or less than these seconds, had nothing to
wait for: the launch had returned with the work done."""


@dataclass(frozen=True, slots=True)
class Times:
    """Each cell's time, and what the machine was like."""

    by_cell: Mapping[Cell, Estimate]  # cells without a good visit are not there
    visit_s: Mapping[int, float]  # seconds a launch of each visit, adjusted as its cell's time is
    found_s: Mapping[int, float]  # the same with nothing adjusted
    state: MachineState
    history: History  # of this run and the earlier ones


def times(measured: Mapping[Cell, Measured], earlier: History | None = None) -> Times:
    """Estimate every cell that has a good visit; `earlier` is what is known of the machine."""
    cells = [cell for cell, visits in measured.items() if visits.launches]
    visits = [
        (position, number, launches)
        for position, cell in enumerate(cells)
        for number, launches in measured[cell].counted.items()
    ]
    visits.sort(key=lambda visit: visit[1])
    numbers = [number for _, number, _ in visits]
    counts = [len(launches.seconds) for *_, launches in visits]
    unknown = [[np.nan] * count for count in counts]
    answer = adjust.estimate(
        Blocks(
            names=[_name(cell) for cell in cells],
            kernels=[cell.kernel for cell in cells],
            on_device=[_left_alone(measured[cell]) for cell in cells],
            cell=np.repeat([position for position, *_ in visits], counts).astype(np.intp),
            visit=np.repeat(numbers, counts).astype(np.intp),
            seconds=_joined([launches.seconds for *_, launches in visits]),
            probe_before=_joined(
                [v[2].before or none for v, none in zip(visits, unknown, strict=True)]
            ),
            probe_after=_joined(
                [v[2].after or none for v, none in zip(visits, unknown, strict=True)]
            ),
            probe_elsewhere=_joined([launches.elsewhere for *_, launches in visits]),
        ),
        earlier,
    )
    return Times(
        dict(zip(cells, answer.estimates, strict=True)),
        dict(zip(numbers, answer.adjusted, strict=True)),
        dict(zip(numbers, answer.as_found, strict=True)),
        answer.state,
        answer.history,
    )


def _name(cell: Cell) -> str:
    """What a cell is called in the history of a machine: the same from run to run."""
    case = cell.case
    shape = f"{case.n_in}x{case.n_units} batch {case.batch} {case.layer}".strip()
    how = f"{case.precision} {case.activation} {cell.threads} threads {cell.cache}"
    return f"{cell.name} {shape} {how} device {cell.device}"


def _joined(parts: list[object]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.concatenate([np.asarray(part, np.float64) for part in parts] or [np.empty(0)])


def _left_alone(visits: Measured) -> bool:
    """Whether a cell's time is not the CPU's, or was measured without the probe beside it."""
    if not all(launches.before for launches in visits.counted.values()):
        return True
    return visits.device != CPU and (launch_bound(visits) != "yes" or _steady(visits))


def _steady(visits: Measured) -> bool:
    """Whether a cell's visits are so alike that nothing can have disturbed them."""
    seconds = [launches.fastest for launches in visits.counted.values()]
    lower, middle, upper = np.quantile(seconds, [0.25, 0.5, 0.75])
    return bool(upper - lower < STEADY * middle)


def launch_bound(visits: Measured) -> str:
    """Whether the time is that of the host, which queues launches, and not the device's: yes or
    no; empty where it can't be told.

    Pipelined launches take as long as the slower of the two. A launch that lasts as long as its
    latency has done the work itself, as a CPU's always does: it has nothing to queue. Where much of
    the work is left when a launch returns, the device is the slower one, however long that launch
    took: by itself, after a fence, one takes several times as long as one of many.
    """
    if not visits.launches:
        return ""
    if visits.device == CPU:
        return "no"
    launch_s, latency_s = visits.trip_s("launch"), visits.trip_s("latency")
    if launch_s is None or latency_s is None:
        return ""
    if latency_s - launch_s < max(FENCE * latency_s, FENCE_S):
        return "no"
    time_s = median(launches.fastest for launches in visits.counted.values())
    bound = launch_s >= LAUNCH_BOUND * time_s and not visits.works_alone
    return "yes" if bound else "no"
