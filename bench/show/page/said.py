"""Numbers as the page says them."""

import math

from bench.terminal import units


def number(value: float | None, unit: str) -> str:
    """Three digits and the unit; nothing for a number that isn't there."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.3g} %" if unit == "%" else units.si(value, unit)


def interval(low: float, high: float, unit: str) -> str:
    """From low to high; nothing where it isn't known."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{number(low, unit)} to {number(high, unit)}"
