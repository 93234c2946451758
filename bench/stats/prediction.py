"""What a launch will take: a model of its cost, fitted to what other cases of its kernel took.

    seconds = sum over TERMS of (how many a case has) x (seconds for each of them), then
              x exp(what near cases took beyond that sum)

No term may cost less than nothing, so time never shrinks with a larger case nor grows faster than
its work. The sum is fitted to relative errors by least squares (Lawson and Hanson's NNLS), weighted
so that twice as much and half as much are equally wrong. What is left, on a log scale, is carried
over from near cases by simple kriging with an exponential covariance (Cressie, Statistics for
Spatial Data, section 3.2): a cache that is full and a library's other algorithm are steps that no
sum has. The page's script computes the same (bench/show/page/template/layer.js).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bench.data.records import CellRow
from bench.plan.case import Case
from bench.stats.cell_visits import case_of

PARTS = ("arithmetic", "memory", "memory", "overhead", "overhead", "memory", "overhead")
"""What each of the terms is."""

REACH, NUGGET = 8.0, 0.1
"""How far a case's leftover carries, in doublings of a size, and the part of its variance that is
the case's own. bench.studies.predicting tells the errors with them; half and twice the reach make
no difference to them."""

MOST = 200
"""Cases that a fit takes; of more, so many evenly over their work."""

LEFT_OUT = 60
"""Cases that are left out, one after the other, to find the error; of more, so many evenly."""

LEAST = 9
"""Cases from which on an interval of 90 % can be told: the largest error of nine that were left out
covers the next with that probability."""

SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Predicted:
    """A launch of a case that was not measured."""

    seconds: float
    measured: float | None  # where this case was measured, what it took
    low: float | None  # the 90 % interval; None where too few cases were measured
    high: float | None
    parts: Mapping[str, float]  # overhead, arithmetic, memory: their shares of the sum, 0 to 1
    inside: bool  # on each axis within what was measured


@dataclass(frozen=True, slots=True)
class CostModel:
    """A kernel's cost on one device."""

    each: tuple[float, ...]  # seconds for one of each of the terms
    places: tuple[tuple[float, float, float], ...]  # of the measured cases, in doublings
    pulls: tuple[float, ...]  # how much each of them counts in what is left
    measured: Mapping[Case, float]  # seconds of a launch
    factor: float | None = None  # half the interval on a log scale, at a distance of one
    errors: tuple[float, ...] = ()  # |log(predicted / measured)| of cases that were left out

    @property
    def middle_error(self) -> float:
        """The median error of cases that were left out, relative: 0.1 is 10 %."""
        return math.expm1(median(self.errors))

    @property
    def large_error(self) -> float:
        """The error that nine tenths of the cases that were left out stay below, relative."""
        return math.expm1(_quantile(self.errors, SHARE))

    def seconds(self, case: Case) -> float:
        """Seconds of one launch."""
        place = _place(case)
        near = (math.exp(-math.dist(place, other) / REACH) for other in self.places)
        left = sum(pull * share for pull, share in zip(self.pulls, near, strict=True))
        return sum(self._costs(case)) * math.exp(left)

    def predict(self, case: Case) -> Predicted:
        """Seconds of one launch, and how sure that is."""
        seconds, costs, place = self.seconds(case), self._costs(case), _place(case)
        low = high = None
        if self.factor is not None:
            wide = self.factor * self.distance(case)
            low, high = seconds * math.exp(-wide), seconds * math.exp(wide)
        parts = dict.fromkeys(("overhead", "arithmetic", "memory"), 0.0)
        for part, cost in zip(PARTS, costs, strict=True):
            parts[part] += cost / sum(costs)
        axes = zip(place, zip(*self.places, strict=True), strict=True)
        inside = all(min(axis) <= at <= max(axis) for at, axis in axes)
        alike = (s for other, s in self.measured.items() if shape(other) == shape(case))
        return Predicted(seconds, next(alike, None), low, high, parts, inside)

    def distance(self, case: Case) -> float:
        """How much less is known of a case than of one that was measured: it grows with the root
        of the distance to the nearest, as a random walk strays.
        """
        nearest = min(math.dist(_place(case), other) for other in self.places)
        return math.sqrt(NUGGET + nearest / REACH)

    def _costs(self, case: Case) -> list[float]:
        return [count * each for count, each in zip(terms(case), self.each, strict=True)]


def shape(case: Case) -> tuple[int, int, int]:
    """What a case's cost follows from: the activation is a small part of it, its name none."""
    return case.n_in, case.n_units, case.batch


def terms(case: Case) -> tuple[int, ...]:
    """How many a case has: operations, weights, outputs, units, examples, inputs, launches."""
    outputs = case.batch * case.n_units
    weights = case.n_in * case.n_units
    return case.flops, weights, outputs, case.n_units, case.batch, case.batch * case.n_in, 1


def fit(measured: Mapping[Case, float]) -> CostModel:
    """The model of one kernel's cases, at least one, and their seconds."""
    cases = _few(measured, MOST)
    seconds = np.array([measured[case] for case in cases])
    counts = np.array([terms(case) for case in cases], float)
    each = _sum(counts / seconds[:, None])
    left = np.log(seconds / (counts @ each))
    places = np.array([_place(case) for case in cases])
    away = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1))
    pulls = np.linalg.solve(np.exp(-away / REACH) + NUGGET * np.eye(len(cases)), left)
    where = tuple((float(a), float(b), float(c)) for a, b, c in places)
    return CostModel(tuple(map(float, each)), where, tuple(map(float, pulls)), dict(measured))


def fit_with_error(measured: Mapping[Case, float]) -> CostModel:
    """The same with its error, by leaving each case out, fitting the others and predicting it."""
    model = fit(measured)
    if len(measured) < LEAST:
        return model
    errors, scaled = [], []
    for case in _few(measured, LEFT_OUT):
        others = fit({other: s for other, s in measured.items() if other != case})
        errors.append(abs(math.log(others.seconds(case) / measured[case])))
        scaled.append(errors[-1] / others.distance(case))
    # of n errors the next lies below the ceil(0.9 (n + 1))th with probability 0.9, whatever their
    # distribution (split conformal prediction)
    rank = math.ceil(SHARE * (len(scaled) + 1))
    return replace(model, factor=sorted(scaled)[min(rank, len(scaled)) - 1], errors=tuple(errors))


def models(cells: Iterable[CellRow]) -> dict[tuple[str, str], CostModel]:
    """A model a kernel and device, with its error, of a run's cells: those of warm caches, where
    there are any.
    """
    timed = [cell for cell in cells if cell.time_s is not None]
    warm = [cell for cell in timed if cell.cache == "warm"]
    times: dict[tuple[str, str], dict[Case, float]] = {}
    for cell in warm or timed:
        assert cell.time_s is not None
        times.setdefault((cell.kernel, cell.device), {})[case_of(cell)] = cell.time_s
    return {key: fit_with_error(of_kernel) for key, of_kernel in times.items()}


def predict(case: Case, measured: Mapping[Case, float]) -> float | None:
    """Seconds of one launch of `case`; None where nothing smaller has been measured.

    Smaller is a case that is larger on no axis: what a kernel took on large batches of a narrow
    layer says too little of a wide one to refuse it.
    """
    if case in measured:
        return measured[case]
    if not any(within(other, case) for other in measured):
        return None
    return fit(measured).seconds(case)


def within(inner: Case, outer: Case) -> bool:
    """Whether a case is larger on no axis."""
    return (
        inner.n_in <= outer.n_in and inner.n_units <= outer.n_units and inner.batch <= outer.batch
    )


def _place(case: Case) -> tuple[float, float, float]:
    return math.log2(case.n_in), math.log2(case.n_units), math.log2(case.batch)


def _few(measured: Mapping[Case, float], most: int) -> list[Case]:
    cases = sorted(measured, key=lambda case: (case.flops, case.n_units, case.layer))
    if len(cases) <= most:
        return cases
    return [cases[round(i)] for i in np.linspace(0, len(cases) - 1, most)]


def _sum(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds for one of each term, none below nothing, whose sum is nearest to the cases' times.

    `relative`: the terms over the seconds, (cases, terms). Of a single case nothing but its work is
    known: columns of equal length leave the choice to their order, and operations come first.
    """
    from scipy.optimize import nnls

    weights = np.ones(len(relative))
    each = np.zeros(relative.shape[1])
    for _ in range(4):
        weighted = relative * weights[:, None]
        lengths = np.linalg.norm(weighted, axis=0)
        each = nnls(weighted / lengths, weights)[0] / lengths
        ratio = relative @ each
        off = ratio - 1
        near = np.abs(off) < 1e-6
        weights = np.where(near, 1.0, np.abs(np.log(ratio) / np.where(near, 1.0, off)))
    return each


def _quantile(numbers: Sequence[float], share: float) -> float:
    return float(np.quantile(numbers, share))
