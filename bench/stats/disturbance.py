"""Which visits count: those that the machine let alone.

The rule looks at the machine and never at the kernel's times, so it can't favour a result. A visit
has one number, its slowness: what the speed probe took, lengthened by the share of time that
its threads stood waiting. A run's quiet level is the tenth percentile of that over its visits; a
visit that is a tenth slower is disturbed and set aside. For a cell that has no undisturbed visit
at all, its least disturbed one sets the level.

A visit that found a device's clock held back (`device_throttled`) is marked only: a GPU that is at
its power cap under a large product is in its normal state, and would be so again.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from bench.data.records import Visit

LEVEL = 0.1
"""The quiet level is this quantile of a run's slownesses."""

SLOWER = 1.1
"""A visit so many times slower than the quiet level is disturbed."""

ABRUPT_S = 1e-3
"""A clock that was set by more than this, or a machine that slept, spoils a visit altogether.
(Network time keeps a clock right by at most 0.5 ms a second.)"""


def slowness(visit: Visit) -> float:
    """How slow the machine was during a visit, in seconds that the speed probe would have taken.

    Infinite where the machine slept or its clock was set meanwhile; 1.0 for a visit of which
    nothing is known.
    """
    if max(visit.suspended_s or 0.0, abs(visit.stepped_s or 0.0)) > ABRUPT_S:
        return math.inf
    waiting = (visit.waited_s or 0.0) / (visit.measured_s or 1.0)
    waiting += ((visit.steal_s or 0.0) + (visit.throttled_s or 0.0)) / (visit.wall_s or 1.0)
    # of two readings that are not taken at once, the difference may be below nothing
    return (visit.control_s or 1.0) * (1 + max(waiting, 0.0))


def limit(slownesses: Iterable[float]) -> float:
    """The slowness above which a visit of this run is disturbed."""
    return limit_of(sorted(slownesses))


def limit_of(ordered: Sequence[float]) -> float:
    """The same, of slownesses in their order: a run that goes on keeps them so."""
    return SLOWER * ordered[int(LEVEL * (len(ordered) - 1))] if ordered else math.inf


def kept(slownesses: Mapping[int, float], limit: float) -> list[int]:
    """Of visits by their pass, the passes of those that count, in order."""
    if slownesses and min(slownesses.values()) > limit:
        limit = SLOWER * min(slownesses.values())
    return sorted(p for p, value in slownesses.items() if value <= limit)
