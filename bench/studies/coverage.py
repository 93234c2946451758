"""Does the 95 % interval hold the truth 95 times in a hundred, whatever the visits are like?

Simulated visits, whose true median is known: independent, with heavy tails, of two speeds, with a
drift or a step over the run, correlated from one visit to the next. For each number of visits, how
often the interval holds the truth (the median of what the run met) and how wide it is; and the same
where the stopping rule chose the number (row "stopped").

Then recorded ones: a long run of a few cells, whose median over all visits stands for the truth.
n of them spread over the run are what a run of n passes would have seen; n in a row are what a run
of a few seconds would, and show how far a machine drifts within a minute.

    python -m bench.studies.coverage [record]

What was recorded is kept in results/coverage.json, which is not committed.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bench.measure import scheduler
from bench.stats import interval
from bench.studies import RESULTS, cell, run, write

PATHS = 4000
MOST = 100
VISITS = (6, 7, 8, 10, 13, 19, 28, 41, 60, 88, 100)
TARGET = 0.02

RECORDED = RESULTS.parent / "coverage.json"
RECORD_S = 90.0
CELLS = (("python_loop", 64, 1), ("numpy_dot", 64, 16), ("numpy_matmul", 1000, 16))

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Model:
    """PATHS runs of visits: log times are a level, the same for all, and some noise."""

    noise: Callable[[np.random.Generator, int], Floats]  # (PATHS, n)
    below: Callable[[Floats], Floats]  # the noise's distribution function
    level: Callable[[np.random.Generator, int], Floats] = lambda _, n: np.zeros((PATHS, n))

    def draw(self, generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """The log times, and the levels they lie about."""
        level = self.level(generator, n)
        return level + self.noise(generator, n), level

    def truth(self, level: Floats) -> Floats:
        """The true median of what each run met: of the mixture over its visits' levels."""
        low, high = level.min(axis=1) - 1, level.max(axis=1) + 1
        for _ in range(40):  # by halving
            middle = (low + high) / 2
            beneath = self.below(middle[:, None] - level).mean(axis=1) < 0.5
            low, high = np.where(beneath, middle, low), np.where(beneath, high, middle)
        return np.asarray(low)


def _normal(generator: np.random.Generator, n: int) -> Floats:
    return generator.normal(0.0, NOISE, (PATHS, n))


def _below_normal(x: Floats) -> Floats:
    return np.asarray(ndtr(x / NOISE))


def _two_speeds(generator: np.random.Generator, n: int) -> Floats:
    slow = generator.random((PATHS, n)) < SLOW_SHARE
    return _normal(generator, n) + np.where(slow, SLOWER, 0.0)


def _below_two_speeds(x: Floats) -> Floats:
    return (1 - SLOW_SHARE) * _below_normal(x) + SLOW_SHARE * _below_normal(x - SLOWER)


def _correlated(strength: float) -> Callable[[np.random.Generator, int], Floats]:
    """Each visit's noise is partly that of the visit before."""

    def noise(generator: np.random.Generator, n: int) -> Floats:
        fresh = _normal(generator, n)
        made = fresh.copy()
        for i in range(1, n):
            made[:, i] = strength * made[:, i - 1] + math.sqrt(1 - strength**2) * fresh[:, i]
        return made

    return noise


def _drift(generator: np.random.Generator, n: int) -> Floats:
    level: Floats = np.tile(0.05 * np.arange(n) / n, (PATHS, 1))
    return level


def _step(generator: np.random.Generator, n: int) -> Floats:
    return 0.05 * (np.arange(n) / n > generator.random((PATHS, 1)))


NOISE = 0.02
SLOW_SHARE, SLOWER = 0.3, math.log(1.5)

MODELS = {
    "independent": Model(_normal, _below_normal),
    "heavy tails (Cauchy)": Model(
        lambda generator, n: 0.01 * generator.standard_cauchy((PATHS, n)).clip(-300, 300),
        lambda x: 0.5 + np.arctan(x / 0.01) / math.pi,
    ),
    "two speeds, 3 in 10 at 1.5": Model(_two_speeds, _below_two_speeds),
    "5 % of drift over the run": Model(_normal, _below_normal, _drift),
    "a step of 5 % somewhere": Model(_normal, _below_normal, _step),
    "correlated 0.2": Model(_correlated(0.2), _below_normal),
    "correlated 0.3": Model(_correlated(0.3), _below_normal),
    "correlated 0.5": Model(_correlated(0.5), _below_normal),
}


def judge(logs: Floats, truth: Floats) -> tuple[float, float]:
    """How often the interval held the truth; its mean half-width, relative."""
    intervals = [interval.of_visits(row) for row in np.exp(logs).tolist()]
    held = [i.low <= t <= i.high for i, t in zip(intervals, np.exp(truth).tolist(), strict=True)]
    return mean(held), mean(i.half_width for i in intervals)


def stopped(model: Model, logs: Floats, level: Floats) -> tuple[float, float]:
    """The same where each run stops as the scheduler does: two looks found the target reached."""
    times = np.exp(logs).tolist()
    running, before, held, widths = list(range(PATHS)), [math.inf] * PATHS, [], []
    looks = [look for look in scheduler.LOOKS if look <= MOST]
    for n in looks:
        truth = np.exp(model.truth(level[:, :n]))
        intervals = {path: interval.of_visits(times[path][:n]) for path in running}
        for path, estimate in intervals.items():
            narrow = before[path] <= TARGET and estimate.half_width <= TARGET
            before[path] = estimate.half_width
            if narrow or n == looks[-1]:
                running.remove(path)
                held.append(estimate.low <= truth[path] <= estimate.high)
                widths.append(estimate.half_width)
    return float(np.mean(held)), mean(widths)


def simulated() -> Iterator[dict[str, Any]]:
    """A row a model and number of visits."""
    for name, model in MODELS.items():
        generator = np.random.default_rng(1)
        for n in VISITS:
            logs, level = model.draw(generator, n)
            held, width = judge(logs, model.truth(level))
            yield {"visits_of": name, "visits": n, "coverage": held, "half_width": width}
        held, width = stopped(model, *model.draw(generator, MOST))
        yield {"visits_of": name, "visits": "stopped", "coverage": held, "half_width": width}


def record() -> None:
    """A long run of a few cells, its quiet visits kept."""
    cells = [cell(*name) for name in CELLS]
    gathered = run(cells, RECORD_S, seed=1)
    kept = {str(name): list(cell.good.values()) for name, cell in zip(CELLS, gathered, strict=True)}
    RECORDED.write_text(json.dumps(kept))


def recorded() -> Iterator[dict[str, Any]]:
    """A row a recorded cell and number of visits."""
    for name, values in json.loads(RECORDED.read_text()).items():
        truth = median(values)
        for n in VISITS:
            apart = len(values) // n
            chosen = {
                "over the run": [values[i : i + n * apart : apart] for i in range(apart)],
                "in a row": [values[i : i + n] for i in range(len(values) - n + 1)],
            }
            for how, stretches in chosen.items():
                intervals = [interval.of_visits(stretch) for stretch in stretches]
                yield {
                    "visits_of": f"recorded {name}, {how}",
                    "visits": n,
                    "coverage": mean(i.low <= truth <= i.high for i in intervals),
                    "half_width": mean(i.half_width for i in intervals),
                }


def main() -> None:
    """Write results/studies/coverage.csv, print the lowest coverage of each."""
    rows = [*simulated(), *(recorded() if RECORDED.is_file() else [])]
    write("coverage", rows)
    for name in dict.fromkeys(row["visits_of"] for row in rows):
        its = [row for row in rows if row["visits_of"] == name]
        worst = min(its, key=lambda row: row["coverage"])
        print(
            f"{name:45} at least {100 * worst['coverage']:.1f} % (at {worst['visits']} visits);"
            f" half-width {100 * its[0]['half_width']:.1f} % at {its[0]['visits']} visits,"
            f" {100 * its[-1]['half_width']:.1f} % at {its[-1]['visits']}"
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        record()
    main()
