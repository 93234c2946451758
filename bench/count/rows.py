"""What processes found -> rows of counts.csv."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.count.counting import Counts
from bench.count.events import Counted
from bench.count.sources import Source
from bench.data.records import Count
from bench.plan.cell import Cell
from bench.terminal import text


def rows(cells: Sequence[Cell], counts: Counts, source: Source, side: str = "") -> list[Count]:
    """A row for each process that counted a cell; one with the reason where none did."""
    return [row for cell in cells for row in _of_cell(cell, counts, source, side)]


def _of_cell(cell: Cell, counts: Counts, source: Source, side: str) -> Iterator[Count]:
    for counted in counts.processes.get(cell, []):
        yield _row(cell, source, side, counted, "")
    if cell not in counts.processes:
        yield _row(cell, source, side, None, text.short(counts.reasons.get(cell, "")))


def _row(cell: Cell, source: Source, side: str, counted: Counted | None, reason: str) -> Count:
    def middle(name: str) -> float | None:
        numbers = [getattr(events, name) for events in counted.times] if counted else []
        return None if not numbers or None in numbers else float(median(numbers))

    return Count(
        kernel=cell.name,
        kernel_hash=counted.kernel_hash if counted else "",
        n_in=cell.case.n_in,
        n_units=cell.case.n_units,
        batch=cell.case.batch,
        precision=cell.case.precision,
        activation=cell.case.activation,
        layer=cell.case.layer,
        side=side,
        source=source.name,
        launches=counted.launches if counted else None,
        instructions=middle("instructions"),
        cycles=middle("cycles"),
        cache_misses=middle("cache_misses"),
        branch_misses=middle("branch_misses"),
        reason=reason,
    )
