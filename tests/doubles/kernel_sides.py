"""Sides of a comparison: this checkout's kernels, with some files more or other ones."""

import shutil
from pathlib import Path

from bench import ROOT
from bench.gate.checkouts import Side


def a_side(folder: Path, name: str, **files: str) -> Side:
    """The kernels of this checkout in a folder, with files by their stems."""
    side = folder / name
    shutil.copytree(ROOT / "kernels", side / "kernels")
    for stem, text in files.items():
        (side / "kernels" / f"{stem}.py").write_text(text, encoding="utf-8")
    return Side(name, side, name)
