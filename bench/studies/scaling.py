"""How far do more devices make a layer faster? Strong and weak scaling by number of devices.

    python -m bench.studies.scaling [COUNT,COUNT,...]

`jax_sharded` on so many of JAX's devices and `dask_matmul` on so many worker processes, a thread
for each of them: one layer on all counts, and one that has as many units for each device. Each
count is a run of its own, because JAX learns at its start how many devices there are; the counts
are run in turn, several times. On a box with GPUs, JAX sees the first COUNT of them; without, XLA
makes as many devices of the CPU, and counts beyond its cores only show what sharing a core costs.

Writes results/studies/scaling.csv, and draws plots/studies/scaling.png and -efficiency.png from it.
"""

import csv
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from statistics import median
from typing import Any

from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.show import charts
from bench.show.pictures import scaling
from bench.show.pictures.scaling import Kind, Point, What
from bench.studies import PICTURES, RESULTS, run, write
from bench.terminal import units
from bench.worker import limits

COUNTS = "1,2,4,8"
KERNELS = ("jax_sharded", "dask_matmul")
N_IN, UNITS, BATCH = 2048, 2048, 256
TIMES = 3
BUDGET_S, START_S = 9.0, 1.0
"""Of a run, and beyond that for each device: starting a worker process takes a second."""

WORDS = {"kind": str, "kernel": str}
"""The columns of the file that are no numbers."""


@contextmanager
def devices(count: int) -> Iterator[None]:
    """What is started meanwhile sees so many devices: the first GPUs, or parts of the CPU."""
    before = dict(os.environ)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(count)))
    flag = f"--xla_force_host_platform_device_count={count}"
    os.environ["XLA_FLAGS"] = f"{before.get('XLA_FLAGS', '')} {flag}".strip()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def cells(count: int, kernels: Sequence[str]) -> dict[tuple[Kind, str], Cell]:
    """The same layer, and one with a fourth of its units for each device."""
    widths: dict[Kind, int] = {"strong": UNITS, "weak": UNITS // 4 * count}
    return {
        (kind, kernel): Cell(kernel, Case(N_IN, width, BATCH, "float32", "relu"), 0, count, "warm")
        for kind, width in widths.items()
        for kernel in kernels
    }


def measure(counts: Sequence[int], kernels: Sequence[str]) -> list[Point]:
    """Each count in turn, TIMES times -> the middle one of each cell's times, and their range."""
    found: dict[tuple[Kind, str, int], list[Any]] = {}
    for number in range(TIMES):
        for count in counts:
            asked = cells(count, kernels)
            # the weak layer of four devices is the strong one: one cell, two points
            different = list(dict.fromkeys(asked.values()))
            with devices(count):
                budget_s = BUDGET_S + START_S * count
                times = run(different, budget_s, seed=number).by_cell
            for (kind, kernel), cell in asked.items():
                if cell in times:
                    found.setdefault((kind, kernel, count), []).append((cell.case, times[cell]))
    return [
        Point(
            kind,
            kernel,
            count,
            seen[0][0].n_in,
            seen[0][0].n_units,
            seen[0][0].batch,
            median(time.value for _, time in seen),
            min(time.value for _, time in seen),
            max(time.value for _, time in seen),
            len(seen),
        )
        for (kind, kernel, count), seen in sorted(found.items(), key=str)
    ]


def read() -> list[Point]:
    """The points of the committed file."""
    with (RESULTS / "scaling.csv").open(newline="", encoding="utf-8") as file:
        return [point(row) for row in csv.DictReader(file)]


def point(row: dict[str, str]) -> Point:
    """A row of the file; what follows from its other columns is left out."""
    fields = Point.__dataclass_fields__
    whole = {"devices", "n_in", "n_units", "batch", "runs"}
    values: dict[str, Any] = {
        name: row[name] if name in WORDS else int(row[name]) if name in whole else float(row[name])
        for name in fields
    }
    return Point(**values)


def told(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The rows of the file: the points, with what follows from them."""
    rows = []
    for each in points:
        first = scaling.first(points, each)
        share, low, high = scaling.efficiency(each, first)
        rows.append(
            asdict(each)
            | {
                "efficiency": share / 100,
                "efficiency_low": low / 100,
                "efficiency_high": high / 100,
            }
        )
    return rows


def main(counts: str = COUNTS, kernels: str = ",".join(KERNELS)) -> None:
    """Measure, write results/studies/scaling.csv, draw the charts, print a line for each point."""
    numbers = [int(count) for count in counts.split(",")]
    points = measure(numbers, kernels.split(","))
    rows = told(points)
    write("scaling", rows)
    for row in rows:
        print(
            f"{row['kernel']} {row['kind']} {row['n_in']}x{row['n_units']} on {row['devices']}:"
            f" {units.si(row['seconds'], 's')}, efficiency {100 * row['efficiency']:.0f} %"
        )
    draw(read())


def draw(points: Sequence[Point]) -> None:
    """The charts, from the file's points."""
    cores = limits.usable_cores()
    where = f"{platform.machine()}, {cores} usable core{'s' if cores > 1 else ''}"
    names: dict[str, What] = {"scaling": "time", "scaling-efficiency": "efficiency"}
    for theme in charts.THEMES:
        for name, what in names.items():
            picture = scaling.picture(points, what, where)
            charts.draw(picture, PICTURES, name, theme, formats=("png",))


if __name__ == "__main__":
    main(*sys.argv[1:])
