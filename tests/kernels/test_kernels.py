"""The kernels as a family: whatever is in kernels/ and runs here keeps the contract."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import kernels
from bench.plan.case import Case
from bench.worker import check, inputs
from kernels import ACTIVATIONS, HOST, Layer, ShapeError, Step, Unavailable, Unsupported

FOLDER = Path(kernels.__file__).parent
ON_ANY_CPU = ("python_loop", "numpy_dot", "numpy_matmul", "numpy_einsum", "blas_gemm")
FILES = [FOLDER / f"{name}.py" for name in kernels.names()]

exact = settings(deadline=None, derandomize=True, database=None, max_examples=15)


def why_not(name: str) -> str:
    """What keeps a kernel from running here; empty for one that runs."""
    layer = Layer(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))
    try:
        kernels.load(name).prepare(layer, 1).close()
    except Unavailable as why:
        return str(why)
    return ""


WHY_NOT = {name: why_not(name) for name in kernels.names()}
HERE = [name for name, why in WHY_NOT.items() if not why]


def claims(name: str, precision: str) -> bool:
    """Whether a kernel says that it does a precision."""
    ones = np.ones((1, 1), kernels.DTYPES[precision])
    try:
        kernels.load(name).prepare(Layer(ones, ones, precision=precision), 1).close()
    except Unsupported:
        return False
    return True


CLAIMED = [
    (name, precision)
    for name in HERE
    for precision in ("tf32", "float16", "bfloat16")
    if claims(name, precision)
]

every_kernel = pytest.mark.parametrize("name", HERE)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
both_precisions = pytest.mark.parametrize("precision", ["float32", "float64"])


def output(step: Step, A_in: NDArray[Any]) -> NDArray[Any]:
    """What a step makes of an input, as the harness would ask for it."""
    x = step.send(A_in)
    step.device.fence(None)
    out = step.launch(x)
    step.device.fence(out)
    return step.fetch(out)


def prepared(
    name: str,
    W: NDArray[Any],
    b: NDArray[Any],
    activation: str,
    batch: int,
    precision: str | None = None,
) -> Step:
    layer = Layer(W, b, activation, precision or str(W.dtype))
    step: Step = kernels.load(name).prepare(layer, batch)
    return step


def test_the_kernels_of_the_story_are_there() -> None:
    assert {*ON_ANY_CPU, "cupy_matmul"} <= set(kernels.names())


def test_what_needs_no_gpu_and_no_library_of_its_own_runs_here() -> None:
    assert set(ON_ANY_CPU) <= set(HERE)


@pytest.mark.parametrize("name", sorted(set(kernels.names()) - set(ON_ANY_CPU)))
def test_what_needs_more_is_tested_as_well(name: str) -> None:
    if WHY_NOT[name]:
        pytest.skip(f"{name}: {WHY_NOT[name]}")
    assert name in HERE


class TestAnswers:
    """Every kernel that runs here gives the layer's answer."""

    @every_kernel
    @every_activation
    @both_precisions
    @pytest.mark.parametrize(
        ("n_in", "n_units", "batch"),
        [(1, 1, 1), (1, 9, 3), (9, 1, 3), (7, 5, 1), (13, 11, 17), (200, 3, 2), (3, 200, 2)],
    )
    def test_of_awkward_shapes(
        self, name: str, activation: str, precision: str, n_in: int, n_units: int, batch: int
    ) -> None:
        self.judge(name, Case(n_in, n_units, batch, precision, activation))

    @pytest.mark.parametrize(("name", "precision"), CLAIMED)
    @every_activation
    @pytest.mark.parametrize(("n_in", "n_units", "batch"), [(1, 9, 3), (7, 1, 1), (200, 3, 2)])
    def test_in_other_precisions(
        self, name: str, activation: str, precision: str, n_in: int, n_units: int, batch: int
    ) -> None:
        self.judge(name, Case(n_in, n_units, batch, precision, activation))

    @every_kernel
    @pytest.mark.parametrize(("n_in", "n_units", "batch"), [(1025, 3, 513), (5, 1031, 67)])
    def test_of_shapes_that_are_large_and_odd(
        self, name: str, n_in: int, n_units: int, batch: int
    ) -> None:
        if name == "python_loop":
            n_in, n_units, batch = n_in // 4, n_units // 4 + 1, batch // 4
        self.judge(name, Case(n_in, n_units, batch, "float32", "relu"))

    @every_kernel
    @exact
    @given(
        n_in=st.integers(1, 40),
        n_units=st.integers(1, 40),
        batch=st.integers(1, 8),
        activation=st.sampled_from(ACTIVATIONS),
    )
    def test_of_any_shape(
        self, name: str, n_in: int, n_units: int, batch: int, activation: str
    ) -> None:
        self.judge(name, Case(n_in, n_units, batch, "float32", activation))

    def judge(self, name: str, case: Case) -> None:
        dtype = kernels.DTYPES[case.precision]
        arrays = inputs.draw(case, 0, dtype)
        step = prepared(name, arrays.W, arrays.b, case.activation, case.batch, case.precision)
        for _ in range(2):  # the buffer of the first launch may be used by the second
            found = output(step, arrays.A_in)
            assert check.check(found, case, dtype, inputs.expected(arrays, 0)) < 1
        step.close()

    @every_kernel
    def test_of_another_input_than_before(self, name: str) -> None:
        W, b = np.eye(3, dtype=np.float32), np.zeros((1, 3), np.float32)
        step = prepared(name, W, b, "linear", 2)
        for start in (0, 10):
            A_in = np.arange(start, start + 6, dtype=np.float32).reshape(2, 3)
            np.testing.assert_array_equal(output(step, A_in), A_in)

    @every_kernel
    def test_of_two_layers_at_once(self, name: str) -> None:
        b = np.zeros((1, 1), np.float32)
        layers = [np.full((2, 1), value, np.float32) for value in (1, 2)]
        one, two = (prepared(name, W, b, "linear", 1) for W in layers)
        A_in = np.array([[3, 4]], np.float32)
        assert output(one, A_in).item() == 7
        assert output(two, A_in).item() == 14
        assert output(one, A_in).item() == 7


class TestLargeInputs:
    """No activation overflows, turns into NaN or warns (here, a warning is an error)."""

    @every_kernel
    @both_precisions
    @pytest.mark.parametrize("size", [1e4, 1e8, 1e30])
    @pytest.mark.parametrize(
        ("activation", "left", "right"),
        [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0), ("relu", 0.0, None), ("linear", None, None)],
    )
    def test_activations_saturate(
        self,
        name: str,
        precision: str,
        size: float,
        activation: str,
        left: float | None,
        right: float | None,
    ) -> None:
        W, b = np.ones((1, 1), precision), np.zeros((1, 1), precision)
        A_in = np.array([[-size], [size]], precision)
        found = output(prepared(name, W, b, activation, 2), A_in)
        expected = [
            A_in[0] if left is None else [left],
            A_in[1] if right is None else [right],
        ]
        np.testing.assert_array_equal(found, np.array(expected, precision), strict=True)

    @every_kernel
    @both_precisions
    def test_sigmoid_and_tanh_are_right_in_between(self, name: str, precision: str) -> None:
        W, b = np.ones((1, 1), precision), np.zeros((1, 1), precision)
        z = np.linspace(-40, 40, 161).astype(precision)[:, np.newaxis]
        atol = 4 * float(np.finfo(precision).eps)
        wide = z.astype(np.float64)
        sigmoid = output(prepared(name, W, b, "sigmoid", len(z)), z)
        np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-wide)), rtol=0, atol=atol)
        tanh = output(prepared(name, W, b, "tanh", len(z)), z)
        np.testing.assert_allclose(tanh, np.tanh(wide), rtol=0, atol=atol)


class TestTinyInputs:
    """Small numbers stay themselves; those too small for a full mantissa may become zero."""

    @every_kernel
    @both_precisions
    def test_a_product_of_a_tiny_number_is_right(self, name: str, precision: str) -> None:
        W, b = np.full((2, 3), 0.5, precision), np.zeros((1, 3), precision)
        tiny = float(np.finfo(precision).tiny)
        A_in = np.array([[8 * tiny, 0], [1e-30, 1e-30], [0, -1e-20]], precision)
        found = output(prepared(name, W, b, "linear", 3), A_in)
        np.testing.assert_array_equal(found, A_in.sum(axis=1, keepdims=True) * W[:1], strict=True)

    @every_kernel
    @both_precisions
    def test_one_below_the_smallest_normal_number_is_right_or_zero(
        self, name: str, precision: str
    ) -> None:
        W, b = np.ones((1, 1), precision), np.zeros((1, 1), precision)
        A_in = np.array([[np.finfo(precision).smallest_subnormal]], precision)
        assert output(prepared(name, W, b, "linear", 1), A_in).item() in (0.0, A_in.item())


class TestArrays:
    """Arrays come as they are, and stay so."""

    @every_kernel
    @every_activation
    def test_layer_and_input_are_unchanged_by_a_launch(self, name: str, activation: str) -> None:
        arrays = inputs.draw(Case(6, 5, 4, "float32", activation), 0, np.float32)
        before = [a.copy() for a in (arrays.A_in, arrays.W, arrays.b)]
        output(prepared(name, arrays.W, arrays.b, activation, 4), arrays.A_in)
        for was, now in zip(before, (arrays.A_in, arrays.W, arrays.b), strict=True):
            np.testing.assert_array_equal(was, now)

    @every_kernel
    @every_activation
    def test_read_only_arrays_work(self, name: str, activation: str) -> None:
        arrays = inputs.draw(Case(6, 5, 4, "float32", activation), 0, np.float32)
        for array in (arrays.A_in, arrays.W, arrays.b):
            array.flags.writeable = False
        output(prepared(name, arrays.W, arrays.b, activation, 4), arrays.A_in)

    @every_kernel
    @pytest.mark.parametrize("order", ["column", "every second"])
    def test_arrays_that_are_not_contiguous_work(self, name: str, order: str) -> None:
        case = Case(6, 5, 4, "float32", "relu")
        arrays = inputs.draw(case, 0, np.float32)

        def spread(array: NDArray[Any]) -> NDArray[Any]:
            if order == "column":
                return np.asfortranarray(array)
            wide = np.zeros((2 * array.shape[0], 2 * array.shape[1]), array.dtype)
            wide[::2, ::2] = array
            return wide[::2, ::2]

        step = prepared(name, spread(arrays.W), spread(arrays.b), "relu", 4)
        found = output(step, spread(arrays.A_in))
        assert check.check(found, case, np.float32, inputs.expected(arrays, 0)) < 1


class TestRefusals:
    """What a kernel doesn't do, it says."""

    @pytest.mark.parametrize("name", ON_ANY_CPU)
    @pytest.mark.parametrize("precision", ["tf32", "float16", "bfloat16"])
    def test_precisions_that_numpy_has_not_are_unsupported(self, name: str, precision: str) -> None:
        dtype = kernels.DTYPES[precision]
        layer = Layer(np.ones((2, 2), dtype), np.ones((1, 2), dtype), "relu", precision)
        with pytest.raises(Unsupported, match=f"precision {precision}"):
            kernels.load(name).prepare(layer, 1)

    @pytest.mark.parametrize(
        ("precision", "activation"),
        [("float32", "sigmoid"), ("float32", "tanh"), ("float64", "relu")],
    )
    def test_what_the_gpus_library_has_not_is_said_even_without_a_gpu(
        self, precision: str, activation: str
    ) -> None:
        dtype = kernels.DTYPES[precision]
        layer = Layer(np.ones((2, 2), dtype), np.ones((1, 2), dtype), activation, precision)
        with pytest.raises(Unsupported, match=f"{activation}|{precision}"):
            kernels.load("nvmath_fused").prepare(layer, 1)


def array(*shape: int, dtype: Any = np.float32) -> NDArray[Any]:
    return np.ones(shape, dtype)


class TestLayer:
    """The shape contract, checked where a layer is made."""

    def test_a_good_layer_knows_its_sizes(self) -> None:
        layer = Layer(array(3, 5), array(1, 5), "tanh")
        assert (layer.n_in, layer.n_units) == (3, 5)
        layer.check(array(1, 3))
        layer.check(array(7, 3))

    @pytest.mark.parametrize(
        ("W", "b", "said"),
        [
            ((3,), (1, 5), "W has 1 axes, must have 2: (n_in, n_units)"),
            ((3, 5, 1), (1, 5), "W has 3 axes, must have 2: (n_in, n_units)"),
            ((3, 5), (5,), "b has 1 axes, must have 2: (1, n_units)"),
            ((3, 5), (5, 1), "b axis 0 is 5, must be 1 (one row, added to every example)"),
            ((3, 5), (1, 4), "b axis 1 is 4, must be 5 (n_units, W's axis 1)"),
            ((0, 5), (1, 5), "W axis 0 (n_in) is 0, must be at least 1"),
            ((3, 0), (1, 0), "W axis 1 (n_units) is 0, must be at least 1"),
        ],
    )
    def test_a_layer_that_does_not_fit_names_axis_given_and_needed(
        self, W: tuple[int, ...], b: tuple[int, ...], said: str
    ) -> None:
        with pytest.raises(ShapeError) as caught:
            Layer(array(*W), array(*b))
        assert str(caught.value) == said

    @pytest.mark.parametrize(
        ("A_in", "said"),
        [
            ((3,), "A_in has 1 axes, must have 2: (batch, n_in); one example is (1, n_in)"),
            ((2, 3, 1), "A_in has 3 axes, must have 2: (batch, n_in); one example is (1, n_in)"),
            ((3, 2), "A_in axis 1 is 2, must be 3 (n_in, W's axis 0)"),
            ((0, 3), "A_in axis 0 (batch) is 0, must be at least 1"),
        ],
    )
    def test_an_input_that_does_not_fit_names_axis_given_and_needed(
        self, A_in: tuple[int, ...], said: str
    ) -> None:
        with pytest.raises(ShapeError) as caught:
            Layer(array(3, 5), array(1, 5)).check(array(*A_in))
        assert str(caught.value) == said

    def test_a_shape_error_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="axes"):
            Layer(array(3), array(1, 5))

    def test_another_type_of_number_is_refused_with_the_needed_one(self) -> None:
        wide, narrow = np.float64, np.float32
        needed = "must be float32 for precision float32"
        with pytest.raises(TypeError, match=f"W is float64, {needed}"):
            Layer(array(3, 5, dtype=wide), array(1, 5, dtype=narrow))
        with pytest.raises(TypeError, match=f"b is float64, {needed}"):
            Layer(array(3, 5, dtype=narrow), array(1, 5, dtype=wide))
        with pytest.raises(TypeError, match=f"A_in is float64, {needed}"):
            Layer(array(3, 5), array(1, 5)).check(array(1, 3, dtype=wide))

    @pytest.mark.parametrize("precision", kernels.DTYPES)
    def test_every_precision_has_a_type_that_carries_it(self, precision: str) -> None:
        dtype = kernels.DTYPES[precision]
        layer = Layer(array(3, 5, dtype=dtype), array(1, 5, dtype=dtype), "relu", precision)
        layer.check(array(1, 3, dtype=dtype))

    def test_an_unknown_word_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(
            ValueError, match="'softmax', must be one of linear, relu, sigmoid, tanh"
        ):
            Layer(array(3, 5), array(1, 5), "softmax")
        with pytest.raises(ValueError, match="'float8', must be one of float64, float32, tf32"):
            Layer(array(3, 5), array(1, 5), "relu", "float8")


PREPARE = "def prepare(layer, batch, device=0):\n    return None\n"


class TestLoad:
    """A kernel is found by its file, and a bad file is named."""

    def mine(self, folder: Path, text: str, name: str = "mine.py") -> str:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    @pytest.mark.parametrize("name", kernels.names())
    def test_by_name(self, name: str) -> None:
        kernel = kernels.load(name)
        assert kernel.name == name
        assert len(kernel.hash) == 12
        assert kernel.summary.endswith((".", ":"))

    def test_by_path_from_anywhere(self, tmp_path: Path) -> None:
        path = self.mine(tmp_path, '"""  Mine, in one line.\n\nAnd more.\n"""\n' + PREPARE)
        kernel = kernels.load(path)
        assert (kernel.name, kernel.summary) == ("mine", "Mine, in one line.")
        assert kernel.prepare(None, 1) is None

    def test_without_a_docstring_there_is_no_summary(self, tmp_path: Path) -> None:
        assert kernels.load(self.mine(tmp_path, PREPARE)).summary == ""

    def test_one_named_like_a_module_of_pythons_does_not_replace_it(self, tmp_path: Path) -> None:
        import json

        kernels.load(self.mine(tmp_path, PREPARE, "json.py"))
        assert sys.modules["json"] is json

    def test_one_that_defines_a_dataclass_with_late_annotations(self, tmp_path: Path) -> None:
        # dataclasses look their own module up by name
        late = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        text = f"{late}@dataclass\nclass State:\n    loops: int = 0\n{PREPARE}"
        assert kernels.load(self.mine(tmp_path, text)).name == "mine"

    @pytest.mark.parametrize("name", ["nonesuch", "_cupy", "__init__", "", "/nonesuch/mine.py"])
    def test_what_is_no_kernel_is_refused_with_the_known_ones(self, name: str) -> None:
        with pytest.raises(LookupError) as caught:
            kernels.load(name)
        assert repr(name) in str(caught.value)
        assert all(known in str(caught.value) for known in kernels.names())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = 1\ndef prepare(layer:\n", ", line 2: "),
            ("x = 1\n", ": defines no function prepare(layer, batch, device=0)"),
            ("prepare = 3\n", ": defines no function prepare(layer, batch, device=0)"),
            (
                "import no_such_library\n",
                ": ModuleNotFoundError: No module named 'no_such_library'",
            ),
            ("1 / 0\n", ": ZeroDivisionError: division by zero"),
        ],
    )
    def test_what_is_wrong_with_a_file_is_said_with_its_path(
        self, text: str, said: str, tmp_path: Path
    ) -> None:
        path = self.mine(tmp_path, text)
        with pytest.raises(ImportError) as caught:
            kernels.load(path)
        assert str(caught.value).startswith(path + said)

    def test_the_hash_changes_with_the_content_and_only_with_it(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        first = kernels.load(self.mine(tmp_path, PREPARE)).hash
        assert kernels.load(self.mine(tmp_path / "other", PREPARE)).hash == first
        assert kernels.load(self.mine(tmp_path, PREPARE + "# faster\n")).hash != first

    def test_private_files_are_no_kernels(self) -> None:
        assert not [name for name in kernels.names() if name.startswith("_")]
        assert (FOLDER / "_activations.py").is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_docstring_is_long_enough_to_learn_from(path: Path) -> None:
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert len(docstring.strip().splitlines()) > 10


MINE = '''"""Twice as fast, some day."""

import numpy as np

from kernels import Layer, Step


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """Ready it."""

    def launch(A_in):
        return A_in @ layer.W + layer.b

    return Step(launch)
'''


def python(folder: Path, code: str) -> str:
    """What a fresh interpreter prints, started in `folder`."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_kernels_imports_neither_the_harness_nor_a_kernels_library() -> None:
    code = (
        "import sys, kernels; kernels.load('numpy_matmul');"
        "others = ('bench', 'cupy', 'scipy', 'pandas', 'jax', 'numba', 'torch');"
        "print([m for m in others if m in sys.modules])"
    )
    assert python(FOLDER.parent, code) == "[]"


def test_a_kernel_is_added_by_one_short_file_and_nothing_else(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(FOLDER, tmp_path / "kernels", ignore=ignored)
    assert len(MINE.splitlines()) < 30
    (tmp_path / "kernels" / "mine.py").write_text(MINE, encoding="utf-8")
    code = (
        "import numpy as np, kernels;"
        "one = np.ones((1, 1), 'float32');"
        "step = kernels.load('mine').prepare(kernels.Layer(one, one), 1);"
        "print(*kernels.names(), step.fetch(step.launch(step.send(one))).item())"
    )
    names = sorted([*kernels.names(), "mine"])
    assert python(tmp_path, code) == f"{' '.join(names)} 2.0"


class TestHashOfHelpers:
    """A kernel is its file and what it may share with others."""

    @pytest.mark.parametrize("helper", ["_activations.py", "__init__.py"])
    def test_another_helper_makes_another_kernel(
        self, helper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copied = shutil.copytree(FOLDER, tmp_path / "kernels")
        monkeypatch.setattr(kernels, "__file__", str(copied / "__init__.py"))
        before = kernels.load("numpy_dot").hash
        path = copied / helper
        path.write_text(path.read_text(encoding="utf-8") + "# other\n", encoding="utf-8")
        assert kernels.load("numpy_dot").hash != before


class TestHost:
    """The CPU as a device."""

    def test_a_mark_is_the_hosts_clock(self) -> None:
        start = HOST.mark(None)
        stop = HOST.mark(None)
        assert HOST.seconds(start, stop) == stop - start >= 0

    def test_a_device_that_returns_early_only_has_to_say_how_to_wait(self) -> None:
        waited: list[Any] = []

        class Early(kernels.Host):
            def fence(self, out: Any) -> None:
                waited.append(out)

        Early().mark("the output")
        assert waited == ["the output"]

    def test_free_memory_is_between_nothing_and_all(self) -> None:
        assert 0 < HOST.free_bytes() <= psutil.virtual_memory().total

    def test_free_memory_is_found_where_there_is_no_proc(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "exists", lambda _: False)
        assert 2**20 < HOST.free_bytes() <= psutil.virtual_memory().total

    @pytest.mark.parametrize(
        ("line", "folder", "files", "prefix"),
        [
            ("0::/a/job", "", ("memory.max", "memory.current"), ""),
            (
                "4:cpu,memory:/a/job",
                "memory",
                ("memory.limit_in_bytes", "memory.usage_in_bytes"),
                "total_",
            ),
        ],
    )
    def test_a_containers_limit_is_heeded_and_those_above_it(
        self, line: str, folder: str, files: tuple[str, str], prefix: str, tmp_path: Path
    ) -> None:
        def group(path: str, limit: str, used: int) -> None:
            (tmp_path / folder / path).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / path / files[0]).write_text(f"{limit}\n")
            (tmp_path / folder / path / files[1]).write_text(f"{used}\n")
            stat = f"cache 9\n{prefix}active_file 5\n{prefix}inactive_file 10\n"
            (tmp_path / folder / path / "memory.stat").write_text(stat)

        own = tmp_path / "own"
        own.write_text(f"7:blkio:/elsewhere\n{line}\n")
        assert kernels._left_by_limits(tmp_path, own) == []
        group("a/job", "max", 300)
        assert kernels._left_by_limits(tmp_path, own) == []
        group("a", "1000", 400)
        assert kernels._left_by_limits(tmp_path, own) == [615]
        group("a/job", "200", 300)
        assert kernels._left_by_limits(tmp_path, own) == [0, 615]

    def test_where_there_are_no_control_groups_nothing_limits(self, tmp_path: Path) -> None:
        assert kernels._left_by_limits(tmp_path, tmp_path / "own") == []

    def test_a_flush_writes_more_than_the_last_cache_holds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kernels, "_last_level_cache_bytes", lambda: 2**12)
        monkeypatch.setattr(kernels, "_buffers", [])
        HOST.flush()
        (buffer,) = kernels._buffers
        assert buffer.nbytes == 2**13
        buffer[:] = 7
        HOST.flush()
        assert not buffer.any()
        assert kernels._buffers[0] is buffer

    def test_the_last_cache_has_a_size(self) -> None:
        assert kernels._last_level_cache_bytes() >= 2**18

    def test_memory_is_handed_back_where_the_c_library_can(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        HOST.release()
        monkeypatch.setattr(sys, "platform", "darwin")

        def none(_: object) -> None:
            raise AssertionError

        monkeypatch.setattr(ctypes, "CDLL", none)
        HOST.release()
