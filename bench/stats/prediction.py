"""What a launch will take, from what smaller cases took."""

import math

from bench.plan.case import Case


def predict(case: Case, measured: dict[Case, float]) -> float | None:
    """Seconds of one launch of `case`, from what smaller cases of the same kernel took.

    Smaller is a case that is larger on no axis: a wide layer and a large batch cost different
    things. Time grows with the operations to a power between 0 (all overhead) and 1 (all work),
    read off the largest smaller case and one with at most an eighth of its work; 1 where there is
    no such. None where nothing smaller has been measured.
    """
    smaller = sorted((c for c in measured if within(c, case)), key=lambda c: (c.flops, measured[c]))
    if not smaller:
        return None
    near = smaller[-1]
    far = next((c for c in reversed(smaller) if 8 * c.flops <= near.flops), None)
    power = 1.0
    if far is not None:
        power = math.log(measured[near] / measured[far]) / math.log(near.flops / far.flops)
    seconds: float = measured[near] * (case.flops / near.flops) ** min(max(power, 0.0), 1.0)
    return seconds


def within(inner: Case, outer: Case) -> bool:
    """Whether a case is larger on no axis."""
    return (
        inner.n_in <= outer.n_in and inner.n_units <= outer.n_units and inner.batch <= outer.batch
    )
