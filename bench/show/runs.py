"""Runs on disk: where they are, and what is made of their files."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.terminal import errors
from bench.terminal.errors import BadInput

if TYPE_CHECKING:
    from bench.stats.run_data import RunData


def renew(folder: Path, tell: Callable[[str], None] | None = None) -> "RunData":
    """Read a run, and write its cells.csv anew where it has the visits that it follows from, and
    where it may be written: an archive of runs may not. Raises BadInput where that fails, or tells.
    """
    from bench.data import store
    from bench.data.records import Visit
    from bench.stats import run_data

    run = run_data.read(folder)
    if (folder / store.FILES[Visit]).is_file() and os.access(folder, os.W_OK):
        try:
            store.write_cells(folder, run.cells)
        except BadInput as error:
            if tell is None:
                raise
            tell(f"note: {error}")
    return run


def draw(runs: "Sequence[RunData]", outs: Sequence[Path], *how: Any) -> list[Path]:
    """Draw runs' charts into directories -> the files. Raises BadInput where that can't be."""
    from bench.show import charts

    with _drawn(runs[0].folder, outs[0]):
        return charts.draw_all([charts.read(run) for run in runs], outs, *how)


def draw_comparison(folder: Path, out: Path, *looks: Any) -> list[Path]:
    """Draw the chart of a comparison of two commits -> the files. Raises BadInput likewise."""
    from bench.show import charts

    with _drawn(folder, out):
        return charts.draw_comparison(folder, out, *looks)


def page(runs: "Sequence[RunData]", path: Path) -> list[Path]:
    """Make the page of one or several runs -> its file. Raises BadInput where that can't be."""
    from bench.show import page

    written(path, runs[0].folder, lambda: page.write(runs, path))
    return [path]


@contextmanager
def _drawn(folder: Path, out: Path) -> Iterator[None]:
    """Inside, a chart that can't be drawn or written is one line with the remedy: BadInput."""
    try:
        yield
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        if error.errno is None:  # Matplotlib has no folder for itself, and says which it wants
            raise BadInput(f"charts can't be drawn: {error}") from error
        where = error.filename or out
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise BadInput(
                f"{where} is a file, and charts need a directory: move it away, then"
                f" python -m bench plot {folder}: what was measured is kept"
            ) from error
        raise BadInput(
            f"{_unwritten(error, where)}, then python -m bench plot {folder} (or --out elsewhere):"
            " what was measured is kept"
        ) from error


def _unwritten(error: OSError, where: object) -> str:
    remedy = errors.WRITABLE.get(error.errno or 0, "make it writable")
    return f"{errors.shown(where)} can't be written ({error.strerror or error}): {remedy}"


def written(path: Path, folder: Path, write: Callable[[], object]) -> None:
    """Write a file that is made of a run. Raises BadInput where that can't be."""
    try:
        write()
    except OSError as error:
        raise BadInput(
            f"{_unwritten(error, error.filename or path)} or take another --out, then"
            f" python -m bench report {folder}"
        ) from error
