"""What several test files need: stubs of NVIDIA's libraries, and a machine with a GPU that isn't
there, for those that run on a double of CuPy.
"""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl
from cupy_double import Machine

from kernels import _cupy

DOUBLES = Path(__file__).parent / "doubles"

load_library = ctypes.CDLL


def library(name: str | None, *arguments: Any, **options: Any) -> Any:
    """ctypes.CDLL on a machine with NVIDIA's driver."""
    if name == "libcuda.so.1":
        return object()
    return load_library(name, *arguments, **options)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """BLAS in the tests' own process works as in a worker that was given one thread: with more, a
    kernel that is visited here keeps too many cores busy.
    """
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests' runs are none of this checkout's: they teach it nothing of its machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HISTORY", "")
        patch.setenv("BENCH_KEPT", str(tmp_path_factory.mktemp("kept")))
        yield


@pytest.fixture
def no_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in this process does not measure what the CPU can do: five seconds, twice."""
    monkeypatch.setattr("bench.machine.peak_rates.of_cpu", lambda *_: None)


@pytest.fixture
def cells_alone(no_peaks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in this process measures its cells only: ceilings and charts are other tests' business,
    and take longer.
    """
    monkeypatch.setattr("bench.show.runs.draw", lambda *_, **__: [])
    monkeypatch.setattr("bench.show.runs.page", lambda *_, **__: [])


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An NVIDIA driver is there."""
    monkeypatch.setattr(ctypes, "CDLL", library)
    _cupy.proved.cache_clear()
    yield
    _cupy.proved.cache_clear()


@pytest.fixture
def machine(driver: None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU, and CuPy and nvmath."""
    machine = Machine()
    for name, module in machine.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return machine


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stub of NVIDIA's driver and one of NVML, for LD_LIBRARY_PATH."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler (cc or gcc), for the stubs of NVIDIA's driver and NVML")
    folder = tmp_path_factory.mktemp("stubs")
    for source, library in (
        ("stub_cuda.c", "libcuda.so.1"),
        ("stub_nvml.c", "libnvidia-ml.so.1"),
    ):
        command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror"]
        subprocess.run([*command, "-o", str(folder / library), str(DOUBLES / source)], check=True)
    return folder


@pytest.fixture
def stub_driver(stubs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stubs are what this test's child processes find."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stubs))
    return stubs
