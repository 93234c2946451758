"""The kernels as a family: whatever is in kernels/ and runs here keeps the contract."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask_here
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import kernels
from bench.judge import answers, check, inputs
from bench.plan.case import Case
from kernels import ACTIVATIONS, Layer, ShapeError, Step, Unavailable, Unsupported

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
    except Unsupported:  # of this activation: it runs
        pass
    return ""


def claims(name: str, precision: str = "float32", activation: str = "linear") -> bool:
    """Whether a kernel says that it does a precision and an activation."""
    ones = np.ones((1, 1), kernels.DTYPES[precision])
    try:
        kernels.load(name).prepare(Layer(ones, ones, activation, precision), 1).close()
    except Unsupported:
        return False
    return True


with dask_here.cluster():
    WHY_NOT = {name: why_not(name) for name in kernels.names()}
    HERE = [name for name, why in WHY_NOT.items() if not why]
    CLAIMED = [
        (name, precision)
        for name in HERE
        for precision in ("tf32", "float16", "bfloat16", "int8")
        if claims(name, precision)
    ]
    DOES = [(name, g) for name in HERE for g in ACTIVATIONS if claims(name, activation=g)]

ELSEWHERE = ("jax_sharded", "dask_matmul")
"""Their launches or set-ups take long for any layer: of awkward shapes, one activation does."""

AWKWARD = [(name, g) for name, g in DOES if name not in ELSEWHERE or g == "relu"]

every_kernel = pytest.mark.parametrize("name", HERE)
every_activation = pytest.mark.parametrize(("name", "activation"), DOES)
both_precisions = pytest.mark.parametrize("precision", ["float32", "float64"])


@pytest.fixture(scope="module", autouse=True)
def dask_cluster() -> Iterator[None]:
    """One for all of these tests; its threads would disturb others."""
    with dask_here.cluster():
        yield


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

    @pytest.mark.parametrize(("name", "activation"), AWKWARD)
    @both_precisions
    @pytest.mark.parametrize(
        ("n_in", "n_units", "batch"),
        [(1, 1, 1), (1, 9, 3), (9, 1, 3), (7, 5, 1), (13, 11, 17), (200, 3, 2), (3, 200, 2)],
    )
    def test_of_awkward_shapes(
        self, name: str, activation: str, precision: str, n_in: int, n_units: int, batch: int
    ) -> None:
        self.judge(name, Case(n_in, n_units, batch, precision, activation))

    @pytest.mark.parametrize(
        ("name", "activation", "precision"),
        [(*does, precision) for does in DOES for name, precision in CLAIMED if does[0] == name],
    )
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
        data=st.data(),
    )
    def test_of_any_shape(
        self, name: str, n_in: int, n_units: int, batch: int, data: st.DataObject
    ) -> None:
        activation = data.draw(st.sampled_from([g for kernel, g in DOES if kernel == name]))
        self.judge(name, Case(n_in, n_units, batch, "float32", activation))

    def judge(self, name: str, case: Case) -> None:
        dtype = kernels.DTYPES[case.precision]
        arrays = inputs.draw(case, 0, dtype)
        step = prepared(name, arrays.W, arrays.b, case.activation, case.batch, case.precision)
        for _ in range(2):  # the buffer of the first launch may be used by the second
            found = output(step, arrays.A_in)
            assert check.check(found, case, dtype, answers.expected(arrays)) < 1
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

    @every_activation
    def test_layer_and_input_are_unchanged_by_a_launch(self, name: str, activation: str) -> None:
        arrays = inputs.draw(Case(6, 5, 4, "float32", activation), 0, np.float32)
        before = [a.copy() for a in (arrays.A_in, arrays.W, arrays.b)]
        output(prepared(name, arrays.W, arrays.b, activation, 4), arrays.A_in)
        for was, now in zip(before, (arrays.A_in, arrays.W, arrays.b), strict=True):
            np.testing.assert_array_equal(was, now)

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
        assert check.check(found, case, np.float32, answers.expected(arrays)) < 1


class TestRefusals:
    """What a kernel doesn't do, it says."""

    @pytest.mark.parametrize("name", ON_ANY_CPU)
    @pytest.mark.parametrize("precision", ["tf32", "float16", "bfloat16", "int8"])
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_docstring_is_long_enough_to_learn_from(path: Path) -> None:
    docstring = path.read_text(encoding="utf-8").split('"""')[1]
    assert len(docstring.strip().splitlines()) > 10
