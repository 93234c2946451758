"""Numbers for people: SI prefixes and three digits, never more than the measurement holds."""

from decimal import Decimal

PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}


def si(value: float, unit: str = "", digits: int = 3) -> str:
    """12.3456e-6, "s" -> "12.3 µs"."""
    if value == 0:
        return f"0 {unit}".rstrip()
    rounded = Decimal(f"{value:.{digits - 1}e}")
    power = min(max(rounded.adjusted() // 3 * 3, min(PREFIXES)), max(PREFIXES))
    return f"{_plain(rounded.scaleb(-power))} {PREFIXES[power]}{unit}".rstrip()


def number(value: float, digits: int = 3) -> str:
    """1948.7 -> "1,950"; what has more zeros than can be counted at a glance -> "1.95e+15"."""
    if value and not 1e-9 < abs(value) < 1e12:
        return f"{value:.{digits - 1}e}"
    return _plain(Decimal(f"{value:.{digits - 1}e}"))


def times(ratio: float, digits: int = 3) -> str:
    """1948.7 -> "1,950x"."""
    return f"{number(ratio, digits)}x"


def seconds(value: float) -> str:
    """For a progress line: "8 s", "2 min 05 s"."""
    whole = max(round(value), 0)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def _plain(number: Decimal) -> str:
    return f"{number:,f}"
