"""Text that fits: how wide it is, where it breaks, how labels keep apart, which ticks there are."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, NullLocator

from bench.show.pictures.parts.ticks import log_ticks

FONT = "DejaVu Sans"  # comes with matplotlib
SIZE = 14.0  # points: the smallest text on a slide that the last row can read
LEADING = 1.3  # line height over text size


@cache
def width_of(text: str, size: float = SIZE, weight: str = "normal") -> float:
    """Inches that the longest line of a text takes."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    measured = text_to_path.get_text_width_height_descent
    with any_script():
        return max(float(measured(line, font, ismath=False)[0]) for line in text.split("\n")) / 72


@contextmanager
def any_script() -> Iterator[None]:
    """Inside, letters that the font lacks are boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")  # its shaping
        yield


def wrapped(text: str, room: float, size: float = SIZE, weight: str = "normal") -> list[str]:
    """Lines of at most so many inches, where words allow it."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".lstrip()
            if line and width_of(longer, size, weight) > room:
                lines.append(line)
                longer = word
            line = longer
        lines += [line] if line else []
    return lines


def fitting(title: str, size: float, least: float, room: float, lines: int) -> float:
    """Points at which a title takes so many lines: `size`, or less if it is long."""
    while size > least and len(wrapped(title, room, size, "bold")) > lines:
        size -= 1
    return size


def not_shown(
    missing: Sequence[str], room: float, size: float, most: int, table: str = "cells.csv"
) -> list[str]:
    """What is not shown, in at most so many lines: whole phrases, then how many more there are, and
    the table that has them.
    """
    for kept in range(len(missing), 0, -1):
        rest = len(missing) - kept
        more = f"; and {rest} more, see {table}" if rest else ""
        lines = wrapped(f"Not shown: {'; '.join(missing[:kept])}{more}.", room, size)
        if len(lines) <= most:
            return lines
    return [f"Not shown: {len(missing)} groups of cells, see {table}."] if missing else []


def ticks_apart(low: float, high: float, inches: float, say: Callable[[float], str]) -> list[float]:
    """As many round numbers for a log axis of so many inches as its labels leave apart."""
    for most in range(12, 1, -1):
        ticks = log_ticks(low, high, most)
        step = inches / math.log10(high / low)
        gaps = (
            math.log10(b / a) * step - (width_of(say(a)) + width_of(say(b))) / 2
            for a, b in pairwise(ticks)
        )
        if all(gap > 0.12 for gap in gaps):
            return ticks
    return log_ticks(low, high, 1)


def fix_ticks(axis: Any, places: Sequence[float], labels: Sequence[str]) -> None:
    """Ticks exactly there, and none between."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels(labels)


def apart(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Centres as near to the wanted ones as can be, in their order, that don't overlap.

    Less the room that the labels below need, the centres only have to rise: so neighbours that
    would fall are pooled at their mean, and all is kept between `low` and `high`.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    below = np.cumsum([0.0] + [heights[i] for i in order])
    room = [below[k] + heights[i] / 2 for k, i in enumerate(order)]
    pools: list[list[float]] = []
    for k, i in enumerate(order):
        pools.append([wanted[i] - room[k]])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    offsets = [float(np.mean(pool)) for pool in pools for _ in pool]
    placed = [0.0] * len(wanted)
    for k, i in enumerate(order):
        placed[i] = max(low, min(offsets[k], high - below[-1])) + room[k]
    return placed
