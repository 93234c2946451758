"""What a kernel is called in rows: names that are taken are told apart."""

import shutil
from pathlib import Path

import pandas as pd
from commands import bench

from bench import ROOT
from bench.plan.case import Case
from bench.plan.cell import Cell, called


def test_a_file_that_is_called_like_a_kernel_of_ours_is_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    for name in ("python_loop.py", "mine.py"):
        shutil.copy(ROOT / "kernels" / "python_loop.py", folder / name)
    assert called("python_loop") == "python_loop"
    assert called(str(ROOT / "kernels" / "python_loop.py")) == "python_loop"
    assert called(str(folder / "python_loop.py")) == "python_loop@sub"
    assert called(str(folder / "mine.py")) == "mine"
    cell = Cell(str(folder / "python_loop.py"), Case(4, 4, 1, "float32", "relu")).recorded()
    assert cell.kernel == cell.name == "python_loop@sub"


def test_it_is_no_baseline_and_stands_beside_the_one_that_is(
    tmp_path: Path, no_peaks: None
) -> None:
    folder, out = tmp_path / "sub", tmp_path / "run"
    folder.mkdir()
    shutil.copy(ROOT / "kernels" / "numpy_matmul.py", folder / "python_loop.py")
    kernels = ["--kernel", str(folder / "python_loop.py"), "--kernel", "numpy_matmul"]
    run = ["run", "--no-charts", *kernels, "--widths", "8", "--batches", "1", "--budget", "1s"]
    done = bench(*run, "--out", str(out))
    assert done.code == 0, done
    cells = pd.read_csv(out / "cells.csv").set_index("kernel")
    assert set(cells.index) == {"python_loop@sub", "numpy_matmul"}
    assert cells["speedup"].isna().all()
    done = bench(
        "run", "--no-charts", "--resume", str(out), "--kernel", "python_loop", "--budget", "2s"
    )
    assert done.code == 0, done
    cells = pd.read_csv(out / "cells.csv").set_index("kernel")
    assert set(cells.index) == {"python_loop@sub", "numpy_matmul", "python_loop"}
    assert cells["speedup"].notna().all()
