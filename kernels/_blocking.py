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
bound to the nearest cache; that would be 128 inputs with 32 KiB. The nearest cache then gets half
the bytes, and out is read and written far more often; on Zen 4 that gained nothing where it was
tried, and `--tune` tries it. Our tiles do not need it: both of its inputs come from the
second-level cache in time. So the block of W is as deep as makes its passes over A_in and over out
cheapest together.

What each cache of four machines gets with these blocks and with others is simulated in
bench.studies.cache_traffic.
"""

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
A_in come beside the work. By trying blocks on Zen 4; what they gain there is in
results/studies/limit_blocks.csv."""

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
    """The blocks for a layer: `whole` where A_in stays in the second-level cache while a column of
    W passes, where nothing is gained, and where the caches aren't known.

    `deeper`: times what out is taken to cost, so that blocks are deeper and fewer; 0: no blocks.
    """
    best = whole(n_in)
    if len(caches) < 2 or not deeper:
        return best
    second, third = caches[1], caches[2].size if len(caches) > 2 else 0
    A_in = batch * n_in * tile.itemsize
    # a column that is larger than A_in pushes it out, and comes from farther away itself
    beside = (batch + tile.wide) * n_in <= _room(tile, second)
    if A_in <= second.share and (beside or batch <= tile.wide):
        return best
    of_out = deeper * (FROM_THIRD if SQUEEZED * A_in <= third else FROM_MEMORY)
    each = columns_of_a_thread(n_units, tile, threads)
    least: float = batch * n_in * each
    for parts in range(1, n_in // STEP + 2):
        of_sums = of_out * batch * each * tile.wide * (parts - 1)
        if of_sums >= least:
            break
        blocks = filled(-(-n_in // parts), n_in, each, tile, second)
        passes = -(-each // max(blocks.columns, 1))
        if blocks.columns and batch * n_in * passes + of_sums < least:
            best, least = blocks, batch * n_in * passes + of_sums
    return best


def columns_of_a_thread(n_units: int, tile: Tile, threads: int) -> int:
    """How many columns of W a thread works on, if it isn't fewer."""
    return -(-n_units // (tile.wide * threads))


def filled(inputs: int, n_in: int, each: int, tile: Tile, second: Cache) -> Blocks:
    """Blocks of so many inputs, or up to STEP more, and of as many columns as stay in the
    second-level cache; of the `each` columns of a thread, equal parts. 0 columns if none stays.

    Where n_in is a power of two, columns of W are a multiple of the cache's sets apart, and want
    the same of them: 13 columns of 512 inputs would fill 6.5 of 8 ways of all sets, and want 13
    ways of one half of the sets.
    """
    inputs = min(-(-inputs // STEP) * STEP, n_in)
    # two tiles' parts of A_in beside it: the one in use, and the next
    columns = (_room(tile, second) // inputs - 2 * tile.rows) // tile.wide
    if inputs < n_in:  # else the block is in one piece
        ways = -(-inputs * tile.wide * tile.itemsize * second.ways // second.size)
        columns = min(columns, (second.ways // second.cores - 1) // ways)
    if columns < 1:
        return Blocks(inputs, 0)
    passes = -(-each // columns)
    return Blocks(inputs, -(-each // passes))


def _room(tile: Tile, second: Cache) -> int:
    """How many numbers stay in the cache: one of its ways is left to what passes through."""
    return second.share * (second.ways - 1) // second.ways // tile.itemsize
