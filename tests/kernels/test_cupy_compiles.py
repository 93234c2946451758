"""The one line of CUDA C in kernels/cupy_fused.py: it compiles for every card, and is right.

Compiled by NVIDIA's own compiler to machine code for each architecture, from the source that CuPy
makes of it; and compiled for the CPU at hand, where the same text is run. Neither runs on a GPU.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import host_body
import numpy as np
import nvrtc
import pytest
from campaign import campaign

from kernels import ACTIVATIONS
from kernels.cupy_fused import ACTIVATE, bias_activation

ml_dtypes = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes, which jax brings")

PRECISIONS = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
OLDEST_AND_NEWEST = [(12, 70), (13, 120)]
CARDS = [(13, arch) for arch in (75, 80, 86, 89, 90, 100, 120)] + [(12, 70)]


def sources(precision: str, ndim: int, activations: Iterable[str] = ACTIVATE) -> str:
    """All activations' kernels, one after the other, as one text."""
    cupy = pytest.importorskip("cupy", reason="needs cupy-cuda13x, which imports without a driver")
    made = [bias_activation(cupy, activation, precision) for activation in activations]
    return "\n".join(nvrtc.source(kernel, PRECISIONS[precision], ndim) for kernel in made)


@pytest.mark.parametrize(
    ("major", "arch"),
    [card if card in OLDEST_AND_NEWEST else pytest.param(*card, marks=campaign) for card in CARDS],
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_kernels_compile_for_every_card(precision: str, major: int, arch: int) -> None:
    code = nvrtc.compiled(sources(precision, 2), arch, major)
    assert code[:4] == b"\x7fELF"
    for activation in ACTIVATE:
        assert f".text.bias_{activation}\0".encode() in code


def test_one_example_is_another_source_and_compiles() -> None:
    assert sources("float32", 1) != sources("float32", 2)
    assert nvrtc.compiled(sources("float32", 1), 90, 13)[:4] == b"\x7fELF"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tanh(v)", "tanhh(v)", '"tanhh" is undefined'),
        ("wide v", "wyde v", '"wyde" is undefined'),
        ("y = (T)", "y = (T", "expected a"),
    ],
)
def test_a_line_that_is_wrong_does_not(old: str, new: str, said: str) -> None:
    text = sources("float32", 2, ("tanh",))
    assert text.count(old) == 1
    with pytest.raises(nvrtc.CompileError, match=said):
        nvrtc.compiled(text.replace(old, new), 90, 13)


def test_a_card_that_the_compiler_does_not_know_is_refused() -> None:
    with pytest.raises(nvrtc.CompileError, match="arch"):
        nvrtc.compiled(sources("float32", 2), 70, 13)  # Volta: CUDA 12's alone


# ------------------------------------------------------------------------- the same text on a CPU

VALUES = [0.0, -0.0, 1.0, -1.0, 0.5, -3.25, 1e-7, -1e-7, 20.0, -20.0, 90.0, -90.0]
EDGES = [np.inf, -np.inf, np.nan]


def on_the_host(activation: str, precision: str, z: Any, b: Any) -> Any:
    """What the kernel makes of z and b, in place of z, run on the CPU."""
    fake = SimpleNamespace(ElementwiseKernel=lambda *texts, preamble: (*texts, preamble))
    in_params, out_params, operation, _, preamble = bias_activation(fake, activation, precision)
    y = z.copy()
    host_body.run(in_params, out_params, operation, preamble, [y, b], y)
    return y


def exact(activation: str, z: Any, b: Any) -> Any:
    """g(z + b) in float64."""
    v = z.astype(np.float64) + b.astype(np.float64)
    return ACTIVATIONS[activation].reference(np, v)


@pytest.mark.parametrize("activation", ACTIVATE)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_line_computes_the_activation(activation: str, precision: str) -> None:
    dtype = PRECISIONS[precision]
    largest = float(ml_dtypes.finfo(dtype).max)
    tiny = float(ml_dtypes.finfo(dtype).tiny)
    values = [*VALUES, largest, -largest, tiny, -tiny, *EDGES]
    z = np.array([values, values[::-1]]).astype(dtype)
    b = np.zeros((1, len(values)), dtype)
    b[0, ::3] = 0.25
    found = on_the_host(activation, precision, z, b).astype(np.float64)
    wanted = exact(activation, z, b)
    unit = float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(found, wanted.astype(dtype), rtol=2 * unit, atol=2 * unit)
    assert np.array_equal(np.isnan(found), np.isnan(wanted))


@pytest.mark.parametrize("activation", ACTIVATE)
def test_each_unit_gets_its_own_bias(activation: str) -> None:
    z = np.linspace(-2, 2, 12, dtype=np.float32).reshape(4, 3)
    b = np.array([[1.0, 0.0, -1.0]], np.float32)
    found = on_the_host(activation, "float32", z, b)
    np.testing.assert_allclose(found, exact(activation, z, b), rtol=1e-6, atol=1e-6)


def test_half_precision_is_rounded_once() -> None:
    z = np.linspace(0.1, 2, 1000, dtype=np.float16).reshape(1, -1)
    b = np.full(z.shape, 2.0**-12, np.float16)  # less than what z can show
    found = on_the_host("tanh", "float16", z, b)
    once = exact("tanh", z, b).astype(np.float16)
    twice = np.tanh(z + b)
    assert np.count_nonzero(found != once) <= 1  # a tie of the C library's
    assert np.count_nonzero(twice != once) > 50


def test_a_relu_that_hides_nan_would_be_found() -> None:
    z = np.full((1, 1), np.nan, np.float32)
    y = z.copy()
    body = "const wide v = (wide)z + (wide)b; y = (T)(v > 0 ? v : 0);"
    host_body.run("T z, T b", "T y", body, "typedef float wide;", [y, np.zeros_like(z)], y)
    assert y == 0
    assert np.isnan(on_the_host("relu", "float32", z, np.zeros_like(z))).all()


def test_a_line_that_is_no_c_does_not_compile_on_a_cpu_either() -> None:
    z = np.zeros((1, 1), np.float32)
    with pytest.raises(SyntaxError, match="wyde"):
        host_body.run("T z, T b", "T y", "wyde v = z; y = v;", "", [z, z], z)
