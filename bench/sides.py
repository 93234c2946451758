"""The two sides of a comparison: each side's `kernels` package, as git has it.

Only `kernels/` differs between the arms. The harness that measures is this one for both, so a
change of the harness is never taken for a change of a kernel.
"""

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.link import ROOT
from bench.sweep import BadInput

WORKTREE = "worktree"
"""The files as they are now, committed or not."""


@dataclass(frozen=True, slots=True)
class Side:
    """One arm: where its `kernels` package is, and which commit that is."""

    name: str  # base | head
    folder: Path  # what goes on Python's path
    commit: str


@contextmanager
def both(base: str, head: str) -> Iterator[tuple[Side, Side]]:
    """Both sides in a temporary directory that is gone afterwards, however this ends.

    The two paths are of one length: a path's length moves a process's memory layout. Raises
    BadInput for what git doesn't know.
    """
    with tempfile.TemporaryDirectory(prefix="bench-gate-") as name:
        folder = Path(name)
        yield _side("base", folder, base), _side("head", folder, head)


def _side(name: str, parent: Path, ref: str) -> Side:
    folder = parent / name
    folder.mkdir()
    if ref == WORKTREE:
        shutil.copytree(
            ROOT / "kernels", folder / "kernels", ignore=shutil.ignore_patterns("__pycache__")
        )
        return Side(name, folder, WORKTREE)
    commit = _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if commit is None:
        raise BadInput(f"--{name}: no commit {ref!r} here: fetch the history, or name another")
    archive = _git("archive", "--format=tar", commit.decode().strip(), "kernels")
    if archive is None:
        raise BadInput(f"--{name}: {ref!r} has no directory kernels/")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return Side(name, folder, commit.decode().strip())


def _git(*arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise BadInput("git is not installed: both sides of a comparison come from it") from error
    except subprocess.CalledProcessError:
        return None
    return done.stdout
