"""Charts from a run's files, one chart a module of this folder.

A chart is a module with `draw(cells, machine, theme) -> Figure`; it is found by its file name, so a
new one touches no other file. Nothing heavy is imported until something is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def names() -> tuple[str, ...]:
    """The charts there are, by file name."""
    stems = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(s for s in stems if not s.startswith("_") and s != "style"))


def draw_all(
    cells: pd.DataFrame,
    machine: Mapping[str, Any],
    out: Path,
    only: Sequence[str] = (),
    theme: str = "light",
) -> list[Path]:
    """Draw the charts (all, or those in `only`) as PNG and SVG into `out`; return what was written.

    The same cells and machine give the same bytes.
    """
    if unknown := [name for name in only if name not in names()]:
        raise ValueError(f"no chart named {', '.join(unknown)}; there are {', '.join(names())}")
    # where the home can't be written, Matplotlib does without, and needn't tell
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from . import style  # Matplotlib, and only now

    out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name in dict.fromkeys(only or names()):
        figure = import_module(f"{__name__}.{name}").draw(cells, machine, theme)
        written += style.save(figure, out / name)
    return written
