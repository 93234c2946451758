"""Where does a kernel do its work: in `launch`, whose time is told, or in `send` or `fetch`?

What an honest `fetch` takes depends on the output's size, and what `send` takes on the input's. So
the same kernel is set up for pairs of small layers that differ in the other size alone, which
multiplies the work. Whatever grows with it is where the work is done. That works where a
fetch takes long by itself, and for libraries whose memory nobody can see into.
"""

from collections.abc import Callable

import numpy as np

import kernels
from bench.plan.case import Case
from bench.worker import timing

SIZES = (8, 64, 256)
"""The batch. Tried one after the other until the work shows: these, cubed, times 64 are the larger
layer's products, 32 thousand, 17 million or a billion."""

QUICK_S = 0.2 / 2**24
"""A kernel that takes less than this for a product is not tried with the least of them: each try
sets it up twice, and some are compiled then."""

SHOWS = 4.0
"""The work shows where a round trip takes so many times as long with it as without."""

SHARE, NONE = 0.25, 0.05
"""As large a share of the work in the wrong place is too much; honest kernels have none there."""

TOGETHER_S, MOST = 0.05, 9
"""Round trips are made for so long together, or so many: the least of each part counts."""

Prepare = Callable[[kernels.Layer, int], kernels.Step]


def share(
    where: str, prepare: Prepare, case: Case, launch_s: float, clock: timing.Clock
) -> float | None:
    """What share of the work is done in `where`, send or fetch: about 0.0 of an honest kernel.

    `prepare` sets the kernel up; `case` says with which activation and precision, and a launch of
    it takes `launch_s`. None where it can't be set up for another layer, or where the work doesn't
    show.
    """
    quick = launch_s < QUICK_S * case.batch * case.n_in * case.n_units
    for size in SIZES[1:] if quick else SIZES:
        try:
            without, with_it = (
                _trip(prepare, case, size, shape, clock) for shape in _shapes(where, size)
            )
        except (kernels.Unsupported, MemoryError):
            return None
        work_s = with_it.end_to_end - without.end_to_end
        if work_s >= (SHOWS - 1) * without.end_to_end:
            seconds: float = getattr(with_it, where) - getattr(without, where)
            return seconds / work_s
    return None


def _shapes(where: str, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Inputs and units of a layer with little work, and of one with more and as much to move.

    There are more inputs than units: bias and activation are work for each number of the output.
    """
    if where == "fetch":
        return (8, size), (64 * size, size)
    return (16 * size, 1), (16 * size, 4 * size)


def _trip(
    prepare: Prepare, case: Case, size: int, shape: tuple[int, int], clock: timing.Clock
) -> timing.RoundTrip:
    """The least that each part of a round trip takes, with a layer of so many inputs and units."""
    n_in, n_units = shape
    dtype = kernels.DTYPES[case.precision]
    layer = kernels.Layer(
        np.full((n_in, n_units), 1 / n_in, dtype),
        np.zeros((1, n_units), dtype),
        case.activation,
        case.precision,
    )
    A_in = np.ones((size, n_in), dtype)
    step = prepare(layer, size)
    try:
        step.device.fence(step.launch(step.send(A_in)))
        trips = [timing.round_trip(step, A_in, clock)]
        while len(trips) < MOST and sum(trip.end_to_end for trip in trips) < TOGETHER_S:
            trips.append(timing.round_trip(step, A_in, clock))
    finally:
        step.close()
        step.device.release()
    return timing.RoundTrip(*map(min, zip(*trips, strict=True)))
