"""How far more devices make a layer faster: its time, or the part of each device that is used."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Guide, Line, Lines, Nothing, Panel, Picture, X, Y
from bench.terminal import units

Kind = Literal["strong", "weak"]
"""The same layer on more devices, or a layer that grows with them."""

What = Literal["time", "efficiency"]

METHOD = (
    "What is plotted: the time of a launch against the number of devices, for the same layer"
    " (strong scaling) and for one with as many units for each device (weak scaling). Efficiency is"
    " the time that the number of devices promises, from the kernel's own time with the fewest, in"
    " per cent of the time that it took."
)


@dataclass(frozen=True, slots=True)
class Point:
    """What a kernel's launch took on so many devices, in seconds: the middle one of some runs."""

    kind: Kind
    kernel: str
    devices: int
    n_in: int
    n_units: int
    batch: int
    seconds: float
    low_s: float  # the fastest run
    high_s: float  # and the slowest
    runs: int

    def ideal_s(self, start: "Point") -> float:
        """What it would take if the devices shared its work and lost no time, after `start`."""
        work = self.n_units / start.n_units
        return start.seconds * work * start.devices / self.devices


def picture(points: Sequence[Point], what: What, where: str) -> Picture:
    """A panel for each kind of scaling, a line a kernel; `where` says on what it was measured."""
    counts = sorted({point.devices for point in points})
    if len(counts) < 2:
        nothing = "times with one number of devices only"
        return Picture("Scaling by number of devices", [], Nothing(nothing), [], where)
    panel = _times if what == "time" else efficiency
    kinds = [kind for kind in ("strong", "weak") if any(p.kind == kind for p in points)]
    shares = what == "efficiency"
    y = Y("efficiency", "%", (0.0, _top(points))) if shares else Y("time of a launch", "s")
    subtitle = "Part of the devices that is used" if shares else "Time of a launch"
    return Picture(
        _title(points),
        [f"{subtitle}: the middle one of some runs, and their range", _case(points)],
        Lines(
            [_panel([p for p in points if p.kind == kind], counts, panel) for kind in kinds],
            X("number of devices (log scale)", {count: str(count) for count in counts}),
            y,
        ),
        [],
        where,
        kernels=list(dict.fromkeys(point.kernel for point in points)),
        method=METHOD,
    )


def first(points: Sequence[Point], like: Point) -> Point:
    """The point with the fewest devices of the same line."""
    line = (p for p in points if (p.kind, p.kernel) == (like.kind, like.kernel))
    return min(line, key=lambda point: point.devices)


def efficiency(point: Point, start: Point) -> tuple[float, float, float]:
    """In per cent, and from where to where it may lie: both times have a range."""
    ideal, share = point.ideal_s(start), 100 * point.ideal_s(start) / point.seconds
    if point is start:
        return share, share, share
    low, high = start.low_s / start.seconds, start.high_s / start.seconds
    return share, 100 * ideal * low / point.high_s, 100 * ideal * high / point.low_s


Numbers = Callable[[Point, Point], tuple[float, float, float]]


def _times(point: Point, start: Point) -> tuple[float, float, float]:
    return point.seconds, point.low_s, point.high_s


def _panel(points: Sequence[Point], counts: Sequence[int], numbers: Numbers) -> Panel:
    lines, guides = [], []
    for kernel in dict.fromkeys(point.kernel for point in points):
        at = {point.devices: point for point in points if point.kernel == kernel}
        start = at[min(at)]
        rows = [numbers(at[n], start) if n in at else (math.nan,) * 3 for n in counts]
        y, low, high = (list(column) for column in zip(*rows, strict=True))
        lines.append(Line(kernel, counts, y, low, high))
        if numbers is _times:
            known = [n for n in counts if n in at]
            guides.append(Guide("ideal", known, [at[n].ideal_s(start) for n in known]))
    if numbers is efficiency:
        guides.append(Guide("ideal", [counts[0], counts[-1]], [100.0, 100.0]))
    one = points[0]
    each = (
        f"{one.n_in} x {one.n_units}"
        if one.kind == "strong"
        else f"{one.n_in} x {one.n_units // one.devices} a device"
    )
    return Panel(f"{one.kind}: {each}", lines, guides)


def _top(points: Sequence[Point]) -> float:
    """Where the axis of shares ends: above 100, and above what a cache may give."""
    highest = max(efficiency(point, first(points, point))[2] for point in points)
    return 20.0 * math.ceil(max(highest, 101.0) / 20)


def _title(points: Sequence[Point]) -> str:
    """How much faster the most devices make the same layer with the kernel that gains most."""
    gains = [
        (first(points, point).seconds / point.seconds, point)
        for point in points
        if point.kind == "strong" and point.devices > first(points, point).devices
    ]
    if not gains:
        return "Scaling by number of devices"
    gain, point = max(gains, key=lambda pair: pair[0])
    if gain <= 1:
        return "More devices make no layer here faster"
    fewest = first(points, point).devices
    who = words.sentence(words.spoken(point.kernel))
    return f"{who} is {units.times(gain)} as fast with {point.devices} devices as with {fewest}"


def _case(points: Sequence[Point]) -> str:
    return " · ".join(dict.fromkeys(f"batch {point.batch}" for point in points))
