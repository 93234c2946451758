"""A Python that lacks one of our packages: one line that names it, what it is for and the remedy.

The program runs as it does without `.venv` and make: on a Python whose packages are links to those
here, but for some.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from bench import ROOT
from bench.terminal import needs

SITE = Path(sysconfig.get_paths()["purelib"])


NO_CEILINGS = (
    "import runpy; from bench.machine import peak_rates; peak_rates.of_cpu = lambda *_: None;"
    " runpy.run_module('bench', run_name='__main__')"
)
"""The program, but for ten seconds in which a run measures what the CPU can do: those are for a
process of its own, and where that fails the run goes on.
"""


def ran(
    folder: Path,
    *command: str,
    without: tuple[str, ...],
    program: tuple[str, str] = ("-m", "bench"),
) -> subprocess.CompletedProcess[str]:
    """A command in a Python that has all of our packages but some."""
    for path in SITE.iterdir():
        if path.name.partition(".")[0] not in without and path.name != "__pycache__":
            (folder / path.name).symlink_to(path)
    return subprocess.run(
        [sys.executable, "-S", *program, *command],  # -S: no packages of its own
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["msgspec", "typer", "pandas"])
def test_a_run_ends_in_one_line_before_it_begins(module: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    site = tmp_path / "site"
    site.mkdir()
    done = ran(site, "run", "--sweep", "quick", "--out", str(out), without=(module,))
    package, purpose = needs.NEEDED[module]
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {package} is not installed: needed for {purpose}: ")
    assert line.endswith(f" -m pip install {package}, or make")
    assert not out.exists()


def test_the_doctor_has_a_line_for_each_package_that_is_not_there(tmp_path: Path) -> None:
    done = ran(tmp_path, "doctor", without=("msgspec", "pandas", "pptx", "xlsxwriter", "pynvml"))
    assert (done.returncode, done.stderr) == (1, "")
    *lines, remedy = done.stdout.splitlines()
    for module in ("msgspec", "pandas", "pptx", "xlsxwriter", "pynvml"):
        package, purpose = needs.KNOWN[module]
        assert f"{package} is not installed: needed for {purpose}" in lines
        assert package in remedy.split()


def test_a_run_and_its_files_need_no_deck_and_the_deck_says_what_it_lacks(tmp_path: Path) -> None:
    site, out = tmp_path / "site", tmp_path / "run"
    site.mkdir()
    lacking = ("pptx", "xlsxwriter", "safetensors", "pytest_benchmark", "pynvml", "cupy")
    asked = ("--kernel=numpy_matmul", "--widths=8", "--batches=1", "--budget=1s", "--no-charts")
    numbers = ("-c", NO_CEILINGS)
    done = ran(site, "run", *asked, "--out", str(out), without=lacking, program=numbers)
    assert done.returncode == 0, done.stderr
    assert (out / "cells.csv").exists()
    (again := tmp_path / "again").mkdir()
    done = ran(again, "report", str(out), "--pptx", without=lacking)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "is not installed: needed for slides" in line


def test_another_module_that_is_not_there_is_not_taken_for_one_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError):
        needs.stop(ModuleNotFoundError("no moon", name="moon"), "run")


def test_the_packages_are_those_of_pyproject() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").lower()
    for package, _ in needs.KNOWN.values():
        assert f'"{package.lower()}' in text


def test_an_older_python_hears_it_in_one_line() -> None:
    command = "import sys; sys.version_info = (3, 10, 13); import bench"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: Python 3.11 or newer is needed, and this is ")
    assert done.stderr.count("\n") == 1
