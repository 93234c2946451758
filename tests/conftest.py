"""What several test files need."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


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
        subprocess.run([*command, "-o", str(folder / library), str(HERE / source)], check=True)
    return folder


@pytest.fixture
def stub_driver(stubs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stubs are what this test's child processes find."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(stubs))
    return stubs
