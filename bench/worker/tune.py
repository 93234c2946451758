"""What suits numba_packed best on this machine: `python -m bench.worker.tune SECONDS`.

One parameter after the other: each candidate is prepared for a few shapes that depend on it, and
all of them are launched by turns, because the machine's speed changes. A candidate is taken if it
is clearly better than the default: by GAIN in the mean over the shapes. A turn in which a thread
waited for a core doesn't count; where too few are left, the default stays. Prints what it found as
JSON.
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import msgspec
import numpy as np

from bench.worker import speed_probe
from bench.worker.messages import Tuned
from kernels import Layer, _tuning, numba_packed
from kernels._memory import PLACES
from kernels._tuning import Parameters

GAIN = 0.98
"""What saves less than two parts of a hundred is not told from chance."""

LEAST_TURNS = 5

WAITED = 0.1
"""What a turn may wait for cores, as a part of its time: threads that wait for each other lose a
slice of the system's scheduler each time, whatever the parameters are."""


@dataclass(frozen=True, slots=True)
class Question:
    """A parameter, what is tried beside the default, and on which shapes (n_in, n_units, batch)."""

    name: str
    candidates: Sequence[float]
    shapes: Sequence[tuple[int, int, int]]

    def having(self, parameters: Parameters, value: float) -> Parameters:
        """The parameters with another value of this one."""
        change: dict[str, Any] = {self.name: value}
        return replace(parameters, **change)


QUESTIONS = (
    Question("places", (1, PLACES), [(4096, 4096, 1), (2048, 2048, 1)]),
    Question(
        "blocks",
        (0.0, 1 / 32, 0.25, 4.0),  # with 1 / 32 a panel of W fits the nearest cache, too
        [(1000, 1000, 1024), (2048, 2048, 1024), (4096, 4096, 128), (4096, 4096, 512)],
    ),
    Question("copied", (0, 2**40), [(1024, 1024, 128), (2048, 512, 128), (4096, 4096, 16)]),
    Question(
        "shared",
        tuple(2**n for n in (15, 16, 17, 19, 20)),
        [
            (128, 128, 4),
            (256, 256, 1),
            (256, 256, 2),
            (512, 512, 1),
            (256, 256, 8),
            (1000, 1000, 1),
        ],
    ),
)

Launch = Callable[[], Any]
Prepare = Callable[[Parameters, tuple[int, int, int]], Launch]
Clock = Callable[[], float]
Waits = Callable[[], float | None]


def tune(
    seconds: float,
    prepare: Prepare,
    clock: Clock = time.perf_counter,
    waits: Waits = speed_probe.waited_s,
    questions: Sequence[Question] = QUESTIONS,
) -> Tuned:
    """The best parameters, and by how much each that isn't the default is faster."""
    best, gains = Parameters(), dict[str, float]()
    for question in questions:
        each_s = seconds / len(questions) / len(question.shapes)
        tried = [best, *(question.having(best, c) for c in question.candidates)]
        ratios = [
            _ratios([prepare(parameters, shape) for parameters in tried], each_s, clock, waits)
            for shape in question.shapes
        ]
        means = [
            math.exp(fmean(map(math.log, over_shapes))) for over_shapes in zip(*ratios, strict=True)
        ]
        fastest = min(range(len(means)), key=means.__getitem__)
        if means[fastest] < GAIN:
            best = tried[fastest]
            gains[question.name] = means[fastest]
    return Tuned(asdict(best), gains)


def _ratios(launches: Sequence[Launch], seconds: float, clock: Clock, waits: Waits) -> list[float]:
    """The time of each over that of the first, as it is at most: two standard errors above the
    middle of the turns, so that few turns on a busy machine show nothing. A turn lasts a while, so
    that the clock and the waking of threads make no difference.
    """
    loops = 1
    while _seconds(launches[0], loops, clock) < min(seconds / 50, 0.002):
        loops *= 2
    turns: list[list[float]] = []
    ends, tries = clock() + seconds, 0
    while tries < LEAST_TURNS or clock() < ends:
        tries += 1
        waited = waits() or 0.0
        turn = [_seconds(launch, loops, clock) for launch in launches]
        if (waits() or 0.0) - waited <= WAITED * sum(turn):
            turns.append(turn)
    count = len(turns)
    if count < LEAST_TURNS:
        return [1.0] * len(launches)
    rank = min(math.ceil(count / 2 + math.sqrt(count)), count - 1)
    return [sorted(turn[n] / turn[0] for turn in turns)[rank] for n in range(len(launches))]


def _seconds(launch: Launch, loops: int, clock: Clock) -> float:
    start = clock()
    for _ in range(loops):
        launch()
    return clock() - start


def packed(parameters: Parameters, shape: tuple[int, int, int]) -> Launch:
    """A launch of numba_packed with these parameters, on a layer of ones."""
    n_in, n_units, batch = shape
    layer = Layer(np.ones((n_in, n_units), np.float32), np.ones((1, n_units), np.float32), "relu")
    A_in = np.ones((batch, n_in), np.float32)
    with _tuning.used(parameters):
        step = numba_packed.prepare(layer, batch)
    step.launch(A_in)
    return lambda: step.launch(A_in)


def main(seconds: str) -> None:
    """Try, and print what was found."""
    print(msgspec.json.encode(tune(float(seconds), packed)).decode())  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
