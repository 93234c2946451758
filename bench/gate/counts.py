"""The second witness: the instructions of each cell on both sides, and what they add to the times.

Where nothing can be counted, or one cell can't, the times stand alone and it is said why.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.count import change, counting, rows
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

AGAIN = (1, 2)
"""Cells whose counts differ between the sides are counted by so many processes more, each side; and
those of which that settles nothing, once more."""


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

    base, head = count(cells, 1)
    other = differing(base, head)
    for repeats in () if other else AGAIN:
        changes, _ = _changes(cells, base, head)
        if again := [c for c in cells if c.label in changes and changes[c.label].unsettled]:
            more = count(again, repeats)
            base, head = counting.added(base, more[0]), counting.added(head, more[1])
    table = [
        row
        for side, counts in zip(sides, (base, head), strict=True)
        for row in rows.rows(cells, counts, source, side.name)
    ]
    reasons = {cell.label: reason for cell, reason in elsewhere.items()}
    if other:
        note = f"counts are not compared: {other}"
        found = _concluded(comparison, {}, reasons, (note,))
    else:
        changes, uncounted = _changes(cells, base, head)
        note = f"instructions counted by {source.name}"
        found = _concluded(comparison, changes, reasons | uncounted, (note,))
    return replace(found, counts=table)


def differing(base: Counts, head: Counts) -> str:
    """What the sides' processes differ in that decides which instructions run; "" for nothing.

    A count by another version of Python, NumPy or its BLAS, or for another type of CPU, says
    nothing about the kernel.
    """
    names = base.facts.keys() & head.facts.keys()
    return "; ".join(
        f"{name} is {head.facts[name]} on the head's side and was {base.facts[name]}"
        for name in sorted(names)
        if base.facts[name] != head.facts[name]
    )


def _changes(
    cells: Sequence[Cell], base: Counts, head: Counts
) -> tuple[dict[str, change.Change], dict[str, str]]:
    """Each cell's change by its label, and why others have none."""
    changes, reasons = {}, {}
    for cell in cells:
        sides = base.processes.get(cell, []), head.processes.get(cell, [])
        if (found := change.change(*sides)) is not None:
            changes[cell.label] = found
        else:
            why = head.reasons.get(cell) or base.reasons.get(cell)
            reasons[cell.label] = why or "its launches take no instructions that can be counted"
    return changes, reasons


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
