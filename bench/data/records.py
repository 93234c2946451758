"""The rows of a run's files: one frozen dataclass a file, and it *is* the file's columns.

Seconds are SI seconds; every other unit is in the column's name. A number that does not exist is
empty in the file and `None` here. A column with a default came later: older files end before it.
`visits.csv` and `blocks.csv` are the truth and are only appended to; `cells.csv` follows from them
and `bench.stats.estimate` at any time.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from bench.plan.case import LARGEST, Activation, Cache, Precision

Status = Literal[
    "ok",  # measured and right
    "pending",  # the run stopped before its first visit
    "unavailable",  # the kernel can't run here
    "unsupported",  # the kernel doesn't do this precision or activation
    "skipped",  # predicted to cost more than the sweep allows
    "timeout",  # took far longer than predicted
    "out_of_memory",
    "error",  # the kernel raised
    "crashed",  # the kernel's process died
    "wrong",  # the answer was not right: its times reach no chart
    "impossible",  # faster than this machine's arithmetic can be: its times reach no chart
]
STATUSES: tuple[str, ...] = get_args(Status)

Quantity = Literal["time", "latency", "launch", "send", "fetch", "end_to_end"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)

Says = Literal["slower", "can't tell", "faster", "not slower"]
"""What can be said of a cell that two sides have run; the worst first."""

Phase = Literal["screen", "confirm"]

WORDS: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "quantity": QUANTITIES,
    "precision": get_args(Precision),
    "activation": get_args(Activation),
    "cache": get_args(Cache),
    "phase": get_args(Phase),
    "says": get_args(Says),
    "launch_bound": ("", "yes", "no"),
}
"""The columns that hold one of a few words."""

SIZE = (1, LARGEST)
SPAN = (1e-12, 1e8)
TRIP = (0, 1e8)  # a coarse clock may see nothing of a transfer
ANY = (-1e12, 1e12)
BOUNDS: dict[str, tuple[float, float]] = {
    "visit": (1, 2**63 - 1),
    "n_in": SIZE,
    "n_units": SIZE,
    "batch": SIZE,
    "threads": SIZE,
    "loops": (1, 2**63 - 1),
    "seconds": TRIP,
    **dict.fromkeys(("latency_s", "launch_s", "send_s", "fetch_s", "end_to_end_s"), TRIP),
    "control_s": SPAN,
    "measured_s": SPAN,
    "wall_s": SPAN,
    # differences of two readings that are not taken at once, or of a clock that was set
    "waited_s": ANY,
    "preempted": ANY,
    "steal_s": ANY,
    "pressure_s": ANY,
    "throttled_s": ANY,
    "suspended_s": ANY,
    "stepped_s": ANY,
    "log_ratio": ANY,
    "change": ANY,
    "change_low": ANY,
    "change_high": ANY,
    "visible": ANY,
    "control_log_ratio": ANY,
    "error": (0, 1e308),  # a wrong answer may be as wrong as it likes, in a finite number
    "quiet_s": TRIP,
    "cpu_s": TRIP,
    **dict.fromkeys(("device_mhz", "device_memory_mhz", "device_watts"), (0, 1e9)),
    "device_celsius": (-274, 1e6),
    "cores_busy": (0, LARGEST),
    "*": (1e-30, 1e30),
}
"""From where to where a column's numbers go; "*" is any other that is not whole. Whatever is
reckoned from numbers within them is finite. (A block of launches that took no time is refused.)"""

PREDICTED = re.compile(r"predicted ([0-9.e+-]+) s a launch")
"""How the reason of a skipped cell begins."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A row of visits.csv: one visit to a cell, or the one refusal that ended it."""

    visit: int  # number of the visit in this run, from 1
    pass_number: int  # which pass over the cells, from 1
    kernel: str
    kernel_hash: str  # of the kernel's source, 12 hex digits
    n_in: int
    n_units: int
    batch: int
    precision: str
    activation: str
    device_index: int  # the device asked for
    device: str  # the device's own name; empty where none was reached
    threads: int  # threads the libraries were told to use
    cache: str  # warm | cold
    status: Status
    reason: str  # with every status but ok
    error: (
        float | None
    )  # RMS error in units of what the precision should give (1 is typical; see bench.worker.check)
    at_s: float  # when the visit began, seconds since the epoch
    wall_s: float | None  # the visit's length on the wall clock
    cpu_s: float | None  # CPU time that the worker used in it, all threads
    quiet_s: float | None  # waited afterwards until the worker's threads stood still
    control_s: float | None  # what the control took beside the blocks, on the slowest core
    measured_s: float | None  # how long the blocks and the control took together
    waited_s: float | None  # in that time, for a core, all threads of the worker together
    preempted: int | None  # times that the worker's main thread was put aside for another process
    steal_s: float | None  # CPU time that the hypervisor took from this machine in the visit
    pressure_s: float | None  # time in it that some process of the machine waited for a core
    throttled_s: float | None  # time in it that a CPU quota held this container back
    suspended_s: float | None  # time in it that the machine slept
    stepped_s: float | None  # what the wall clock was set forward by in it
    device_mhz: float | None = None  # the device's clocks as its last block's work was queued,
    device_memory_mhz: float | None = None  # where it has clocks of its own and tells them
    device_celsius: float | None = None
    device_watts: float | None = None
    device_throttled: str = ""  # why its clock was held back then; empty where it was not
    cores_busy: float | None = None  # CPU seconds a second while the blocks ran, all threads
    layer: str = ""  # the layer's name, where it has one


@dataclass(frozen=True, slots=True)
class Block:
    """A row of blocks.csv: `loops` launches (or transfers) between two clock marks."""

    visit: int
    quantity: Quantity
    loops: int
    seconds: float  # per launch, or per transfer


@dataclass(frozen=True, slots=True)
class Round:
    """A row of rounds.csv: what one round of a comparison says of one cell."""

    round_number: int
    phase: Phase
    cell: str
    kernel: str
    base_s: float  # median seconds of a launch in the round
    head_s: float
    log_ratio: float  # median over neighbouring blocks of log(head / base)
    control_log_ratio: float  # the same of the fixed work beside them
    pairs: int
    dropped: int  # pairs that were set aside because the machine was disturbed


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row of verdicts.csv: what a comparison says of one cell.

    Changes are ratios less 1: 0.05 is five percent slower.
    """

    cell: str
    kernel: str
    says: Says
    change: float
    change_low: float | None  # its 95 % interval; empty under six rounds
    change_high: float | None
    visible: float | None  # the smallest slowdown that these rounds could have shown
    rounds: int
    accepted: str = ""  # why this slowdown is accepted, if it is (bench.gate.accepted)


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of cells.csv: everything a table or a chart says about one kernel on one case."""

    kernel: str
    kernel_hash: str
    n_in: int
    n_units: int
    batch: int
    precision: str
    activation: str
    device_index: int
    device: str
    threads: int
    cache: str
    status: Status
    reason: str
    visits: int  # good and quiet visits: those behind the numbers
    disturbed: int  # good visits that were set aside (bench.stats.disturbance)
    time_s: float | None  # the headline: one launch; median over quiet visits of the fastest block
    time_low_s: float | None  # its 95 % interval; empty under six visits
    time_high_s: float | None
    median_s: float | None  # median over visits of the visit's median block
    best_s: float | None  # the fastest block seen
    latency_s: float | None  # one launch and its fence, on the host's clock
    launch_s: float | None  # what the host itself spends on a launch
    send_s: float | None  # input to where the kernel computes
    fetch_s: float | None  # output back to the host
    end_to_end_s: float | None  # send, launch, fence, fetch
    flops: int  # floating-point operations of one launch: 2*batch*n_in*n_units + batch*n_units
    bytes: int  # each array read or written once
    flop_per_s: float | None  # flops / time_s
    flop_per_s_low: float | None
    flop_per_s_high: float | None
    percent_of_peak: float | None  # of the machine's arithmetic ceiling at this precision
    speedup: float | None  # python_loop's time over this one's, on the same case
    speedup_low: float | None  # its 95 % interval
    speedup_high: float | None
    speedup_basis: (
        str  # measured (paired by pass) | predicted (the loop was too slow to run) | empty
    )
    predicted_s: float | None  # of a skipped cell: what it was predicted to take
    error: float | None  # the largest RMS error over its visits, as in visits.csv
    percent_of_measured: float | None = None  # of what a large product reached on its device
    percent_of_stated: float | None = None  # of what the device's data sheet gives
    launch_bound: str = ""  # yes | no: does time_s consist of launch_s; empty where not known
    device_mhz: float | None = None  # these three: medians over the visits behind the numbers
    device_celsius: float | None = None
    device_watts: float | None = None
    throttled: int = 0  # of those visits, the ones with a clock held back
    cores_busy: float | None = None  # median over quiet visits: what blocks kept busy of `threads`
    layer: str = ""  # the layer's name; empty for a square of the sweep's widths
