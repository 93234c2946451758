"""A day on a GPU, rehearsed without one: each step fails in turn, and the page says so.

What the commands themselves do is not run here, but in the campaign, on the double of CuPy.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from campaign import campaign
from test_gpu_check import CUPY, DRIVER, PLUGIN

from bench import ROOT
from bench.studies import gpu_day
from bench.studies.gpu_day import Step

NAMES = [step.name for step in gpu_day.steps(Path("/nowhere"), 1.0)]

CELLS = """kernel,status,reason,time_low_s
cupy_matmul,ok,,1e-5
python_loop,ok,,
numpy_dot,skipped,too slow,
cupy_fused,wrong,row 1 is 2,
"""
VISITS = """status,pass_number,at_s,device_mhz,measured_s,wall_s
ok,1,100.0,1980,0.01,0.02
ok,1,107.0,,0.01,0.02
ok,2,108.0,1980,0.02,0.03
pending,2,108.0,,,
"""
VERDICTS = "kernel,says\ncupy_matmul,not slower\ncupy_matmul,not slower\ncupy_fused,slower\n"
CHECKED = "# gpu-check: 1 failed, 40 passed\n\n| check | result | numbers |\n| a | failed | 1 |\n"


def leave(folder: Path, step: Step) -> int:
    """What a command leaves behind where all is well -> its exit code."""
    (out,) = [a.partition("=")[2] for a in step.arguments if a.startswith("--out=")] or [""]
    if step.name == "gpu-check":
        (folder / "gpu-check.md").write_text(CHECKED)
    if out:
        Path(out).mkdir(parents=True)
        for name, text in (("cells", CELLS), ("visits", VISITS), ("verdicts", VERDICTS)):
            (Path(out) / f"{name}.csv").write_text(text)
    return step.codes[-1]


FAILURES = ("exits with 7", "hangs", "leaves nothing", "leaves garbage", "can't be started")


def fail(how: str, folder: Path, step: Step, limit_s: float) -> int:
    """What a command leaves behind that fails -> its exit code."""
    if how == "hangs":
        raise subprocess.TimeoutExpired("python", limit_s)
    if how == "can't be started":
        raise OSError("no such file")
    if how == "leaves garbage":
        leave(folder, step)
        for path in (*folder.rglob("*.csv"), *folder.glob("*.md")):
            if path.name != "page.md":
                path.write_bytes(b"\xff\x00")
    return 7 if how == "exits with 7" else step.codes[-1]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The steps that fail, and how; all others are played as if they went well."""
    failing: dict[str, str] = {}
    todo = iter(gpu_day.steps(tmp_path, 1.0))

    def run(command: list[str], **given: Any) -> Any:
        if command[0] == "git":
            return None
        step = next(step for step in todo if list(step.arguments) == command[1:])
        how = failing.get(step.name)
        if how != "leaves nothing":
            given["stdout"].write("a finding\n")
        code = leave(tmp_path, step) if how is None else fail(how, tmp_path, step, given["timeout"])
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(gpu_day, "COPIED", ("kernels",))
    return failing


def page(folder: Path) -> dict[str, str]:
    """Each step's line on the page, by its name."""
    lines = (folder / "page.md").read_text().splitlines()
    found = [line.removeprefix("- **").split("**", 1) for line in lines if line.startswith("- **")]
    return dict(found)


def test_a_day_that_goes_well(played: dict[str, str], tmp_path: Path, capsys: Any) -> None:
    del played
    assert gpu_day.main(str(tmp_path)) == 0
    said = page(tmp_path)
    assert list(said) == NAMES
    count = len(NAMES)
    text = (tmp_path / "page.md").read_text()
    assert text.startswith(f"# A day on a GPU: {count} of {count} steps ok\n")
    assert text in capsys.readouterr().out
    assert said["default"].endswith(
        "1 of 2 measured cells have an interval; first answer after 7 s;"
        " 60 % of a GPU visit measures (2 visits); 1 skipped; 1 wrong; row 1 is 2"
    )
    assert said["gate, planted"].endswith("cupy_fused: 1 slower; cupy_matmul: 2 not slower")
    assert said["gpu-check"].endswith("gpu-check: 1 failed, 40 passed; / a / failed / 1 /")
    kernel = (tmp_path / "gate" / "kernels" / "cupy_matmul.py").read_text()
    assert kernel.count("        g(out)\n") == 2


LEAVES_NO_FILES = [
    name for name in NAMES if name in ("doctor", "energy") or name.startswith("clocks")
]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (name, how)
        for name in NAMES
        for how in FAILURES
        if how != "leaves garbage" or name not in LEAVES_NO_FILES
    ],
)
def test_a_step_that_fails_says_so_and_the_others_run(
    name: str, how: str, played: dict[str, str], tmp_path: Path
) -> None:
    played[name] = how
    assert gpu_day.main(str(tmp_path)) == 1
    said = page(tmp_path)
    assert list(said) == NAMES
    assert all(", ok)" in line for other, line in said.items() if other != name)
    if how == "exits with 7":
        assert "failed with 7)" in said[name]
        assert "a finding" in (tmp_path / "page.md").read_text().partition(f"**{name}**")[2]
    if how == "hangs":
        assert "ended after" in said[name]


def test_of_a_check_that_fails_the_page_has_what_failed(
    played: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played["gpu-check"] = "fails a test"
    monkeypatch.setitem(
        globals(), "fail", lambda how, folder, step, limit_s: leave(folder, step) + 1
    )
    assert gpu_day.main(str(tmp_path)) == 1
    assert page(tmp_path)["gpu-check"].endswith(
        "failed with 1) gpu-check: 1 failed, 40 passed; / a / failed / 1 /"
    )


def test_a_gate_that_cannot_be_prepared_is_a_step_that_failed(
    played: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del played
    monkeypatch.setattr(gpu_day, "PLANTED", ("cupy_matmul.py", "not there", ""))
    assert gpu_day.main(str(tmp_path)) == 1
    said = page(tmp_path)
    assert "not prepared: AssertionError: cupy_matmul.py is another one" in said["gate, planted"]
    assert ", ok)" in said["cold"]


def test_a_machine_that_is_taken_away_leaves_what_was_found(
    played: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del played
    now = iter(range(0, 10**6, 300))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    assert gpu_day.main(str(tmp_path)) == 1
    said = page(tmp_path)
    begun = [name for name, line in said.items() if "not begun" not in line]
    assert begun == NAMES[: len(begun)]
    assert 1 <= len(begun) < len(NAMES)


def test_the_gates_repository_holds_the_checkout_and_can_be_compared(tmp_path: Path) -> None:
    gpu_day.prepare(tmp_path)
    gpu_day.plant(tmp_path)
    git = ["git", "-C", str(tmp_path / "gate"), "status", "--porcelain"]
    done = subprocess.run(git, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["M", "kernels/cupy_matmul.py"]
    assert (tmp_path / "gate" / "bench" / "sweeps" / "gate.toml").exists()


def test_its_limits_leave_time_for_what_is_worth_most() -> None:
    steps = gpu_day.steps(Path("/nowhere"), 1.0)
    until_the_gate = [step.limit_s for step in steps[: NAMES.index("gate, planted") + 1]]
    assert sum(until_the_gate) < gpu_day.BUDGET_S


IN_THE_GATE = """
from pathlib import Path

if Path.cwd().name == "gate":  # its layers are small, and the activation is what is planted
    cupy_double.MATMUL_NS, cupy_double.ELEMENTWISE_NS = 1_000_000, 300_000
"""

SMALL = """
kernels = ["numpy_matmul", "cupy_matmul"]
widths = [16]
batches = [1, 16]
threads = 1
budget_s = 90.0
launch_limit_s = 0.1
"""


@campaign
def test_the_whole_day_on_the_double(tmp_path: Path) -> None:
    """The commands themselves, with a double of CuPy where they look for it."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("needs a C compiler, for a library that is found where the driver's would be")
    double, out = tmp_path / "double", tmp_path / "out"
    double.mkdir()
    (double / "cupy.py").write_text(CUPY + IN_THE_GATE, encoding="utf-8")
    (double / "sweep.toml").write_text(SMALL, encoding="utf-8")
    (double / "on_the_double.py").write_text(PLUGIN, encoding="utf-8")
    (double / "driver.c").write_text(DRIVER, encoding="utf-8")
    made = ["-o", str(double / "libcuda.so.1"), str(double / "driver.c")]
    subprocess.run([compiler, "-shared", "-fPIC", *made], check=True)
    paths = (double, ROOT / "tests" / "doubles")
    subprocess.run(
        [sys.executable, "-m", "bench.studies.gpu_day", out, "0.03", double / "sweep.toml"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "LD_LIBRARY_PATH": str(double),
            "OPENBLAS_NUM_THREADS": "1",  # its threads would spin for nothing
            "PYTEST_ADDOPTS": "-p on_the_double -p no:benchmark --gpu-width=128",
        },
        check=False,
    )
    said = page(out)
    assert list(said) == NAMES
    for name in ("default", "ladder"):
        assert "measured cells have an interval" in said[name]
    assert ", ok)" in said["gate, identical"]
    assert "slower" not in said["gate, identical"].replace("not slower", "")
    assert ", ok)" in said["gate, planted"]
    assert re.search(r"cupy_matmul: \d+ slower", said["gate, planted"])
    assert not re.search(r"(cupy_fused|numpy_matmul): \d+ slower", said["gate, planted"])
