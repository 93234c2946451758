"""One example at a time: does a layer of half the bytes take half the time?

    python -m bench.studies.bytes_a_weight widths [SECONDS]
    python -m bench.studies.bytes_a_weight rivals [SECONDS]    # needs make setup KERNELS=all

A launch of one example reads each weight once, so a layer that fits no near cache takes as long as
its bytes do.

`widths`: numba_packed in four precisions, in turn, in blocks of at least 20 ms, so that each
round's ratio is of one state of the machine. Rounds whose first and last block of float32 differ by
more than a tenth don't count. Draws the times beside float32's over two and over four.
`rivals`: its time over PyTorch's in the same precision, each in a process of its own, by the
harness's visits. Relu, one example, all usable cores, square layers.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.machine import survey
from bench.measure import visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.show import charts
from bench.show.pictures.parts import looks
from bench.show.pictures.parts.lines import widths
from bench.show.pictures.parts.picture import Guide, Line, Lines, Panel, Picture, Y
from bench.stats import adjust
from bench.studies import PICTURES, open_here, run, write
from bench.terminal import units
from bench.worker import limits, messages
from bench.worker.open_cell import OpenCell
from bench.worker.server import Server

PACKED = "numba_packed"
RIVAL = "torch_linear"
PRECISIONS = ("float32", "float16", "bfloat16", "int8")
BASE = PRECISIONS[0]
WIDTHS = (512, 1024, 2048, 4096, 8192)
BLOCK_S = 0.02

CHANGED = 1.1
"""A round in which float32 became so many times as slow, or as fast, is no comparison."""

FEW = 5
"""Rounds at least that a width is judged by."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of bytes_a_weight.csv: a precision at one width; quartiles over the rounds."""

    precision: str
    width: int
    weight_bytes: int
    rounds: int
    left_out: int  # of which the machine changed
    us: float  # a launch
    us_low: float
    us_high: float
    gb_per_s: float  # of weights
    faster: float  # than float32: the median of the rounds' ratios
    faster_low: float
    faster_high: float


def block(cell: OpenCell, loops: int) -> float:
    """Seconds a launch, of several in a row."""
    step = cell.step
    step.device.fence(step.launch(cell.x))  # the last cell's threads may still be awake
    start = time.perf_counter()
    for _ in range(loops):
        out = step.launch(cell.x)
        step.device.fence(out)
    return (time.perf_counter() - start) / loops


def measured(width: int, budget_s: float) -> list[Row]:
    """The rows of one width: rounds of all cells until the time is spent."""
    cells = {precision: _opened(width, precision) for precision in PRECISIONS}
    loops = {name: max(round(BLOCK_S / block(cell, 3)), 1) for name, cell in cells.items()}
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    left_out, ends = 0, time.perf_counter() + budget_s
    while time.perf_counter() < ends or len(seconds[BASE]) + left_out < FEW:
        taken = {precision: block(cell, loops[precision]) for precision, cell in cells.items()}
        again = block(cells[BASE], loops[BASE])
        if max(again, taken[BASE]) > CHANGED * min(again, taken[BASE]):
            left_out += 1
            continue
        taken[BASE] = (taken[BASE] + again) / 2
        for precision in PRECISIONS:
            seconds[precision].append(taken[precision])
    return [
        _row(precision, width, times, seconds[BASE], left_out)
        for precision, times in seconds.items()
        if times
    ]


def _case(width: int, precision: str) -> Case:
    return Case(width, width, 1, precision, "relu")


def _opened(width: int, precision: str) -> OpenCell:
    server = Server()
    reply = open_here(server, PACKED, _case(width, precision), limit_s=10.0)
    if isinstance(reply, messages.Refused):
        sys.exit(f"{PACKED} in {precision}: {reply.status}: {reply.reason}")
    return server.cells[1]


def _row(
    precision: str, width: int, times: Sequence[float], base: Sequence[float], left_out: int
) -> Row:
    bytes_of = _case(width, precision).weight_bytes
    low, middle, high = np.percentile(times, [25, 50, 75])
    slow, faster, fast = np.percentile(np.array(base) / np.array(times), [25, 50, 75])
    return Row(
        precision=precision,
        width=width,
        weight_bytes=bytes_of,
        rounds=len(times),
        left_out=left_out,
        us=float(1e6 * middle),
        us_low=float(1e6 * low),
        us_high=float(1e6 * high),
        gb_per_s=float(bytes_of / middle / 1e9),
        faster=float(faster),
        faster_low=float(slow),
        faster_high=float(fast),
    )


def picture(rows: Sequence[Row], where: str) -> Picture:
    """numba_packed's time against the width, a line a precision, beside float32's over 2 and 4."""
    of: Mapping[str, list[Row]] = {
        precision: [row for row in rows if row.precision == precision] for precision in PRECISIONS
    }
    lines = [
        Line(
            f"{_many(mine[0])}: {precision}",
            [row.width for row in mine],
            [row.us / 1e6 for row in mine],
            [row.us_low / 1e6 for row in mine],
            [row.us_high / 1e6 for row in mine],
        )
        for precision, mine in of.items()
    ]
    whole = of[BASE]
    guides = [
        Guide(
            f"float32's / {parts}",
            [row.width for row in whole],
            [row.us / 1e6 / parts for row in whole],
            looks.DOTTED,
        )
        for parts in (2, 4)
    ]
    return Picture(
        title(rows),
        ["Time of one example, launches in a row, quartiles", "bytes a weight", "square layers"],
        Lines([Panel("", lines, guides)], widths([row.width for row in whole]), Y("seconds", "s")),
        [],
        where,
    )


def _many(row: Row) -> str:
    size = row.weight_bytes // row.width**2
    return f"{size} byte" + "s" * (size > 1)


def title(rows: Sequence[Row]) -> str:
    """How much faster small weights are in the widest layer, where they clearly are."""
    widest = max(row.width for row in rows)
    faster = [
        f"{row.precision} {units.times(row.faster, 2)}"
        for row in rows
        if row.width == widest and row.precision in ("float16", "int8") and row.faster_low > 1
    ]
    if not faster:
        return "Time of one example by bytes a weight"
    return f"One example, {widest} units: {', '.join(faster)} as fast as float32"


def show(rows: Sequence[Row]) -> None:
    """A line a cell."""
    for row in rows:
        print(
            f"{row.precision:<8} width {row.width:>4}: {row.us:8.1f} us"
            f" ({row.us_low:.1f} to {row.us_high:.1f}), {row.gb_per_s:5.1f} GB/s of weights,"
            f" {row.faster:.2f} x ({row.faster_low:.2f} to {row.faster_high:.2f});"
            f" {row.rounds} rounds, {row.left_out} left out",
            flush=True,
        )


def of_widths(budget_s: float) -> None:
    """Write results/studies/bytes_a_weight.csv and the chart, print the rows."""
    rows: list[Row] = []
    for width in WIDTHS:
        mine = measured(width, budget_s / len(WIDTHS))
        show(mine)
        rows += mine
    if not rows:
        sys.exit("the machine changed in every round: try again")
    write("bytes_a_weight", map(asdict, rows))
    machine = survey.survey(visit.software(limits.usable_cores()), limits.usable_cores())
    where = f"{machine.cpu.model} · {limits.usable_cores()} threads · {machine.started[:10]}"
    for theme in charts.THEMES:
        charts.draw(picture(rows, where), PICTURES, "bytes_a_weight", theme, formats=["png"])


def of_rivals(budget_s: float) -> None:
    """Write results/studies/bytes_a_weight_rivals.csv, print the rows: the losses first."""
    cells = {
        (kernel, precision, width): Cell(
            kernel, _case(width, precision), 0, limits.usable_cores(), "warm"
        )
        for precision in PRECISIONS
        for width in WIDTHS[1:]
        for kernel in (PACKED, RIVAL)
    }
    times = run(list(cells.values()), budget_s, seed=1).by_cell
    rows: list[dict[str, Any]] = []
    for (kernel, precision, width), packed in cells.items():
        rival = cells[RIVAL, precision, width]
        if kernel == PACKED and packed in times and rival in times:
            ratio = adjust.ratio(times[packed], times[rival])
            known = (ratio.low, ratio.high) if ratio.known else (None, None)
            rows.append(
                {
                    "precision": precision,
                    "width": width,
                    "visits": ratio.visits,
                    "packed_us": times[packed].value * 1e6,
                    "torch_us": times[rival].value * 1e6,
                    "packed_over_torch": ratio.value,
                    **dict(zip(("low", "high"), known, strict=True)),
                }
            )
    rows.sort(key=lambda row: -row["packed_over_torch"])
    write("bytes_a_weight_rivals", rows)
    for row in rows:
        print(
            "{precision:<8} width {width:>4}: {packed_us:8.1f} us, PyTorch {torch_us:8.1f} us,"
            " ratio {packed_over_torch:.3f} ({low} to {high}, {visits} visits)".format(**row)
        )


if __name__ == "__main__":
    study = {"widths": of_widths, "rivals": of_rivals}[sys.argv[1]]
    study(float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
