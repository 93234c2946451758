"""Visits and blocks -> one estimate a cell.

One visit is one datum: blocks within a visit see the same few milliseconds of the machine, so a
visit is one number, and every interval is over visits, those that `bench.stats.disturbance` lets
count.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from statistics import median
from typing import Any

from bench.data.peaks import CPU, Peaks
from bench.data.records import PREDICTED, Block, CellRow, Status, Visit
from bench.plan.case import Case
from bench.stats import disturbance
from bench.terminal.errors import BadInput

BASELINE = "python_loop"
TAILS = 40
"""One in this many at each end: 95 % between them."""

ALIKE, ALIKE_VISITS = 0.2, 20
"""The correlation of neighbouring visits' sides of the median, as recorded runs have it (0.1 to
0.2), and how many visits' worth of evidence that is taken for."""

IMPOSSIBLE = 1.25
"""A cell this many times above the machine's arithmetic peak didn't do its work."""

TURBO = 1.6
"""A CPU may run this many times as fast as the clock that it states: a virtual machine knows the
base clock alone, and the measured ceiling is low where NumPy's BLAS doesn't know the CPU."""

LAUNCH_BOUND = 0.8
"""From this share of its time on, the host's launch is what a cell on a device consists of. Below
1, because a launch by itself may be found quicker than one of many that follow each other."""

FENCE, FENCE_S = 0.02, 1e-6
"""A fence that takes less than this share of a latency, or less than these seconds, had nothing to
wait for: the launch had returned with the work done."""

ENOUGH = 6
"""Visits from which on the interval holds 95 %: with fewer it spans all of them."""

VOID = ("wrong", "impossible")
"""A visit with one of these takes the cell's number away; a later crash or timeout does not."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float
    visits: int

    @property
    def known(self) -> bool:
        """Whether there are visits enough for the interval to hold 95 %."""
        return self.visits >= ENOUGH

    @property
    def half_width(self) -> float:
        """Half the interval's width, relative to the estimate."""
        return (self.high - self.low) / 2 / self.value


def of_blocks(seconds: Sequence[float]) -> float:
    """A visit's number: its fastest block. What disturbs a block makes it longer.

    Over undisturbed visits the other choices repeat about as well (2.8 to 3.2 % between runs);
    over all visits they differ by a factor of four (`bench.studies.repeatability`).
    """
    return min(seconds)


def of_visits(values: Sequence[float]) -> Interval:
    """The headline: the median over visits, given in the order of their passes, and its interval.

    The sign test's interval runs between two of the values themselves, chosen by the binomial
    distribution, so it asks nothing of the distribution's shape (Conover, Practical Nonparametric
    Statistics, 3rd ed., section 3.2). With fewer than six visits no two values reach 95 %: it spans
    all of them. It takes visits for independent; so it is widened, as ratios, for their
    correlation. `bench.studies.coverage` shows that it then holds what it promises.
    """
    ordered = sorted(values)
    rank = rank_of(len(ordered))
    middle, low, high = median(ordered), ordered[rank], ordered[-1 - rank]
    wider = widening(values)
    return Interval(
        middle, middle * (low / middle) ** wider, middle * (high / middle) ** wider, len(ordered)
    )


def widening(values: Sequence[float]) -> float:
    """How much wider the median's interval is because neighbouring visits are alike.

    sqrt((1 + r) / (1 - r)), where r is the correlation of one visit's side of the median with the
    next one's: what a median's error grows by under a first-order process. Few visits say little of
    r, so it is drawn towards what recorded runs show.
    """
    n = len(values)
    if n < 2:
        return 1.0
    middle = median(values)
    sides = [(value > middle) - (value < middle) for value in values]
    # the median is taken from the same values, which makes neighbours seem opposed by 1 / (n - 1)
    r = (sum(a * b for a, b in pairwise(sides)) + 1) / (n - 1)
    r = (n * r + ALIKE_VISITS * ALIKE) / (n + ALIKE_VISITS)
    r = min(max(r, 0.0), 0.9)
    return math.sqrt((1 + r) / (1 - r))


@cache
def rank_of(n: int) -> int:
    """How many of n ordered values the sign test leaves out at each end."""
    # in whole numbers: P(at most `rank` of n below the median) = tail / 2**n
    ways = tail = 1
    rank = 0
    while TAILS * tail <= 2**n:
        ways = ways * (n - rank) // (rank + 1)
        rank += 1
        tail += ways
    return max(rank - 1, 0)


def key(row: Visit | CellRow) -> tuple[Any, ...]:
    """What makes two visits visits to the same cell."""
    return (row.kernel, case_of(row), row.device_index, row.threads, row.cache)


def case_of(row: Visit | CellRow) -> Case:
    """The case of a row."""
    return Case(row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer)


@dataclass(slots=True)
class Gathered:
    """A cell's visits, and what its good ones measured, by pass."""

    visits: list[Visit] = field(default_factory=list)
    times: dict[int, float] = field(default_factory=dict)  # a visit's number, in seconds
    slowness: dict[int, float] = field(default_factory=dict)  # of the machine, in the visit
    limit: float = math.inf  # of the slowness: above it a visit is disturbed
    blocks: dict[int, list[float]] = field(default_factory=dict)
    cores_busy: dict[int, float] = field(default_factory=dict)
    seconds: dict[str, dict[int, float]] = field(default_factory=dict)  # each quantity's medians

    @property
    def good(self) -> dict[int, float]:
        """The numbers that count: those of visits that the machine let alone."""
        return {p: self.times[p] for p in disturbance.kept(self.slowness, self.limit)}

    @property
    def void(self) -> Visit | None:
        """The visit that takes the cell's number away."""
        return next((visit for visit in self.visits if visit.status in VOID), None)

    @property
    def device(self) -> str:
        """The device's own name, from a visit that reached it."""
        return next((visit.device for visit in self.visits if visit.device), "")

    @property
    def last(self) -> Visit:
        """The newest visit, which says how the cell stands."""
        return self.visits[-1]

    def add(self, visit: Visit, blocks: dict[str, list[float]]) -> None:
        """Add a visit; `blocks` is what it measured, by quantity."""
        self.visits.append(visit)
        if visit.status != "ok":
            return
        if "time" not in blocks:
            raise BadInput(f"visit {visit.visit} is ok and has no blocks: blocks.csv is not whole")
        for quantity, seconds in blocks.items():
            self.seconds.setdefault(quantity, {})[visit.pass_number] = median(seconds)
        self.times[visit.pass_number] = of_blocks(blocks["time"])
        self.slowness[visit.pass_number] = disturbance.slowness(visit)
        self.blocks[visit.pass_number] = blocks["time"]
        if visit.cores_busy is not None:
            self.cores_busy[visit.pass_number] = visit.cores_busy


def gather(visits: Iterable[Visit], blocks: Iterable[Block]) -> dict[tuple[Any, ...], Gathered]:
    """Each cell's visits with their blocks; blocks that no visit claims are left out."""
    by_visit: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for block in blocks:
        by_visit[block.visit][block.quantity].append(block.seconds)
    cells: dict[tuple[Any, ...], Gathered] = defaultdict(Gathered)
    for visit in visits:
        cells[key(visit)].add(visit, by_visit[visit.visit])
    limit = disturbance.limit(s for cell in cells.values() for s in cell.slowness.values())
    for cell in cells.values():
        cell.limit = limit
    return cells


def cells(
    visits: Iterable[Visit], blocks: Iterable[Block], ceilings: Mapping[str, Peaks]
) -> list[CellRow]:
    """One row a cell. `ceilings`: those that are known, by device (`bench.data.peaks.of`)."""
    judged = [judge(one, ceilings) for one in gather(visits, blocks).values()]
    loops = [j for j in judged if j.gathered.last.kernel == BASELINE and j.time is not None]
    rows = [_cell(one, loops) for one in judged]
    return sorted(rows, key=lambda row: (row.n_in, row.n_units, row.batch, row.kernel))


@dataclass(frozen=True, slots=True)
class Judged:
    """A cell, how it stands, and its time if it has one."""

    gathered: Gathered
    case: Case
    peaks: Peaks  # what its device can do
    status: Status
    reason: str
    time: Interval | None


UNKNOWN = Peaks("", None, None, None)


def judge(one: Gathered, ceilings: Mapping[str, Peaks]) -> Judged:
    """How a cell stands: a void visit, or more FLOP/s than there are, takes its time away."""
    case = case_of(one.last)
    peaks = ceilings.get(one.device, UNKNOWN)
    if (void := one.void) is not None:
        return Judged(one, case, peaks, void.status, void.reason, None)
    if not one.times:
        return Judged(one, case, peaks, one.last.status, one.last.reason, None)
    time = of_visits(list(one.good.values()))
    rate = case.flops / time.value
    peak = _peak(peaks, one.device)
    if peak is not None and rate > IMPOSSIBLE * peak:
        reason = f"{rate:.3g} FLOP/s; this machine's arithmetic peak is {peak:.3g}"
        return Judged(one, case, peaks, "impossible", reason, None)
    return Judged(one, case, peaks, one.last.status, one.last.reason, time)


def _peak(peaks: Peaks, device: str) -> float | None:
    """FLOP/s that the device can hardly exceed; None if nothing is known of it."""
    stated = (peaks.theoretical_flop_per_s or 0.0) * (TURBO if device == CPU else 1.0)
    return max(peaks.measured_flop_per_s or 0.0, stated) or None


def _cell(judged: Judged, loops: Sequence[Judged]) -> CellRow:
    one, case, peaks, time = judged.gathered, judged.case, judged.peaks, judged.time
    visit = one.last
    counted = one.good if time else {}
    speedup, basis = _speedup(judged, loops)

    def over_counted(found: dict[int, float]) -> float | None:
        return median(found[p] for p in counted if p in found) if counted.keys() & found else None

    def middle(quantity: str) -> float | None:
        return over_counted(one.seconds.get(quantity, {}))

    def share(rate: float | None) -> float | None:
        return 100 * case.flops / time.value / rate if time and rate else None

    states = [v for v in one.visits if v.status == "ok" and v.pass_number in counted]
    errors = [v.error for v in one.visits if v.error is not None]
    return CellRow(
        kernel=visit.kernel,
        kernel_hash=next((v.kernel_hash for v in one.visits if v.kernel_hash), ""),
        n_in=case.n_in,
        n_units=case.n_units,
        batch=case.batch,
        precision=case.precision,
        activation=case.activation,
        device_index=visit.device_index,
        device=one.device,
        threads=visit.threads,
        cache=visit.cache,
        status=judged.status,
        reason=judged.reason,
        visits=len(counted),
        disturbed=len(one.times) - len(counted) if time else 0,
        time_s=time.value if time else None,
        time_low_s=time.low if time and time.known else None,
        time_high_s=time.high if time and time.known else None,
        median_s=median(median(one.blocks[p]) for p in counted) if time else None,
        best_s=min(map(min, one.blocks.values())) if time else None,
        cores_busy=over_counted(one.cores_busy),
        latency_s=middle("latency"),
        launch_s=middle("launch"),
        send_s=middle("send"),
        fetch_s=middle("fetch"),
        end_to_end_s=middle("end_to_end"),
        flops=case.flops,
        bytes=case.bytes,
        flop_per_s=case.flops / time.value if time else None,
        flop_per_s_low=case.flops / time.high if time and time.known else None,
        flop_per_s_high=case.flops / time.low if time and time.known else None,
        percent_of_peak=share(peaks.flop_per_s),
        speedup=speedup.value if speedup else None,
        speedup_low=speedup.low if speedup and speedup.known else None,
        speedup_high=speedup.high if speedup and speedup.known else None,
        speedup_basis=basis,
        predicted_s=_predicted(visit),
        error=max(errors, default=None),
        percent_of_measured=share(peaks.measured_flop_per_s),
        percent_of_stated=share(peaks.theoretical_flop_per_s),
        launch_bound=_launch_bound(one.device, time, middle("launch"), middle("latency")),
        device_mhz=_middle(v.device_mhz for v in states),
        device_celsius=_middle(v.device_celsius for v in states),
        device_watts=_middle(v.device_watts for v in states),
        throttled=sum(v.device_throttled != "" for v in states),
        layer=case.layer,
    )


def _middle(values: Iterable[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
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


def _speedup(judged: Judged, loops: Sequence[Judged]) -> tuple[Interval | None, str]:
    """python_loop's time over this cell's, paired by pass: both saw the same machine.

    Where the loop was too slow to run on this case, its time is predicted from what it takes for
    each operation on the largest layer that it ran, the same one at a smaller batch if it can be:
    wide rows go faster than narrow ones. There is no interval then but this cell's own.
    """
    case, time = judged.case, judged.time
    if time is None:
        return None, ""
    alike = {
        loop.case: loop
        for loop in loops
        if loop.gathered.last.cache == judged.gathered.last.cache
        and (loop.case.precision, loop.case.activation) == (case.precision, case.activation)
    }
    if case in alike:
        ratio = paired(alike[case].gathered, judged.gathered)
        return (ratio, "measured") if ratio else (None, "")
    smaller = [c for c in alike if _within(c, case)]
    if not smaller:
        return None, ""
    largest = max(smaller, key=lambda c: (c.n_in * c.n_units, c.batch))
    loop_s = median(alike[largest].gathered.good.values()) * case.flops / largest.flops
    ratio = Interval(loop_s / time.value, loop_s / time.high, loop_s / time.low, time.visits)
    return ratio, "predicted"


def paired(slow: Gathered, fast: Gathered) -> Interval | None:
    """Slow / fast, from the passes that visited both and found the machine quiet both times."""
    slowness = {p: max(slow.slowness[p], fast.slowness[p]) for p in slow.times if p in fast.times}
    ratios = [slow.times[p] / fast.times[p] for p in disturbance.kept(slowness, slow.limit)]
    return of_visits(ratios) if ratios else None


def _predicted(visit: Visit) -> float | None:
    said = PREDICTED.match(visit.reason) if visit.status == "skipped" else None
    return float(said[1]) if said else None


def _within(inner: Case, outer: Case) -> bool:
    return (
        inner.n_in <= outer.n_in and inner.n_units <= outer.n_units and inner.batch <= outer.batch
    )


def predict(case: Case, measured: dict[Case, float]) -> float | None:
    """Seconds of one launch of `case`, from what smaller cases of the same kernel took.

    Smaller is a case that is larger on no axis: a wide layer and a large batch cost different
    things. Time grows with the operations to a power between 0 (all overhead) and 1 (all work),
    read off the largest smaller case and one with at most an eighth of its work; 1 where there is
    no such. None where nothing smaller has been measured.
    """
    smaller = sorted(
        (c for c in measured if _within(c, case)), key=lambda c: (c.flops, measured[c])
    )
    if not smaller:
        return None
    near = smaller[-1]
    far = next((c for c in reversed(smaller) if 8 * c.flops <= near.flops), None)
    power = 1.0
    if far is not None:
        power = math.log(measured[near] / measured[far]) / math.log(near.flops / far.flops)
    seconds: float = measured[near] * (case.flops / near.flops) ** min(max(power, 0.0), 1.0)
    return seconds
