"""Which part of a layer numba_packed works on at a time, so that the caches serve it: arithmetic.

A tile of `rows` examples and `wide` units needs, for each input, `rows` numbers of A_in and `wide`
of W. Without blocks all tiles of a column of W follow each other: the column stays in the
second-level cache, and all of A_in passes by once a column. That is best where A_in stays in that
cache, too. Where it doesn't, it comes from farther away again and again, which some CPUs do not
mind, and others do. With blocks:

    for each block of `inputs`                    out is read and written once a block
        for each block of `columns` of W          stays in the second-level cache
            for each tile of rows                 its part of A_in comes once a block of columns
                for each column of the block

The way to think is that of BLIS's analytical model (Low, Igual, Smith, Quintana-Orti, "Analytical
Modeling Is Enough for High-Performance BLIS", ACM TOMS 43(2), 2016, doi.org/10.1145/2925987): of
the ways of a cache one is left to what passes through, and a block fills the others. Its k_c is
bound to the nearest cache; that would be 160 inputs with 32 KiB, and measured 1.05 to 1.17 times as
slow as no blocks at all on Zen 4, because of how often out is read and written. Our tiles do not
need it: both of its inputs come from the second-level cache in time. So the block of W is as deep
as makes its passes over A_in and over out cheapest together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kernels._caches import Cache


@dataclass(frozen=True, slots=True)
class Tile:
    """The most rows and units of a tile, and the bytes of a number."""

    rows: int
    wide: int
    itemsize: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """How many inputs, and how many columns of `wide` units, are worked on at a time."""

    inputs: int
    columns: int


STEP = 4
"""Blocks of inputs are a multiple of it, as the loop over inputs is unrolled."""

FROM_MEMORY, FROM_THIRD = 8, 32
"""What reading and writing a number of out between two blocks of inputs costs, in numbers of A_in
that come from memory, or from the third-level cache: a tile waits for those of out, and those of
A_in come beside the work. By trying blocks on Zen 4 (results/studies/limit_blocks.csv)."""

SQUEEZED = 4
"""A_in doesn't stay in the third-level cache, through which W passes, if it takes more than such a
part of it."""


def whole(n_in: int) -> Blocks:
    """All inputs, and one column at a time."""
    return Blocks(n_in, 1)


def chosen(
    batch: int,
    n_in: int,
    n_units: int,
    tile: Tile,
    caches: Sequence[Cache],
    threads: int,
    deeper: float = 1.0,
) -> Blocks:
    """The blocks for a layer: `whole` where A_in fits the second-level cache, where nothing is
    gained, and where the caches aren't known.

    `deeper`: times what out is taken to cost, so that blocks are deeper and fewer; 0: no blocks.
    """
    A_in = batch * n_in * tile.itemsize
    if len(caches) < 2 or A_in <= caches[1].share or not deeper:
        return whole(n_in)
    second, third = caches[1], caches[2].size if len(caches) > 2 else 0
    room = second.share * (second.ways - 1) // second.ways // tile.itemsize
    of_out = deeper * (FROM_THIRD if SQUEEZED * A_in < third else FROM_MEMORY)
    parts = -(-n_in // max(depth(room, of_out), STEP))
    inputs = min(-(-n_in // parts // STEP) * STEP, n_in)
    # two tiles' parts of A_in beside it: the one in use, and the next
    columns = (room // inputs - 2 * tile.rows) // tile.wide
    each = -(-n_units // (tile.wide * threads))  # columns of a thread
    passes = -(-each // max(columns, 1))
    blocked = batch * n_in * passes + of_out * batch * each * tile.wide * (parts - 1)
    if columns < 1 or blocked >= batch * n_in * each:
        return whole(n_in)
    return Blocks(inputs, -(-each // passes))


def depth(room: int, of_out: float) -> int:
    """Inputs of a block with which A_in and out cost least together, in a cache with room for so
    many numbers; `of_out`: what a number of out costs in numbers of A_in.

    A block of x columns of depth y fills it: x * wide * y = room. An input costs a tile rows / x
    numbers of A_in from far away and of_out * rows * wide / y for out; the least of their sum is at
    y = sqrt(room * of_out).
    """
    return int(math.sqrt(room * of_out)) // STEP * STEP
