"""Charts from a run's files, drawn with Matplotlib: the pictures of bench.show.pictures.

    pen      a picture -> a figure: the page, and the body by its type
    page     title, subtitle, notes, and the box that is left; key: names above it
    fit      how wide text is, where it breaks, how labels and ticks keep apart
    lines    panels of lines, each labelled at its end (layout: where they stand)
    bars, tiles, dots, visits, changes    the other bodies
    save     PNG, SVG and PDF

Nothing heavy is imported until something is drawn.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from bench.data.records import Verdict
from bench.show import pictures
from bench.show.pictures import CELL, Run, names, read
from bench.show.pictures.parts.picture import Picture

__all__ = ["CELL", "Run", "draw", "draw_all", "draw_comparison", "names", "read"]

# Matplotlib refuses to be imported with a backend that isn't installed here, such as a notebook's,
# and no backend is used: each figure has a canvas of its own
os.environ["MPLBACKEND"] = "agg"

THEMES = ("light", "dark")
SIZES = ("slide", "paper")
FORMATS = ("png", "svg", "pdf")


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
    written: list[Path] = []
    for name in dict.fromkeys(only or names()):
        chart = pictures.load(name)
        parts = [(pictures.part(run, chart), out) for run, out in zip(runs, outs, strict=True)]
        mine = [(run, out) for run, out in parts if run is not None]
        if name in only and not mine:
            named = getattr(chart, "LAYERS", False)
            there = "none with a name" if named else "only layers with names"
            raise ValueError(f"{name} has nothing to draw: {runs[0].name} has {there}")
        if name in only and hasattr(chart, "compare") and len(mine) < 2:
            raise ValueError(f"{name} shows several runs side by side: give two or more")
        for picture, out in _pictures(chart, mine):
            written += draw(picture, out, name, theme, size, formats)
    return written


def _pictures(
    chart: ModuleType, runs: Sequence[tuple[Run, Path]]
) -> Iterator[tuple[Picture, Path]]:
    """What a chart shows of runs, and where it goes."""
    if hasattr(chart, "picture"):
        yield from ((chart.picture(run), out) for run, out in runs)
    elif len(runs) > 1:
        yield chart.compare([run for run, _ in runs]), runs[0][1]


def draw_comparison(
    folder: Path,
    out: Path,
    theme: str = "light",
    size: str = "slide",
    formats: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Draw what a comparison of two commits found, from its files -> what was written."""
    from bench.data import store
    from bench.show.pictures import gate

    picture = gate.picture(store.load(folder, Verdict), store.machine(folder))
    return draw(picture, out, "gate", theme, size, formats)


def draw(
    picture: Picture,
    out: Path,
    name: str,
    theme: str = "light",
    size: str = "slide",
    formats: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Draw one picture into a folder, under this name -> what was written.

    The usual charts have the plain names, which their dark and paper versions don't take.
    """
    from bench.show.charts import page, pen, save  # Matplotlib, and only now

    _check((), theme, size, formats)
    out.mkdir(parents=True, exist_ok=True)
    suffix = "".join(f"-{word}" for word in (theme, size) if word not in ("light", "slide"))
    figure = pen.draw(picture, page.Sheet(theme, size))
    return save.save(figure, out / f"{name}{suffix}", formats)


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
