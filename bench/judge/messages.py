"""What the parent and the judge say to each other: lines of JSON and open files over a socket, a
request and its reply at a time (bench.ipc.lines).
"""

import msgspec

from bench.data.records import Status
from bench.ipc.outputs import Label
from bench.plan.case import Case, Weights


class Draw(msgspec.Struct, frozen=True, tag=True):
    """Have a case's arrays ready; answered by Drawn."""

    case: Case
    weights: Weights | None = None  # where the layer's own numbers are; none: drawn


class Check(msgspec.Struct, frozen=True, tag=True):
    """Compare a visit's outputs, whose file comes with it; answered by Verdict."""

    case: Case
    weights: Weights | None
    labels: tuple[Label, ...]  # which outputs are there


Request = Draw | Check


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """The arrays are there: with it come the file of the layer and that of the inputs."""


class Verdict(msgspec.Struct, frozen=True, tag=True):
    """What the outputs are: right, with their largest RMS error, or wrong, and how."""

    error: float | None = None
    wrong: str = ""


class CantJudge(msgspec.Struct, frozen=True, tag=True):
    """The case can't be drawn or checked, and why: out_of_memory, error or timeout."""

    status: Status
    reason: str


Reply = Drawn | Verdict | CantJudge
