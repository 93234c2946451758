"""What a kernel is given: copies that lie where they should, and whether it wrote into them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.judge import inputs
from bench.plan.case import Case
from bench.worker.given import aligned_copy, differing

exact = settings(deadline=None, derandomize=True, database=None, max_examples=40)
CASE = Case(64, 20, 9, "float32", "relu")


@pytest.mark.parametrize("name", ["A_in", "W", "b"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_bit_makes_arrays_differ(name: str, dtype: type[np.floating[Any]]) -> None:
    drawn, given_out = (inputs.draw(CASE, 0, dtype) for _ in range(2))
    assert differing(drawn, given_out) == ()
    array = getattr(given_out, name)
    array[0, -1] = np.nextafter(array[0, -1], dtype(9))
    assert differing(drawn, given_out) == (name,)


def test_the_sign_of_zero_counts_and_nan_is_itself() -> None:
    drawn, given_out = (inputs.draw(CASE, 0, np.float32) for _ in range(2))
    for arrays, zero in ((drawn, 0.0), (given_out, -0.0)):
        arrays.W[0, 0], arrays.b[0, 0] = zero, np.nan
    assert differing(drawn, given_out) == ("W",)


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
    copy = aligned_copy(array, offset)
    np.testing.assert_array_equal(copy, array, strict=True)
    assert copy.flags.c_contiguous
    assert copy.ctypes.data % 4096 == 64 * (offset % 64)
    assert not np.shares_memory(copy, array)
    copy[...] = -1  # its own memory, and writable
