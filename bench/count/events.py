"""What is counted, and what processes that count are told and say: JSON in a folder."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bench.plan.case import Case

TASK, FOUND = "task.json", "counts.jsonl"

Number = Annotated[float, Meta(ge=0, le=1e30)]


class Events(msgspec.Struct, frozen=True):
    """What was counted; None for what the source doesn't count."""

    instructions: Number
    cycles: Number | None = None
    cache_misses: Number | None = None  # of the last level, as simulated
    branch_misses: Number | None = None  # as simulated

    def less(self, other: "Events", launches: int) -> "Events":
        """What is left of it for each of so many launches, without those of doing nothing."""

        def each(mine: float | None, theirs: float | None) -> float | None:
            return None if mine is None or theirs is None else max(mine - theirs, 0.0) / launches

        names = self.__struct_fields__
        return Events(*(each(getattr(self, name), getattr(other, name)) for name in names))  # type: ignore[arg-type]


class Task(msgspec.Struct, frozen=True):
    """What a process shall count: one kernel's cells."""

    source: str  # "callgrind" or "perf"
    kernel: str  # a name in kernels/, or the absolute path of a file
    cases: tuple[Case, ...]
    seed: int  # of the input values


class Counted(msgspec.Struct, frozen=True, tag=True):
    """A launch of one case, counted several times in one process."""

    place: int  # of the case in the task
    kernel_hash: str
    launches: int  # in each of the times
    times: tuple[Events, ...]


class Uncounted(msgspec.Struct, frozen=True, tag=True):
    """A case without a count, and why."""

    place: int
    reason: str


class Started(msgspec.Struct, frozen=True, tag=True):
    """The first line: what the process is made of."""

    facts: dict[str, str]


Line = Started | Counted | Uncounted
