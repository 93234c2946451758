"""Visits and blocks -> one estimate a cell.

One visit is one datum: blocks within a visit see the same few milliseconds of the machine, so a
visit is its median block, and every interval is over visits.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

from bench.records import Block, Cell, Visit
from bench.sweep import Case

BASELINE = "python_loop"
CONFIDENCE = 0.95
IMPOSSIBLE = 1.25
"""A cell this many times above the machine's arithmetic peak didn't do its work."""

VOID = ("wrong", "impossible")
"""A visit with one of these takes the cell's number away; a later crash or timeout does not."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's width, relative to the estimate."""
        return (self.high - self.low) / 2 / self.value


def of_visits(values: Sequence[float]) -> Interval:
    """The headline: the median over visits, with the sign test's interval.

    The interval runs between two of the values themselves, chosen by the binomial distribution, so
    it asks nothing of the distribution's shape (Conover, Practical Nonparametric Statistics, 3rd
    ed., section 3.2). With fewer than six visits no two values reach 95 %: it spans all of them.
    """
    ordered = sorted(values)
    rank = _rank(len(ordered))
    return Interval(median(ordered), ordered[rank], ordered[-1 - rank])


@cache
def _rank(n: int) -> int:
    """How many of n ordered values may be left out at each end."""
    tail, rank = 0.0, 0
    while True:
        tail += math.comb(n, rank) * 0.5**n
        if tail > (1 - CONFIDENCE) / 2:
            return max(rank - 1, 0)
        rank += 1


def key(row: Visit | Cell) -> tuple[Any, ...]:
    """What makes two visits visits to the same cell."""
    return (row.kernel, case_of(row), row.device_index, row.threads, row.cache)


def case_of(row: Visit | Cell) -> Case:
    """The case of a row."""
    return Case(row.n_in, row.n_units, row.batch, row.precision, row.activation)


@dataclass(slots=True)
class Gathered:
    """A cell's visits, and the blocks of its good ones by quantity."""

    visits: list[Visit] = field(default_factory=list)
    good: dict[int, float] = field(default_factory=dict)  # pass -> the visit's median block, s
    seconds: dict[str, list[float]] = field(default_factory=dict)  # quantity -> a median a visit
    best_s: float = math.inf

    @property
    def last(self) -> Visit:
        """The newest visit, which says how the cell stands."""
        return self.visits[-1]

    def add(self, visit: Visit, blocks: dict[str, list[float]]) -> None:
        """Add a visit; `blocks` is what it measured, by quantity."""
        self.visits.append(visit)
        if visit.status != "ok":
            return
        for quantity, seconds in blocks.items():
            self.seconds.setdefault(quantity, []).append(median(seconds))
        self.good[visit.pass_number] = median(blocks["time"])
        self.best_s = min(self.best_s, *blocks["time"])


def gather(visits: Iterable[Visit], blocks: Iterable[Block]) -> dict[tuple[Any, ...], Gathered]:
    """Each cell's visits with their blocks; blocks that no visit claims are left out."""
    by_visit: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for block in blocks:
        by_visit[block.visit][block.quantity].append(block.seconds)
    cells: dict[tuple[Any, ...], Gathered] = defaultdict(Gathered)
    for visit in visits:
        cells[key(visit)].add(visit, by_visit[visit.visit])
    return cells


def cells(
    visits: Iterable[Visit], blocks: Iterable[Block], peak_flop_per_s: float | None
) -> list[Cell]:
    """One row a cell. `peak_flop_per_s`: the CPU's arithmetic ceiling, if it is known."""
    gathered = gather(visits, blocks)
    rows = [_cell(one, gathered, peak_flop_per_s) for one in gathered.values()]
    return sorted(rows, key=lambda row: (row.n_in, row.n_units, row.batch, row.kernel))


def _cell(
    one: Gathered, gathered: dict[tuple[Any, ...], Gathered], peak_flop_per_s: float | None
) -> Cell:
    visit = one.last
    case = case_of(visit)
    status, reason = visit.status, visit.reason
    void = next((v for v in one.visits if v.status in VOID), None)
    if void is not None:
        status, reason = void.status, void.reason
    time = of_visits(list(one.good.values())) if one.good and void is None else None
    # the ceiling that is known is the CPU's; a device with a name of its own has another
    peak = peak_flop_per_s if visit.device == "cpu" else None
    if time and peak and case.flops / time.value > IMPOSSIBLE * peak:
        status = "impossible"
        reason = (
            f"{case.flops / time.value:.3g} FLOP/s; this machine's arithmetic peak is {peak:.3g}"
        )
        time = None
    speedup, basis = _speedup(one, gathered) if time else (None, "")

    def middle(quantity: str) -> float | None:
        found = one.seconds.get(quantity) if time else None
        return median(found) if found else None

    errors = [v.error for v in one.visits if v.error is not None]
    return Cell(
        kernel=visit.kernel,
        kernel_hash=visit.kernel_hash,
        n_in=case.n_in,
        n_units=case.n_units,
        batch=case.batch,
        precision=case.precision,
        activation=case.activation,
        device_index=visit.device_index,
        device=next((v.device for v in one.visits if v.device), ""),
        threads=visit.threads,
        cache=visit.cache,
        status=status,
        reason=reason,
        visits=len(one.good) if time else 0,
        time_s=time.value if time else None,
        time_low_s=time.low if time else None,
        time_high_s=time.high if time else None,
        median_s=median(one.good.values()) if time else None,
        best_s=one.best_s if time else None,
        latency_s=middle("latency"),
        launch_s=middle("launch"),
        send_s=middle("send"),
        fetch_s=middle("fetch"),
        end_to_end_s=middle("end_to_end"),
        flops=case.flops,
        bytes=case.bytes,
        flop_per_s=case.flops / time.value if time else None,
        flop_per_s_low=case.flops / time.high if time else None,
        flop_per_s_high=case.flops / time.low if time else None,
        percent_of_peak=100 * case.flops / time.value / peak if time and peak else None,
        speedup=speedup.value if speedup else None,
        speedup_low=speedup.low if speedup else None,
        speedup_high=speedup.high if speedup else None,
        speedup_basis=basis,
        predicted_s=_predicted(visit),
        error=max(errors, default=None),
    )


def _speedup(
    one: Gathered, gathered: dict[tuple[Any, ...], Gathered]
) -> tuple[Interval | None, str]:
    """python_loop's time over this cell's, paired by pass: both saw the same machine.

    Where the loop was too slow to run on this case, its time is predicted from what it does for
    each operation on the largest layer that it ran, with no interval but this cell's own.
    """
    loops = {
        case_of(g.last): g
        for g in gathered.values()
        if g.last.kernel == BASELINE and g.good and g.last.cache == one.last.cache
    }
    case = case_of(one.last)
    if case in loops:
        return paired(loops[case].good, one.good), "measured"
    smaller = [c for c in loops if c.flops < case.flops and c.precision == case.precision]
    if not smaller:
        return None, ""
    largest = max(smaller, key=lambda c: c.flops)
    loop_s = median(loops[largest].good.values()) * case.flops / largest.flops
    time = of_visits(list(one.good.values()))
    return Interval(loop_s / time.value, loop_s / time.high, loop_s / time.low), "predicted"


def paired(slow: dict[int, float], fast: dict[int, float]) -> Interval | None:
    """Slow / fast, from the passes that visited both."""
    ratios = [slow[p] / fast[p] for p in slow if p in fast]
    return of_visits(ratios) if ratios else None


def _predicted(visit: Visit) -> float | None:
    if visit.status != "skipped":
        return None
    return float(visit.reason.split()[1])


def predict(case: Case, measured: dict[Case, float]) -> float | None:
    """Seconds of one launch of `case`, from what smaller cases of the same kernel took.

    Time grows with the operations to a power between 0 (all overhead) and 1 (all work), read off
    the largest smaller case and one with at most an eighth of its work; 1 where there is no such.
    None where nothing smaller has been measured.
    """
    smaller = sorted((c for c in measured if c.flops <= case.flops), key=lambda c: c.flops)
    if not smaller:
        return None
    near = smaller[-1]
    far = next((c for c in reversed(smaller) if 8 * c.flops <= near.flops), None)
    power = 1.0
    if far is not None:
        power = math.log(measured[near] / measured[far]) / math.log(near.flops / far.flops)
    seconds: float = measured[near] * (case.flops / near.flops) ** min(max(power, 0.0), 1.0)
    return seconds
