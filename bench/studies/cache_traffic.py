"""Which blocks bring the fewest bytes through the caches, and does numba_packed choose them?

    python -m bench.studies.cache_traffic    # about four minutes

The tiles of one thread's share are taken from numba_packed's own loops (the code of
_numba_tiles._share, with a tile that is noted and not computed), for blocks that _blocking chooses
on four machines and for others. Each line of a cache that a tile touches is looked for in a model
of the core's caches (bench.studies.lru). Counted is a second launch: what a cache keeps of the
first is not brought again. The way to think of blocks is that of Low, Igual, Smith, Quintana-Orti,
"Analytical Modeling Is Enough for High-Performance BLIS", ACM TOMS 43(2), 2016,
doi.org/10.1145/2925987.

What the model is not: caches here throw out what was used longest ago, bring nothing ahead of its
use, and place lines by their address, as where pages are large. Of the third level a core has its
share, as if each thread had A_in for itself. Arrays begin one line behind the beginning of a page.
The copy of A_in that tiles read where its rows meet is made before, whatever the blocks: how it is
made is not counted. Bytes are given over the clock cycles that the multiply-adds take at the core's
full rate: two of 32 bytes in a cycle, or of 64 on the Xeon; one of 64 on Zen 4.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies import write
from bench.studies.lru import Levels
from kernels import _blocking, _numba_tiles, _tuning, numba_packed
from kernels._blocking import Blocks, Tile
from kernels._caches import LINE, Cache
from kernels._numba import njit
from kernels._numba_tiles import COPIED

SIZE = 4
"""Bytes of a number: float32."""

PAGE = 4096

LAYERS = ((1000, 1024), (2048, 128), (2048, 1024), (4096, 1), (4096, 128), (4096, 1024))
"""Width and batch, those of `limit blocks` and one example."""

KIB, MIB = 2**10, 2**20


@dataclass(frozen=True, slots=True)
class Machine:
    """A core's caches, the threads of numba_packed, its tiles, and its rate in float32."""

    name: str
    caches: tuple[Cache, ...]
    threads: int
    rows: int
    vector_bytes: int
    multiply_adds: int
    """In a clock cycle, at most."""

    @property
    def tile(self) -> Tile:
        return Tile(self.rows, _numba_tiles.PANELS * self.vector_bytes // SIZE, SIZE)


def caches(first: tuple[int, int], second: tuple[int, int], third: tuple[int, int, int]) -> Any:
    """Bytes and ways of each level, and how many cores share the third."""
    return Cache(1, *first), Cache(2, *second), Cache(3, *third)


MACHINES = (
    Machine("Zen 4", caches((32 * KIB, 8), (MIB, 8), (32 * MIB, 16, 2)), 2, 12, 64, 16),
    Machine("Xeon", caches((48 * KIB, 12), (1280 * KIB, 20), (48 * MIB, 12, 2)), 2, 12, 64, 32),
    Machine("Zen 2", caches((32 * KIB, 8), (512 * KIB, 8), (16 * MIB, 16, 4)), 4, 6, 32, 16),
    Machine("client Intel", caches((48 * KIB, 12), (2 * MIB, 16), (36 * MIB, 12, 8)), 8, 6, 32, 16),
)
"""The one that times were measured on, the one that numba_packed lost on, and two with AVX2."""


@dataclass(frozen=True, slots=True)
class Case:
    """A square layer, its blocks, and whether tiles read a copy of A_in."""

    width: int
    batch: int
    blocks: Blocks
    copied: bool
    by_block: bool = False
    """Whether the copy lies block by block, and not tile by tile as numba_packed's does."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of cache_traffic.csv: a machine, a layer, a kind of blocks; bytes in a cycle."""

    machine: str
    width: int
    batch: int
    kind: str
    inputs: int
    columns: int
    l1_from_l2: float
    l2_from_l3: float
    l3_from_memory: float
    l1_to_l2: float
    l2_to_l3: float
    l3_to_memory: float


class Place:
    """What the loops ask of an array, and no numbers: its shape, its address and its type."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.itemsize = shape, np.dtype(np.float32), SIZE
        self.strides = tuple(SIZE * math.prod(shape[n + 1 :]) for n in range(len(shape)))
        self.ctypes, self.data = self, address
        self.end = address + SIZE * math.prod(shape)

    def __len__(self) -> int:
        return self.shape[0]


def copied(machine: Machine, width: int, batch: int) -> bool:
    """Whether numba_packed's tiles read a copy of A_in."""
    rows = -(-batch // -(-batch // machine.rows))
    enough = _tuning.DEFAULT.copied
    worth = numba_packed.worth_a_copy(rows, width * SIZE, machine.caches[0], width, enough)
    return rows >= machine.rows // 2 and worth


def places(machine: Machine, case: Case) -> list[Place]:
    """A_in, its copy, W, b, out and the sums between blocks, as numba_packed has them."""
    wide = machine.tile.wide
    columns = -(-case.width // wide)
    sums = case.batch * columns * wide if case.blocks.inputs < case.width else 0
    shapes = (
        (case.batch, case.width),
        (case.batch * case.width if case.copied else 0,),
        (columns, case.width, wide),
        (columns * wide,),
        (case.batch, case.width),
        (sums,),
    )
    made: list[Place] = []
    for shape in shapes:
        page = -(-made[-1].end // PAGE) if made else 1
        made.append(Place(page * PAGE + LINE, shape))
    return made


def tiles(machine: Machine, case: Case, part: int = 0) -> NDArray[np.int64]:
    """The arguments of each tile of a thread's share, in order, but for the floor."""
    A_in, copy, W, b, out, sums = places(machine, case)
    noted: list[tuple[int, ...]] = []

    def note(*arguments: Any) -> None:
        noted.append((*arguments[:10], *arguments[11:]))

    share = _with(_numba_tiles._share, _tile=note, ROWS=machine.rows)  # noqa: SLF001
    blocks = (case.blocks.inputs, case.blocks.columns, 0)
    share(A_in, copy, W, b, 0.0, 0, out, blocks, sums, part, machine.threads)
    made = np.array(noted, np.int64)
    if case.by_block:
        first = (made[:, 6] - W.data) % W.strides[0] // W.strides[1]
        row = ((made[:, 4] - copy.data) // SIZE - first * made[:, 0]) // case.width
        made[:, 4] = copy.data + (first * case.batch + row * made[:, 3]) * SIZE
    return made


def _with(function: Any, **others: Any) -> Callable[..., None]:
    """A function of _numba_tiles, not compiled, for which these names mean something else."""
    names = {**vars(_numba_tiles), **others}
    tiling: Any = _numba_tiles._tiling  # noqa: SLF001
    names["_tiling"] = FunctionType(tiling.py_func.__code__, names)
    return FunctionType(function.py_func.__code__, names)


@njit()
def lines(tile: Any, vector_bytes: int, entries: Any) -> Any:
    """Write what a tile uses into `entries`, as Levels.use has them -> those."""
    rows, panels, way, inputs, A, A_stride, W, W_stride, b, b_stride, out, out_stride, units = tile
    wide, used = panels * vector_bytes, 0
    for r in range(rows):
        first = b + r * b_stride
        for each in range(first // LINE, (first + wide - 1) // LINE + 1):
            entries[used] = each << 1
            used += 1
    for i in range(inputs):
        first = W + i * W_stride
        for each in range(first // LINE, (first + wide - 1) // LINE + 1):
            entries[used] = each << 1
            used += 1
        if way == COPIED:  # the rows' numbers are neighbours
            first = A + i * rows * SIZE
            for each in range(first // LINE, (first + rows * SIZE - 1) // LINE + 1):
                entries[used] = each << 1
                used += 1
        else:
            for r in range(rows):
                entries[used] = (A + r * A_stride + i * SIZE) // LINE << 1
                used += 1
    for r in range(rows):
        first = out + r * out_stride
        for each in range(first // LINE, (first + units * SIZE - 1) // LINE + 1):
            entries[used] = each << 1 | 1
            used += 1
    return entries[:used]


def traffic(machine: Machine, case: Case, kind: str) -> Row:
    """What each cache brings and writes back in the second of two launches."""
    levels = Levels(machine.caches)
    made = [tuple(tile) for tile in tiles(machine, case).tolist()]
    # for an input at most a line of each row and three of W; before and after, three of each row
    entries = np.empty((machine.rows + 3) * (case.width + 6), np.int64)
    for _ in range(2):
        levels.count_anew()
        for tile in made:
            levels.use(lines(tile, machine.vector_bytes, entries))
    products = case.batch * case.width * case.width / machine.threads
    a_cycle = LINE * machine.multiply_adds / products
    return Row(
        machine.name,
        case.width,
        case.batch,
        kind,
        case.blocks.inputs,
        case.blocks.columns,
        *(float(count * a_cycle) for count in (*levels.brought, *levels.written_back)),
    )


def kinds(machine: Machine, width: int, batch: int) -> dict[str, Case]:
    """The blocks that are compared, by what they are called; each once."""
    tile, second = machine.tile, machine.caches[1]
    each = _blocking.columns_of_a_thread(width, tile, machine.threads)
    chosen = _blocking.chosen(batch, width, width, tile, machine.caches, machine.threads)
    # W's panel in half of the nearest cache, as Low et al. choose the depth k_c
    panel = machine.caches[0].share // 2 // (tile.wide * SIZE)

    def deep(inputs: int) -> Blocks:
        blocks = _blocking.filled(min(inputs, width), width, each, tile, second)
        return Blocks(blocks.inputs, max(blocks.columns, 1))

    copies = copied(machine, width, batch)
    blocks = {
        "chosen": chosen,
        "none": _blocking.whole(width),
        "half as deep": deep(chosen.inputs // 2),
        "twice as deep": deep(2 * chosen.inputs),
        "A_in in L1, W in L2": deep(panel),
        "W in L1": Blocks(panel, 1),
    }
    cases = {kind: Case(width, batch, each, copies) for kind, each in blocks.items()}
    if copies:
        cases["W in L1, A_in in L2"] = Case(width, batch, Blocks(panel, 1), copies, by_block=True)
    elif batch >= machine.rows // 2:
        cases["chosen, A_in copied"] = Case(width, batch, chosen, copied=True)
    return {kind: case for kind, case in cases.items() if kind == _first(cases, case)}


def _first(cases: dict[str, Case], case: Case) -> str:
    return next(kind for kind, other in cases.items() if other == case)


def simulated(layers: Sequence[tuple[int, int]] = LAYERS) -> None:
    """Write results/studies/cache_traffic.csv, print it."""
    rows = []
    for machine in MACHINES:
        for width, batch in layers:
            for kind, case in kinds(machine, width, batch).items():
                row = traffic(machine, case, kind)
                rows.append(asdict(row))
                print(
                    f"{row.machine:<12} {width:>4} x {batch:<4} {kind:<20}"
                    f" {row.inputs:>4} x {row.columns:<2}"
                    f" into L1 {row.l1_from_l2:6.2f}, L2 {row.l2_from_l3:5.2f},"
                    f" L3 {row.l3_from_memory:5.2f}; back {row.l1_to_l2:.2f},"
                    f" {row.l2_to_l3:.2f}, {row.l3_to_memory:.2f} bytes a cycle",
                    flush=True,
                )
    write("cache_traffic", rows)


if __name__ == "__main__":
    simulated()
