"""The two sides of a comparison: each side's `kernels` package, as git has it.

Only `kernels/` differs between the arms, and, where each shall run in its own locked environment,
the packages that it imports. The harness that measures is this one for both, and so are the
contract and the CPU's clock, which are in `kernels/`, too: a change of what measures is never taken
for a change of a kernel.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.machine import packages
from bench.machine.git import Answer, git
from bench.terminal import errors
from bench.terminal.errors import BadInput

ELSE = "free some space there, or set TMPDIR to another folder"

WORKTREE = "worktree"
"""The files as they are now, committed or not."""

LOCK = "locks/bench.txt"

MEASURES = ("__init__.py", "_host.py", "_load.py")
"""What of `kernels/` is no kernel's: the contract, the CPU as a device, the loader."""

SPOKEN = re.compile(r"^CONTRACT = (\d+)$", re.MULTILINE)
"""Which contract a side's kernels speak."""

SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Before Python 3.11.4, as in Debian 12, links that lead out of the side aren't refused."""


@dataclass(frozen=True, slots=True)
class Side:
    """One arm: where its `kernels` package is, which commit that is, and what runs it."""

    name: str  # base | head
    folder: Path  # what goes on Python's path
    commit: str
    python: str = sys.executable  # the interpreter, whose packages the kernels import


@contextmanager
def both(base: str, head: str) -> Iterator[tuple[Side, Side]]:
    """Both sides in a temporary directory that is gone afterwards, however this ends.

    The two paths are of one length: a path's length moves a process's memory layout. Raises
    BadInput for what git doesn't know.
    """
    with _temporary() as folder:
        try:
            sides = _side("base", folder, base), _side("head", folder, head)
            for side in sides:
                measured_as_here(side)
        except OSError as error:
            raise BadInput(_unwritten(folder, error)) from error
        yield sides


@contextmanager
def _temporary() -> Iterator[Path]:
    try:
        place = tempfile.TemporaryDirectory(prefix="bench-gate-", ignore_cleanup_errors=True)
    except OSError as error:
        raise BadInput(f"there is no temporary folder ({error.strerror}): {ELSE}") from error
    with place as name:
        yield Path(name)


def _unwritten(folder: Path, error: OSError) -> str:
    """What is said of files that can't be put into the temporary folder."""
    # shutil.Error has a list of what failed in place of a number
    why = error.strerror or str(error.args[0][0][2] if isinstance(error.args[0], list) else error)
    return f"the sides can't be put into {folder.parent} ({why}): {ELSE}"


def measured_as_here(side: Side) -> None:
    """Put this checkout's contract and clock in the place of a side's, if it speaks the same one.

    Sides with another contract are refused later on. Those from before these were files of their
    own keep what they have.
    """
    ours, theirs = ROOT / "kernels", side.folder / "kernels"
    if _spoken(theirs) == _spoken(ours) and all((theirs / name).is_file() for name in MEASURES):
        for name in MEASURES:
            shutil.copy(ours / name, theirs / name)


def _spoken(folder: Path) -> str:
    contract = folder / "__init__.py"
    text = contract.read_text(encoding="utf-8") if contract.is_file() else ""
    return found[1] if (found := SPOKEN.search(text)) else ""


def locked(sides: tuple[Side, Side], tell: Callable[[str], None]) -> tuple[Side, Side]:
    """The same sides, each with an environment made from its own lock, beside its kernels.

    Sides whose locks are alike share one. `tell` is told what is being made: it takes about a
    minute. Raises BadInput where a side has no lock or can't be built.
    """
    made: dict[bytes, str] = {}
    done = []
    for side in sides:
        lock = side.folder / LOCK
        if not lock.is_file():
            raise BadInput(f"{side.name}: {side.commit!r} has no {LOCK}: take --env shared")
        content = lock.read_bytes()
        if content not in made:
            tell(f"making the {side.name}'s environment from its {LOCK}")
            made[content] = _environment(side, lock)
        done.append(replace(side, python=made[content]))
    return done[0], done[1]


def _environment(side: Side, lock: Path) -> str:
    """A virtual environment in the side's folder, with what the lock names -> its interpreter."""
    if os.statvfs(side.folder).f_flag & os.ST_NOEXEC:
        where = f"{side.folder.parent.parent} is mounted noexec"
        raise BadInput(f"{where}: no library can be loaded from there: set TMPDIR, or --env shared")
    python = side.folder / "env" / "bin" / "python"
    pip = ["-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    for command in (
        # our own pip installs into it: one of its own would take seconds to unpack
        [sys.executable, "-m", "venv", "--without-pip", str(side.folder / "env")],
        [sys.executable, *pip, "install", "--require-hashes", "-r", str(lock)],
    ):
        done = subprocess.run(
            command,
            env=os.environ | packages.LOCKS_ALONE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            why = _reason((done.stderr or done.stdout).strip().splitlines())
            message = f"the {side.name}'s environment can't be made: {why}"
            raise BadInput(f"{message}: the sides can't be compared")
    return str(python)


def _reason(lines: Sequence[str]) -> str:
    """Why pip failed: its last error, of a long one the first sentence, and the first line of what
    stands below it, which names the package.
    """
    errors = [i for i, line in enumerate(lines) if line.lower().startswith("error:")]
    if not errors:
        return lines[-1].strip() if lines else "no reason given"
    first, *below = lines[errors[-1] :]
    named = next((line.strip(" ╰─>:") for line in below if line.startswith((" ", "╰"))), "")
    sentence = first.partition(":")[2].strip().partition(". ")[0]
    return f"{sentence}: {named}" if named else sentence


def _side(name: str, parent: Path, ref: str) -> Side:
    folder = parent / name
    folder.mkdir()
    if ref == WORKTREE:
        shutil.copytree(
            # hidden files, such as an editor's lock, are no kernels
            ROOT / "kernels",
            folder / "kernels",
            ignore=shutil.ignore_patterns("__pycache__", ".*"),
        )
        if (ROOT / LOCK).is_file():
            (folder / LOCK).parent.mkdir()
            shutil.copy(ROOT / LOCK, folder / LOCK)
        return Side(name, folder, WORKTREE)
    commit = _git("rev-parse", "--verify", f"{ref}^{{commit}}")
    if not commit:
        raise BadInput(_no_commit(name, ref))
    # with ./, from this folder: the checkout may lie in a larger repository
    if not (tree := _git("cat-file", "-e", f"{commit.text}:./kernels")):
        if "does not exist in" in tree.trouble or "but not in" in tree.trouble:
            raise BadInput(f"--{name}: {ref!r} has no directory kernels/")
        raise BadInput(_unread(name, ref, tree.trouble))
    files = ["kernels", *([LOCK] if _git("cat-file", "-e", f"{commit.text}:./{LOCK}") else [])]
    archive = _git("archive", "--format=tar", commit.text, *files)
    if not archive:
        raise BadInput(_unread(name, ref, archive.trouble))
    try:
        with tarfile.open(fileobj=io.BytesIO(archive.output)) as content:
            content.extractall(folder, **SAFELY)  # noqa: S202 - an archive of our own git
    except tarfile.TarError as error:  # a link that leads out of it
        raise BadInput(f"--{name}: {ref!r} has files that can't be unpacked: {error}") from error
    return Side(name, folder, commit.text)


def _no_commit(name: str, ref: str) -> str:
    """Why git knows no such commit, and what to do."""
    if not (inside := _git("rev-parse", "--git-dir")):
        trouble = f"git can't read this checkout: {inside.trouble}"
        owned = "dubious ownership" not in inside.trouble
        return trouble if owned else f"{trouble}: git config --global --add safe.directory {ROOT}"
    remedy = "fetch the history, or name another"
    if _git("rev-parse", "--is-shallow-repository").text == "true":
        remedy = "this clone is shallow: git fetch --unshallow (actions/checkout: fetch-depth: 0)"
    return f"--{name}: no commit {ref!r} here: {remedy}"


def _unread(name: str, ref: str, trouble: str) -> str:
    """What is said of a commit that is known, but whose files can't be had."""
    if _git("config", "--get-regexp", r"^remote\..*\.promisor$"):
        remedy = (
            "this clone leaves files at its remote: let git reach it, or clone without --filter"
        )
        return f"--{name}: the files of {ref!r} can't be had ({trouble}): {remedy}"
    return f"--{name}: git can't read the files of {ref!r}: {trouble}"


def _git(*arguments: str) -> Answer:
    try:
        return git(*arguments)
    except OSError as error:
        why = errors.of_system(error) or "is git installed?"
        raise BadInput(f"git can't be run, and both sides come from it: {why}") from error
