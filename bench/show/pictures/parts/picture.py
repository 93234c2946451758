"""What a picture is: data and words. How they are drawn is a pen's business.

A pen is given a `Picture` and draws its body by the body's type. A kernel is named by its name; its
colour, marker and dash are those of `looks.look`. Numbers are SI, NaN where there is none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.data.records import Says
from bench.show.pictures.parts.looks import Dash
from bench.terminal import units

BROKEN: Dash = (6, 2, 1, 2)


@dataclass(frozen=True, slots=True)
class Line:
    """What one kernel does: a point a measured place, NaN where there is no number."""

    kernel: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()  # its 95 % interval
    high: Sequence[float] = ()

    @property
    def known(self) -> list[tuple[float, float]]:
        """The points that have a number."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if y > 0]


@dataclass(frozen=True, slots=True)
class Guide:
    """A thin grey line that is not measured here: a ceiling, a slope."""

    text: str
    x: Sequence[float]
    y: Sequence[float]
    dash: Dash = BROKEN


@dataclass(frozen=True, slots=True)
class Moment:
    """A place of x where something happened: a grey upright with a letter, explained in words."""

    x: float
    letter: str
    points: Sequence[tuple[float, float]] = ()  # of the lines that changed there


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that are compared with each other."""

    title: str
    lines: Sequence[Line]
    guides: Sequence[Guide] = ()
    moments: Sequence[Moment] = ()


@dataclass(frozen=True, slots=True)
class X:
    """The axis that all panels share: its words, and the text of each tick."""

    title: str
    ticks: Mapping[float, str]
    log: bool = True


@dataclass(frozen=True, slots=True)
class Y:
    """The other axis: on a log scale unless its unit is %, then from 0 to 100 or between `ends`."""

    title: str
    unit: str
    ends: tuple[float, float] | None = None

    @property
    def share(self) -> bool:
        return self.unit == "%"


@dataclass(frozen=True, slots=True)
class Lines:
    """Panels of lines that share their axes."""

    panels: Sequence[Panel]
    x: X
    y: Y
    joined: bool = True  # else points


@dataclass(frozen=True, slots=True)
class Bar:
    """How many times the baseline a kernel is, and what may be said of it."""

    kernel: str
    value: float  # NaN: no bar
    low: float  # its 95 % interval
    high: float
    head: str  # the number in words
    tail: str  # its interval, or why there is none
    predicted: bool = False  # the baseline was too slow to run
    whole: bool = False  # with transfers; belongs to the bar before it
    base: bool = False  # the baseline itself

    @property
    def remark(self) -> str:
        return "predicted loop" if self.predicted else ""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars from 1 on a log scale, in panels by title that have the same rows: the baseline first,
    then from the slowest kernel to the fastest.
    """

    panels: Mapping[str, Sequence[Bar]]
    x: str


@dataclass(frozen=True, slots=True)
class Tile:
    """The fastest kernel of a case, and its lead over the next one."""

    width: int
    batch: int
    kernel: str
    lead: float  # the next one's time over its own; NaN: no other kernel has a number here
    low: float  # the lead's interval, from those of the two times; NaN: not known
    high: float
    clear: bool  # its interval meets no other kernel's

    @property
    def known(self) -> bool:
        return not math.isnan(self.low)

    @property
    def even(self) -> bool:
        """No kernel is clearly the fastest."""
        return self.known and not self.clear

    @property
    def lines(self) -> list[str]:
        """What is said on it: the lead and its interval, where there is one."""
        if math.isnan(self.lead):
            return ["alone"]
        if not self.known:
            return [units.times(self.lead) + "?"]
        if not self.clear:
            return ["no difference"]
        return [units.times(self.lead), f"{units.number(self.low)} to {units.number(self.high)}"]


@dataclass(frozen=True, slots=True)
class Tiles:
    """Grids by title, a tile a width and batch."""

    grids: Mapping[str, Sequence[Tile]]
    x: str = "width of the layer, units"
    y: str = "batch"


@dataclass(frozen=True, slots=True)
class Dot:
    """A number with its 95 % interval, of a kernel or a cell."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with a name: its dots at each batch."""

    name: str
    shape: str
    batches: Mapping[int, Sequence[Dot]]


@dataclass(frozen=True, slots=True)
class Dots:
    """A row a layer and batch, from small layers to large; the numbers on a log scale."""

    layers: Sequence[Layer]
    kernels: Sequence[str]  # in the order of the run's cells
    unit: str


@dataclass(frozen=True, slots=True)
class Marks:
    """Visits to one kernel in their order, as parts of its estimate: 0.1 is ten percent slower."""

    kernel: str
    low: float  # of the estimate's 95 % interval
    high: float
    away: Sequence[float]
    found: Sequence[float]  # the same with nothing adjusted


@dataclass(frozen=True, slots=True)
class Visits:
    """A row a kernel, from the slowest to the fastest."""

    rows: Sequence[Marks]
    x: str


@dataclass(frozen=True, slots=True)
class Change:
    """A cell's change with its 95 % interval: 0.05 is five percent slower."""

    cell: str
    kind: Says
    value: float
    low: float
    high: float
    accepted: bool
    words: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The cells that moved, the slowest first, and by kernel those that are not slower."""

    moved: Sequence[Change]
    calm: Mapping[str, Sequence[Dot]]
    margin: float  # the slowdown that was asked about


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why there is nothing to draw."""

    words: str


Body = Lines | Bars | Tiles | Dots | Visits | Changes | Nothing


@dataclass(frozen=True, slots=True)
class Picture:
    """What a chart shows and says, whoever draws it."""

    title: str  # the finding, or what is plotted where nothing can be said
    subtitle: Sequence[str]  # what is plotted, then which cells were chosen
    body: Body
    missing: Sequence[str]  # a phrase for each group of cells that is not shown
    footer: str  # where, when and how often it was measured
    note: str = ""  # how to read it, in a line below
    kernels: Sequence[str] = ()  # those shown but the baseline, the fastest first
    method: str = ""  # how to read it, for a speaker's notes
    table: str = "cells.csv"  # the file that has what is not shown
