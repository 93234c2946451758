"""Kernels that Numba compiles, in surroundings that keep it from compiling or from caching."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import ROOT
from kernels import _numba

pytestmark = pytest.mark.skipif(
    find_spec("numba") is None, reason="needs numba: make setup KERNELS=all"
)

KERNELS = ("numba_loop", "numba_packed")

RUN = """
import sys
import numpy as np
import kernels
W, b = np.eye(3, dtype=np.float32), np.ones((1, 3), np.float32)
for name in sys.argv[1:]:
    try:
        step = kernels.load(name).prepare(kernels.Layer(W, b), 2)
        print(step.launch(np.ones((2, 3), np.float32)).sum())
    except kernels.Unavailable as error:
        print(error)
"""


def run(*kernels: str, folder: Path = ROOT, **environment: str) -> list[str]:
    """What kernels give, or why they don't, a line each."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *kernels],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_without_compiling_there_is_nothing_to_measure() -> None:
    for line in run(*KERNELS, NUMBA_DISABLE_JIT="1"):
        assert line.endswith("unset NUMBA_DISABLE_JIT")


def test_threads_that_cannot_be_had_are_no_fault_of_the_kernel() -> None:
    lines = run(*KERNELS, NUMBA_THREADING_LAYER="nonesuch")
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("NUMBA_THREADING_LAYER=nonesuch asks for threads that can't be had")
        assert line.endswith("unset it, or install that library")
    assert run("numba_loop", NUMBA_THREADING_LAYER="workqueue") == ["12.0"]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """A Numba that finds no place for its cache but in the folders that are added here."""
    places: list[str] = []
    config = SimpleNamespace(CACHE_DIR="")

    def njit(*_: Any, cache: bool, **__: Any) -> Any:
        if config.CACHE_DIR not in places:
            raise RuntimeError("cannot cache function '_anything': no locator available")
        return lambda function: function

    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(config=config, njit=njit))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _numba._cache_found.cache_clear()
    yield places
    _numba._cache_found.cache_clear()


def test_a_cache_falls_back_to_the_temporary_folder_and_to_none(
    nowhere: list[str], tmp_path: Path
) -> None:
    assert not _numba._cache_found()
    _numba._cache_found.cache_clear()
    nowhere.append(str(tmp_path / f"numba-{os.getuid()}"))
    assert _numba._cache_found()
    assert (tmp_path / f"numba-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_temporary_cache_that_others_may_write_is_not_used(
    nowhere: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / f"numba-{os.getuid()}"
    nowhere.append(str(folder))
    folder.mkdir()
    folder.chmod(0o777)
    assert not _numba._cache_found()
    _numba._cache_found.cache_clear()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert not _numba._cache_found()


def test_where_neither_checkout_nor_home_can_be_written_it_works_all_the_same(
    tmp_path: Path,
) -> None:
    copied = tmp_path / "kernels"
    copied.mkdir()
    for file in (ROOT / "kernels").glob("*.py"):
        (copied / file.name).write_bytes(file.read_bytes())
    (copied / "__pycache__").touch()  # no folder, so that even root can put nothing into it
    (tmp_path / "tmp").mkdir()
    homeless = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "NUMBA_CACHE_DIR": ""}
    homeless["PYTHONPATH"] = str(tmp_path)
    done = run("numba_loop", folder=tmp_path, TMPDIR=str(tmp_path / "tmp"), **homeless)
    assert done == ["12.0"]
    assert list((tmp_path / "tmp").rglob("*.nbi"))
