"""`make gpu-check` itself, on the double of CuPy: it finds what is wrong, and its page says so.

The tests of tests/gpu run as they would on a GPU, with a simulated device on a simulated clock.
What they show of a real device is shown there only.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from campaign import campaign

from bench import ROOT

RUNS = "tests/gpu/test_gpu.py::test_a_run_from_the_command_line_measures_every_kernel"

CUPY = """
import sys

here = "pytest" in sys.modules  # the double imports it too

import cupy_double

# in a run's worker a small one, without room for its ceilings: they would take NumPy long; and in
# real time, as the worker's clock is: a product takes far longer than NumPy needs for it
if here:
    machine = cupy_double.Machine()
else:
    machine = cupy_double.RealTime(free=2**23)
    cupy_double.MATMUL_NS = 20_000_000
sys.modules.update(machine.modules())
"""

DRIVER = """
int cuDriverGetVersion(int *version) { *version = 13020; return 0; }
int cuInit(unsigned flags) { return 100; }  // it has no device: the double has
"""

PLUGIN = """
import itertools
import time

import cupy

ticks = itertools.count()
machine = cupy._machine
time.perf_counter = lambda: machine.clock() + 1e-9 * next(ticks)
time.sleep = machine.sleep
"""


@dataclass(frozen=True)
class Checked:
    """What `make gpu-check` left behind."""

    code: int
    out: str
    page: str


def gpu_check(folder: Path, *options: str, mistake: str = "", driver: bool = True) -> Checked:
    """Run it in a process that finds the double where it looks for CuPy."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("needs a C compiler, for a library that is found where the driver's would be")
    (folder / "cupy.py").write_text(CUPY, encoding="utf-8")
    (folder / "on_the_double.py").write_text(PLUGIN + mistake, encoding="utf-8")
    (folder / "driver.c").write_text(DRIVER, encoding="utf-8")
    if driver:
        made = ["-o", str(folder / "libcuda.so.1"), str(folder / "driver.c")]
        subprocess.run([compiler, "-shared", "-fPIC", *made], check=True)
    page = folder / "page.md"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:benchmark"),
            *("-p", "on_the_double", "--gpu-check", f"--gpu-page={page}", "--gpu-width=128"),
            "--gpu-budget=30s",  # its worker starts late on a busy machine
            *(options or ["tests/gpu"]),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT / "tests" / "doubles"))),
            "LD_LIBRARY_PATH": str(folder),
            "OPENBLAS_NUM_THREADS": "1",  # its threads would spin for nothing
        },
        capture_output=True,
        text=True,
        check=False,
    )
    out = done.stdout + done.stderr
    assert page.exists(), out
    return Checked(done.returncode, out, page.read_text(encoding="utf-8"))


FEW = (
    "answers_agree_with_float64_on_awkward_shapes[float64-nvmath_fused]",
    "a_large_layer_takes_what_cupys_own_profiler_says[float32-cupy_matmul]",
    "transfers_go_at_the_speed_of_the_bus",
    "out_of_memory_is_a_status_and_the_next_cell_runs[cupy_fused]",
    "a_large_layer_takes_what_cupys_own_profiler_says[float32-nvmath_fused]",
    "a_replayed_graph_gives_the_same_bits_and_spares_the_host_the_launch",
    "a_cheat_is_caught[on a side stream]",
    "an_honest_kernel_is_not_taken_for_a_cheat[large-warm]",
)


@pytest.mark.parametrize(
    "chosen",
    [
        [f"tests/gpu/test_gpu.py::test_{test}" for test in FEW],
        pytest.param(["tests/gpu", "--deselect", f"{RUNS}[warm]"], marks=campaign),
    ],
    ids=["few", "all"],
)
def test_it_passes_and_its_page_has_the_device_and_the_numbers(
    tmp_path: Path, chosen: list[str]
) -> None:
    checked = gpu_check(tmp_path, *chosen)
    assert checked.code == 0, checked.out
    assert checked.page in checked.out
    title, *lines = checked.page.splitlines()
    assert re.fullmatch(r"# gpu-check: \d+ skipped, \d+ passed", title)
    page = "\n".join(lines)
    assert "- device: cuda:0 Simulated GPU at 0000:17:00.0, compute capability 9.0" in page
    assert "- driver: supports CUDA 13.2" in page
    assert "- CuPy: 14 (a double of it)" in page
    assert "ms, CuPy's profiler" in page
    assert "Out of memory allocating" in page
    assert ("cupy_matmul ok" in page) == (chosen[0] == "tests/gpu")  # a run is among all of them
    assert "GB/s: bus" in page
    assert "| skipped | precision float64: cuBLASLt has no bias epilogue for it |" in page


MISTAKES = """
import cupy_double
from kernels import _cupy

seconds = _cupy.CudaDevice.seconds
_cupy.CudaDevice.seconds = lambda *marks: 1.1 * seconds(*marks)  # a clock that is off by a tenth
cupy._core.set_compute_type = lambda *asked: None  # tf32 that isn't
cupy.maximum = cupy.add  # a relu that isn't
cupy_double.COPY_NS = 0  # a bus without end
"""


def test_what_is_wrong_fails_and_stands_on_the_page(tmp_path: Path) -> None:
    tests = {
        "a_large_layer_takes_what_cupys_own_profiler_says[float32-cupy_matmul]": "CuPy's profiler",
        "tf32_is_another_arithmetic_than_float32[cupy_fused]": "RMS error",
        "answers_agree_with_float64_on_awkward_shapes[float32-cupy_matmul]": "should be",
        "transfers_go_at_the_speed_of_the_bus": "GB/s",
    }
    chosen = [f"tests/gpu/test_gpu.py::test_{test}" for test in tests]
    checked = gpu_check(tmp_path, *chosen, mistake=MISTAKES)
    assert checked.code == 1, checked.out
    assert checked.page.startswith("# gpu-check: 4 failed\n")
    for test, said in tests.items():
        (row,) = [line for line in checked.page.splitlines() if line.startswith(f"| test_{test} |")]
        assert said in row
        assert "| failed |" in row


def test_without_a_gpu_it_is_a_failure_and_no_skip(tmp_path: Path) -> None:
    checked = gpu_check(tmp_path, driver=False)
    assert checked.code == 1
    assert "needs an NVIDIA GPU: no NVIDIA driver on this machine" in checked.out
    assert checked.page.startswith("# gpu-check: nothing ran\n")
