"""The example of an extension in C: right on awkward layers, kept once compiled, honest without."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import bench

import kernels
from bench import ROOT
from bench.judge import answers, inputs
from bench.judge.check import check
from bench.plan.case import Case
from kernels import DTYPES, Layer, Unavailable, Unsupported

FILE = ROOT / "tests" / "doubles" / "kernel_files" / "c_dense.py"
compiled = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, cc")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it keeps what it compiles: empty, and gone afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "dense-layer-bench"


def layer(precision: str = "float32", activation: str = "relu") -> Layer:
    dtype = DTYPES[precision]
    return Layer(np.ones((3, 2), dtype), np.ones((1, 2), dtype), activation, precision)


@compiled
@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh"])
def test_it_computes_the_layer_whatever_the_shape_and_the_arrays(
    precision: str, activation: str
) -> None:
    dtype = DTYPES[precision]
    for n_in, n_units, batch in ((1, 1, 1), (2, 3, 1), (3, 1, 7), (1, 37, 5), (301, 17, 3)):
        case = Case(n_in, n_units, batch, precision, activation)
        drawn = inputs.draw(case, 0, dtype)
        W = np.asfortranarray(drawn.W)
        A_in = np.repeat(drawn.A_in, 2, axis=1)[:, ::2]  # neither is contiguous, nor can be written
        for array in (W, drawn.b, A_in):
            array.setflags(write=False)
        step = kernels.load(str(FILE)).prepare(Layer(W, drawn.b, activation, precision), batch)
        for factor in (1.0, -16.0):
            output = step.fetch(step.launch(step.send(A_in * dtype(factor))))
            parts = answers.expected(replace(drawn, A_in=drawn.A_in * dtype(factor)))
            assert check(output, case, dtype, parts) < 2
        step.close()


@compiled
@pytest.mark.usefixtures("cache")
def test_it_stays_finite_where_a_sigmoid_is_flat() -> None:
    for precision, large in (("float32", 1e30), ("float64", 1e300)):
        its = layer(precision, "sigmoid")
        step = kernels.load(str(FILE)).prepare(its, 2)
        A_in = np.full((2, 3), large, its.W.dtype) * np.array([[1], [-1]], its.W.dtype)
        output = step.fetch(step.launch(step.send(A_in)))
        assert output.tolist() == [[1, 1], [0, 0]]


@compiled
def test_it_is_compiled_once_and_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernels.load(str(FILE))
    kernel.prepare(layer(), 1)
    (made,) = cache.iterdir()
    assert made.suffix == ".so"

    def again(*arguments: Any, **how: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(subprocess, "run", again)
    kernel.prepare(layer(activation="tanh"), 1)
    assert list(cache.iterdir()) == [made]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("no-such-compiler", "no C compiler 'no-such-compiler' here: install gcc or clang"),
        ("false", "false can't compile it: exit code 1"),
    ],
)
def test_without_a_compiler_it_is_unavailable(
    compiler: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(Unavailable) as caught:
        kernels.load(str(FILE)).prepare(layer(), 1)
    assert said in str(caught.value)


@compiled
def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    step = kernels.load(str(FILE)).prepare(layer(), 1)
    output = step.fetch(step.launch(step.send(np.ones((1, 3), np.float32))))
    assert output.tolist() == [[4, 4]]


def test_what_it_does_not_do_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="precision float16: it has float32 and float64"):
        kernels.load(str(FILE)).prepare(layer("float16"), 1)


@compiled
def test_the_real_command_measures_it(cache: Path, cells_alone: None) -> None:
    out = cache.parent / "run"
    tiny = ["--widths", "16", "--batches", "3", "--budget", "0.5s", "--activation", "sigmoid"]
    done = bench("run", "--no-charts", *tiny, "--kernel", str(FILE), "--out", str(out))
    assert done.code == 0, done
    (row,) = pd.read_csv(out / "cells.csv").itertuples()
    assert (row.kernel, row.status) == ("c_dense", "ok")
    assert [path.suffix for path in cache.iterdir()] == [".so"]
