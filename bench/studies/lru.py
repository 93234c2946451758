"""A core's caches, as they would be if each kept what was used last: simulated, by Numba.

A level is an array of lines, a row a set, the line that was used last first; a line of memory
belongs into the set that its number says. A level that lacks a line brings it from the next one,
and both keep it. The line of its set that was used longest ago makes room; where it was written, it
is written back. Nothing is brought before it is asked for, and levels don't know what others have.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels._caches import LINE, Cache
from kernels._numba import njit

EMPTY = -1


class Levels:
    """The caches, the nearest first, each with its share of those that other cores use too."""

    def __init__(self, caches: Sequence[Cache]) -> None:
        # an entry is twice a line's number, and 1 more where it was written
        self._entries = tuple(
            np.full((max(cache.share // (LINE * cache.ways), 1), cache.ways), EMPTY, np.int64)
            for cache in caches
        )
        self.brought = np.zeros(len(caches), np.int64)
        """Lines that each level brought from the next one, the last from memory."""
        self.written_back = np.zeros(len(caches), np.int64)
        """Lines that each level wrote back to the next one, or farther."""

    def use(self, entries: NDArray[np.int64]) -> None:
        """Use lines one after the other: twice a line's number to read it, 1 more to write it."""
        _use(entries, self._entries, self.brought, self.written_back)

    def count_anew(self) -> None:
        """Count from here on; the caches keep what they have."""
        self.brought[:] = self.written_back[:] = 0


@njit()
def _use(entries: Any, levels: Any, brought: Any, written_back: Any) -> None:
    for entry in entries:
        line, written = entry >> 1, entry & 1
        for level in range(len(levels)):
            places = levels[level][line % len(levels[level])]
            place = _place(places, line)
            before = places[place]
            for later in range(place, 0, -1):
                places[later] = places[later - 1]
            if before >> 1 == line:
                places[0] = before | written
                break
            places[0] = line << 1 | written
            written = 0  # the next level learns of it when the line is written back
            brought[level] += 1
            if before != EMPTY and before & 1:
                _write_back(before >> 1, level, levels, written_back)


@njit()
def _place(places: Any, line: int) -> int:
    """Where a set has a line; if it doesn't, where it has the one that was used longest ago."""
    for place in range(len(places) - 1):
        if places[place] >> 1 == line:
            return place
    return len(places) - 1


@njit()
def _write_back(line: int, level: int, levels: Any, written_back: Any) -> None:
    """To the next level that has the line, or to memory."""
    for farther in range(level + 1, len(levels) + 1):
        written_back[farther - 1] += 1
        if farther < len(levels):
            places = levels[farther][line % len(levels[farther])]
            place = _place(places, line)
            if places[place] >> 1 == line:
                places[place] |= 1
                return
