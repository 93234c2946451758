"""Inputs: the same seed gives the same bits everywhere, and the float64 answer is the right one."""

import hashlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.plan.case import Case
from bench.worker import inputs
from bench.worker.inputs import Arrays, Part

exact = settings(deadline=None, derandomize=True, database=None, max_examples=40)
sizes = st.integers(1, 24)


def case(n_in: int = 64, n_units: int = 20, batch: int = 9, precision: str = "float32") -> Case:
    return Case(n_in, n_units, batch, precision, "relu")


def sha256(arrays: Arrays) -> str:
    """Of the three arrays' bits, as a little-endian machine has them."""
    digest = hashlib.sha256()
    for array in (arrays.A_in, arrays.W, arrays.b):
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


# Taken from this module once. A change here means that old and new runs had other inputs.
KNOWN = {
    ("float64", np.float64, 0): "a1c35dffd87a3f6ea6dde3b1d063800859cadf9bfd6fd747f0d72235c5fa67ca",
    ("float32", np.float32, 0): "e90d2aff6148f18d35f00dbbf8dcea7317d98206091a49088e254356a2b6f2fe",
    ("float32", np.float32, 1): "a7bb8892dab083e49ad768da2f6af15b5289cf321342f6c5e02a95a54db06ebb",
    ("float16", np.float16, 0): "89b8aba7be8f0e95c1c99626966d5f8df2685955810bcb8b4ffae59b25b98611",
    ("bfloat16", np.float32, 0): "b2fc95f336271884d8f3b6f8a4882f0ba89985ed33a3e81bf0960e59d1458868",
}


@pytest.mark.parametrize(("precision", "dtype", "seed"), KNOWN)
def test_a_seed_gives_the_bits_it_always_gave(
    precision: str, dtype: type[np.floating[Any]], seed: int
) -> None:
    arrays = inputs.draw(case(precision=precision), seed, dtype)
    assert arrays.W.dtype == dtype
    assert sha256(arrays) == KNOWN[precision, dtype, seed]


@pytest.mark.parametrize("n_in", [3, 64, 1000, 2614])
def test_values_come_from_raw_bits_by_operations_that_are_the_same_everywhere(n_in: int) -> None:
    # IEEE 754 fixes every bit of a product, a quotient and a square root, but a power is the C
    # library's own affair: glibc's is off by a bit at 2614
    drawn = inputs.draw(case(n_in=n_in, n_units=2, precision="float64"), 5, np.float64).W
    raw = np.random.PCG64((5, 2, n_in, 2)).random_raw(n_in * 2)
    unit = (raw >> np.uint64(11)).astype(np.float64) / 2**52 - 1
    expected = unit * (1 / math.sqrt(n_in) * math.sqrt(3))
    np.testing.assert_array_equal(drawn, expected.reshape(n_in, 2), strict=True)


@exact
@given(n_in=sizes, n_units=sizes, batch=sizes, seed=st.integers(0, 2**64))
def test_drawing_twice_gives_the_same_and_another_seed_another(
    n_in: int, n_units: int, batch: int, seed: int
) -> None:
    shape = case(n_in, n_units, batch)
    first = inputs.draw(shape, seed, np.float32)
    assert sha256(inputs.draw(shape, seed, np.float32)) == sha256(first)
    assert sha256(inputs.draw(shape, seed + 1, np.float32)) != sha256(first)


@exact
@given(n_in=sizes, n_units=sizes, batch=sizes)
def test_arrays_have_the_layers_shapes_in_c_order(n_in: int, n_units: int, batch: int) -> None:
    arrays = inputs.draw(case(n_in, n_units, batch), 0, np.float32)
    assert arrays.A_in.shape == (batch, n_in)
    assert arrays.W.shape == (n_in, n_units)
    assert arrays.b.shape == (1, n_units)
    assert all(a.flags.c_contiguous for a in (arrays.A_in, arrays.W, arrays.b))


def test_the_layer_is_the_same_at_every_batch() -> None:
    one, many = (inputs.draw(case(batch=batch), 0, np.float32) for batch in (1, 9))
    np.testing.assert_array_equal(one.W, many.W)
    np.testing.assert_array_equal(one.b, many.b)


def test_means_are_zero_and_variances_keep_the_output_of_order_one() -> None:
    arrays = inputs.draw(case(n_in=400, n_units=500, batch=300), 0, np.float64)
    for array, variance in ((arrays.A_in, 1.0), (arrays.W, 1 / 400), (arrays.b, 1 / 4)):
        # five standard errors: of a mean, and of the variance of a uniform distribution
        assert abs(array.mean()) < 5 * math.sqrt(variance / array.size)
        assert array.var() == pytest.approx(variance, rel=5 * math.sqrt(0.8 / array.size))
    (part,) = inputs.expected(arrays, 0)
    assert part.z.std() == pytest.approx(math.sqrt(1.25), rel=0.1)


def test_no_bias_is_zero() -> None:
    for seed in range(5):
        assert inputs.draw(case(n_units=2000), seed, np.float16).b.all()


def test_bfloat16_values_are_ones_that_bfloat16_has() -> None:
    arrays = inputs.draw(case(precision="bfloat16"), 0, np.float32)
    for array in (arrays.A_in, arrays.W, arrays.b):
        assert not (array.view(np.uint32) & np.uint32(0xFFFF)).any()
    # and no coarser: the last bit that bfloat16 has is used
    assert (arrays.A_in.view(np.uint32) & np.uint32(0x10000)).any()


def test_bfloat16_values_are_the_nearest_ones() -> None:
    exact_values = inputs.draw(case(precision="float64"), 0, np.float64).A_in
    rounded = inputs.draw(case(precision="bfloat16"), 0, np.float64).A_in
    step = 2.0 ** (np.floor(np.log2(np.abs(exact_values))) - 7)
    assert (np.abs(rounded - exact_values) <= step / 2 * (1 + 1e-6)).all()


def straightforward(arrays: Arrays) -> dict[str, NDArray[np.float64]]:
    """What a Part holds, of the whole output, in the plainest words."""
    A, W, b = (a.astype(np.float64) for a in (arrays.A_in, arrays.W, arrays.b))
    products = A[:, :, np.newaxis] * W[np.newaxis, :, :]
    return {
        "z": products.sum(axis=1) + b,
        "magnitude": np.abs(products).sum(axis=1) + np.abs(b),
        "deviation": np.sqrt((products**2).sum(axis=1)),
    }


def same(part: Part, whole: dict[str, NDArray[np.float64]]) -> None:
    for name, values in whole.items():
        found = getattr(part, name)
        np.testing.assert_allclose(found, values[part.index], rtol=1e-13, atol=1e-14, err_msg=name)


@exact
@given(n_in=sizes, n_units=sizes, batch=sizes)
def test_a_small_case_is_expected_whole(n_in: int, n_units: int, batch: int) -> None:
    arrays = inputs.draw(case(n_in, n_units, batch), 0, np.float32)
    (part,) = inputs.expected(arrays, 0)
    assert part.z.shape == (batch, n_units)
    same(part, straightforward(arrays))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case is a large one."""
    monkeypatch.setattr(inputs, "FULL_CHECK", 0)


@pytest.mark.usefixtures("sampled")
@pytest.mark.parametrize(("n_units", "batch"), [(1, 1), (1, 30), (30, 1), (2, 2), (30, 40)])
def test_of_a_large_case_whole_rows_and_columns_are_expected_ends_included(
    n_units: int, batch: int
) -> None:
    arrays = inputs.draw(case(n_units=n_units, batch=batch), 0, np.float32)
    rows, columns = inputs.expected(arrays, 0)
    assert rows.z.shape == (len(rows.index[0]), n_units)
    assert columns.z.shape == (batch, len(columns.index[1]))
    assert {0, batch - 1} <= set(rows.index[0].tolist())
    assert {0, n_units - 1} <= set(columns.index[1].tolist())
    whole = straightforward(arrays)
    same(rows, whole)
    same(columns, whole)


@pytest.mark.usefixtures("sampled")
def test_other_rows_and_columns_are_sampled_for_another_seed() -> None:
    arrays = inputs.draw(case(n_units=300, batch=300), 0, np.float32)
    picked = {
        (tuple(rows.index[0]), tuple(columns.index[1]))
        for rows, columns in (inputs.expected(arrays, seed) for seed in range(8))
    }
    assert len(picked) == 8


def test_the_whole_is_expected_up_to_the_limit_and_not_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = inputs.draw(case(n_in=2, n_units=3, batch=4), 0, np.float32)
    monkeypatch.setattr(inputs, "FULL_CHECK", 2 * 3 * 4)
    assert len(inputs.expected(arrays, 0)) == 1
    monkeypatch.setattr(inputs, "FULL_CHECK", 2 * 3 * 4 - 1)
    assert len(inputs.expected(arrays, 0)) == 2


@exact
@given(n_in=sizes, n_units=sizes, batch=sizes, factor=st.sampled_from([-16.0, 0.5]))
def test_a_scaled_part_is_that_of_the_scaled_input(
    n_in: int, n_units: int, batch: int, factor: float
) -> None:
    arrays = inputs.draw(case(n_in, n_units, batch), 0, np.float64)
    (part,) = inputs.expected(arrays, 0)
    same(part.scaled(factor), straightforward(replace(arrays, A_in=arrays.A_in * factor)))


@pytest.mark.parametrize("name", ["A_in", "W", "b"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_bit_makes_arrays_differ(name: str, dtype: type[np.floating[Any]]) -> None:
    drawn, given_out = (inputs.draw(case(), 0, dtype) for _ in range(2))
    assert inputs.differing(drawn, given_out) == ()
    array = getattr(given_out, name)
    array[0, -1] = np.nextafter(array[0, -1], dtype(9))
    assert inputs.differing(drawn, given_out) == (name,)


def test_the_sign_of_zero_counts_and_nan_is_itself() -> None:
    drawn, given_out = (inputs.draw(case(), 0, np.float32) for _ in range(2))
    for arrays, zero in ((drawn, 0.0), (given_out, -0.0)):
        arrays.W[0, 0], arrays.b[0, 0] = zero, np.nan
    assert inputs.differing(drawn, given_out) == ("W",)


@exact
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    offset=st.integers(0, 200),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_an_aligned_copy_is_equal_and_lies_where_it_was_asked(
    rows: int, columns: int, offset: int, dtype: type[np.floating[Any]]
) -> None:
    array = np.arange(rows * columns).reshape(columns, rows).T.astype(dtype, order="K")
    copy = inputs.aligned_copy(array, offset)
    np.testing.assert_array_equal(copy, array, strict=True)
    assert copy.flags.c_contiguous
    assert copy.ctypes.data % 4096 == 64 * (offset % 64)
    assert not np.shares_memory(copy, array)
    copy[...] = -1  # its own memory, and writable
