"""Does any kernel stand above the machine's ceiling?

    python -m bench.studies.ceilings [RUNS]     # adds so many runs to those of the file

A run takes the ceilings, measures every kernel that is installed for about twenty seconds, and
takes the ceilings once more, as `bench run` does; it knows of none that was measured before. Its
row names the cell that came nearest to each roof: to the arithmetic, with its FLOP/s; to the
nearest cache, with the bytes of its arrays a second; and to the memory, among those cells whose
weights no cache has room for. A cell's time is the one that a user is shown (bench.stats.estimate).
Float32, relu, all usable cores.
"""

import csv
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.data.machine import Peaks
from bench.machine import peak_rates, survey
from bench.measure import visit
from bench.plan.cell import Cell
from bench.stats import adjust, times
from bench.stats.estimate import no_faster
from bench.studies import RESULTS, cell, visited, write
from bench.worker import limits

NAME = "ceilings"
KERNELS = (
    "numpy_dot",
    "numpy_einsum",
    "numpy_matmul",
    "blas_gemm",
    "numba_loop",
    "numba_packed",
    "jax_dense",
    "torch_linear",
)
SHAPES = [
    (64, 1),
    (64, 128),
    (256, 1),
    (256, 1024),
    (1000, 1),
    (1000, 128),
    (2048, 1024),
    (8192, 1),
]
SLOW = ("numpy_dot", "numpy_einsum", "numba_loop")
"""They take seconds for the larger shapes, and come near no roof there."""

LARGE_BYTES = 2**26
"""The weights of the largest shape."""

BUDGET_S = 22.0


def one() -> dict[str, Any]:
    """A row: a run's ceilings, and the cells that came nearest to them."""
    threads = limits.usable_cores()
    machine = survey.survey(visit.software(threads), threads)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "peaks.json"
        peak_rates.of_cpu("float32", threads, machine, kept)
        by_cell = visited([*_cells()], BUDGET_S, seed=1)
        peaks = peak_rates.of_cpu("float32", threads, machine, kept)
    assert peaks is not None
    assert peaks.registers_flop_per_s, peaks.lacking
    of_all = times.times({cell: visits.measured for cell, visits in by_cell.items()}).by_cell
    possible = {
        cell: no_faster(time, by_cell[cell], cell.case, peaks) for cell, time in of_all.items()
    }
    return {
        "registers_gflop_per_s": peaks.registers_flop_per_s / 1e9,
        "product_gflop_per_s": (peaks.measured_flop_per_s or 0.0) / 1e9,
        **{f"{level.name}_gbyte_per_s": level.bytes_per_s / 1e9 for level in peaks.levels},
        "cells": len(possible),
        **_shares(possible, peaks),
    }


def _cells() -> list[Cell]:
    software = visit.software(limits.usable_cores())
    return [
        cell(kernel, *shape)
        for shape in SHAPES
        for kernel in KERNELS
        if kernel in software.kernels and (kernel not in SLOW or shape[0] ** 2 * shape[1] < 2e7)
    ]


def _shares(by_cell: Mapping[Cell, adjust.Estimate], peaks: Peaks) -> dict[str, Any]:
    """The highest share of each roof, and whose it is."""
    arithmetic = peaks.ceiling_flop_per_s or 0.0
    nearest, memory = peaks.levels[0].bytes_per_s, peaks.memory_bytes_per_s or 0.0
    large = {cell: time for cell, time in by_cell.items() if cell.case.bytes >= LARGE_BYTES}

    def highest(
        name: str, among: Mapping[Cell, adjust.Estimate], share: Callable[[Cell], float]
    ) -> dict[str, Any]:
        if not among:  # the budget didn't come to them
            return {f"of_{name}": 0.0, f"{name}_cell": ""}
        top = max(among, key=share)
        where = f"{top.kernel} {top.case.n_units} x {top.case.batch}"
        return {f"of_{name}": share(top), f"{name}_cell": where}

    return {
        **highest("arithmetic", by_cell, lambda c: c.case.flops / by_cell[c].value / arithmetic),
        **highest("nearest", by_cell, lambda c: c.case.bytes / by_cell[c].value / nearest),
        **highest("memory", large, lambda c: c.case.bytes / by_cell[c].value / memory),
    }


def main(runs: int) -> None:
    """Add rows to results/studies/ceilings.csv, print them all."""
    path = RESULTS / f"{NAME}.csv"
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    for _ in range(runs):
        rows.append({"run": len(rows) + 1, **one()})
        write(NAME, rows)
    for row in rows:
        shares = (f"{float(row[f'of_{n}']):.0%} of {n} ({row[f'{n}_cell']})" for n in ROOFS)
        print(f"run {row['run']}: {', '.join(shares)}")
    above = [row["run"] for row in rows if any(float(row[f"of_{name}"]) > 1 for name in ROOFS)]
    print(f"runs with a cell above a roof: {len(above)} of {len(rows)} {above or ''}")


ROOFS = ("arithmetic", "nearest", "memory")

if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
