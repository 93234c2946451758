"""numba_packed in 16 and 8 bits: its conversions, its tiles, any threads."""

from importlib.util import find_spec
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import DTYPES, Layer, Step, _compact, _tuning, numba_packed
from kernels._int8 import quantised

pytestmark = pytest.mark.skipif(
    find_spec("numba") is None, reason="needs numba: make setup KERNELS=numba_packed"
)

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
PATTERNS = np.arange(2**16, dtype=np.uint16)

every_precision = pytest.mark.parametrize("precision", _compact.PRECISIONS)


@pytest.fixture
def tiles() -> Any:
    return pytest.importorskip("kernels._numba_compact")


def whole_numbers(*shape: int, dtype: Any = np.float32) -> NDArray[Any]:
    """Small whole numbers: their sums are exact in any order."""
    count = int(np.prod(shape))
    return (np.arange(count) * 7 % 11 - 5).astype(dtype).reshape(shape)


def whole_layer(n_in: int, n_units: int, precision: str, activation: str = "linear") -> Layer:
    """Small whole weights; with int8 a unit's largest is 127, or its one weight is no other."""
    dtype = DTYPES[precision]
    W = whole_numbers(n_in, n_units, dtype=dtype)
    if precision == "int8":
        W[0] = 127
    return Layer(W, whole_numbers(1, n_units, dtype=dtype), activation, precision)


def output(step: Step, A_in: NDArray[Any]) -> NDArray[Any]:
    return step.fetch(step.launch(step.send(A_in)))


def nearest(exact: NDArray[Any], precision: str) -> NDArray[Any]:
    """Rounded to what the precision has, and held as it is held."""
    kind = {"float16": np.float16, "bfloat16": BFLOAT16, "int8": np.float32}[precision]
    with np.errstate(over="ignore"):
        return exact.astype(np.float32).astype(kind).astype(DTYPES[precision])


@every_precision
@pytest.mark.parametrize("n_units", [1, 3, 15, 16, 17, 31, 32, 33, 65])
def test_a_tile_of_any_height_and_width_is_exact(precision: str, n_units: int) -> None:
    for n_in in (1, 3, 4, 5, 16, 37):
        for activation in ("linear", "relu"):
            layer = whole_layer(n_in, n_units, precision, activation)
            for batch in range(1, 27):
                A_in = whole_numbers(batch, n_in, dtype=layer.W.dtype)
                product = A_in.astype(float) @ layer.W.astype(float) + layer.b
                product = np.maximum(product, 0) if activation == "relu" else product
                found = output(numba_packed.prepare(layer, batch), A_in)
                np.testing.assert_array_equal(found, nearest(product, precision), strict=True)


@pytest.mark.parametrize("precision", ["float16", "int8"])
@given(batch=st.integers(1, 60), n_units=st.integers(1, 150), threads=st.integers(1, 9))
@settings(deadline=None, derandomize=True, database=None, max_examples=40)
def test_threads_do_all_of_the_work_once_and_nothing_else(
    precision: str, batch: int, n_units: int, threads: int
) -> None:
    tiles = pytest.importorskip("kernels._numba_compact")
    n_in, far = 3, 77
    layer = whole_layer(n_in, n_units, precision)
    held = tiles.HELD[precision]
    weights, scale = layer.W, np.ones(n_units, np.float32)
    W = _compact._packed(
        weights.astype(held) if precision == "int8" else _compact._halves(weights, held),
        tiles.PANELS * tiles.LANES,
    )
    A_in = whole_numbers(batch, n_in, dtype=layer.W.dtype)
    sent = A_in if precision == "int8" else _compact._halves(A_in, held)
    room = np.full(batch * n_units + 200, far, sent.dtype)
    out = room[100:-100].reshape(batch, n_units)
    b = layer.b[0].astype(np.float32)
    copy = np.empty(batch * n_in, np.float32)
    forward = tiles.compiled(precision, shared=True)
    forward(sent, copy, W, scale, b, np.float32(-np.inf), 0, out, batch % 2, threads)
    product = nearest(A_in.astype(float) @ weights.astype(float) + layer.b, precision)
    expected = product if precision == "int8" else _compact._halves(product, held)
    np.testing.assert_array_equal(out, expected)
    assert np.all(room[:100] == far)
    assert np.all(room[-100:] == far)


@pytest.mark.parametrize(("precision", "kind"), [("float16", np.float16), ("bfloat16", BFLOAT16)])
def test_every_number_of_16_bits_is_read_as_it_is(precision: str, kind: Any) -> None:
    numbers = PATTERNS.view(kind).astype(DTYPES[precision])
    one, zero = np.ones((1, 1), numbers.dtype), np.zeros((1, 1), numbers.dtype)
    as_inputs = numba_packed.prepare(Layer(one, zero, "linear", precision), len(numbers))
    np.testing.assert_array_equal(output(as_inputs, numbers[:, np.newaxis])[:, 0], numbers)
    zeros = np.zeros((1, len(numbers)), numbers.dtype)
    as_weights = Layer(numbers[np.newaxis], zeros, "linear", precision)
    np.testing.assert_array_equal(output(numba_packed.prepare(as_weights, 1), one)[0], numbers)


@pytest.mark.parametrize(("precision", "kind"), [("float16", np.float16), ("bfloat16", BFLOAT16)])
def test_sums_are_rounded_to_the_nearest_number_and_of_two_to_the_even_one(
    precision: str, kind: Any
) -> None:
    generator = np.random.default_rng(0)
    numbers = np.stack([PATTERNS, PATTERNS ^ generator.integers(0, 2**13, 2**16, np.uint16)], 1)
    A_in = numbers.view(kind).astype(DTYPES[precision])
    both, zero = np.ones((2, 1), A_in.dtype), np.zeros((1, 1), A_in.dtype)
    found = output(numba_packed.prepare(Layer(both, zero, "linear", precision), len(A_in)), A_in)
    with np.errstate(all="ignore"):
        sums = A_in[:, :1].astype(np.float32) + A_in[:, 1:].astype(np.float32)
        np.testing.assert_array_equal(found, sums.astype(kind).astype(A_in.dtype), strict=True)


def test_weights_that_bfloat16_has_not_become_the_nearest_that_it_has() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 2**16, np.uint32)
    numbers = np.concatenate([bits.view(np.float32), np.array([np.inf, np.nan], np.float32)])
    found = _compact._halves(numbers, np.dtype(np.uint16)).view(BFLOAT16)
    with np.errstate(invalid="ignore"):
        expected = numbers.astype(BFLOAT16)
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


@every_precision
def test_what_is_not_a_number_or_has_no_end_stays_so(precision: str) -> None:
    layer = whole_layer(5, 40, precision)
    A_in = whole_numbers(15, 5, dtype=layer.W.dtype)
    A_in[13, 2], A_in[14, 0] = np.nan, np.inf
    for activation in ("linear", "relu", "sigmoid", "tanh"):
        bent = Layer(layer.W, layer.b, activation, precision)
        found = output(numba_packed.prepare(bent, 15), A_in)
        assert np.isnan(found[13]).all()
        assert np.isfinite(found[:13]).all()
        endless = found[14][layer.W[0] != 0]
        assert not np.isnan(endless).any()
        assert np.isinf(endless).any() == (activation in ("linear", "relu"))


@pytest.mark.parametrize(
    ("threads", "products", "shared"),
    [
        (2, _tuning.DEFAULT.shared - 1, False),
        (2, _tuning.DEFAULT.shared, True),
        (1, _tuning.DEFAULT.shared, False),
    ],
)
def test_small_layers_are_left_to_one_thread(
    threads: int,
    products: int,
    shared: bool,  # noqa: FBT001
    tiles: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[tuple[str, bool]] = []
    monkeypatch.setattr("numba.get_num_threads", lambda: threads)
    monkeypatch.setattr(tiles, "compiled", lambda *which: chosen.append(which))
    one = np.ones((1, products), np.float16)
    numba_packed.prepare(Layer(one, one, precision="float16"), 1)
    assert chosen == [("float16", shared)]


def test_a_weight_takes_as_many_bytes_as_it_says() -> None:
    held = pytest.importorskip("kernels._numba_compact").HELD
    assert {name: kind.itemsize for name, kind in held.items()} == {
        "float16": 2,
        "bfloat16": 2,
        "int8": 1,
    }


class TestInt8:
    """Whole numbers and scales, out of the weights that are made of them."""

    def test_they_are_found_again(self) -> None:
        q = np.random.default_rng(0).integers(-127, 128, (50, 30)).astype(np.int8)
        q[7] = -127
        q[:, 3] = 0
        scale = np.random.default_rng(1).random(30).astype(np.float32)
        found, its_scale = quantised(q * scale)  # rounded: 31 bits are not exact in float32
        np.testing.assert_array_equal(found, q)
        np.testing.assert_allclose(np.delete(its_scale, 3), np.delete(scale, 3), rtol=2**-22)

    def test_weights_that_are_no_multiples_are_refused(self) -> None:
        W = np.random.default_rng(0).random((50, 30)).astype(np.float32)
        with pytest.raises(ValueError, match="W is not of precision int8: whole numbers to 127"):
            numba_packed.prepare(Layer(W, W[:1], precision="int8"), 1)
