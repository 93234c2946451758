"""Every name and parameter that the double offers is one of the real CuPy's, and of nvmath's.

Both import without a driver. What they do on a device is another matter: nothing is run here.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cupy_double
import pytest
from cupy_double import DEFAULT, TF32, Machine

cupy = pytest.importorskip("cupy", reason="needs cupy-cuda13x, which imports without a driver")
cupyx = pytest.importorskip("cupyx")

NVMATH = "needs nvmath-python, which imports without a driver"


def parameters(function: Any) -> list[str]:
    """Names of parameters, from the signature or, of a compiled function, from its docstring."""
    try:
        return list(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        first = (function.__doc__ or "").strip().split("\n")[0].replace("\\", "")
        inside = re.search(r"\((.*)\)", first)
        assert inside, f"{function} doesn't say what it takes: {first!r}"
        words = [part.split("=")[0].split() for part in inside[1].split(",")]
        return [part[-1].lstrip("*") or "*" for part in words if part]


def pairs() -> Iterator[tuple[str, Any, Any]]:
    """What the double offers, and the real thing it stands for."""
    machine = Machine()
    double = machine.cupy
    array = double.empty((1, 1), "float32")
    yield "cupy", double, cupy
    yield "cupy._core", double._core, cupy._core
    yield "linalg", double._core._routines_linalg, cupy._core._routines_linalg
    yield "cuda", double.cuda, cupy.cuda
    yield "runtime", double.cuda.runtime, cupy.cuda.runtime
    yield "Graph", cupy_double.Graph(machine, []), cupy.cuda.Graph
    yield "Device", double.cuda.Device(0), cupy.cuda.Device
    yield "Event", double.cuda.Event(), cupy.cuda.Event
    yield "Stream", machine.stream, cupy.cuda.Stream
    yield "ndarray", array, cupy.ndarray
    yield "data", array.data, cupy.cuda.MemoryPointer
    yield "pool", double.get_default_memory_pool(), cupy.cuda.MemoryPool
    pinned = SimpleNamespace(free_all_blocks=double.get_default_memory_pool().free_all_blocks)
    yield "pinned pool", pinned, cupy.cuda.PinnedMemoryPool
    yield "cupyx", machine.cupyx, cupyx
    yield "profiler", machine.cupyx.profiler, importlib.import_module("cupyx.profiler")


def offered() -> Iterator[tuple[str, Any, Any, str]]:
    for label, double, real in pairs():
        for name in dir(double):
            if not name.startswith("_"):
                yield f"{label}.{name}", double, real, name


OFFERED = {label: rest for label, *rest in offered()}


@pytest.mark.parametrize("label", OFFERED)
def test_a_name_of_the_double_is_one_of_cupys(label: str) -> None:
    double, real, name = OFFERED[label]
    if label == "cuda.cublas":
        return  # its library is not installed; the names are in `test_cublas_has_a_math_mode`
    assert hasattr(real, name)
    mine, theirs = getattr(double, name), getattr(real, name)
    if callable(mine) and not inspect.isclass(mine):  # its own names are another pair's
        not_there = missing(mine, theirs)
        assert not not_there, f"{label} takes no {not_there}"


def missing(mine: Any, theirs: Any) -> list[str]:
    """Parameters of `mine` that `theirs` doesn't have by that name; `*args` takes any position."""
    known = parameters(theirs)
    found = []
    for name, parameter in inspect.signature(mine).parameters.items():
        kinds = (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        optional = parameter.default is not parameter.empty
        if parameter.kind not in kinds or name in known:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY or optional or "args" not in known:
            found.append(name)
    return found


def test_a_parameter_that_cupy_has_not_is_found() -> None:
    def empty(shape: object, typecode: object) -> None: ...

    def record(*, queue: object) -> None: ...

    assert missing(empty, cupy.empty) == ["typecode"]
    assert missing(record, cupy.cuda.Event.record) == ["queue"]
    assert parameters(cupy.cuda.MemoryPointer.memset_async) == ["self", "value", "size", "stream"]


def test_the_numbers_are_cupys() -> None:
    linalg = cupy._core._routines_linalg
    assert (linalg.COMPUTE_TYPE_DEFAULT, linalg.COMPUTE_TYPE_TF32) == (DEFAULT, TF32)


def test_cublas_has_a_math_mode() -> None:
    """Read from its file: to import it takes cuBLAS itself."""
    compiled = next(Path(cupy.__file__).parents[1].glob("cupy_backends/cuda/libs/cublas.*.so"))
    text = compiled.read_bytes()
    for name in dir(Machine().cupy.cuda.cublas):
        assert name.startswith("_") or f"\n{name}(intptr_t handle".encode() in text.replace(
            b"\0", b"\n"
        )


def test_errors_are_what_the_kernels_take_them_for() -> None:
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert issubclass(cupy.cuda.compiler.CompileException, Exception)


class TestNvmath:
    """nvmath-python, as far as it goes without a device."""

    @pytest.mark.parametrize("name", ["plan", "autotune", "execute", "free"])
    def test_matmul_takes_what_the_double_takes(self, name: str) -> None:
        advanced = pytest.importorskip("nvmath.linalg.advanced", reason=NVMATH)
        double = Machine().modules()["nvmath.linalg.advanced"].Matmul
        mine, theirs = getattr(double.func, name), getattr(advanced.Matmul, name)
        assert not missing(mine, theirs)
        assert not missing(double, advanced.Matmul)

    def test_the_epilogs_and_the_type_for_tf32_are_there(self) -> None:
        linalg = pytest.importorskip("nvmath.linalg", reason=NVMATH)
        epilogs = linalg.advanced.MatmulEpilog
        double = Machine().modules()["nvmath.linalg.advanced"].MatmulEpilog
        assert (epilogs.BIAS, epilogs.RELU_BIAS) == (double.BIAS, double.RELU_BIAS)
        options = linalg.advanced.MatmulOptions(
            inplace=True, compute_type=linalg.ComputeType.COMPUTE_32F_FAST_TF32
        )
        assert options.blocking == "auto"  # a launch on device arrays returns at once

    def test_an_algorithm_that_was_kept_is_taken_by_the_next_plan(self) -> None:
        """What `plan(algorithms=...)` does with it (matmulmod.py), on the real classes."""
        pytest.importorskip("nvmath.linalg", reason=NVMATH)
        from nvmath.bindings import cublasLt
        from nvmath.linalg.advanced._algorithmmod import Algorithm

        tried = cublasLt.MatmulHeuristicResult(3)
        tried["workspace_size"] = [16, 32, 64]
        kept = tuple(Algorithm(one) for one in tried)[2:]
        del tried
        given = cublasLt.MatmulHeuristicResult(len(kept))
        given[0] = kept[0].algorithm._data
        assert given["workspace_size"] == 64

    def test_float32_stays_float32_and_halves_are_summed_in_it(self) -> None:
        pytest.importorskip("nvmath.linalg", reason=NVMATH)
        from nvmath.linalg import ComputeType
        from nvmath.linalg._internal.typemaps import NAMES_TO_DEFAULT_COMPUTE_TYPE

        for name in ("float32", "float16", "bfloat16"):
            assert NAMES_TO_DEFAULT_COMPUTE_TYPE[(name, name)] == ComputeType.COMPUTE_32F

    @pytest.mark.parametrize(
        ("n_in", "n_units", "batch"), [(6, 5, 9), (64, 7, 1), (3, 1, 8), (1, 1, 1), (6, 7, 7)]
    )
    def test_its_planning_takes_the_transposes_for_what_they_are(
        self, n_in: int, n_units: int, batch: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result, bias = planned(
            *(((n_units, n_in), (1, n_units)), ((n_in, batch), (1, n_in))),
            *(((n_units, batch), (1, n_units)), monkeypatch),
        )
        assert result.d_layout_traits.order.name == "COL"
        assert result.d_layout_traits.ld == n_units
        bias.validate(SimpleNamespace(shape=(n_units,), strides=(1,)))

    def test_its_planning_refuses_a_bias_for_the_examples(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        straight = (((9, 6), (6, 1)), ((6, 5), (5, 1)), ((9, 5), (5, 1)))
        _, bias = planned(*straight, monkeypatch)
        with pytest.raises(ValueError, match="must match the M dimension of A"):
            bias.validate(SimpleNamespace(shape=(5,), strides=(1,)))


def planned(a: Any, b: Any, c: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """How nvmath lays the result out, and who checks the bias; each operand is (shape, strides)."""
    pytest.importorskip("nvmath.linalg", reason=NVMATH)
    import logging

    from nvmath.linalg._internal import epilog_protocol
    from nvmath.linalg.advanced import MatmulEpilog, matmulmod

    bindings = epilog_protocol.cublaslt
    there = SimpleNamespace(get_version=lambda: 130000, Order=bindings.Order)
    monkeypatch.setattr(epilog_protocol, "cublaslt", there)  # else it would look for the library
    log = logging.getLogger()
    layouts = (matmulmod.MatrixLayout(*operand) for operand in (a, b, c))
    in_place = True
    traits = matmulmod.get_mm_traits(*layouts, in_place, log)
    bias = epilog_protocol.BiasHandler(
        log, traits, MatmulEpilog.RELU_BIAS, "float32", "float32", None
    )
    return matmulmod.get_result_traits(traits, bias.order, log), bias
