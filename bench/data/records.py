"""The rows of a run's files: one frozen dataclass a file, and it *is* the file's columns.

Seconds are SI seconds; every other unit is in the column's name. A number that does not exist is
empty in the file and `None` here. A column with a default came later: older files end before it.
`visits.csv` and `blocks.csv` are the truth and are only appended to; `cells.csv` follows from them
and `bench.stats` at any time. The comment above a column is its meaning in the documentation
(`bench.data.meanings`).
"""

from dataclasses import dataclass
from typing import Literal, get_args

from bench.plan.case import LARGEST, Activation, Cache, Precision

Status = Literal[
    # measured, and the answers were right
    "ok",
    # the run ended before the cell's first visit; where those are over a thousand cells, none
    # of them has a row
    "pending",
    # the kernel can't run on this machine, or not for this layer and batch: the reason says what it
    # lacks
    "unavailable",
    # the kernel does not do this precision or activation
    "unsupported",
    # one launch was predicted, or found, to take longer than the sweep's limit
    "skipped",
    # no answer came in far more time than was predicted, and the kernel's process was ended
    "timeout",
    # the cell's arrays do not fit into memory
    "out_of_memory",
    # the kernel raised an exception, or broke a rule of the contract
    "error",
    # the kernel's process died
    "crashed",
    # an answer was wrong: the cell has no time
    "wrong",
    # faster than the device's arithmetic can be: the cell has no time
    "impossible",
]
STATUSES: tuple[str, ...] = get_args(Status)

Quantity = Literal["time", "latency", "launch", "send", "fetch", "end_to_end"]
QUANTITIES: tuple[str, ...] = get_args(Quantity)

Says = Literal["slower", "can't tell", "faster", "not slower"]
"""What can be said of a cell that two sides have run; the worst first."""

Phase = Literal["screen", "confirm"]

Witness = Literal["time", "count", "both", ""]
"""What a verdict rests on; nothing where it can't be told."""

CountSays = Literal["more", "changed", "equal", "fewer", ""]
"""What counts of instructions say of a cell; nothing where there is no count."""

Untold = Literal[
    # fewer rounds than an interval needs, or than so many cells need
    "few rounds",
    # the interval of the change is wider than the slowdown asked about: the machine is too busy
    "unsteady",
    # the interval is narrow, and holds the slowdown asked about or the margin
    "near the limit",
    # by itself the cell would be "not slower"; among so many cells that is too likely by chance
    "many cells",
    # there was no time to measure the cell again (a longer `--budget`)
    "no time",
    # the speed of fixed work, the same on both sides, moved from one side to the other
    "fixed work moved",
    # the speed of fixed work was too unsteady to judge anything by
    "fixed work unsteady",
    # time and count say the opposite of each other
    "contradiction",
    # with `--witness count`: the cell has no count, and `remark` says why
    "no count",
]
UNTOLD: tuple[str, ...] = get_args(Untold)

Basis = Literal["measured", "predicted", ""]

Throttle = Literal[
    # the device draws as much power as it may
    "power cap",
    # the hardware halves the clock, for heat or power
    "hardware slowdown",
    # the driver lowers the clock because the device is too warm
    "too warm, says the driver",
    # the hardware lowers the clock because the device is too warm
    "too warm, says the hardware",
    # the power supply asks for less
    "power brake",
    # a reason that a kernel's own device gave, and that is none of these
    "other",
]
THROTTLES: tuple[str, ...] = get_args(Throttle)
SEPARATOR = "; "
"""Between the words of a column that holds several."""

WORDS: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "quantity": QUANTITIES,
    "precision": get_args(Precision),
    "activation": get_args(Activation),
    "cache": get_args(Cache),
    "phase": get_args(Phase),
    "says": get_args(Says),
    "launch_bound": ("", "yes", "no"),
    "speedup_basis": get_args(Basis),
    "by": get_args(Witness),
    "time_says": ("", *get_args(Says)),
    "count_says": get_args(CountSays),
    "untold": ("", *UNTOLD),
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
    "launches": (1, 2**63 - 1),
    "seconds": TRIP,
    **dict.fromkeys(("latency_s", "launch_s", "send_s", "fetch_s", "end_to_end_s"), TRIP),
    "control_s": SPAN,
    # a coarse clock may see nothing of it
    **dict.fromkeys(("probe_before_s", "probe_after_s"), TRIP),
    **dict.fromkeys(("probe_others_before_s", "probe_others_after_s"), TRIP),
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
    "probe_slope": ANY,
    "change": ANY,
    "change_low": ANY,
    "change_high": ANY,
    "visible": ANY,
    "count_change": ANY,
    **dict.fromkeys(("instructions", "base_instructions", "head_instructions"), (0, 1e30)),
    **dict.fromkeys(("instructions_per_flop", "count_exact", "cache_misses"), (0, 1e30)),
    **dict.fromkeys(("branch_misses", "cycles"), (0, 1e30)),
    "control_log_ratio": ANY,
    "error": (0, 1e308),  # a wrong answer may be as wrong as it likes, in a finite number
    "quiet_s": TRIP,
    "cpu_s": TRIP,
    **dict.fromkeys(("device_mhz", "device_memory_mhz", "device_watts"), (0, 1e9)),
    "device_celsius": (-274, 1e6),
    "device_others": (0, 1e6),
    "cores_busy": (0, LARGEST),
    "*": (1e-30, 1e30),
}
"""From where to where a column's numbers go; "*" is any other that is not whole. Whatever is
reckoned from numbers within them is finite. (A block of launches that took no time is refused.)"""


@dataclass(frozen=True, slots=True)
class Visit:
    """A row of visits.csv: one visit to a cell, or the reason why the cell was not visited."""

    # number of the visit in this run, from 1; blocks.csv refers to it
    visit: int
    # number of the pass over all cells in which the visit took place, from 1; 0 for a pending cell
    pass_number: int
    # name of the kernel: its file without `.py`
    kernel: str
    # hash of the kernel's source code, 12 hex digits; empty where the kernel was not loaded
    kernel_hash: str
    # inputs of the layer: rows of W
    n_in: int
    # units of the layer: columns of W
    n_units: int
    # examples in one launch: rows of A_in
    batch: int
    # precision of the arithmetic: float64, float32, tf32, float16 or bfloat16; or int8, of W alone
    precision: str
    # the layer's activation function; kernels/README.md names them all
    activation: str
    # number of the GPU that was asked for, from 0; a kernel on the CPU ignores it
    device_index: int
    # name of the device that computed: `cpu`, or a GPU's name and PCI address; empty where the
    # kernel reached none
    device: str
    # threads that the libraries were told to use
    threads: int
    # state of the caches before a launch: `warm`, or `cold` where they were flushed
    cache: str
    # how the visit ended: `ok`, or why there is no number
    status: Status
    # why there is no number, in words for people; empty where the status is `ok`
    reason: str
    # root mean square of the output's errors against float64, in units of what rounding gives at
    # this precision: about 0.5 is typical, hundreds mean a lower precision
    error: float | None
    # when the visit began, in seconds since 1970-01-01 00:00 UTC
    at_s: float
    # length of the whole visit on the wall clock, in seconds
    wall_s: float | None
    # CPU time that the kernel's process used during the visit, all threads together, in seconds
    cpu_s: float | None
    # time after the visit until the threads of the kernel stood still, in seconds
    quiet_s: float | None
    # time of one run of the speed probe beside the blocks, on the slowest core, in seconds
    control_s: float | None
    # time that the blocks and the speed probe took together, in seconds
    measured_s: float | None
    # time that threads of the kernel's process, ready to run, waited for a core meanwhile, added up
    # over all of them, in seconds
    waited_s: float | None
    # how often the operating system took the core from the kernel's main thread for another process
    preempted: int | None
    # CPU time that the hypervisor gave to other virtual machines during the visit, in seconds
    steal_s: float | None
    # time during the visit in which some process of this machine waited for a core, in seconds
    pressure_s: float | None
    # time during the visit in which a CPU quota held this container back, in seconds
    throttled_s: float | None
    # time during the visit in which the machine was suspended, in seconds
    suspended_s: float | None
    # how far the wall clock was set forward during the visit, in seconds
    stepped_s: float | None
    # clock rate of the device's processors while its last block ran, in MHz; empty where the device
    # reports none
    device_mhz: float | None = None
    # clock rate of the device's memory at that moment, in MHz; empty where it reports none
    device_memory_mhz: float | None = None
    # temperature of the device at that moment, in degrees Celsius; empty where it reports none
    device_celsius: float | None = None
    # power that the device drew at that moment, in watts; empty where it reports none
    device_watts: float | None = None
    # why the device's clock was held back at that moment, such as `power cap`; several reasons are
    # separated by `; `; empty where it was not held back
    device_throttled: tuple[str, ...] = ()
    # cores that the kernel kept busy while the blocks ran: CPU seconds per second, all threads
    cores_busy: float | None = None
    # name of the layer; empty for a layer of the sweep's widths
    layer: str = ""
    # predicted time of one launch, in seconds, where the cell was skipped because of it
    predicted_s: float | None = None
    # the share of the device's time in the second before that processes other than this run's used,
    # added up over them; empty where the driver doesn't tell
    device_others: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A row of blocks.csv: `loops` launches (or transfers) between two readings of the clock."""

    # number of the visit, as in visits.csv
    visit: int
    # what was timed: `time` (launches one after the other), `latency` (one launch until its result
    # is there), `launch` (the call alone), `send`, `fetch` or `end_to_end`
    quantity: Quantity
    # launches, or transfers, in the block
    loops: int
    # time of one launch, or of one transfer, in seconds: the block's time divided by `loops`
    seconds: float
    # time of the speed probe just before the block, on the core that launched, in CPU seconds;
    # empty for transfers
    probe_before_s: float | None = None
    # the same just after the block, on that core
    probe_after_s: float | None = None
    # time of the speed probe just before the block on the slowest of the other cores that the
    # kernel may use, in CPU seconds; empty where there is only one
    probe_others_before_s: float | None = None
    # the same just after the block, on the slowest of those cores
    probe_others_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """A row of rounds.csv: what one round of a comparison measured of one cell."""

    # number of the round in this comparison, from 1
    round_number: int
    # `screen`, where all cells are measured, or `confirm`, where the doubtful ones are again
    phase: Phase
    # name of the cell: kernel, layer and batch
    cell: str
    # name of the kernel: its file without `.py`
    kernel: str
    # time of one launch with the base commit, in seconds: median of the round's blocks
    base_s: float
    # time of one launch with the head commit, in seconds: median of the round's blocks
    head_s: float
    # natural logarithm of head's time over base's: median over neighbouring blocks
    log_ratio: float
    # the same of the speed probe, which is identical code on both sides
    control_log_ratio: float
    # pairs of neighbouring blocks that were measured
    pairs: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row of verdicts.csv: what a comparison says of one cell.

    Changes are ratios less 1: 0.05 is five percent slower.
    """

    # name of the cell: kernel, layer and batch
    cell: str
    # name of the kernel: its file without `.py`
    kernel: str
    # the verdict: `slower`, `can't tell`, `not slower` or `faster`
    says: Says
    # change of the time from base to head: 0.05 is 5 % slower; empty where no time was measured
    change: float | None
    # lower end of the change's 95 % interval; empty with fewer than six rounds
    change_low: float | None
    # upper end of the change's 95 % interval; empty with fewer than six rounds
    change_high: float | None
    # the smallest slowdown that these rounds could have shown; empty where they could show none
    visible: float | None
    # rounds behind the verdict
    rounds: int
    # why this slowdown was accepted beforehand; empty where it was not
    accepted: str = ""
    # what the verdict rests on: `time`, `count` or `both`; empty where it can't be told
    by: Witness = ""
    # what the time alone says; empty where no time was measured
    time_says: str = ""
    # what the count alone says: `more` or `fewer` instructions by over 1 %, `changed` by less, or
    # `equal`; empty where there is no count
    count_says: CountSays = ""
    # instructions of one launch with the base commit; empty where there is no count
    base_instructions: float | None = None
    # instructions of one launch with the head commit; empty where there is no count
    head_instructions: float | None = None
    # change of the instructions from base to head: 0.01 is 1 % more; empty where there is no count
    count_change: float | None = None
    # how exact that is: counts of one side differ by so much at most, 0.001 is 0.1 %
    count_exact: float | None = None
    # why it can't be told, in one of the words below; empty where it can
    untold: str = ""
    # what else there is to say, in words for people: why there is no count, or what time and count
    # together mean
    remark: str = ""

    @property
    def size(self) -> float:
        """The change that the verdict is about: of the count where that alone carries it."""
        told = self.count_change if self.by == "count" else self.change
        return told if told is not None else 0.0


@dataclass(frozen=True, slots=True)
class Count:
    """A row of counts.csv: the instructions of one launch, as one process counted them."""

    # name of the kernel: its file without `.py`
    kernel: str
    # hash of the kernel's source code, 12 hex digits; empty where nothing was counted
    kernel_hash: str
    # inputs of the layer: rows of W
    n_in: int
    # units of the layer: columns of W
    n_units: int
    # examples in one launch: rows of A_in
    batch: int
    # precision of the arithmetic
    precision: str
    # the layer's activation function
    activation: str
    # name of the layer; empty for a layer of the sweep's widths
    layer: str
    # `base` or `head` of a comparison of two commits; empty in a run
    side: str
    # what counted: Valgrind with its version, or the CPU's own counters
    source: str
    # launches that were counted at a time; empty where nothing was counted
    launches: int | None
    # instructions of one launch: median of the times; empty where nothing was counted
    instructions: float | None
    # clock cycles of one launch, by the CPU's own counters; empty where Valgrind counted
    cycles: float | None
    # misses of the last-level cache in one launch, as Valgrind simulates a cache (`--simulate`)
    cache_misses: float | None
    # branches predicted wrongly in one launch, as Valgrind simulates a predictor (`--simulate`)
    branch_misses: float | None
    # why there is no count, in words for people
    reason: str


@dataclass(frozen=True, slots=True)
class CellRow:
    """A row of cells.csv: everything a table or a chart says about one kernel on one case."""

    # name of the kernel: its file without `.py`
    kernel: str
    # hash of the kernel's source code, 12 hex digits; empty where the kernel was not loaded
    kernel_hash: str
    # inputs of the layer: rows of W
    n_in: int
    # units of the layer: columns of W
    n_units: int
    # examples in one launch: rows of A_in
    batch: int
    # precision of the arithmetic: float64, float32, tf32, float16 or bfloat16; or int8, of W alone
    precision: str
    # the layer's activation function; kernels/README.md names them all
    activation: str
    # number of the GPU that was asked for, from 0; a kernel on the CPU ignores it
    device_index: int
    # name of the device that computed: `cpu`, or a GPU's name and PCI address; empty where the
    # kernel reached none
    device: str
    # threads that the libraries were told to use
    threads: int
    # state of the caches before a launch: `warm`, or `cold` where they were flushed
    cache: str
    # `ok`, or why there is no number, or why there will be no more visits
    status: Status
    # the status explained, in words for people; empty where the status is `ok`
    reason: str
    # visits that count: those that ended well and were hardly disturbed
    visits: int
    # visits that ended well and do not count: the machine slept, or its clock was set; their
    # threads waited for a core; or, where a GPU works by itself, its clock was low, heat or the
    # power supply held it back, or other processes used it
    disturbed: int
    # time of one launch, the number in table and charts, in seconds: what it takes while nothing
    # else uses the core (median over the visits, adjusted by the speed probe); a GPU's own time is
    # as found
    time_s: float | None
    # lower end of the 95 % interval of `time_s`, in seconds; empty with fewer than four visits
    time_low_s: float | None
    # upper end of the 95 % interval of `time_s`, in seconds; empty with fewer than four visits
    time_high_s: float | None
    # median, over the visits that count, of each visit's median block: seconds per launch, as found
    median_s: float | None
    # the fastest block of all visits that count: seconds per launch, as found
    best_s: float | None
    # time of a single launch until its result is there, on the host's clock, in seconds
    latency_s: float | None
    # time that the host needs to start a launch, in seconds; on a CPU the launch itself
    launch_s: float | None
    # time to move the input to where the kernel computes, in seconds; on the way to a GPU the host
    # copies it first, into memory that the bus can read
    send_s: float | None
    # time to move the output back to the host, in seconds
    fetch_s: float | None
    # time of one launch with both transfers, in seconds
    end_to_end_s: float | None
    # floating-point operations of one launch: 2 * batch * n_in * n_units + batch * n_units
    flops: int
    # bytes of the input, W, b and the output, each counted once
    bytes: int
    # floating-point operations per second: `flops` / `time_s`
    flop_per_s: float | None
    # lower end of the 95 % interval of `flop_per_s`; empty with fewer than four visits
    flop_per_s_low: float | None
    # upper end of the 95 % interval of `flop_per_s`; empty with fewer than four visits
    flop_per_s_high: float | None
    # `flop_per_s` in percent of the device's peak at this precision: the measured ceiling, or the
    # theoretical peak where that is larger and no multiply-adds in registers were measured
    percent_of_peak: float | None
    # how many times as fast as `python_loop` on the same case
    speedup: float | None
    # lower end of the 95 % interval of `speedup`; empty with fewer than four visits
    speedup_low: float | None
    # upper end of the 95 % interval of `speedup`; empty with fewer than four visits
    speedup_high: float | None
    # origin of python_loop's time: `measured` (in the same passes), `predicted` (from smaller
    # layers, because this one would take too long), or empty
    speedup_basis: Basis
    # predicted time of one launch, in seconds, where the cell was skipped because of it
    predicted_s: float | None
    # largest error of all visits, in the units of visits.csv
    error: float | None
    # `flop_per_s` in percent of the measured ceiling: the most that a large matrix product or, on a
    # CPU with Numba, multiply-adds in registers reached on the device
    percent_of_measured: float | None = None
    # `flop_per_s` in percent of the device's theoretical peak: its units times their clock rate
    percent_of_stated: float | None = None
    # `yes` where the GPU idled because Python could not submit launches fast enough, `no` where it
    # did not; empty where that is not known
    launch_bound: str = ""
    # clock rate of the device's processors, in MHz: median over the visits that count
    device_mhz: float | None = None
    # temperature of the device, in degrees Celsius: median over the visits that count
    device_celsius: float | None = None
    # power that the device drew, in watts: median over the visits that count
    device_watts: float | None = None
    # of the visits that count, those in which the device's clock was held back
    throttled: int = 0
    # cores that the kernel kept busy: median over the visits that count
    cores_busy: float | None = None
    # name of the layer; empty for a layer of the sweep's widths
    layer: str = ""
    # time of one launch as found, in seconds: the same estimate as `time_s` with nothing adjusted
    as_found_s: float | None = None
    # how many times longer the time was as found: `as_found_s` / `time_s`; 1 where nothing was
    # adjusted
    as_found_ratio: float | None = None
    # how the time follows the speed probe: log(time) grows by so much for each unit of log(probe);
    # 0 where nothing was adjusted
    probe_slope: float | None = None
    # of the visits that count, those whose threads waited for a core for more than 30 % of the
    # time: they count because the cell has too few others. Where they are all of them, the time is
    # that of a disturbed machine
    waited: int = 0
    # instructions of one launch (`bench run --count`): median of the processes that counted them
    instructions: float | None = None
    # instructions for each floating-point operation: `instructions` / `flops`
    instructions_per_flop: float | None = None
