"""The second witness: the instructions of each cell on both sides, and what they add to the times.

Where nothing can be counted, or one cell can't, the times stand alone and it is said why.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.count import change, counting, rows
from bench.count.change import Change
from bench.count.counting import Counts
from bench.count.sources import Nothing, Source
from bench.data.machine import CPU
from bench.data.records import Verdict
from bench.gate import witnesses
from bench.gate.checkouts import Side
from bench.gate.compare import Comparison
from bench.plan.cell import Cell

PATIENCE_S = 300.0
"""Counting ends after this, with whatever was counted: on two free cores it takes about a minute,
on busy ones longer."""

AGAIN = (2, 3)
"""Cells whose counts differ between the sides are counted anew by so many processes each side; and
those of which that settles nothing, once more. Then those that changed, by as many as it takes to
see that their kernel does the same in each process."""


def judged(
    comparison: Comparison,
    sides: Sequence[Side],
    source: Source | Nothing,
    *,
    simulate: bool = False,
    patience_s: float = PATIENCE_S,
    watch: Callable[[float], None] = lambda left_s: None,
) -> Comparison:
    """The comparison, with what can be counted of its cells in `patience_s` at most.

    Each side is counted once, and cells that differ are counted AGAIN.
    """
    if isinstance(source, Nothing):
        remedy = f": {source.remedy}" if source.remedy else ""
        none = f"nothing was counted: {source.reason}{remedy}"
        return _concluded(comparison, {}, {}, (none,))
    elsewhere = {
        cell: f"it computes on {device}"
        for cell, device in comparison.devices.items()
        if device != CPU
    }
    cells = [cell for cell in comparison.cells if cell not in elsewhere]
    places = [counting.Where(side.name, side.folder, side.python) for side in sides]
    deadline = time.monotonic() + patience_s

    def count(cells: Sequence[Cell], repeats: int) -> list[Counts]:
        return counting.count(
            cells, places, source, deadline, simulate=simulate, repeats=repeats, watch=watch
        )

    counted = _counted(cells, count)
    table = [
        row
        for side, counts in zip(sides, counted, strict=True)
        for row in rows.rows(cells, counts, source, side.name)
    ]
    changes, uncounted = _told(cells, *counted)
    by = f"instructions counted by {source.name}" if changes else "no instructions were counted"
    reasons = {cell.label: reason for cell, reason in elsewhere.items()} | uncounted
    found = _concluded(comparison, changes, reasons, (by,))
    return replace(found, counts=table)


def _counted(
    cells: Sequence[Cell], count: Callable[[Sequence[Cell], int], Sequence[Counts]]
) -> Sequence[Counts]:
    """Both sides' counts, by as many processes as it takes; `count` starts so many for each."""
    counted = count(cells, 1)

    def anew(cells: Sequence[Cell], processes: int) -> Sequence[Counts]:
        # in place of the counts before: what else a process has opened shows in its counts
        more = count(cells, processes)
        return [counting.replaced(*both) for both in zip(counted, more, strict=True)]

    other = differing(*counted)
    cells = [cell for cell in cells if cell.kernel not in other]
    for processes in AGAIN:
        changes = _changes(cells, *counted)
        if unsettled := [cell for cell in changes if changes[cell].unsettled]:
            counted = anew(unsettled, processes)
    for mine in _by_kernel(_changes(cells, *counted)):
        if change.missing(mine.values()):
            changed = [cell for cell in mine if mine[cell].changed]
            counted = anew(changed, 1 + math.ceil(change.TOSSES / 2 / len(changed)))
    return counted


def _told(
    cells: Sequence[Cell], base: Counts, head: Counts
) -> tuple[dict[str, Change], dict[str, str]]:
    """Each cell's change by its label, and why others have none."""
    changes: dict[str, Change] = {}
    for mine in _by_kernel(_changes(cells, base, head)):
        steady = change.steady(mine.values())
        changes |= {
            cell.label: replace(found, steady=steady or not found.changed)
            for cell, found in mine.items()
        }
    reasons: dict[str, str] = {}
    other = differing(base, head)
    for cell in cells:
        if cell.kernel in other:
            changes.pop(cell.label, None)
            reasons[cell.label] = f"counts are not compared: {other[cell.kernel]}"
        elif cell.label not in changes:
            why = head.reasons.get(cell) or base.reasons.get(cell)
            reasons[cell.label] = why or "its launches take no instructions that can be counted"
    return changes, reasons


def differing(base: Counts, head: Counts) -> dict[str, str]:
    """By kernel, what the sides' processes differ in that decides which instructions run.

    A count by another version of Python, NumPy or its BLAS, or for another type of CPU, says
    nothing about the kernel.
    """
    words = {
        kernel: "; ".join(
            f"{name} is {head.facts[kernel][name]} on the head's side and was {was}"
            for name, was in sorted(base.facts[kernel].items())
            if head.facts[kernel].get(name, was) != was
        )
        for kernel in base.facts.keys() & head.facts.keys()
    }
    return {kernel: said for kernel, said in words.items() if said}


def _changes(cells: Sequence[Cell], base: Counts, head: Counts) -> dict[Cell, Change]:
    """Each cell's change, where both sides were counted."""
    found = {
        cell: change.change(base.processes.get(cell, []), head.processes.get(cell, []))
        for cell in cells
    }
    return {cell: its for cell, its in found.items() if its is not None}


def _by_kernel(changes: Mapping[Cell, Change]) -> list[dict[Cell, Change]]:
    """The changes of each kernel's cells."""
    kernels = dict.fromkeys(cell.kernel for cell in changes)
    return [{c: its for c, its in changes.items() if c.kernel == kernel} for kernel in kernels]


def _concluded(
    comparison: Comparison,
    changes: Mapping[str, change.Change],
    reasons: Mapping[str, str],
    notes: tuple[str, ...],
) -> Comparison:
    verdicts: list[Verdict] = [
        witnesses.together(v, changes.get(v.cell), reasons.get(v.cell, ""))
        for v in comparison.verdicts
    ]
    problem = comparison.problem
    if problem is not None and any(verdict.count_says for verdict in verdicts):
        # the times can't be judged, and the counts can
        notes, problem = (*notes, f"by time nothing can be told: {problem}"), None
    notes = (*comparison.notes, *notes)
    return replace(comparison, verdicts=verdicts, problem=problem, notes=notes)
