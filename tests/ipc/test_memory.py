"""Shared memory: nobody's to change, and gone with the last who holds it."""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.ipc import arrays, memory
from bench.terminal.errors import BadInput


def failing(*_: Any) -> int:
    raise OSError(28, "No space left on device")


@pytest.fixture(params=["memory", "disk"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "disk":
        monkeypatch.setattr(os, "memfd_create", failing, raising=False)
    return str(request.param)


def test_arrays_of_one_file_are_seen_through_another_descriptor(kind: str) -> None:
    file = memory.anonymous("layer")
    shapes = ((3, 4), (1, 4))
    memory.reserve(file, arrays.bytes_of(np.float32, *shapes))
    W, b = arrays.mapped(file, np.float32, *shapes, writable=True)
    W[...], b[...] = 2, 3
    memory.seal(file)
    other = os.dup(file)
    os.close(file)
    seen = arrays.mapped(other, np.float32, *shapes)
    os.close(other)
    assert [array.tolist() for array in seen] == [[[2] * 4] * 3, [[3] * 4]]
    W[0, 0] = 9  # whoever made it still may
    assert seen[0][0, 0] == 9


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux")
def test_nobody_else_can_write_or_cut_it_off() -> None:
    file = memory.anonymous("layer")
    memory.reserve(file, 4096)
    memory.seal(file)
    with pytest.raises(PermissionError):
        os.pwrite(file, b"x", 0)
    for size in (0, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(file, size)
    os.close(file)


def test_nothing_lies_in_the_folder_for_temporary_files(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = memory.anonymous("layer")
    os.pwrite(file, b"x", 0)
    assert not list(tmp_path.iterdir())
    os.close(file)


def test_where_none_can_be_had_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "memfd_create", failing, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(BadInput, match=r"no memory to share between processes: .*set TMPDIR"):
        memory.anonymous("layer")


def test_what_has_no_room_is_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    file = memory.anonymous("layer")
    monkeypatch.setattr(os, "posix_fallocate", failing, raising=False)
    with pytest.raises(MemoryError, match=r"no 4\.0 GB to share: No space left on device"):
        memory.reserve(file, 4 * 10**9)
    assert os.fstat(file).st_size == 0
    os.close(file)
