"""An activation is a row of one table: its forms agree, all words follow, and a fifth is a row."""

import json
import math
import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from asked import an_open
from commands import bench
from cupy_double import Machine
from torch_double import Torch

import kernels
from bench import ROOT
from bench.data import records
from bench.ipc.outputs import Wrong
from bench.judge import answers, check, inputs
from bench.plan import activations, case
from bench.plan.case import Case
from bench.terminal import options
from bench.worker import messages
from bench.worker.server import Server
from kernels import ACTIVATIONS, Layer, Unsupported
from kernels._activations import Activation, in_place


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_its_three_forms_agree_at_any_finite_number(name: str) -> None:
    sizes = np.geomspace(1e-300, 1e300, 4001)
    z = np.concatenate([-sizes[::-1], [0.0], sizes, np.linspace(-40, 40, 4001)])
    right = ACTIVATIONS[name].reference(np, z)
    assert np.isfinite(right).all()
    assert (np.abs(right) <= 1 + np.abs(z)).all()
    where_it_stands = z.copy()
    in_place(np, name)(where_it_stands)
    for form in (where_it_stands, [ACTIVATIONS[name].of_float(x) for x in z.tolist()]):
        np.testing.assert_allclose(form, right, rtol=1e-15, atol=1e-15)


def test_the_words_are_those_of_the_table_everywhere() -> None:
    words = tuple(ACTIVATIONS)
    assert tuple(activations.ACTIVATIONS) == words
    assert get_args(case.Activation) == words
    assert records.WORDS["activation"] == words
    assert options.either(words) in " ".join(bench("run", "--help").out.split())


def test_what_is_right_is_said_by_this_checkout_and_not_by_a_side_of_a_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    careless = Activation(lambda z: 0.0, lambda xp, z: None, lambda xp, z: z)
    monkeypatch.setitem(ACTIVATIONS, "relu", careless)
    relu = Case(6, 5, 4, "float32", "relu")
    drawn = inputs.draw(relu, 0, np.float32)
    step = kernels.load("numpy_matmul").prepare(Layer(drawn.W, drawn.b, "relu"), 4)
    with pytest.raises(Wrong):
        check.check(step.launch(drawn.A_in), relu, np.float32, answers.expected(drawn))


# ---------------------------------------------------------------------------------------- a fifth

ROW = """    "fifth": Activation(
        of_float=lambda z: z / (1.0 + abs(z)),
        in_place=lambda xp, z: xp.divide(z, xp.add(xp.abs(z), 1), out=z),
        reference=lambda xp, z: xp.sign(z) * (1 - 1 / (1 + xp.abs(z))),
    ),
"""
VISITS = """
import json, kernels
from bench.data.records import WORDS
from bench.plan import sweep
from bench.ipc import memory
from bench.ipc.outputs import Wrong
from bench.judge.judge import Judge
from bench.worker import messages, server

(case,) = sweep.make({"widths": [24], "batches": [8], "activation": "fifth"}).cases()
worker, judge, outputs = server.Server(), Judge(0), memory.anonymous("outputs")
files = (*judge.draw(case), outputs)
ends = {}
for name in kernels.names():
    reply = worker.answer(messages.Open(1, name, case, 0, "warm", 3, None, 60.0, files=files))
    if isinstance(reply, messages.Opened):
        reply = worker.answer(messages.Close(1))
    ends[name] = getattr(reply, "status", "ok"), getattr(reply, "reason", "")
    try:
        judge.check(case, None, reply.outputs, outputs)
    except Wrong as wrong:
        ends[name] = "wrong", str(wrong)
print(json.dumps([WORDS["activation"], ends]))
"""


def test_one_row_in_a_checkout_is_enough_and_no_kernel_takes_it_for_another(
    tmp_path: Path,
) -> None:
    for package in ("bench", "kernels"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    table = tmp_path / "kernels" / "_activations.py"
    text, end = table.read_text(encoding="utf-8"), "}\n\n\ndef in_place("
    assert text.count(end) == 1
    table.write_text(text.replace(end, ROW + end), encoding="utf-8")
    command = [sys.executable, "-c", VISITS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    words, ends = json.loads(done.stdout.splitlines()[-1])
    assert words == [*ACTIVATIONS, "fifth"]
    shared = {"python_loop", "numpy_dot", "numpy_matmul", "numpy_einsum", "blas_gemm"}
    assert {name for name, (status, _) in ends.items() if status == "ok"} == shared
    for name in ends.keys() - shared:
        status, reason = ends[name]
        refusal = "activation fifth: this kernel has linear, relu"
        assert status == "unavailable" or (status, reason[: len(refusal)]) == (
            "unsupported",
            refusal,
        )
    if find_spec("numba"):
        assert ends["numba_loop"][0] == ends["numba_packed"][0] == "unsupported"


@pytest.fixture
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more activation, tanh(z / 2), in both readings of the table."""

    def turn(xp: Any, z: Any) -> None:
        xp.multiply(z, 0.5, out=z)
        xp.tanh(z, out=z)

    row = Activation(lambda z: math.tanh(z / 2), turn, lambda xp, z: xp.tanh(z / 2))
    for table in (ACTIVATIONS, activations.ACTIVATIONS):
        monkeypatch.setitem(table, "halved", row)


CASE = Case(6, 5, 4, "float32", "halved")


def error(name: str) -> float:
    """The RMS error of a kernel's answer, as the harness finds it."""
    drawn = inputs.draw(CASE, 0, np.float32)
    step = kernels.load(name).prepare(Layer(drawn.W, drawn.b, "halved"), 4)
    out = step.launch(step.send(drawn.A_in))
    step.device.fence(out)
    return check.check(step.fetch(out), CASE, np.float32, answers.expected(drawn))


@pytest.mark.usefixtures("machine", "halved")
def test_on_a_gpu_cupys_own_functions_compute_it() -> None:
    assert error("cupy_matmul") < 1


@pytest.mark.usefixtures("halved")
@pytest.mark.parametrize("name", ["cupy_fused", "nvmath_fused", "torch_linear"])
def test_on_a_gpu_a_kernel_in_another_language_refuses_it(
    name: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", Torch(machine))
    with pytest.raises(Unsupported, match=r"^activation halved: this kernel has linear, relu"):
        error(name)


@pytest.mark.parametrize(
    ("name", "g", "slope"),
    [
        ("silu", lambda xp, z: z / (1 + xp.exp(-z)), 1.1),
        ("three times as steep", lambda xp, z: xp.sin(3 * z), 3),
    ],
)
def test_one_that_is_steep_or_falls_is_judged_as_fairly(
    name: str, g: Any, slope: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Activation(math.tanh, lambda xp, z: None, g)
    monkeypatch.setitem(activations.ACTIVATIONS, name, row)
    for n_in in (1, 40, 1024):
        steep = Case(n_in, 96, 12, "float32", name)
        drawn = inputs.draw(steep, 0, np.float32)
        parts = answers.expected(drawn)
        z = drawn.A_in @ drawn.W + drawn.b
        assert check.check(g(np, z), steep, np.float32, parts) < slope
        half = drawn.A_in.astype(np.float16).astype(np.float32) @ drawn.W + drawn.b
        with pytest.raises(Wrong):
            check.check(g(np, half), steep, np.float32, parts)


def test_a_word_that_a_side_of_a_comparison_does_not_know_is_unsupported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernels, "ACTIVATIONS", ("linear", "relu"))
    refused = Server().answer(an_open("numpy_matmul", Case(6, 5, 4, "float32", "tanh")))
    assert isinstance(refused, messages.Refused)
    assert (refused.status, refused.reason) == (
        "unsupported",
        "activation tanh: this side has linear, relu",
    )


def test_a_checkout_without_kernels_is_a_line_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.ROOT", tmp_path)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(activations.__file__))
    assert stop.value.code == 2
    table = tmp_path / "kernels" / "_activations.py"
    line = f"error: {table} is missing: put it back (git checkout -- kernels)\n"
    assert capsys.readouterr().err == line
