"""What disturbs a device while it works by itself: what its driver told during each visit.

Nothing here looks at times: no visit is set aside for being slow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from bench.data.records import Throttle, Visit

Cause = Literal["clock", "held back", "shared"]
"""Why a visit doesn't count: the clock was lower than in the cell's other visits; heat, the
hardware or the power supply held it back; other processes used the device.
"""

LOST = 0.03
"""A clock moves by this share by itself, at a power limit."""

USED = 0.1
"""Other processes that take less of a device's time than this, such as a desktop's, are left out of
account."""

NORMAL: Throttle = "power cap"
"""A large product holds the clock back by itself: that is the device's normal state under it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a visit saw of its device; None where the driver doesn't tell."""

    mhz: float | None
    held_back: bool
    others: float | None  # the share of the device's time that other processes took


def seen(visit: Visit) -> Seen:
    """What a visit saw."""
    held_back = any(reason != NORMAL for reason in visit.device_throttled)
    return Seen(visit.device_mhz, held_back, visit.device_others)


def disturbances(visits: Mapping[int, Seen]) -> dict[int, Mapping[Cause, float]]:
    """What disturbed each of a cell's visits, and how much; nothing for those that were not.

    A clock is compared with the middle one of the visits in which nothing held it back: a card that
    is at its power limit in every visit is in its normal state. One that was held back counts as
    if it had lost all of its clock.
    """
    free = [seen.mhz for seen in visits.values() if seen.mhz and not seen.held_back]
    usual = median(free) if free else None
    return {number: _disturbed(seen, usual) for number, seen in visits.items()}


def _disturbed(seen: Seen, usual_mhz: float | None) -> Mapping[Cause, float]:
    lost = 1 - seen.mhz / usual_mhz if seen.mhz and usual_mhz else 0.0
    found: dict[Cause, float] = {}
    if lost > LOST:
        found["clock"] = lost
    if seen.held_back:
        found["held back"] = 1.0
    if (seen.others or 0.0) > USED:
        found["shared"] = seen.others or 0.0
    return found
