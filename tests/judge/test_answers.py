"""The float64 answer is the right one, and what is looked at of an output finds what is wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.ipc.arrays import Arrays
from bench.judge import answers, inputs
from bench.judge.answers import Part
from bench.plan import sweep
from bench.plan.case import Case

exact = settings(deadline=None, derandomize=True, database=None, max_examples=40)
sizes = st.integers(1, 24)


def drawn(n_in: int = 64, n_units: int = 20, batch: int = 9) -> Arrays:
    return inputs.draw(Case(n_in, n_units, batch, "float32", "relu"), 0, np.float32)


def same(part: Part, arrays: Arrays) -> None:
    """Whether a part is what the whole answer says there, worked out in the plainest way."""
    A, W, b = (array.astype(np.float64) for array in (arrays.A_in, arrays.W, arrays.b))
    products = A[:, :, np.newaxis] * W[np.newaxis, :, :]
    z = products.sum(axis=1) + b
    np.testing.assert_allclose(part.z, z[part.index], rtol=1e-13, atol=1e-14)
    size = np.abs(products).sum(axis=1)[part.index]
    assert (np.broadcast_to(part.size, size.shape) >= (1 - 1e-13) * size).all()


@exact
@given(n_in=sizes, n_units=sizes, batch=sizes, factor=st.sampled_from([1, 16]))
def test_a_small_case_is_expected_whole(n_in: int, n_units: int, batch: int, factor: int) -> None:
    arrays = drawn(n_in, n_units, batch)
    arrays = replace(arrays, A_in=arrays.A_in * np.float32(factor))
    (part,) = answers.expected(arrays)
    assert part.z.shape == (batch, n_units)
    same(part, arrays)


def test_the_bounds_are_no_larger_than_uniform_numbers_make_them() -> None:
    arrays = drawn(500, 40, 30)
    (part,) = answers.expected(arrays)
    A, W = np.abs(arrays.A_in), np.abs(arrays.W)
    assert (part.size / (A @ W)).mean() == pytest.approx(2, rel=0.02)  # largest over mean, of |A|
    deviation = np.sqrt(arrays.A_in**2 @ arrays.W**2)
    assert (part.deviation / deviation).mean() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("block", [1, 100, 2**22])
def test_a_product_in_blocks_is_the_product(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BLOCK", block)
    arrays = drawn(30, 17, 200)
    expected = arrays.A_in.astype(np.float64) @ arrays.W.astype(np.float64)
    np.testing.assert_allclose(answers.product(arrays.A_in, arrays.W), expected, rtol=1e-12)


@pytest.mark.parametrize(("n_units", "batch"), [(1, 1), (1, 300), (300, 1), (2, 2), (200, 400)])
@pytest.mark.parametrize("limit", ["FULL_CHECK", "MOST_KEPT", "COMPARED"])
def test_of_a_large_case_whole_rows_and_columns_are_expected_ends_included(
    n_units: int, batch: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, limit, 0)
    arrays = drawn(n_units=n_units, batch=batch)
    parts = answers.expected(arrays)
    rows, columns = parts[:2]
    assert rows.z.shape == (len(rows.index[0]), n_units)
    assert columns.z.shape == (batch, len(columns.index[1]))
    for lines, length in ((rows.index[0], batch), (columns.index[1], n_units)):
        assert {0, length - 1} <= set(lines.tolist())
        assert (np.diff(lines) <= answers.EVERY).all()
    for part in parts:
        same(part, arrays)
    # and where the whole answer is known, some numbers anywhere
    assert [part.z.shape for part in parts[2:]] == [(answers.POINTS,)] * (limit == "COMPARED")


def test_other_rows_and_columns_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "COMPARED", 0)
    arrays = drawn(n_units=300, batch=300)
    looks = [answers.expected(arrays) for _ in range(20)]
    for number, axis in ((0, 0), (1, 1), (2, 0)):
        assert len({tuple(parts[number].index[axis]) for parts in looks}) > 10


def looked_at(case: Case, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which numbers of an output one look sees."""
    shape = (case.batch, case.n_units)
    seen = np.zeros(shape, bool)
    if case.batch * case.n_units <= answers.COMPARED:
        seen[:] = True
        return seen
    for index in answers.lines(shape, generator):
        seen[index] = True
    return seen


LARGEST = [
    case for case in sweep.read("default").cases() if case.batch * case.n_units > answers.COMPARED
]


@pytest.mark.parametrize("case", LARGEST, ids=lambda case: f"{case.n_units}-{case.batch}")
def test_a_tile_has_a_row_and_a_column_in_it_that_is_looked_at(case: Case) -> None:
    """So none of 64 x 64 is missed, wherever it lies, in any cell of the default sweep."""
    generator = np.random.default_rng(1)
    tile = answers.EVERY
    for _ in range(20):
        seen = looked_at(case, generator)
        sums = np.pad(seen.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        inside = (
            sums[tile:, tile:] - sums[:-tile, tile:] - sums[tile:, :-tile] + sums[:-tile, :-tile]
        )
        assert inside.min() >= 2 * tile - 1
        # cut off by the output's end, as tilings from the first number on do it
        for row in range(0, case.batch, tile):
            for unit in range(0, case.n_units, tile):
                part = seen[row : row + tile, unit : unit + tile]
                assert part.sum() >= sum(part.shape) - 1


def test_the_default_sweep_is_worked_out_whole() -> None:
    cases = sweep.read("default").cases()
    assert max(case.batch * case.n_in * case.n_units for case in cases) <= answers.FULL_CHECK
    assert max(case.batch * case.n_units for case in cases) <= answers.MOST_KEPT
    assert LARGEST


def test_one_in_thirty_two_numbers_is_looked_at() -> None:
    generator = np.random.default_rng(1)
    for case in LARGEST:
        seen = looked_at(case, generator).mean()
        assert seen > 1 / 32 - 1 / 64**2
        assert math.exp(-100 * seen) < 0.05
