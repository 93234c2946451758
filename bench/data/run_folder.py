"""Where runs are on disk."""

import os
from pathlib import Path

from bench import ROOT
from bench.terminal.errors import BadInput


def compared(folder: Path) -> bool:
    """Whether the directory holds a comparison of two commits, not a run."""
    from bench.data import store
    from bench.data.records import Verdict

    return (folder / store.FILES[Verdict]).is_file()


def runs(folder: Path) -> list[Path]:
    """The runs in a folder: those that were merged into it, else itself."""
    from bench.data import store
    from bench.data.records import CellRow, Visit

    def is_run(each: Path) -> bool:
        return any((each / store.FILES[row]).is_file() for row in (Visit, CellRow))

    if is_run(folder) or compared(folder):
        return [folder]
    merged = sorted(each for each in folder.glob("[!.]*") if each.is_dir() and is_run(each))
    return merged or [folder]


def plots(folder: Path) -> Path:
    """Where a run's charts go: plots/<run> for a run in this checkout's own results/, else plots/
    inside the run, which may lie where alone something lasts: on a volume of a container.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - as it was named, links and all
    own = folder.parent == ROOT / "results"
    if own and os.access(_there(ROOT / "plots"), os.W_OK):
        return ROOT / "plots" / folder.name
    return folder / "plots"


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def find(run: str) -> Path:
    """A run's directory, from a path, a name in results/, or `latest`."""
    results = ROOT / "results"
    if run == "latest":
        runs = sorted(path.parent for path in results.glob("[!.]*/sweep.toml"))
        if not runs:
            raise BadInput("no run yet: make bench")
        return max(runs, key=lambda path: (path / "sweep.toml").stat().st_mtime)
    for folder in (Path(run), results / run):
        if folder.is_dir():
            return folder
    raise BadInput(f"no run {run!r}: give a run's directory or its name in results/")
