"""Where a picture of lines has its places: from data to inches and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.show.charts import fit
from bench.show.deck import brush
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Lines, Panel
from bench.terminal import units

LEFT, TOP = 0.95, 0.5  # inches around the area between the axes
TICK = 0.1
SMALLEST = 10.0  # points

INSIDE = 1 - 1e-6
"""What lies on the very edge of the axes, a rounding may put outside, where it has no label."""

Place = tuple[float, float | None]


@dataclass(frozen=True)
class Scale:
    """Where a picture of lines has its places: from data to inches and back."""

    body: Lines
    box: brush.Box

    @property
    def panel(self) -> Panel:
        """The one that a slide has."""
        return self.body.panels[0]

    @cached_property
    def power(self) -> int:
        """Of ten, what the axis counts in: GFLOP/s are 9. Three at a time, from the largest."""
        if self.body.y.share:
            return 0
        largest = max(y for line in self.panel.lines for y in line.y if y > 0)
        power = math.floor(math.log10(largest) / 3) * 3
        most = 0 if self.body.y.unit == "s" else max(units.PREFIXES)
        return min(max(power, min(units.PREFIXES)), most)

    def of(self, numbers: Sequence[float]) -> list[float | None]:
        """In the axis's unit; None where there is no number."""
        return [number / 10.0**self.power if math.isfinite(number) else None for number in numbers]

    @property
    def unit(self) -> str:
        return f"{units.PREFIXES[self.power]}{self.body.y.unit}"

    @cached_property
    def x(self) -> tuple[float, float]:
        places = [x for line in self.panel.lines for x in line.x]
        low, high = min(places), max(places)
        if not self.body.x.log:
            return low - 0.5, high + 0.5
        factor = max((high / low) ** 0.04, 1.15)
        ticks = self.body.x.ticks  # those of all parts of a picture
        return min(low / factor, min(ticks) / 1.02), max(high * factor, max(ticks) * 1.02)

    @cached_property
    def y(self) -> tuple[float, float]:
        """Whole decades, which is what PowerPoint puts its ticks at; a share up to 110 %."""
        if self.body.y.share:
            return self.body.y.ends or (0.0, 110.0)
        parts = [part for line in self.panel.lines for part in (line.y, line.low, line.high)]
        parts += [guide.y for guide in self.panel.guides]
        known = [n for part in parts for n in self.of(part) if n is not None and n > 0]
        low = 10.0 ** math.floor(math.log10(min(known) / 1.02))
        return low, max(10.0 ** math.ceil(math.log10(max(known) * 1.02)), low * 10)

    @cached_property
    def names(self) -> list[tuple[str, float, float, str]]:
        """What is named at its end: the text, the last point, the colour."""
        found = []
        for line in self.panel.lines:
            known = [(x, y) for x, y in zip(line.x, self.of(line.y), strict=True) if y]
            if known:
                found.append(
                    (words.broken(line.kernel), *max(known), brush.THEME.text(line.kernel))
                )
        for guide in self.panel.guides:
            y = self.of(guide.y)[-1]
            found.append((guide.text, guide.x[-1], y or self.y[0], brush.THEME.muted))
        return found

    @cached_property
    def size(self) -> float:
        """Points of the names: smaller where there are many."""
        rows = sum(name[0].count("\n") + 1 for name in self.names)
        fits = (self.plot.height + brush.ROW) / (rows * fit.LEADING / 72)
        return max(min(fit.SIZE, fits), SMALLEST)

    @cached_property
    def plot(self) -> brush.Box:
        """The area between the axes, in the chart."""
        named = max(fit.width_of(name[0], weight="bold") for name in self.names) + 0.35
        wide, tall = self.box.width - LEFT - named, self.box.height - TOP - brush.BOTTOM
        return brush.Box(LEFT, TOP, wide, tall)

    def up(self, y: float) -> float:
        """Inches above the lower axis."""
        return _part(y, self.y, log=not self.body.y.share) * self.plot.height

    def back(self, inches: float) -> float:
        """The number at this height, if only just between the ends of the axis."""
        low, high = self.y
        part = min(max(inches / self.plot.height, 1 - INSIDE), INSIDE)
        return low + (high - low) * part if self.body.y.share else low * (high / low) ** part

    @cached_property
    def ticks(self) -> list[tuple[float, str]]:
        """The text of each tick of x; none where it would touch the next one's."""
        edge, found = math.inf, []
        for tick, said in sorted(self.body.x.ticks.items(), reverse=True):
            half = fit.width_of(said) / 2 + 0.04
            middle = self.plot.width * _part(tick, self.x, log=self.body.x.log)
            fits = middle + half <= edge
            found.append((float(tick), said if fits else ""))
            edge = middle - half if fits else edge
        return found[::-1]

    @property
    def marks(self) -> list[Place]:
        """A short line up from each tick, and a gap after it."""
        low, high = self.back(0), self.back(TICK)
        ups = ([(x, low), (x, high), (x, None)] for x, _ in self.ticks)
        return [place for up in ups for place in up]


def _part(place: float, ends: tuple[float, float], *, log: bool) -> float:
    """How far along an axis a place is: 0 to 1."""
    low, high = ends
    if log:
        return math.log(place / low) / math.log(high / low)
    return (place - low) / (high - low)
