"""The instructions of a run's cells: of those that have a time on the CPU, one thread."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.count import counting, rows, sources
from bench.data.machine import CPU
from bench.data.records import CellRow, Count
from bench.plan.case import Case
from bench.plan.cell import Cell

PATIENCE_S = 300.0

MOST_S, MOST_FLOPS = 0.03, 5e7
"""A launch that takes longer, or that has more operations, isn't counted: Valgrind takes a hundred
times as long for an instruction, and a thousand times for a fused multiply-add."""


def count(
    cells: Sequence[Cell],
    measured: Sequence[CellRow],
    flags: tuple[str, ...],
    watch: Callable[[float], None],
) -> tuple[list[Count], str]:
    """Count the cells -> rows of counts.csv, and a sentence on what was done or why nothing was."""
    source = sources.find(flags)
    if isinstance(source, sources.Nothing):
        return [], ": ".join(filter(None, (f"nothing was counted: {source.reason}", source.remedy)))
    times = {
        (row.kernel, _case(row)): row.time_s for row in measured if row.device == CPU and row.time_s
    }
    chosen = {(cell.name, cell.case): replace(cell, threads=1) for cell in cells}
    wanted = [cell for key, cell in chosen.items() if key in times]
    short = [c for c in wanted if times[c.name, c.case] <= MOST_S and c.case.flops <= MOST_FLOPS]
    where = counting.Where("")
    (found,) = counting.count(short, [where], source, time.monotonic() + PATIENCE_S, watch=watch)
    for cell in wanted:
        if cell not in short:
            found.reasons[cell] = "a launch takes too long to count"
    table = rows.rows(wanted, found, source)
    counted = sum(cell in found.processes for cell in wanted)
    what = f"counted the instructions of {counted} of {len(wanted)} cells, on one thread"
    return table, f"{what}, by {source.name}"


def _case(row: CellRow) -> Case:
    return Case(row.n_in, row.n_units, row.batch, row.precision, row.activation, row.layer)
