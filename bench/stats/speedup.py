"""How many times as fast as the Python loop a cell is."""

from collections.abc import Sequence
from statistics import median

from bench.data.records import Basis
from bench.stats import disturbance, interval, prediction
from bench.stats.cell_visits import CellVisits
from bench.stats.estimate import Estimate
from bench.stats.interval import Interval

BASELINE = "python_loop"


def speedup(cell: Estimate, loops: Sequence[Estimate]) -> tuple[Interval | None, Basis]:
    """python_loop's time over this cell's, paired by pass: both saw the same machine.

    Where the loop was too slow to run on this case, its time is predicted from what it takes for
    each operation on the largest layer that it ran, the same one at a smaller batch if it can be:
    wide rows go faster than narrow ones. There is no interval then but this cell's own.
    """
    case, time = cell.case, cell.time
    if time is None:
        return None, ""
    alike = {
        loop.case: loop
        for loop in loops
        if loop.visits.last.cache == cell.visits.last.cache
        and (loop.case.precision, loop.case.activation) == (case.precision, case.activation)
    }
    if case in alike:
        ratio = paired(alike[case].visits, cell.visits)
        return (ratio, "measured") if ratio else (None, "")
    smaller = [c for c in alike if prediction.within(c, case)]
    if not smaller:
        return None, ""
    largest = max(smaller, key=lambda c: (c.n_in * c.n_units, c.batch))
    loop_s = median(alike[largest].visits.good.values()) * case.flops / largest.flops
    ratio = Interval(loop_s / time.value, loop_s / time.high, loop_s / time.low, time.visits)
    return ratio, "predicted"


def paired(slow: CellVisits, fast: CellVisits) -> Interval | None:
    """Slow / fast, from the passes that visited both and found the machine quiet both times."""
    slowness = {p: max(slow.slowness[p], fast.slowness[p]) for p in slow.times if p in fast.times}
    ratios = [slow.times[p] / fast.times[p] for p in disturbance.kept(slowness, slow.limit)]
    return interval.of_visits(ratios) if ratios else None
