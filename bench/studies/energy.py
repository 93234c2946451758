"""Energy: joules a forward step, and the arithmetic that a joule does, at each batch.

    python -m bench.studies.energy FOLDER KERNEL[,KERNEL] WIDTH [BATCH,BATCH,...] [PRECISION]

Launches go on for two seconds between two steps of the device's own counter: NVML's for a GPU's
board, RAPL's for a CPU's packages. A counter's step is seen at the end of a block of launches, so
either end is off by one block at most: that is the error that stands beside the number. All that
the device uses is counted, what it uses idle as well; the memory and the rest of the host are not.
A visit of a run is too short for this: an H100's counter steps every 100 ms. Ran on doubles and on
simulated counters only.
"""

import csv
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.plan.case import Case
from bench.show import charts
from bench.show.pictures.parts.picture import Line, Lines, Nothing, Panel, Picture, X, Y
from bench.studies import open_here
from bench.terminal import units
from bench.worker import messages, timing
from bench.worker.open_cell import OpenCell
from bench.worker.server import Server

FOR_S = 2.0
BLOCK_S = 5e-3
PATIENCE_S = 3.0
"""A counter that has not moved for this long does not count."""

BATCHES = "1,16,128,1024"


class NoCounter(Exception):
    """There is no energy to be told: says why."""


@dataclass(frozen=True, slots=True)
class Energy:
    """A row of energy.csv: joules a launch, with what the counter's steps leave open."""

    kernel: str
    device: str
    n_in: int
    n_units: int
    batch: int
    precision: str
    launches: int
    seconds: float  # between the two steps of the counter
    joules: float  # a launch
    error: float  # of that, relative
    watts: float
    flop_per_joule: float


def counted(
    cell: OpenCell, launch_s: float, for_s: float = FOR_S, clock: timing.Clock = time.perf_counter
) -> tuple[int, float, float, float]:
    """Launches between two steps of the counter, their joules and seconds, the relative error.

    Raises NoCounter.
    """
    step = cell.step
    read: Callable[[], float | None] = getattr(step.device, "joules", lambda: None)
    loops = max(round(BLOCK_S / launch_s), 1)
    launches = 0

    def next_step(joules: float, least_s: float) -> tuple[float, float]:
        """Launch on until the counter steps -> what it says then, and when."""
        nonlocal launches
        began = clock()
        while True:
            for _ in range(loops):
                out = step.launch(cell.x)
            step.device.fence(out)
            launches += loops
            now, at = read(), clock()
            if now is None:
                raise NoCounter(f"{step.device.name} tells no energy any more")
            if at - began >= least_s and now != joules:
                return now, at
            if at - began > least_s + PATIENCE_S:
                raise NoCounter(f"the counter of {step.device.name} stands still")
            if at - began < least_s:
                joules = now

    if (joules := read()) is None:
        raise NoCounter(f"{step.device.name} tells no energy (NVML, or RAPL as root)")
    first, began = next_step(joules, 0.0)
    launches = 0
    last, ended = next_step(first, for_s)
    if last <= first:
        raise NoCounter(f"the counter of {step.device.name} began anew: try again")
    seconds = ended - began
    return launches, last - first, seconds, 2 * loops / launches


def measure(kernel: str, case: Case) -> Energy:
    """A cell's energy. Raises NoCounter, also for a cell that can't run."""
    server = Server()
    reply = open_here(server, kernel, case, FOR_S)
    if isinstance(reply, messages.Refused):
        raise NoCounter(f"{reply.status}: {reply.reason}")
    launches, joules, seconds, error = counted(server.cells[1], reply.launch_s)
    server.answer(messages.Close(1))
    return Energy(
        kernel,
        reply.device,
        case.n_in,
        case.n_units,
        case.batch,
        case.precision,
        launches,
        seconds,
        joules / launches,
        error,
        joules / seconds,
        case.flops * launches / joules,
    )


def picture(rows: Sequence[Energy]) -> Picture:
    """The arithmetic that a joule does, against the batch."""
    if not rows:
        words = "no device told its energy"
        return Picture("Arithmetic a joule by batch", [words], Nothing(words), [], "")
    batches = sorted({row.batch for row in rows})
    lines = []
    for kernel in dict.fromkeys(row.kernel for row in rows):
        at = {row.batch: row for row in rows if row.kernel == kernel}
        y = [at[b].flop_per_joule if b in at else float("nan") for b in batches]
        error = [at[b].error if b in at else float("nan") for b in batches]
        low, high = (
            [v * (1 + sign * e) for v, e in zip(y, error, strict=True)] for sign in (-1, 1)
        )
        lines.append(Line(kernel, batches, y, low, high))
    best = max(rows, key=lambda row: row.flop_per_joule)
    first = min((row for row in rows if row.kernel == best.kernel), key=lambda row: row.batch)
    title = (
        f"With {first.batch} at a time a joule does {units.si(first.flop_per_joule, 'FLOP')},"
        f" with {best.batch} {units.si(best.flop_per_joule, 'FLOP')}"
    )
    return Picture(
        title if first.batch < best.batch else "Arithmetic a joule by batch",
        [f"Operations a joule of the device, {rows[0].n_units} units", rows[0].precision],
        Lines(
            [Panel(f"{rows[0].n_units} units", lines)],
            X("batch: examples at a time (log scale)", {batch: str(batch) for batch in batches}),
            Y("operations a joule", "FLOP/J"),
        ),
        [],
        " · ".join(sorted({row.device.split(" at ")[0] for row in rows})),
        kernels=list(dict.fromkeys(row.kernel for row in rows)),
    )


def main(
    folder: str, kernels: str, width: str, batches: str = BATCHES, precision: str = "float32"
) -> int:
    """Measure, write energy.csv and the chart into the folder, print a line for each cell."""
    out = Path(folder)
    rows: list[Energy] = []
    for kernel in kernels.split(","):
        for batch in map(int, batches.split(",")):
            case = Case(int(width), int(width), batch, precision, "relu")
            try:
                row = measure(kernel, case)
            except NoCounter as why:
                print(f"{kernel} {width} units batch {batch}: no energy: {why}", flush=True)
                continue
            rows.append(row)
            print(
                f"{kernel} {width} units batch {batch}: {units.si(row.joules, 'J')}"
                f" ±{100 * row.error:.1f} % a launch, {row.watts:.0f} W,"
                f" {units.si(row.flop_per_joule, 'FLOP/J')}",
                flush=True,
            )
    out.mkdir(parents=True, exist_ok=True)
    if rows:
        with (out / "energy.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
        charts.draw(picture(rows), out, "energy")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
