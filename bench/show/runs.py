"""Runs on disk: where they are, and what is made of their files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.run_folder import compared
from bench.terminal.errors import BadInput

if TYPE_CHECKING:
    from bench.data.records import Block, CellRow, Visit


def derive(folder: Path) -> "list[CellRow]":
    """cells.csv anew from visits.csv and blocks.csv, where the run has them."""
    from bench.data import peaks, store
    from bench.data.records import Block, CellRow, Visit
    from bench.stats import estimate

    if not (folder / store.FILES[Visit]).is_file():
        return store.load(folder, CellRow)
    ceilings = peaks.of(store.machine(folder))
    rows = estimate.cells(store.load(folder, Visit), store.load(folder, Block), ceilings)
    store.write_cells(folder, rows)
    return rows


def measured(folder: Path) -> "tuple[list[Visit], list[Block]]":
    """A run's visits and blocks; none where it has its cells only."""
    from bench.data import store
    from bench.data.records import Block, Visit

    if not (folder / store.FILES[Visit]).is_file():
        return [], []
    return store.load(folder, Visit), store.load(folder, Block)


def draw(
    folders: Sequence[Path],
    outs: Sequence[Path],
    *how: Any,
    measured: "tuple[list[Visit], list[Block]] | None" = None,
) -> list[Path]:
    """Draw runs' charts into directories -> the files. Raises BadInput where that can't be.

    `measured`: the visits and blocks of the one run, where they are at hand.
    """
    from bench.show import charts

    try:
        if compared(folders[0]):
            _, *looks = how or ((),)
            return charts.draw_comparison(folders[0], outs[0], *looks)
        read = [charts.read(folder, measured) for folder in folders]
        return charts.draw_all(read, outs, *how)
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        where = error.filename or outs[0]
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise BadInput(
                f"{where} is a file, and charts need a directory: move it away, then"
                f" python -m bench plot {folders[0]}: what was measured is kept"
            ) from error
        raise BadInput(
            f"{where} can't be written ({error.strerror}): make room or make it writable, then"
            f" python -m bench plot {folders[0]}: what was measured is kept"
        ) from error


def written(path: Path, folder: Path, write: Callable[[], object]) -> None:
    """Write a file that is made of a run. Raises BadInput where that can't be."""
    try:
        write()
    except OSError as error:
        raise BadInput(
            f"{error.filename or path} can't be written ({error.strerror}): make it writable or"
            f" take another --out, then python -m bench report {folder}"
        ) from error
