"""What a run shows, before anything is drawn: one chart a file of this folder.

    a run's cells -> a chart of this folder -> Picture: data and words
        | bench.show.charts   Matplotlib: PNG, SVG, PDF
        | bench.show.deck     PowerPoint's own charts, that its user can edit
        | bench.show.page     one HTML page: Vega's charts, and tables

To add a chart, add a file: it is found by its name, and no other file needs a touch. It has
`picture(run) -> Picture`, or `compare(runs) -> Picture` for several runs. What else it may have:

    slides(run)     the pictures that a deck takes instead: its titles are those of one panel each
    NEEDS = "..."   a column: of a run that has no number in it there is no such chart
    LAYERS = True   it is given the layers with names; else the squares of a run's widths, for an
                    axis of widths means nothing for layers

`parts/` is what charts share: records (picture), choosing cells and saying what is missing (cells),
lines from rows (lines), wording (words, footer), a kernel's looks (looks), what the machine can do
(ceilings), round numbers (ticks). A body of a new type needs help from each pen: Matplotlib's draws
all, PowerPoint's lines, bars and, in sentences, dots, the page's all that a run has. `gate.py` is
the picture of a comparison of two commits, `history.py` that of many runs and `scaling.py` that of
many numbers of devices: none is a run's.
Nothing heavy is imported here.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.data.machine import Machine

if TYPE_CHECKING:
    import pandas as pd

    from bench.stats.run_data import RunData

NOT_OF_A_RUN = ("gate", "history", "scaling")


@dataclass(frozen=True, slots=True)
class Run:
    """What a chart is drawn from: a run's files."""

    name: str
    cells: pd.DataFrame  # cells.csv
    machine: Machine  # machine.json
    visits: pd.DataFrame | None = None  # a row a visit that was measured: its cell, seconds


def read(run: RunData) -> Run:
    """A run as charts take it."""
    import pandas as pd

    from bench.data import store

    rows = [
        {name: getattr(visit, name) for name in CELL}
        | {
            "pass": visit.pass_number,
            "seconds": run.times.visit_s[visit.visit],
            "as_found": run.times.found_s[visit.visit],
        }
        for cell in run.by_cell.values()
        for visit in cell.counted
    ]
    table = pd.DataFrame(rows, columns=[*CELL, "pass", "seconds", "as_found"])
    return Run(run.folder.name, store.table(run.cells), run.machine, table)


CELL = [
    *("kernel", "n_in", "n_units", "batch", "precision", "activation"),
    *("device_index", "threads", "cache", "layer"),
]
"""The columns that visits and cells are matched by."""


def names() -> tuple[str, ...]:
    """The charts there are, by file name."""
    modules = (found for found in pkgutil.iter_modules(__path__) if not found.ispkg)
    return tuple(sorted(found.name for found in modules if found.name not in NOT_OF_A_RUN))


def load(name: str) -> ModuleType:
    """The chart of this name."""
    return import_module(f"{__name__}.{name}")


def part(run: Run, chart: Any) -> Run | None:
    """What a chart shows of a run; None where the run has cells, and none of those."""
    needed = getattr(chart, "NEEDS", None)
    if needed is not None and len(run.cells) and run.cells[needed].isna().all():
        return None
    named = run.cells["layer"] != ""
    about_layers = getattr(chart, "LAYERS", False)
    cells = run.cells[named if about_layers else ~named]
    if cells.empty and (about_layers or len(run.cells)):
        return None
    return replace(run, cells=cells)
