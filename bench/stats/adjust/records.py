"""What goes in and what comes out: a run's blocks, a cell's estimate, the machine's state, and what
later runs on the same machine may know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.data.speed_history import History
from bench.stats.adjust.grouped import Floats, Integers

ENOUGH = 4
"""Visits from which on an interval holds 95 %."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """A run's blocks. Sequences have an entry a cell, arrays one a block."""

    names: Sequence[str]  # of the cells, each once
    kernels: Sequence[str]  # the kernel of each cell
    on_device: Sequence[bool]  # whether a cell's time is a device's own, which is left alone
    cell: Integers  # of each block: a position in `names`
    visit: Integers  # of each block: a number that grows with time; a visit has one cell
    seconds: Floats  # a launch
    probe_before: Floats  # seconds of the speed probe just before the block, on the core that
    probe_after: Floats  # launched it, and just after; nan does for a device's blocks
    probe_elsewhere: Floats  # the readings on all other cores, of the whole run, in any order


@dataclass(frozen=True, slots=True)
class Estimate:
    """A cell's time on a core left alone, in seconds a launch, and its 95 % interval."""

    name: str
    value: float  # nan, as all times, for a cell without blocks
    low: float
    high: float
    visits: int
    as_found: float  # the same with nothing adjusted and each visit counting alike
    slope: float  # log(seconds) grows by this much for each unit of log(probe); 0: not adjusted
    slope_error: float  # its standard error

    @property
    def known(self) -> bool:
        """Whether there are visits enough for the interval to hold 95 %."""
        return self.visits >= ENOUGH

    @property
    def factor(self) -> float:
        """How many times longer the time was as found."""
        return self.as_found / self.value

    @property
    def half_width(self) -> float:
        """Half the interval's width, relative to the estimate."""
        return (self.high - self.low) / 2 / self.value


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times longer one cell takes than another, and the 95 % interval of that."""

    value: float
    low: float
    high: float
    visits: int  # of the cell that has fewer
    as_found: float  # the ratio of the times as found

    @property
    def known(self) -> bool:
        """Whether there are visits enough for the interval to hold 95 %."""
        return self.visits >= ENOUGH


Source = Literal["run", "earlier", "fastest"]
"""Where the probe's floor comes from: this run saw a core left alone; it didn't and earlier runs
did; none did, and the fastest state that this run was in stands for it.
"""


@dataclass(frozen=True, slots=True)
class MachineState:
    """What the machine was like during a run."""

    floor_s: float  # seconds of the probe on a core left alone; nan: all cells are a device's
    source: Source
    busy: float  # share of the readings, 0 to 1, that found something else on the core
    slowed: float  # how many times longer than its floor the probe took, in the middle
    longer: float  # how many times longer the adjusted cells took as found, in the middle


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a run tells."""

    estimates: tuple[Estimate, ...]  # in the order of the cells
    adjusted: tuple[float, ...]  # seconds a launch of each visit, in the order of their numbers
    as_found: tuple[float, ...]  # the same with nothing adjusted
    state: MachineState
    history: History  # of this run and the earlier ones
