"""What the machine could do: the ceilings that charts draw."""

import math
from collections.abc import Mapping
from typing import Any


def peak(machine: Mapping[str, Any], name: str) -> float | None:
    """One of the machine's ceilings, if it is known."""
    rate = (machine.get("peaks") or {}).get(name)
    return float(rate) if rate and math.isfinite(rate) and rate > 0 else None
