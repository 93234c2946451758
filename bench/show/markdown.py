"""cells.csv -> the table in GitHub's Markdown, for a README or a pull request."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from bench.data import store
from bench.data.records import CellRow
from bench.show import table
from bench.stats.run_data import RunData
from bench.terminal.text import markdown as escaped

NAME = "table.md"


def of(run: RunData) -> str:
    """A run's table, with its headline and what a reader must know to judge it."""
    state = table.state(run)
    return markdown(
        run.cells,
        headline=table.headline(run),
        notes=[*table.machine(run.machine), *([state] if state else [])],
    )


def markdown(
    cells: Sequence[CellRow], headline: str | None = None, notes: Sequence[str] = ()
) -> str:
    """A row a case, a column a kernel that has a number: time, rate and speed-up, with their
    intervals; below it the conditions, and why what is missing is missing.
    """
    columns = table.columns(cells)
    known = {table.column(cell) for cell in cells if cell.time_s is not None} or columns.keys()
    columns = {place: heading for place, heading in columns.items() if place in known}
    lines = [f"**{escaped(headline)}**", ""] if headline else []
    lines += [
        "| " + " | ".join(["layer", "batch", *map(escaped, columns.values())]) + " |",
        "| " + " | ".join(["---:"] * (len(columns) + 2)) + " |",
    ]
    for case, group in groupby(sorted(cells, key=table.row), table.row):
        n_in, n_units, layer, activation, batch = case
        here = {table.column(cell): cell for cell in group}
        entries = [_entry(here[place]) if place in here else "-" for place in columns]
        words = " ".join(filter(None, [escaped(layer), f"{n_in} x {n_units}", activation]))
        lines.append("| " + " | ".join([words, str(batch), *entries]) + " |")
    paragraphs = [table.caption(cells), *table.reasons(cells), *notes]
    lines += [part for line in paragraphs for part in ("", escaped(line))]
    return "\n".join(lines) + "\n"


def _entry(cell: CellRow) -> str:
    return "<br>".join(escaped(line) for line in table.entry(cell).plain.split("\n"))


def write(path: Path, text: str) -> None:
    """Write the table whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    store.replace(path, text)
