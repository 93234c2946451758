"""A run that comes back from its host: its files in pieces, each file checked."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.fleet import merge
from bench.fleet.merge import Member

PIECE = 2**22
"""Bytes that are sent at a time."""


class Damaged(Exception):
    """What came is not what was sent."""


def fetch(
    files: Sequence[tuple[str, int, str]],
    piece: Callable[[str, int, int], bytes],
    folder: Path,
) -> Member:
    """Bring the files (name, bytes, SHA-256) into a new folder -> the run there.

    `piece` gives so many bytes of a file from an offset on. Raises Damaged; OSError where the
    folder can't be written; what `piece` raises; BadInput where it is no run.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, size, digest in files:
        if name not in merge.KEPT:
            raise Damaged(f"{name} is no file of a run")
        hashed = hashlib.sha256()
        with (folder / name).open("wb") as file:
            for offset in range(0, size, PIECE):
                content = piece(name, offset, PIECE)
                hashed.update(content)
                file.write(content)
        if hashed.hexdigest() != digest:
            raise Damaged(f"{name} differs")
    (member,) = merge.read([folder])
    return member
