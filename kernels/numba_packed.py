"""As fast as we know how on a CPU: W packed for it, sums kept in registers, b and g on the way out.

    W (n_in, n_units) -> panels (n_units / 32, n_in, 32)        once, in prepare
    12 examples x 32 units a tile; threads share the tiles      in each launch

BLAS takes any two matrices and returns their product. Here W is known beforehand and the same in
all launches, and bias and activation follow the product. What each trick gains, as a factor in
speed on two Zen 4 cores in float32 (`bench.studies.limit`, tricks; in brackets the kernel in
bench/studies/kernels that does without it):

- packing: what a tile reads next lies next in memory. With one example 3.4 at 1024 units and 4.6 at
  2048, with more there up to 1.5; below 1024 units at most 1.07 (packed_in_place).
- sums in registers (_numba_tiles), in tiles of twelve rows (packed_four_rows) and, with one
  example, in four parts (packed_one_part): on Zen 5, which begins two multiply-adds of 64 bytes in
  a cycle, they gained 1.05 to 1.2. On Zen 4, which begins one, four rows and one part do as well,
  and from 1024 units and 128 examples on four rows take 0.95 to 0.99 of the time.
- no rows that meet: where A_in's rows are a multiple of 4096 bytes apart, as with 1024, 2048 or
  4096 inputs, a tile's twelve rows want the same few places of the nearest cache. So tiles of such
  layers read a copy of A_in, in their own order (`limit copying` measures it: packed_uncopied).
- b and g on the way out, instead of two more passes over the output: 1.9 to 2.7 at 64 units, 1.3 to
  1.5 at 256, 1.07 to 1.14 at 1024, up to 1.08 at 2048 (packed_afterwards).
- threads: two are up to twice as fast as one, and one is 2.9 times as fast as two where there is
  little to do (packed_alone, packed_together).
- blocks of inputs and of columns, where A_in doesn't fit the second-level cache: which, says
  _blocking from what the system tells of the caches. With 4096 units and 1024 examples they gain
  1.05 to 1.15 on Zen 4; in the other shapes, nothing there (`limit blocks`).
- one example reads a large W at four places at a time, where the memory's pages are small or the
  CPU is Intel's: _memory says why. Large pages are better still, and NumPy's large arrays have them
  where the system gives them: W is then read as fast as the memory gives it (`one_example`).

Tried, and no faster on Zen 4: blocks that the nearest cache has room for, too.

In float16, bfloat16 and int8 the panels hold as few bytes, and one example of a large layer takes
as little of the time: _compact.py, which has tiles of its own.

What it costs: a copy of W, and seconds of compiling, once a machine (the result is kept in
__pycache__). And, with the files beside it, some 800 lines for one operation; BLAS has about a
hundred and fifty operations.

What it shows: how much a general library leaves on the table, layer by layer. Where numpy_matmul is
close to it, the machine is at its limit; where not, the shape is one that BLAS was not made for.
"""

from collections import Counter
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import (
    DTYPES,
    Layer,
    Step,
    Unsupported,
    _blocking,
    _compact,
    _memory,
    _tuning,
    numpy_matmul,
    supported,
)
from kernels._caches import LINE, Cache, data_caches
from kernels._memory import aligned
from kernels._numba import compiler_for

USUAL = Cache(level=1, size=2**15, ways=8)
"""Many a CPU's nearest cache, where the system doesn't say."""

NARROW, MANY = 4, 16
"""Up to so many units, a layer for so many examples is left to BLAS: a tile would compute a panel
of units for it. The tiles took 1.3 to 3.3 times NumPy's time with 2 units, 0.9 to 2.4 with 3 and
0.9 to 1.5 with 4, and less than it with 8 units and for one example (`limit narrow`)."""

EVEN = 4
"""Times as many units make a copy of A_in worth it where its rows just fill a set of the cache:
with 8 rows in 8 ways, copying took 1.10 of the time at 1024 units, 1.04 at 2048, 0.98 at 4096."""

LEFT = 2**14
"""Numbers of A_in (batch * n_in) from which on that is so, and for one unit from one example on:
BLAS is called three times, for the product, the bias and the activation."""


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W becomes panels, b is padded to whole panels, out is (batch, n_units) as for all others."""
    if layer.precision in _compact.PRECISIONS:
        return _compact.prepare(layer, batch)
    if layer.precision not in ("float64", "float32"):
        has = ", ".join(("float64", "float32", *_compact.PRECISIONS))
        raise Unsupported(f"precision {layer.precision}: the tiles have {has}")
    numba = compiler_for("numba_packed")
    tiles = import_module("kernels._numba_tiles")  # it needs Numba to be imported
    floor, curve = supported("activation", layer.activation, tiles.FINISH)
    few = layer.n_units == 1 or (layer.n_units <= NARROW and batch >= MANY)
    if few and batch * layer.n_in >= LEFT:
        W = np.ascontiguousarray(layer.W)
        return numpy_matmul.prepare(replace(layer, W=W), batch)
    dtype = np.dtype(DTYPES[layer.precision])
    parameters = _tuning.here()
    threads = numba.get_num_threads()
    shared = threads > 1 and batch * layer.n_in * layer.n_units >= parameters.shared
    forward = tiles.compiled(dtype.name, shared)
    W, b = _packed(layer, tiles.PANELS * tiles.VECTOR_BYTES // dtype.itemsize)
    out = aligned((batch, layer.n_units), dtype)
    rows = -(-batch // -(-batch // tiles.ROWS))
    caches = data_caches()
    nearest = caches[0] if caches else USUAL
    copies = rows >= tiles.LEAST_COPIED and worth_a_copy(
        rows, layer.n_in * dtype.itemsize, nearest, layer.n_units, parameters.copied
    )
    copy = aligned((batch * layer.n_in if copies else 0,), dtype)
    tile = _blocking.Tile(tiles.ROWS, W.shape[2], dtype.itemsize)
    parts = threads if shared else 1
    block = _blocking.chosen(
        batch, layer.n_in, layer.n_units, tile, caches, parts, parameters.blocks
    )
    sums = aligned((batch * len(b) if block.inputs < layer.n_in else 0,), dtype)
    places = _memory.places(W, caches, parts, parameters.places) if batch == 1 else 1
    blocks = (block.inputs, block.columns, places)
    lowest = dtype.type(floor)

    def launch(A_in: Any) -> Any:
        forward(A_in, copy, W, b, lowest, curve, out, blocks, sums, threads)
        return out

    # the tiles are compiled for rows in one piece
    return Step(launch, send=lambda A_in: np.require(A_in, requirements=("C", "A")))


def _packed(layer: Layer, wide: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """W as (columns, n_in, wide), b as (columns * wide,), filled up with zeros."""
    columns = -(-layer.n_units // wide)
    padded = np.zeros((layer.n_in + 1, columns * wide), layer.W.dtype)
    padded[:-1, : layer.n_units] = layer.W
    padded[-1, : layer.n_units] = layer.b
    W = aligned((columns, layer.n_in, wide), layer.W.dtype)
    W[...] = padded[:-1].reshape(layer.n_in, columns, wide).swapaxes(0, 1)
    return W, padded[-1].copy()  # a view would keep all of it


def worth_a_copy(rows: int, apart: int, cache: Cache, n_units: int, enough: int) -> bool:
    """Whether a copy of A_in saves more time than it takes: `rows` of a tile, `apart` bytes from
    each other, meet in a set of the nearest cache, and there are `enough` units.

    A cache puts each line of memory into the set that its address says, and has room for `ways`
    lines in each. Rows of 4096 bytes all want the same set of most CPUs' nearest cache: if they are
    more than its ways, each line is gone before its next number is read.
    """
    wanted = Counter(row * apart // LINE % cache.sets for row in range(rows))
    over = max(wanted.values()) - cache.ways
    return over >= 0 and n_units >= enough * (1 if over else EVEN)
