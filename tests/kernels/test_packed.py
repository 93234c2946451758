"""numba_packed's tiles: of each height and width, and on any number of threads."""

import itertools
import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import Layer, Step, _blocking, _tuning, numba_packed
from kernels._caches import Cache
from kernels._tuning import Parameters

pytestmark = pytest.mark.skipif(
    find_spec("numba") is None, reason="needs numba: make setup KERNELS=numba_packed"
)


FAR = np.float32(7e7)
"""Where nothing should be written."""


@pytest.fixture
def tiles() -> Any:
    return pytest.importorskip("kernels._numba_tiles")


def whole_numbers(*shape: int) -> NDArray[np.float32]:
    """Small whole numbers: their sums are exact in any order."""
    count = int(np.prod(shape))
    return (np.arange(count) * 7 % 11 - 5).astype(np.float32).reshape(shape)


def prepared(n_in: int, n_units: int, batch: int, activation: str = "linear") -> Step:
    layer = Layer(whole_numbers(n_in, n_units), whole_numbers(1, n_units), activation)
    return numba_packed.prepare(layer, batch)


@pytest.mark.parametrize("batch", range(1, 27))
@pytest.mark.parametrize("n_units", [1, 3, 15, 16, 17, 31, 32, 33, 48, 65])
def test_a_tile_of_any_height_and_width_is_exact(n_units: int, batch: int) -> None:
    for n_in in (1, 3, 4, 5, 16):
        A_in = whole_numbers(batch, n_in)
        product = A_in @ whole_numbers(n_in, n_units) + whole_numbers(1, n_units)
        for activation, expected in (("linear", product), ("relu", np.maximum(product, 0))):
            found = prepared(n_in, n_units, batch, activation).launch(A_in)
            np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("n_units", [1, 17, 32, 65])
def test_a_copied_input_gives_the_same(
    n_units: int, tiles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_tuning.VARIABLE, _tuning.dumps(Parameters(copied=1)))
    monkeypatch.setattr(numba_packed, "data_caches", lambda: [Cache(1, 64, 1)])  # all rows meet
    copies = []
    compiled = tiles.compiled

    def seen(*of: Any) -> Any:
        forward = compiled(*of)

        def launched(A_in: Any, copy: Any, *others: Any) -> None:
            copies.append(len(copy) == A_in.size)
            forward(A_in, copy, *others)

        return launched

    monkeypatch.setattr(tiles, "compiled", seen)
    for batch in range(1, 27):
        for n_in in (1, 15, 16, 37):
            A_in = whole_numbers(batch, n_in)
            expected = A_in @ whole_numbers(n_in, n_units) + whole_numbers(1, n_units)
            found = prepared(n_in, n_units, batch).launch(A_in)
            np.testing.assert_array_equal(found, expected, strict=True)
            assert copies.pop() == (batch >= tiles.LEAST_COPIED)


@pytest.mark.parametrize(
    ("n_in", "ways", "meet"),
    [
        (1000, 8, False),
        (1024, 8, True),
        (1025, 8, True),  # a row is four bytes further on: in the same line
        (1040, 8, False),
        (4096, 8, True),
        (512, 8, False),  # six in each of two sets
        (512, 5, True),
        (1024, 16, False),
    ],
)
def test_rows_meet_where_they_want_one_set_of_the_cache(
    n_in: int, ways: int, *, meet: bool
) -> None:
    cache = Cache(1, 64 * 64 * ways, ways)
    assert numba_packed.worth_a_copy(12, 4 * n_in, cache, 1024, 1024) == meet
    assert not numba_packed.worth_a_copy(12, 4 * n_in, cache, 1023, 1024)


def test_rows_that_just_fill_a_set_are_copied_for_more_units() -> None:
    cache = Cache(1, 64 * 64 * 8, 8)
    for rows, enough in ((7, None), (8, 4096), (9, 1024)):
        worth = [
            units
            for units in (1023, 1024, 4095, 4096)
            if numba_packed.worth_a_copy(rows, 4096, cache, units, 1024)
        ]
        assert (worth[0] if worth else None) == enough


@given(
    batch=st.integers(1, 60),
    n_units=st.integers(1, 150),
    parts=st.integers(1, 9),
    inputs=st.sampled_from((4, 8, 12)),
    columns=st.integers(1, 6),
)
@settings(deadline=None, derandomize=True, database=None, max_examples=60)
def test_threads_do_all_of_the_work_once_and_nothing_else(
    batch: int, n_units: int, parts: int, inputs: int, columns: int
) -> None:
    tiles = pytest.importorskip("kernels._numba_tiles")
    n_in = 11
    layer = Layer(whole_numbers(n_in, n_units), whole_numbers(1, n_units))
    W, b = numba_packed._packed(layer, tiles.PANELS * tiles.VECTOR_BYTES // 4)
    A_in = whole_numbers(batch, n_in)
    uncopied = np.empty(0, np.float32)
    room = np.full(batch * n_units + 200, FAR)
    out = room[100:-100].reshape(batch, n_units)
    times_written = np.zeros(out.shape, int)
    sums = np.full(batch * len(b), np.nan, np.float32)  # read before they are written, they show
    blocks = (inputs, columns, 0)
    for part in range(parts):
        out[...] = FAR
        tiles._share(A_in, uncopied, W, b, np.float32(-np.inf), 0, out, blocks, sums, part, parts)
        written = out != FAR
        np.testing.assert_array_equal(out[written], (A_in @ layer.W + layer.b)[written])
        times_written += written
    np.testing.assert_array_equal(times_written, 1)
    assert np.all(room[:100] == FAR)
    assert np.all(room[-100:] == FAR)


KIB = 2**10
XEON = (Cache(1, 48 * KIB, 12), Cache(2, 1280 * KIB, 20), Cache(3, 48 * KIB**2, 12, 2))
ZEN = (Cache(1, 32 * KIB, 8), Cache(2, KIB**2, 8), Cache(3, 32 * KIB**2, 16, 2))


class TestBlocks:
    """Which blocks a layer is worked on in: by the caches, and exact in all of them."""

    @pytest.mark.parametrize(
        ("width", "batch", "on_xeon", "on_zen"),
        [
            # A_in, n_in * batch * 4 bytes, stays in 1.25 MiB or 1 MiB: one column after the other
            (256, 128, (256, 1), (256, 1)),
            (4096, 1, (4096, 1), (4096, 1)),
            # 1 MiB stays beside a column in 1.25 MiB, and not in 1 MiB
            (256, 1024, (256, 1), (256, 4)),
            # nor in 1.25 MiB, where a column is 256 KiB: several for each time that A_in passes
            (2048, 128, (2048, 4), (2048, 2)),
            # 4 MiB do not, but 8 and 6 columns of all inputs do: A_in passes by as much less often
            (1000, 1024, (1000, 8), (1000, 6)),
            # 2 MiB and 8 MiB stay in the third-level cache: few, deep blocks
            (4096, 128, (2048, 4), (2048, 2)),
            (2048, 1024, (2048, 4), (2048, 2)),
            # 16 MiB in neither: A_in comes from memory, so it shall come seldom
            (4096, 1024, (1368, 6), (1024, 6)),
        ],
    )
    def test_they_follow_the_caches(
        self, width: int, batch: int, on_xeon: tuple[int, int], on_zen: tuple[int, int]
    ) -> None:
        for caches, expected in ((XEON, on_xeon), (ZEN, on_zen)):
            found = _blocking.chosen(batch, width, width, _blocking.Tile(12, 32, 4), caches, 2)
            assert (found.inputs, found.columns) == expected

    def test_where_the_caches_are_not_known_there_are_none(self) -> None:
        for caches in ((), XEON[:1]):
            found = _blocking.chosen(1024, 4096, 4096, _blocking.Tile(12, 32, 4), caches, 2)
            assert found == _blocking.whole(4096)

    @given(
        batch=st.integers(1, 5000), n_in=st.integers(1, 9000), n_units=st.integers(1, 9000),
        tile=st.sampled_from([(12, 32, 4), (12, 16, 8), (6, 16, 4), (6, 8, 8), (12, 8, 4)]),
        caches=st.sampled_from([XEON, ZEN, XEON[:2], (Cache(1, 64, 1), Cache(2, 64, 1))]),
        threads=st.integers(1, 8),
    )  # fmt: skip
    @settings(deadline=None, derandomize=True, database=None, max_examples=300)
    def test_a_block_of_w_always_fits_the_second_level_cache_and_what_it_costs_is_less(
        self, batch: int, n_in: int, n_units: int, tile: tuple[int, int, int], caches: Any,
        threads: int,
    ) -> None:  # fmt: skip
        found = _blocking.chosen(batch, n_in, n_units, _blocking.Tile(*tile), caches, threads)
        rows, wide, itemsize = tile
        assert 1 <= found.inputs <= n_in
        assert found.inputs == n_in or found.inputs % _blocking.STEP == 0
        if found != _blocking.whole(n_in):
            assert (batch + wide) * n_in * itemsize > caches[1].share * (1 - 1 / caches[1].ways)
            assert found.inputs * (found.columns * wide + rows) * itemsize <= caches[1].share
            assert found.columns > 1  # or A_in would come as often

    def test_no_set_of_the_cache_gets_more_columns_than_it_has_ways(self) -> None:
        """Columns of 8192 inputs begin in one set; seven of 8 ways are W's."""
        tile, second = _blocking.Tile(12, 32, 4), ZEN[1]
        columns = {n: _blocking.filled(n, 8192, 999, tile, second).columns for n in (512, 1024)}
        assert columns == {512: 7, 1024: 6}  # of size for 13 and 6: 1024 inputs are a way
        assert _blocking.filled(1200, 8192, 999, tile, second).columns == 3  # of size for 5
        assert _blocking.filled(1200, 1200, 999, tile, second).columns == 5  # in one piece
        assert _blocking.filled(8192, 8192, 999, tile, second).columns == 0

    @pytest.mark.parametrize("precision", ["float32", "float64"])
    @pytest.mark.parametrize("copied", [False, True])
    def test_all_that_the_model_can_choose_are_exact(
        self,
        copied: bool,  # noqa: FBT001
        precision: str,
        tiles: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Small caches make small blocks; threads are 1 to 8 whatever the machine has."""
        parameters = Parameters(shared=1, copied=1 if copied else 2**40)
        monkeypatch.setenv(_tuning.VARIABLE, _tuning.dumps(parameters))
        different = set()
        for batch, n_in, n_units in ((61, 701, 270), (140, 333, 180), (50, 1100, 100)):
            W, b = whole_numbers(n_in, n_units).astype(precision), np.ones((1, n_units), precision)
            layer = Layer(W, b, "relu", precision)
            A_in = whole_numbers(batch, n_in).astype(precision)
            expected = np.maximum(A_in @ W + b, 0)
            for kib, threads in itertools.product((120, 160), range(1, 9)):
                second = Cache(2, kib * KIB * W.itemsize // 4, 8)
                caches = [Cache(1, 64, 1), second, Cache(3, 100 * second.size, 4)]
                caches = caches[: 2 + threads % 2]  # without a third, A_in comes from memory
                monkeypatch.setattr(numba_packed, "data_caches", lambda caches=caches: caches)
                monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
                wide = tiles.PANELS * tiles.VECTOR_BYTES // W.itemsize
                tile = _blocking.Tile(tiles.ROWS, wide, W.itemsize)
                different.add(_blocking.chosen(batch, n_in, n_units, tile, caches, threads))
                output = numba_packed.prepare(layer, batch).launch(A_in)
                np.testing.assert_array_equal(output, expected, strict=True)
        assert len([blocks for blocks in different if blocks.columns > 1]) > 2

    def test_the_curve_and_the_floor_are_for_the_last_block_alone(
        self, tiles: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        A_in = whole_numbers(14, 40)
        A_in[13, 2] = np.nan
        expected = {name: prepared(40, 40, 14, name).launch(A_in).copy() for name in tiles.FINISH}
        blocks = _blocking.Blocks(8, 1)
        monkeypatch.setattr(_blocking, "chosen", lambda *_: blocks)
        for name in tiles.FINISH:
            np.testing.assert_array_equal(prepared(40, 40, 14, name).launch(A_in), expected[name])


def test_what_is_not_a_number_stays_so(tiles: Any) -> None:
    A_in = whole_numbers(14, 5)
    A_in[13, 2] = np.nan
    for activation in tiles.FINISH:
        output = prepared(5, 40, 14, activation).launch(A_in)
        assert np.isnan(output[13]).all()
        assert np.isfinite(output[:13]).all()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_curves_are_right_to_the_last_digits_at_any_size(precision: str, tiles: Any) -> None:
    dtype = np.dtype(precision)
    # a 64th of it keeps all of its digits
    sizes = np.geomspace(64 * float(np.finfo(dtype).tiny), 100, 4000)
    z = np.concatenate([-sizes[::-1], [0], sizes]).astype(dtype)
    wide = z.astype(np.longdouble)
    tanh, sigmoid = z.copy(), z.copy()
    tiles._bend(tanh, halves=False)
    tiles._bend(sigmoid, halves=True)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(tanh, np.tanh(wide).astype(dtype), rtol=8 * eps)
    expected = (1 / (1 + np.exp(-wide))).astype(dtype)
    np.testing.assert_allclose(sigmoid, expected, rtol=0, atol=2 * eps)


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
    one = np.ones((1, products), np.float32)
    numba_packed.prepare(Layer(one, one), 1)
    assert chosen == [("float32", shared)]


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("fewer", [0, 1])
@pytest.mark.parametrize(
    ("units", "batch", "left"),
    [(1, 4, True), (2, 4, False), (2, 16, True), (4, 64, True), (5, 64, False)],
)
def test_many_numbers_for_few_units_are_left_to_blas(
    units: int,
    batch: int,
    left: bool,  # noqa: FBT001
    fewer: int,
    activation: str,
    tiles: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n_in = numba_packed.LEFT // batch - fewer
    with_tiles = []
    compiled = tiles.compiled

    def seen(*of: Any) -> Any:
        with_tiles.append(of)
        return compiled(*of)

    monkeypatch.setattr(tiles, "compiled", seen)
    A_in = whole_numbers(batch, n_in)
    found = prepared(n_in, units, batch, activation).launch(A_in)
    assert bool(with_tiles) == (fewer == 1 or not left)
    expected = A_in @ whole_numbers(n_in, units) + whole_numbers(1, units)
    expected = expected if activation == "linear" else np.maximum(expected, 0)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "null", '{"blocks": 1}', "9" * 5000),
        _tuning.dumps(Parameters(blocks=-1.0)),
        _tuning.dumps(Parameters(blocks=float("nan"))),
        _tuning.dumps(Parameters(places=3)),
        _tuning.dumps(Parameters(shared=-1)),
        _tuning.dumps(Parameters()).replace("1024", '"many"'),
    ],
)
def test_parameters_that_make_no_sense_are_the_defaults(text: str) -> None:
    assert _tuning.loads(text) == Parameters()


def test_parameters_are_what_was_found_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_tuning.VARIABLE, raising=False)
    found = Parameters(0.25, places=4, shared=7, copied=9)
    with _tuning.used(found):
        assert _tuning.here() == found
        with _tuning.used(Parameters()):
            assert _tuning.here() == Parameters()
        assert _tuning.here() == found
    assert _tuning.VARIABLE not in os.environ
