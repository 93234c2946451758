"""Charts from a run's files, one chart a module of this folder.

A chart is a module with `draw(run, sheet) -> Figure`, or with `compare(runs, sheet) -> Figure` for
several runs; it is found by its file name, so a new one touches no other file. It is given the
squares of a run's widths or, where it says `LAYERS = True`, the layers with names: an axis of
widths means nothing for those. Nothing heavy is imported until something is drawn. Modules with an
underscore are what charts share:

    _cells     which cells a picture shows, and what it says of the others
    _words     words for kernels and statuses; _footer: the line below
    _colours   a kernel's looks, the themes
    _ceilings  what the machine could do
    _page      the page: title, subtitle, notes, and the box that is left; _key: names above it
    _fit       how wide text is, where it breaks, how labels and ticks keep apart
    _lines     panels of lines, each labelled at its end: most charts; _panels, _layout: its parts
    _save      PNG, SVG and PDF
    _gate      the picture of a comparison of two commits, which is no run
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.machine import Machine
from bench.data.records import Verdict
from bench.stats.run_data import RunData

if TYPE_CHECKING:
    import pandas as pd

THEMES = ("light", "dark")
SIZES = ("slide", "paper")
FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True, slots=True)
class Run:
    """What a chart is drawn from: a run's files."""

    name: str
    cells: pd.DataFrame  # cells.csv
    machine: Machine  # machine.json
    visits: pd.DataFrame | None = None  # a row a visit that was measured: its cell, seconds, quiet


def read(run: RunData) -> Run:
    """A run as charts take it."""
    import pandas as pd

    from bench.data import store

    rows = []
    for cell in run.by_cell.values():
        good = cell.good
        for visit in cell.visits:
            if visit.pass_number in cell.times and visit.status == "ok":
                mine = {name: getattr(visit, name) for name in CELL}
                seconds, quiet = cell.times[visit.pass_number], visit.pass_number in good
                rows.append(mine | {"pass": visit.pass_number, "seconds": seconds, "quiet": quiet})
    table = pd.DataFrame(rows, columns=[*CELL, "pass", "seconds", "quiet"])
    return Run(run.folder.name, store.table(run.cells), run.machine, table)


CELL = [
    *("kernel", "n_in", "n_units", "batch", "precision", "activation"),
    *("device_index", "threads", "cache", "layer"),
]
"""The columns that visits and cells are matched by."""


def names() -> tuple[str, ...]:
    """The charts there are, by file name."""
    stems = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(s for s in stems if not s.startswith("_")))


def draw_all(
    runs: Sequence[Run],
    outs: Sequence[Path],
    only: Sequence[str] = (),
    theme: str = "light",
    size: str = "slide",
    formats: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Draw the charts (all, or those in `only`) of each run into its folder of `outs`; return what
    was written. Those that compare runs, where there are several, go into the first.

    The same files give the same bytes.
    """
    _check(only, theme, size, formats)
    from . import _page, _save  # Matplotlib, and only now

    sheet, suffix = _page.Sheet(theme, size), _suffix(theme, size)
    written: list[Path] = []
    for name in dict.fromkeys(only or names()):
        chart = import_module(f"{__name__}.{name}")
        parts = [(part(run, chart), out) for run, out in zip(runs, outs, strict=True)]
        mine = [(run, out) for run, out in parts if run is not None]
        if name in only and not mine:
            named = getattr(chart, "LAYERS", False)
            there = "none with a name" if named else "only layers with names"
            raise ValueError(f"{name} has nothing to draw: {runs[0].name} has {there}")
        figures: Iterator[tuple[Any, Path]]  # one at a time: each takes megabytes
        if hasattr(chart, "draw"):
            figures = ((chart.draw(run, sheet), out) for run, out in mine)
        elif len(mine) > 1:
            figures = iter([(chart.compare([run for run, _ in mine], sheet), outs[0])])
        elif only:
            raise ValueError(f"{name} shows several runs side by side: give two or more")
        else:
            continue
        for figure, out in figures:
            out.mkdir(parents=True, exist_ok=True)
            written += _save.save(figure, out / f"{name}{suffix}", formats)
    return written


def part(run: Run, chart: Any) -> Run | None:
    """What a chart shows of a run; None where the run has cells, and none of those."""
    named = run.cells["layer"] != ""
    about_layers = getattr(chart, "LAYERS", False)
    cells = run.cells[named if about_layers else ~named]
    if cells.empty and (about_layers or len(run.cells)):
        return None
    return replace(run, cells=cells)


def draw_comparison(
    folder: Path,
    out: Path,
    theme: str = "light",
    size: str = "slide",
    formats: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Draw what a comparison of two commits found, from its files -> what was written."""
    from bench.data import store

    _check((), theme, size, formats)
    from . import _gate, _page, _save

    figure = _gate.draw(
        store.load(folder, Verdict), store.machine(folder), _page.Sheet(theme, size)
    )
    out.mkdir(parents=True, exist_ok=True)
    return _save.save(figure, out / f"gate{_suffix(theme, size)}", formats)


def _check(only: Sequence[str], theme: str, size: str, formats: Sequence[str]) -> None:
    for what, asked, known in (
        ("chart", only, names()),
        ("theme", [theme], THEMES),
        ("size", [size], SIZES),
        ("format", formats, FORMATS),
    ):
        if unknown := [name for name in asked if name not in known]:
            raise ValueError(f"no {what} named {', '.join(unknown)}; there are {', '.join(known)}")
    # where the home can't be written, Matplotlib does without, and needn't tell
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _suffix(theme: str, size: str) -> str:
    """The usual charts have the plain names, which their dark and paper versions don't take."""
    return "".join(f"-{name}" for name in (theme, size) if name not in ("light", "slide"))
