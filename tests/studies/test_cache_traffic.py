"""The simulated caches, and the walk through them, which is that of numba_packed's own loops."""

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bench import studies
from kernels import Layer, _blocking, numba_packed
from kernels._blocking import Blocks
from kernels._caches import LINE, Cache, data_caches

if find_spec("numba") is None:
    pytest.skip("needs numba: make setup KERNELS=numba_packed", allow_module_level=True)

from bench.studies import cache_traffic
from bench.studies.cache_traffic import MACHINES, MIB, Case, Machine
from bench.studies.lru import Levels
from kernels import _numba_tiles

SMALL = (Cache(1, 2 * 4 * LINE, 2), Cache(2, 3 * 8 * LINE, 3), Cache(3, 4 * 2 * 32 * LINE, 4, 2))
"""4, 8 and 32 sets, the last of two cores."""


class Plain:
    """A level as a dictionary of lists: the same rules, written down another way."""

    def __init__(self, sets: int, ways: int) -> None:
        self.sets = {number: list[int]() for number in range(sets)}
        self.ways, self.written = ways, set[int]()

    def of(self, line: int) -> list[int]:
        return self.sets[line % len(self.sets)]


def plainly(levels: list[Plain], line: int, written: bool, counts: Counter[Any]) -> None:  # noqa: FBT001
    for number, level in enumerate(levels):
        lines = level.of(line)
        there = line in lines
        if there:
            lines.remove(line)
        lines.append(line)
        if written and (there or number == 0):
            level.written.add(line)
        if there:
            return
        written = written and number > 0
        counts["brought", number] += 1
        if len(lines) > level.ways:
            gone = lines.pop(0)
            if gone in level.written:
                level.written.remove(gone)
                for farther in range(number + 1, len(levels) + 1):
                    counts["back", farther - 1] += 1
                    if farther < len(levels) and gone in levels[farther].of(gone):
                        levels[farther].written.add(gone)
                        break


@pytest.mark.parametrize("different", [20, 60, 400])
def test_levels_do_what_lists_do(different: int) -> None:
    generator = np.random.default_rng(different)
    entries = generator.integers(0, 2 * different, 4000)
    levels, counts = Levels(SMALL), Counter[Any]()
    plain = [Plain(4, 2), Plain(8, 3), Plain(32, 4)]
    for part in np.split(entries, 4):  # what is in the caches stays from call to call
        levels.use(part)
    for entry in entries.tolist():
        plainly(plain, entry >> 1, bool(entry & 1), counts)
    assert list(levels.brought) == [counts["brought", number] for number in range(3)]
    assert list(levels.written_back) == [counts["back", number] for number in range(3)]
    assert levels.written_back[0] > 0
    levels.count_anew()
    levels.use(entries[-1:])
    assert not levels.brought.any()


@pytest.mark.parametrize(("more", "missed"), [(0, 0), (1, 3)])
def test_what_fits_is_brought_once_and_a_line_too_many_in_a_set_always(
    more: int, missed: int
) -> None:
    """By turns: the line that is asked for is the one that just made room."""
    levels = Levels([Cache(1, 2 * 4 * LINE, 2)])
    round_ = np.array([2 * 4 * n for n in range(2 + more)])  # of one set
    for _ in range(5):
        levels.use(round_)
    assert levels.brought[0] == (2 if not missed else 5 * missed)


WIDE = Machine("wide", MACHINES[0].caches, 2, 12, 64, 16)
NARROW = Machine("narrow", MACHINES[0].caches, 3, 6, 32, 16)


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("machine", [WIDE, NARROW], ids=lambda machine: machine.name)
def test_the_walk_is_the_layer_and_touches_each_line_as_often_as_its_numbers_are_used(
    machine: Machine,
    copies: bool,  # noqa: FBT001
) -> None:
    width, batch = 90, 29
    case = Case(width, batch, Blocks(32, 2), copies)  # three blocks of inputs
    A_in, copy, W, b, out, sums = cache_traffic.places(machine, case)
    used: Counter[int] = Counter()
    entries = np.empty(10**4, np.int64)
    outputs = np.zeros((batch, width), int)
    for part in range(machine.threads):
        for tile in cache_traffic.tiles(machine, case, part).tolist():
            found = cache_traffic.lines(tuple(tile), machine.vector_bytes, entries)
            used.update(found.tolist())
            rows, address, units = tile[0], tile[10], tile[12]
            if out.data <= address < out.end:
                row, unit = divmod((address - out.data) // 4, width)
                outputs[row : row + rows, unit : unit + units] += 1
    assert (outputs == 1).all()

    def times(place: Any, written: int) -> NDArray[np.int64]:
        """How often each line of an array is used."""
        every = range(place.data // LINE, -(-place.end // LINE))
        return np.array([used[line << 1 | written] for line in every])

    tiles, columns, wide = -(-batch // machine.rows), W.shape[0], machine.tile.wide
    np.testing.assert_array_equal(times(W, 0), tiles)
    if copies:  # a line holds numbers of up to 16 / rows + 2 inputs, and is used for each
        assert not times(A_in, 0).any()
        assert (times(copy, 0) >= columns).all()
        assert (times(copy, 0) <= columns * (16 // (machine.rows - 1) + 2)).all()
    else:
        np.testing.assert_array_equal(times(A_in, 0)[:-1], columns * 16)  # for each number
        assert times(A_in, 0).sum() == columns * batch * width
    stored = [
        ((row * width + min(unit + wide, width)) * 4 - 1) // LINE - (row * width + unit) * 4 // LINE
        for row in range(batch)
        for unit in range(0, width, wide)
    ]
    assert times(out, 1).sum() == sum(stored) + len(stored)
    np.testing.assert_array_equal(times(sums, 1), 2)  # after all blocks but the last
    np.testing.assert_array_equal(times(sums, 0), 2)
    np.testing.assert_array_equal(times(b, 0), batch)
    known = (A_in, copy, W, b, out, sums)
    assert used.total() == sum(times(place, w).sum() for place in known for w in (0, 1))


@pytest.mark.parametrize(("width", "batch"), [(1024, 24), (1040, 24), (1024, 3)])
def test_the_arrays_are_those_that_numba_packed_has(
    width: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[tuple[Any, ...]] = []
    rows, vector = _numba_tiles.ROWS, _numba_tiles.VECTOR_BYTES
    machine = cache_traffic.Machine("here", data_caches(), 1, rows, vector, 0)
    blocks = Blocks(512, 2)
    monkeypatch.setattr(_numba_tiles, "compiled", lambda *_: lambda *given: compiled.append(given))
    monkeypatch.setattr(_blocking, "chosen", lambda *_: blocks)
    W, A_in = np.zeros((width, width), np.float32), np.zeros((batch, width), np.float32)
    numba_packed.prepare(Layer(W, np.zeros((1, width), np.float32)), batch).launch(A_in)
    A_in, copy, W, b, _, _, out, given, sums, _ = compiled[0]
    assert given[:2] == (blocks.inputs, blocks.columns)
    copied = cache_traffic.copied(machine, width, batch)
    places = cache_traffic.places(machine, Case(width, batch, blocks, copied))
    for place, array in zip(places, (A_in, copy, W, b, out, sums), strict=True):
        assert place.shape == array.shape
        assert place.strides == array.strides


@pytest.mark.parametrize(("n_in", "inputs"), [(512, 128), (512, 192), (512, 256), (500, 125)])
def test_a_block_of_w_stays_in_the_second_cache_and_a_larger_one_does_not(
    n_in: int, inputs: int
) -> None:
    """The columns that _blocking gives a block, against what the simulated cache brings."""
    second, batch = Cache(2, 256 * 1024, 8), 120
    machine = Machine("small", (Cache(1, 4096, 4), second, Cache(3, MIB, 16)), 1, 12, 64, 1)
    blocks = _blocking.filled(inputs, n_in, n_in // 32, machine.tile, second)
    assert 0 < blocks.columns < n_in // 32

    def brought(columns: int) -> float:
        """Times what has to be brought where W is brought once."""
        case = Case(n_in, batch, Blocks(blocks.inputs, columns), copied=True)
        row = cache_traffic.traffic(machine, case, "")
        parts, passes = -(-n_in // blocks.inputs), -(-n_in // 32 // columns)
        least = n_in * n_in + batch * n_in * passes + batch * n_in * (2 * parts - 1)
        return row.l2_from_l3 / (4 * least / (batch * n_in * n_in))

    assert brought(blocks.columns) < 1.3
    assert brought(n_in // 32) > 2


def test_a_study_of_a_small_layer_has_a_row_for_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(studies, "RESULTS", tmp_path)
    cache_traffic.simulated([(96, 30)])
    rows = pd.read_csv(tmp_path / "cache_traffic.csv")
    assert set(rows.machine) == {machine.name for machine in MACHINES}
    assert (rows.groupby("machine").kind.first() == "chosen").all()
    assert len(rows) == len(capsys.readouterr().out.splitlines())
    assert (rows.l1_from_l2 >= rows.l2_from_l3).all()
    # all of it stays in the second level
    assert not rows[["l2_from_l3", "l3_from_memory"]].to_numpy().any()
