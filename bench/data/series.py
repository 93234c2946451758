"""What a history says of one cell over many runs: `bench.history` fills it, charts draw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.plan.case import Case

Source = Literal["run", "gate"]
"""Where a number comes from: a run, or the head side of a comparison of two commits. They are
measured in different ways, and so never stand in one series."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run as a history keeps it."""

    key: str  # the same for the same run, wherever its folder is and however often it went on
    name: str  # of its folder
    source: Source
    at_s: float  # when it began, in seconds since 1970-01-01 00:00 UTC
    commit: str  # empty where it is not known
    clean: bool  # whether the checkout was as that commit has it
    machine: str  # hash of host, processor, memory and GPUs: 12 hex digits
    host: str
    lock: str  # hash of the packages and their versions: 12 hex digits
    facts: Mapping[str, str]  # what else a time may depend on, in words: NumPy, driver, and so on
    packages: Mapping[str, str] = field(default_factory=dict)  # versions by name

    @property
    def version(self) -> str:
        """The commit in a few digits, with a + where the files were not as it has them."""
        return self.commit[:9] + "+" * (not self.clean) if self.commit else "no commit"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a series is of. Two numbers are of one series only where all of this is the same."""

    machine: str
    source: Source
    quantity: str  # time, or what else is counted for each launch
    kernel: str
    case: Case
    device: str
    threads: int
    cache: str

    @property
    def label(self) -> str:
        """All of it but the machine, in words."""
        case = self.case
        parts = [
            self.kernel,
            case.layer,
            self.shape,
            case.precision,
            case.activation,
            f"{self.threads} threads" if self.threads != 1 else "1 thread",
            self.device.split(" at ")[0] if self.device != "cpu" else "",
            "cold caches" if self.cache == "cold" else "",
            "gate" if self.source == "gate" else "",
            self.quantity if self.quantity != "time" else "",
        ]
        return " ".join(part for part in parts if part)

    @property
    def shape(self) -> str:
        """The layer's shape and the batch, as verdicts have them."""
        return f"{self.case.n_in}x{self.case.n_units} batch {self.case.batch}"


@dataclass(frozen=True, slots=True)
class Series:
    """A subject's numbers, from the earliest run to the latest: an entry a run that has one."""

    subject: Subject
    runs: Sequence[Kept]
    values: Sequence[float]  # seconds a launch, or a count
    lows: Sequence[float]  # of its 95 % interval; nan: not known
    highs: Sequence[float]
    hashes: Sequence[str]  # of the kernel's source


@dataclass(frozen=True, slots=True)
class Change:
    """Between two neighbouring runs of a series its level changed, for good."""

    at: int  # the first entry of the series after the change
    ratio: float  # the level after over that before: 1.05 is 5 % slower
    low: float  # of its 95 % interval
    high: float
    before: Kept
    after: Kept
    also: Sequence[str] = ()  # what else changed between the two runs
    moved: tuple[int, int] = (0, 0)  # how many of the machine's series changed there, of how many


def differences(before: Kept, after: Kept) -> list[str]:
    """What two runs of one machine differ in beside the commit: "NumPy 2.3.1 -> 2.4.0"."""
    words = _differences(before.facts, after.facts)
    if before.packages and after.packages:  # else an older run, which does not say
        told = {name.lower() for name in before.facts}
        packages = _differences(before.packages, after.packages)
        words += [f"package {each}" for each in packages if each.split()[0] not in told]
    if before.clean != after.clean:
        words.append("changes that are in no commit")
    return words


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    names = sorted(before.keys() | after.keys())
    return [
        f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    ]
