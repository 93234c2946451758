"""The commands as their users type them: exit codes, one clear line for what is wrong, files."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from campaign import campaign
from commands import Done, bench, refused

from bench import ROOT
from bench.data import records, store
from bench.machine import peak_rates
from bench.stats import adjust

TINY = ["--sweep", "quick", "--widths", "16", "--batches", "1", "--target", "0.9", "--budget", "9s"]


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    commands = ["run", "plot", "report", "predict", "merge", "gate", "history", "history check"]
    commands += ["kernels", "doctor"]
    code = (
        "import sys, runpy\n"
        f"for command in {['', *commands]}:\n"
        "    sys.argv = ['bench', *command.split(), '--help']\n"
        "    try: runpy.run_module('bench', run_name='__main__')\n"
        "    except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'matplotlib', 'scipy', 'kernels', 'pptx', 'sqlite3'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: ") == len(["", *commands])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--sweep", "quik"], "no sweep 'quik': known are"),
        (["run", "--kernel", "numpy_matmull"], "numpy_matmull"),
        (["run", "--kernel", "/nowhere/mine.py"], "mine"),
        (
            ["run", "--precision", "float31"],
            "error: --precision: Invalid enum value 'float31'; one",
        ),
        (["run", "--activation", "gelu"], "error: --activation: Invalid enum value 'gelu'; one of"),
        (["run", "--cache", "lukewarm"], "error: --cache: Invalid enum value 'lukewarm'; one of"),
        (["run", "--widths", "16,0"], "error: --widths: Expected `int` >= 1"),
        (["run", "--widths", "-5"], "error: --widths: Expected `int` >= 1"),
        (["run", "--threads", "-1"], "error: --threads: Expected `int` >= 0"),
        (["run", "--device", "-1"], "error: --device: Expected `int` >= 0"),
        (["run", "--seed", "-1"], "error: --seed: Expected `int` >= 0"),
        (["run", "--kernel", ""], "error: --kernel: Expected a name or a path, got ''"),
        (["run", "--widths", "sixteen"], "--widths is 'sixteen', should be whole numbers"),
        (["run", "--batches", ""], "--batches"),
        (["run", "--budget", "soon"], "--budget is 'soon', should be like 90s"),
        (["run", "--budget", "0"], "--budget"),
        (["run", "--budget", "nan"], "--budget"),
        (["run", "--kernel", "numpy_dot", "--kernel", "numpy_dot"], "two kernels are called"),
        (["kernels", "--kernel", "nosuch"], "no kernel 'nosuch'"),
        (["run", "--target", "2"], "error: --target: Expected `float` < 1"),
        (["run", "--thread", "2"], "--thread"),
        (["run", "--resume", "no-such-run"], "no run 'no-such-run'"),
        (["run", "--resume", "x", "--precision", "float64"], "leave out --precision"),
        (["plot", "no-such-run"], "no run 'no-such-run'"),
        (["report", "no-such-run"], "no run 'no-such-run'"),
        (
            ["report", "reference", "--out", "x"],
            "--out names one file: give --html, --pptx or --markdown",
        ),
        (["sweep"], "sweep"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    if arguments[0] == "run" and "--resume" not in arguments:
        arguments = [*arguments, "--out", str(tmp_path / "run")]
    assert said in refused(*arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def prepare(layer, batch, device=0)\n    pass\n", "mine.py, line 1"),
        ("def prepar(layer, batch, device=0):\n    pass\n", "defines no function prepare"),
        ("import no_such_library_at_all\n", "no_such_library_at_all"),
        ("1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_kernel_file_that_cannot_be_loaded_is_bad_input(
    source: str, said: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(source)
    arguments = ["run", "--kernel", str(mine), "--out", str(tmp_path / "run")]
    assert said in refused(*arguments)
    assert not (tmp_path / "run").exists()


def test_a_mistake_of_the_program_itself_is_no_slower_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr("bench.gate.command.compare_commits", broken)
    done = bench("gate", "--base", "main")
    assert done.code == 2  # 1 would say that a kernel got slower
    assert "ZeroDivisionError: nobody thought of it" in done.err
    assert done.err.splitlines()[-1].startswith("error: this is a bug in the program")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("widths = [16]\nbatchs = [1]\n", "batchs"),
        ("widths = []\nbatches = [1]\n", "widths"),
        ("", "widths"),
        ("widths = [16\n", "not TOML"),
    ],
)
def test_a_sweep_file_with_a_mistake_is_named(text: str, said: str, tmp_path: Path) -> None:
    mine = tmp_path / "my sweep.toml"
    mine.write_text(text)
    arguments = ["run", "--sweep", str(mine), "--out", str(tmp_path / "run")]
    line = refused(*arguments)
    assert said in line
    assert "my sweep.toml" in line


def test_a_run_that_exists_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "cells.csv").write_text("mine")
    line = refused("run", "--out", str(tmp_path / "run"))
    assert "exists" in line
    assert "--resume" in line
    assert (tmp_path / "run" / "cells.csv").read_text() == "mine"


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    line = refused("run", "--out", str(tmp_path / "file" / "run"))
    assert line.endswith("can't be written (Not a directory): take another --out")
    assert refused("run", "--out", "/proc/x").endswith(
        "such file or directory): take another --out"
    )


@dataclass(frozen=True)
class ARun:
    """A run that was made once, for several tests to look at."""

    folder: Path
    kernel: Path
    done: Done


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> ARun:
    home = tmp_path_factory.mktemp("a home")
    kernel = home / "my kernels" / "einsum é.py"
    kernel.parent.mkdir()
    kernel.write_text(KERNEL, encoding="utf-8")
    assert len(KERNEL.splitlines()) < 30
    folder = home / "a run"
    picked = ["--kernel", str(kernel), "--kernel", "python_loop"]
    with pytest.MonkeyPatch.context() as patch:
        # the run's second measurement of the CPU's ceilings is like its first, and takes as long
        patch.setattr(peak_rates, "_measured", cache(peak_rates._measured))
        return ARun(folder, kernel, bench("run", *TINY, *picked, "--out", str(folder)))


def test_a_kernel_in_one_file_is_measured_and_tabled(a_run: ARun) -> None:
    assert a_run.done.code == 0, a_run.done
    assert "einsum é" in a_run.done.out
    assert "stopped: " in a_run.done.out


def test_cells_csv_loads_in_one_pandas_call(a_run: ARun) -> None:
    frame = pd.read_csv(a_run.folder / "cells.csv")
    assert list(frame.columns) == store.columns(records.CellRow)
    row = frame.set_index("kernel").loc["einsum é"]
    assert row["status"] == "ok"
    assert row["time_s"] > 0
    if row["visits"] >= adjust.ENOUGH:  # a busy machine may have disturbed too many in a second
        assert row["time_low_s"] <= row["time_s"] <= row["time_high_s"]
    assert row["speedup"] > 0
    assert frame["flops"].tolist() == [2 * 16 * 16 + 16] * 2


def test_a_run_leaves_charts_and_the_machine_behind(a_run: ARun) -> None:
    for chart in ("throughput", "speedup"):
        for kind in ("png", "svg"):
            assert (a_run.folder / "plots" / f"{chart}.{kind}").stat().st_size > 1000
    machine = store.machine(a_run.folder)
    assert machine.stopped in ("done", "budget")
    assert machine.peaks is not None
    assert (machine.peaks.measured_flop_per_s or 0) > 0


def test_a_run_is_drawn_again_from_its_files(a_run: ARun) -> None:
    (a_run.folder / "cells.csv").unlink()
    done = bench("plot", str(a_run.folder), "--only", "speedup")
    assert done.code == 0, done
    assert "speedup.png" in done.out
    assert "throughput" not in done.out
    assert "no chart named pie" in refused("plot", str(a_run.folder), "--only", "pie")
    told = refused("plot", str(a_run.folder), "--out", str(a_run.folder / "cells.csv"))
    assert "is a file, and charts need a directory: move it away" in told


def test_a_run_does_not_go_on_elsewhere_or_with_another_kernel(a_run: ARun) -> None:
    arguments = ["run", "--resume", str(a_run.folder), "--budget", "1s"]
    a_run.kernel.write_text(KERNEL + "# changed\n", encoding="utf-8")
    assert "kernel einsum é has changed" in refused(*arguments)
    a_run.kernel.write_text(KERNEL, encoding="utf-8")
    facts = json.loads((a_run.folder / "machine.json").read_text())
    elsewhere = {**facts, "cpu": {**facts["cpu"], "model": "Another CPU"}}
    store.replace(a_run.folder / "machine.json", json.dumps(elsewhere))
    line = refused(*arguments)
    assert "CPU is" in line
    assert "Another CPU" in line
    store.replace(a_run.folder / "machine.json", json.dumps(facts))


def test_a_run_that_does_not_say_where_it_was_measured_does_not_go_on(a_run: ARun) -> None:
    facts = (a_run.folder / "machine.json").read_text()
    for damaged in ("{}", '{"cpu": 3}'):
        (a_run.folder / "machine.json").write_text(damaged)
        assert "machine.json" in refused("run", "--resume", str(a_run.folder))
    (a_run.folder / "machine.json").write_text(facts)


def test_a_run_goes_on_where_it_stopped(a_run: ARun, cells_alone: None) -> None:
    before = store.load(a_run.folder, records.Visit)
    with (a_run.folder / "visits.csv").open("a") as visits:
        visits.write("999,9,half a li")  # as a kill leaves it
    done = bench("run", "--resume", str(a_run.folder), "--budget", "1s", "--target", "0.0001")
    assert done.code == 0, done
    after = store.load(a_run.folder, records.Visit)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    assert len({visit.visit for visit in after}) == len(after)


def test_a_run_can_be_extended(a_run: ARun, cells_alone: None) -> None:
    before = store.load(a_run.folder, records.Visit)
    options = ["--widths", "7", "--kernel", "numpy_matmul", "--target", "0.9", "--budget", "9s"]
    done = bench("run", "--resume", str(a_run.folder), *options)
    assert done.code == 0, done
    assert store.load(a_run.folder, records.Visit)[: len(before)] == before
    cells = pd.read_csv(a_run.folder / "cells.csv")
    assert set(cells[cells["n_units"] == 7]["kernel"]) >= {"numpy_matmul", "einsum é"}
    assert {7, *(row.n_units for row in before)} == set(cells["n_units"])
    assert (cells["status"] == "ok").all()
    twin = a_run.folder / "einsum é.py"
    twin.write_text(KERNEL, encoding="utf-8")
    line = refused("run", "--resume", str(a_run.folder), "--kernel", str(twin))
    assert "two kernels are called einsum é" in line


def test_a_wrong_kernel_ends_a_run_with_1_and_the_rest_is_measured(
    tmp_path: Path, cells_alone: None
) -> None:
    wrong = tmp_path / "no_bias.py"
    wrong.write_text(KERNEL.replace("+ layer.b", ""))
    out = tmp_path / "run"
    done = bench("run", *TINY, "--kernel", str(wrong), "--kernel", "numpy_dot", "--out", str(out))
    assert done.code == 1, done
    assert "no_bias: wrong (1 cell): row" in done.out
    status = pd.read_csv(out / "cells.csv").set_index("kernel")["status"]
    assert status.to_dict() == {"no_bias": "wrong", "numpy_dot": "ok"}


@campaign  # in this process: measure/test_faults.py
def test_ctrl_c_leaves_a_valid_run_and_130(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = [*TINY[:-1], "60s", "--target", "0.00001", "--kernel", "numpy_dot"]
    with subprocess.Popen(
        [sys.executable, "-m", "bench", "run", *options, "--out", str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        ends = time.monotonic() + 40
        while time.monotonic() < ends and not _visited(out):
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        said, err = running.communicate(timeout=40)
    assert running.returncode == 130, err
    assert "stopped: Ctrl-C" in said
    (cell,) = store.load(out, records.CellRow)
    assert cell.status == "ok"
    assert store.machine(out).stopped == "interrupted"


def test_the_gate_compares_two_commits(tmp_path: Path) -> None:
    out, summary = tmp_path / "a gate", tmp_path / "summary.md"
    sweep = tmp_path / "one.toml"
    sweep.write_text("widths = [16]\nbatches = [2]\n")
    # nothing is so much slower: the first six rounds tell, unless the machine is very busy
    options = ["--slower-than", "900%", "--budget", "90s", "--kernel", "numpy_dot"]
    options += ["--sweep", str(sweep), "--out", str(out)]
    done = bench(
        *("gate", "--base", "HEAD", "--head", "HEAD"), *options, GITHUB_STEP_SUMMARY=str(summary)
    )
    assert done.code == 0, done
    rows = store.load(out, records.Round)
    assert {row.cell for row in rows} == {"numpy_dot 16x16 batch 2"}
    assert len({row.round_number for row in rows}) == len(rows) >= 6
    (verdict,) = store.load(out, records.Verdict)
    assert (verdict.cell, verdict.kernel) == ("numpy_dot 16x16 batch 2", "numpy_dot")
    comparison = store.machine(out).comparison
    assert comparison is not None
    assert comparison.slower_than == 9.0
    assert summary.read_text().startswith("### Gate: ")
    assert "title=gate::" in done.out
    assert "exists" in refused("gate", "--base", "HEAD", *options)
    plots = tmp_path / "plots"
    look = ["--only", "gate", "--format", "svg", "--out", str(plots)]
    assert bench("plot", str(out), *look).code == 0
    assert [path.name for path in plots.iterdir()] == ["gate.svg"]
    assert "its only chart is gate" in refused("plot", str(out), "--only", "speedup")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--base", "no-such-commit"], "no commit 'no-such-commit' here: fetch the history"),
        (["--base", "HEAD", "--head", "nowhere"], "--head: no commit 'nowhere'"),
        (["--base", "HEAD", "--kernel", "pie"], "no kernel 'pie' on either side; known: "),
        (["--base", "HEAD", "--env", "mine"], "--env is 'mine', should be shared or locked"),
        (["--base", "HEAD", "--slower-than", "1%"], "should be like 5%, over 2.5%"),
        (["--base", "HEAD", "--slower-than", "much"], "--slower-than is 'much'"),
        (["--base", "HEAD", "--inconclusive", "shrug"], "should be warn or fail"),
        ([], "--base is missing"),
        (
            ["--base", "HEAD", "--witness", "count", "--budget", "9s"],
            "--witness count measures no time: leave --budget out",
        ),
        (
            ["--base", "HEAD", "--witness", "count", "--slower-than", "5%"],
            "--witness count measures no time: leave --slower-than out",
        ),
        (
            ["--base", "HEAD", "--witness", "time", "--simulate"],
            "--witness time counts nothing: leave --simulate out",
        ),
        (["--calibrate", "--base", "HEAD"], "compares your files with themselves, by time: leave"),
        (["--calibrate", "--head", "HEAD"], "leave --head out"),
        (["--calibrate", "--witness", "count"], "leave --witness out"),
    ],
)
def test_a_gate_of_nonsense_is_refused_in_one_line(options: list[str], words: str) -> None:
    assert words in refused("gate", *options)


def _visited(out: Path) -> bool:
    visits = out / "visits.csv"
    return visits.exists() and ",ok," in visits.read_text()


SEED = ("python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul")


@pytest.mark.parametrize("asked", [SEED, pytest.param((), marks=campaign)], ids=["seed", "all"])
def test_kernels_says_what_runs_here_and_why_not(asked: tuple[str, ...]) -> None:
    done = bench("kernels", *(word for name in asked for word in ("--kernel", name)))
    assert done.code == 0, done
    for name in SEED:
        assert name in done.out
    if "cupy_matmul   yes" not in done.out:
        assert "unavailable" in done.out


KERNEL = '''"""The layer as an einsum."""
import numpy as np

from kernels import Step


def prepare(layer, batch, device=0):
    def launch(A_in):
        return np.maximum(np.einsum("bi,iu->bu", A_in, layer.W) + layer.b, 0)

    return Step(launch)
'''
