"""How many times as fast as the Python loop a cell is."""

from collections.abc import Sequence

from bench.data.records import Basis
from bench.stats import adjust, prediction
from bench.stats.adjust import Ratio
from bench.stats.estimate import Estimate

BASELINE = "python_loop"


def speedup(cell: Estimate, loops: Sequence[Estimate]) -> tuple[Ratio | None, Basis]:
    """python_loop's time over this cell's, both on a core left alone.

    Where the loop was too slow to run on this case, its time is predicted from what it takes for
    each operation on the largest layer that it ran, the same one at a smaller batch if it can be:
    wide rows go faster than narrow ones. There is no interval then but this cell's own.
    """
    case, time = cell.case, cell.time
    if time is None:
        return None, ""
    alike = {
        loop.case: loop.time
        for loop in loops
        if loop.time is not None
        and loop.visits.last.cache == cell.visits.last.cache
        and (loop.case.precision, loop.case.activation) == (case.precision, case.activation)
    }
    if alike.get(case) is time:  # the loop itself: whatever its time may be wrong by
        return Ratio(value=1.0, low=1.0, high=1.0, visits=time.visits, as_found=1.0), "measured"
    if case in alike:
        return adjust.ratio(alike[case], time), "measured"
    smaller = [c for c in alike if prediction.within(c, case)]
    if not smaller:
        return None, ""
    largest = max(smaller, key=lambda c: (c.n_in * c.n_units, c.batch))
    loop_s = alike[largest].value * case.flops / largest.flops
    found_s = alike[largest].as_found * case.flops / largest.flops
    ratio = Ratio(
        value=loop_s / time.value,
        low=loop_s / time.high,
        high=loop_s / time.low,
        visits=time.visits,
        as_found=found_s / time.as_found,
    )
    return ratio, "predicted"
