"""Runs on disk: where they are, and what is made of their files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.sweep import BadInput

if TYPE_CHECKING:
    from bench.records import Block, Cell, Visit

ROOT = Path(__file__).parent.parent


def derive(folder: Path) -> "list[Cell]":
    """cells.csv anew from visits.csv and blocks.csv, where the run has them."""
    from bench import estimate, peaks, store
    from bench.records import Block, Cell, Visit

    if not (folder / store.FILES[Visit]).is_file():
        return store.load(folder, Cell)
    ceilings = peaks.of(store.machine(folder))
    rows = estimate.cells(store.load(folder, Visit), store.load(folder, Block), ceilings)
    store.write_cells(folder, rows)
    return rows


def measured(folder: Path) -> "tuple[list[Visit], list[Block]]":
    """A run's visits and blocks; none where it has its cells only."""
    from bench import store
    from bench.records import Block, Visit

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
    from bench import charts

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


def compared(folder: Path) -> bool:
    """Whether the directory holds a comparison of two commits, not a run."""
    from bench import store
    from bench.records import Verdict

    return (folder / store.FILES[Verdict]).is_file()


def plots(folder: Path) -> Path:
    """Where a run's charts go: plots/<run> beside results/<run>, else plots/ inside the run."""
    folder = folder.absolute()
    if folder.parent.name == "results":
        return folder.parent.parent / "plots" / folder.name
    return folder / "plots"


def find(run: str) -> Path:
    """A run's directory, from a path, a name in results/, or `latest`."""
    results = ROOT / "results"
    if run == "latest":
        runs = sorted(path.parent for path in results.glob("*/sweep.toml"))
        if not runs:
            raise BadInput("no run yet: make bench")
        return max(runs, key=lambda path: (path / "sweep.toml").stat().st_mtime)
    for folder in (Path(run), results / run):
        if folder.is_dir():
            return folder
    raise BadInput(f"no run {run!r}: give a run's directory or its name in results/")
