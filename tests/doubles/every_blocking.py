"""numba_packed on whole numbers, for a process whose vectors and threads are its own: every tile,
every blocking, every number of threads. What it computes is exact, or an AssertionError says where.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from test_compact import test_every_number_of_16_bits_is_read_as_it_is as every_number
from test_compact import (
    test_sums_are_rounded_to_the_nearest_number_and_of_two_to_the_even_one as nearest_sums,
)

from kernels import (
    DTYPES,
    Layer,
    _blocking,
    _compact,
    _memory,
    _numba_compact,
    _numba_tiles,
    numba_packed,
)
from kernels._blocking import Blocks
from kernels._caches import Cache
from kernels._tuning import Parameters, used

THREADS = range(1, 9)

EDGE = 64
"""Numbers on each side of what is written that nobody may write."""

ROUNDED = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "int8": np.float32}
"""What an output of the compact precisions is rounded to."""


class _Seen:
    """Compiled layers that get, for what they write, arrays with NaN in them and around them: a
    number that is read before it is written shows, and one that is written outside.
    """

    def __init__(self, compiled: Callable[..., Any], *written: int) -> None:
        """written: which arguments; the first is the copy of A_in."""
        self._compiled, self._written, self.copied = compiled, written, 0

    def compiled(self, *which: Any) -> Callable[..., None]:
        forward = self._compiled(*which)

        def launched(*arguments: Any) -> None:
            given, rooms = list(arguments), {n: _room(arguments[n]) for n in self._written}
            for n, room in rooms.items():
                given[n] = room[EDGE:-EDGE].reshape(arguments[n].shape)
            forward(*given)
            for n, room in rooms.items():
                arguments[n][...] = given[n]
                outside = np.concatenate([room[:EDGE], room[-EDGE:]])
                np.testing.assert_array_equal(outside, _room(outside)[: 2 * EDGE])
            self.copied = arguments[self._written[0]].size

        return launched


def _room(array: NDArray[Any]) -> NDArray[Any]:
    """For an array, with an edge on both sides: nothing but NaN, or 77."""
    value = 77 if array.dtype.kind in "iu" else np.nan
    return np.full(array.size + 2 * EDGE, value, array.dtype)


@contextmanager
def _seen(tiles: Any, *written: int) -> Iterator[_Seen]:
    seen = _Seen(tiles.compiled, *written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "compiled", seen.compiled)
        yield seen


def vectors() -> str:
    """Bytes of a vector, rows of a tile, and whether float16 is read by an instruction."""
    has = (_numba_tiles.VECTOR_BYTES, _numba_tiles.ROWS, _numba_compact.CONVERTS_FLOAT16)
    return " ".join(map(str, has))


def check(precision: str, threads: Iterable[int] = THREADS) -> None:
    """All of it for one precision, on each of these numbers of threads."""
    if precision in _compact.PRECISIONS:
        with _seen(_numba_compact, 1, 7):
            _compact_shares(precision, threads)
            _compact_tiles(precision)
            _apart(precision)
        if precision != "int8":
            every_number(precision, ROUNDED[precision])
            nearest_sums(precision, ROUNDED[precision])
    else:
        with _seen(_numba_tiles, 1, 6, 8) as seen:
            _all_blocks(precision, threads, seen)
            _blocks_of_the_model(precision, threads)
            _tiles(precision)
            _apart(precision)


def _apart(precision: str) -> None:
    """One example that reads W at several places."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_memory, "places", lambda *_: _memory.PLACES)
        for n_in, n_units in itertools.product((1, 3, 4, 5, 7, 8, 23), (1, 7, 33, 101)):
            _same(*_example(1, n_in, n_units, precision))


def _tiles(precision: str) -> None:
    """Tiles of each height and width, on one thread."""
    wide = _wide(precision)
    units = (1, wide // 2 - 1, wide // 2, wide // 2 + 1, wide - 1, wide, wide + 1)
    with _read(copied=False, shared=2**40):
        for batch, n_units in itertools.product(range(1, 2 * _numba_tiles.ROWS + 3), units):
            for n_in in (1, 3, 4, 5):
                _same(*_example(batch, n_in, n_units, precision))


def _all_blocks(precision: str, threads: Iterable[int], seen: _Seen) -> None:
    """Every number of inputs and of columns that a block can have, copied and plain."""
    wide, n_in = _wide(precision), 23
    shapes = [(1, 7 * wide - 1), (5, 6 * wide + 1), (13, 7 * wide - 1), (29, 6 * wide + 1)]
    for (batch, n_units), copied in itertools.product(shapes, (False, True)):
        layer, A_in, expected = _example(batch, n_in, n_units, precision)
        inputs = (*range(_blocking.STEP, n_in, _blocking.STEP), n_in)
        for block in itertools.starmap(Blocks, itertools.product(inputs, range(1, 8))):
            with _chosen(block), _read(copied=copied):
                for count in threads:
                    numba.set_num_threads(count)
                    _same(layer, A_in, expected)
                    assert bool(seen.copied) == (copied and batch >= _numba_tiles.LEAST_COPIED)


def _blocks_of_the_model(precision: str, threads: Iterable[int]) -> None:
    """What `_blocking.chosen` makes of large layers and of caches that are too small for them."""
    itemsize = np.dtype(DTYPES[precision]).itemsize
    tile = _blocking.Tile(_numba_tiles.ROWS, _wide(precision), itemsize)
    different = set()
    for shape in ((61, 701, 270), (140, 333, 180), (50, 1100, 100)):
        layer, A_in, expected = _example(*shape, precision)
        for kib, count, more in itertools.product(range(20, 170, 10), threads, (0, 1)):
            second = Cache(2, kib * 256 * itemsize, 8)
            caches = (Cache(1, 2**15, 8), second, Cache(3, 100 * second.size, 4))[: 2 + more]
            block = _blocking.chosen(*shape, tile, caches, count)
            if (shape, count, block) not in different:
                different.add((shape, count, block))
                with _chosen(block), _read(copied=bool(more)):
                    numba.set_num_threads(count)
                    _same(layer, A_in, expected)
    blocks = [(block, shape[1]) for shape, _, block in different]
    assert any(block.inputs < n_in for block, n_in in blocks)
    assert any(n_in % block.inputs for block, n_in in blocks)
    assert any(block.columns > 1 for block, _ in blocks)


def _compact_tiles(precision: str) -> None:
    wide = _numba_tiles.PANELS * _numba_compact.LANES
    units = (1, wide // 2, wide // 2 + 1, wide - 1, wide, wide + 1)
    for batch, n_units in itertools.product(range(1, 2 * _numba_tiles.ROWS + 3), units):
        for n_in in (1, 3, 5):
            _same(*_example(batch, n_in, n_units, precision))


def _compact_shares(precision: str, threads: Iterable[int]) -> None:
    """Threads share the tiles, and in the last shape the copying too."""
    wide = _numba_tiles.PANELS * _numba_compact.LANES
    assert 61 * 1087 > _numba_tiles.LITTLE > 29 * 23
    shapes = ((1, 23, 7 * wide - 1), (13, 23, 6 * wide + 1), (29, 23, 99), (61, 1087, 37))
    with used(Parameters(shared=1)):
        for shape in shapes:
            layer, A_in, expected = _example(*shape, precision)
            for count in threads:
                numba.set_num_threads(count)
                _same(layer, A_in, expected)


def _wide(precision: str) -> int:
    """Units of a column."""
    return _numba_tiles.PANELS * _numba_tiles.VECTOR_BYTES // np.dtype(DTYPES[precision]).itemsize


def _whole(shape: tuple[int, int], dtype: Any) -> NDArray[Any]:
    """Small whole numbers: their sums are exact in any order."""
    return (np.arange(math.prod(shape)) * 7 % 11 - 5).reshape(shape).astype(dtype)


def _example(
    batch: int, n_in: int, n_units: int, precision: str
) -> tuple[Layer, NDArray[Any], NDArray[Any]]:
    """A layer with relu, an input, and the output."""
    dtype = np.dtype(DTYPES[precision])
    W, b, A_in = (_whole(shape, dtype) for shape in ((n_in, n_units), (1, n_units), (batch, n_in)))
    if precision == "int8":
        W[0] = 127  # so a unit's scale is 1
    exact = np.maximum(A_in.astype(float) @ W.astype(float) + b, 0)
    if precision in ROUNDED:
        exact = exact.astype(np.float32).astype(ROUNDED[precision])
    return Layer(W, b, "relu", precision), A_in, exact.astype(dtype)


def _same(layer: Layer, A_in: NDArray[Any], expected: NDArray[Any]) -> None:
    step = numba_packed.prepare(layer, len(A_in))
    output = step.fetch(step.launch(step.send(A_in)))
    np.testing.assert_array_equal(output, expected, strict=True)


@contextmanager
def _chosen(block: Blocks) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_blocking, "chosen", lambda *_: block)
        yield


@contextmanager
def _read(*, copied: bool, shared: int = 1) -> Iterator[None]:
    """All rows meet, and are copied or not; layers of `shared` products are shared by threads."""
    parameters = Parameters(shared=shared, copied=1 if copied else 2**40)
    with pytest.MonkeyPatch.context() as patch, used(parameters):
        patch.setattr(numba_packed, "data_caches", lambda: (Cache(1, 64, 1),))
        yield
