"""The compiled half of numba_packed: blocks of A_in @ W + b, called tiles, that stay in the vector
registers while they are summed, and the loops over the tiles. This file imports Numba.

A tile is `rows` examples times the units of one or two panels; a panel is as many units as a vector
register has numbers (16 of float32 with AVX-512), its weights one input after the other. For each
input i the two vectors of W are loaded once and used by all rows, and each number of A_in is loaded
once and used by both vectors:

    sums[r, v, :] += A_in[row + r, i] * W[i, panel v's units]      for r < rows, v < 2

12 rows and two panels are 24 sums, which with two vectors of W and a few numbers of A_in fill the
32 registers. They are more than the multiply-adds that a core has under way at a time, so none
waits for another; where fewer rows leave fewer sums, each is kept in several parts.

Numba makes vectors of simple loops by itself, but doesn't keep such a block in registers. So the
tile is written in the language of LLVM, Numba's compiler: vectors and multiply-adds are written
down, registers and instructions are LLVM's choice, for whatever CPU it runs on.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels._numba import allowed_features, njit


def _vector_bytes_and_rows() -> tuple[int, int]:
    """How wide this CPU's vectors are, and how many rows of two of them fit its registers."""
    has = allowed_features()
    if "avx512f" in has:
        return 64, 12  # 32 registers
    if "avx" in has:
        return 32, 6  # 16 registers
    return 16, 12 if "neon" in has else 6


VECTOR_BYTES, ROWS = _vector_bytes_and_rows()
"""Bytes of a vector, and the most rows of a tile."""

PANELS = 2
"""The most panels of a tile."""

LEAST_COPIED = ROWS // 2
"""The fewest rows of a tile that reads a copy of A_in: batches of more than ROWS have no shorter
one."""

BUSY = 8
"""Multiply-adds that a core has under way: two begin in each clock cycle, and one takes four."""

LITTLE = 2**16
"""Numbers of A_in up to which one thread copies them: waking the others takes as long, and on a
busy machine, where they have to wait for a core, far longer."""

LINE = 16
"""Inputs of a row that are copied in a turn: a cache line of float32."""

TURN = 4
"""Unroll factor of the loop over inputs."""

PLAIN, COPIED, APART = range(WAYS := 3)
"""How a tile reads: A as it lies, or a copy of it; or a single row of A, and W at TURN places that
are far apart, as _memory has it."""

_KINDS = [
    (height, vectors, way)
    for height in range(1, ROWS + 1)
    for vectors in range(1, PANELS + 1)
    for way in (PLAIN, COPIED, APART)
    if way == PLAIN or (height == 1 if way == APART else height >= LEAST_COPIED)
]
"""The tiles that there are: rows, panels, and how they read."""

SIGMOID, TANH = 1, 2

FINISH = {
    "linear": (-np.inf, 0),
    "relu": (0.0, 0),
    "sigmoid": (-np.inf, SIGMOID),
    "tanh": (-np.inf, TANH),
}
"""What turns a tile's sums into the output: the floor that they are raised to, and the curve that
they are bent to afterwards (0: none)."""

INT, INT32 = ir.IntType(64), ir.IntType(32)


@intrinsic
def _tile(
    _typing: Any, rows: Any, panels: Any, way: Any, n_in: Any, A: Any, A_stride: Any, W: Any,
    W_stride: Any, b: Any, b_stride: Any, floor: Any, out: Any, out_stride: Any, units: Any,
) -> Any:  # fmt: skip
    """One tile: out = max(A @ W + b, floor), for `rows` rows, `panels` panels and `n_in` inputs.

    A, W, b and out are addresses; the strides are in bytes, from row to row (b's: 0, or where the
    sums of the inputs before are); `floor` has the type of the numbers. `way`: PLAIN, or COPIED,
    where A is as `_copy` leaves it and has no stride, or APART. Only the first `units` columns are
    stored.
    """
    order = (
        rows, panels, way, n_in, A, A_stride, W, W_stride, b, b_stride, floor, out, out_stride,
        units,
    )  # fmt: skip

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(floor)
        after = builder.append_basic_block("after")
        rows, panels, way, *rest = arguments
        which = builder.add(builder.mul(rows, INT(PANELS + 1)), panels)
        choice = builder.switch(builder.add(builder.mul(which, INT(WAYS)), way), after)
        for height, vectors, kind in _KINDS:
            block = builder.append_basic_block(f"tile_{height}x{vectors}_{kind}")
            choice.add_case(INT((height * (PANELS + 1) + vectors) * WAYS + kind), block)
            with builder.goto_block(block):
                writer = _TileWriter(builder.module, number, height, vectors, kind)
                builder.call(writer.function, rest)
                builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(*order), generate


class _TileWriter:
    """Writes the function, in LLVM's language, that computes tiles of one height and width."""

    def __init__(self, module: Any, number: Any, height: int, vectors: int, way: int) -> None:
        self._module, self._number, self._way = module, number, way
        self._itemsize = 8 if number == ir.DoubleType() else 4
        self._width = VECTOR_BYTES // self._itemsize
        self._vector = ir.VectorType(number, self._width)
        self._places = [(r, v) for r in range(height) for v in range(vectors)]
        self._parts = next(n for n in (1, 2, TURN) if n * len(self._places) >= BUSY or n == TURN)
        arguments = [INT] * 7 + [number] + [INT] * 3
        name = f"tile_{number.intrinsic_name}_{height}x{vectors}_{way}"
        self.function = self._declared(name, ir.VoidType(), arguments)
        if self.function.is_declaration:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
            self._builder = ir.IRBuilder(self.function.append_basic_block("entry"))
            n_in, A, A_stride, W, W_stride, b, b_stride, floor, out, out_stride, units = (
                self.function.args
            )
            sums = self._begun((b, b_stride))
            self._sum(sums, n_in, (A, A_stride), (W, W_stride))
            self._finish(sums, (b, b_stride), floor, (out, out_stride), units)

    def _begun(self, b: Any) -> dict[Any, Any]:
        """The sums, each in its parts: zeros. What they are added to is asked for, to be near then;
        it is the bias, or the sums before, which may come from far away.
        """
        sums = {}
        zero = ir.Constant(self._vector, [0.0] * self._width)
        for place in self._places:
            self._ask_for(self._row(b, INT(place[0])), place[1])
            for part in range(self._parts):
                # LLVM makes registers of these: nobody else knows where they are
                sums[place, part] = self._builder.alloca(self._vector)
                self._builder.store(zero, sums[place, part])
        return sums

    def _sum(self, sums: dict[Any, Any], n_in: Any, A: Any, W: Any) -> None:
        """Add what each input contributes: the whole work."""
        builder = self._builder
        multiply_add = self._of_vectors("fmuladd", self._vector, [self._vector] * 3)
        height, vectors = (n + 1 for n in self._places[-1])
        # of a copy the next row's number lies next, and the next input's behind those of all rows
        copied = self._way == COPIED
        row, after = (INT(self._itemsize), height) if copied else (A[1], 1)
        A_rows = [self._row((A[0], row), INT(r)) for r in range(height)]

        def step(i: Any, part: int) -> None:
            W_row = self._row(W, i)
            weights = [self._load(W_row, v) for v in range(vectors)]
            for r in range(height):
                address = self._row((A_rows[r], INT(after * self._itemsize)), i)
                x = self._spread(builder.load(self._pointer(address, self._number)), self._vector)
                for v in range(vectors):
                    place = sums[(r, v), part]
                    added = builder.call(multiply_add, [x, weights[v], builder.load(place)])
                    builder.store(added, place)

        each_input(
            builder,
            n_in,
            TURN,
            lambda i, s: step(i, s % self._parts),
            apart=self._way == APART,
        )

    def _finish(self, sums: dict[Any, Any], b: Any, floor: Any, out: Any, units: Any) -> None:
        """Add up the parts and b, raise what is below the floor, store what is asked for."""
        builder = self._builder
        results = {}
        lowest = self._spread(floor, self._vector)
        for place in self._places:
            z = builder.load(sums[place, 0])
            for part in range(1, self._parts):
                z = builder.fadd(z, builder.load(sums[place, part]))
            z = builder.fadd(z, self._load(self._row(b, INT(place[0])), place[1]))
            # no comparison with NaN is true: it stays
            results[place] = builder.select(builder.fcmp_ordered("<", z, lowest), lowest, z)
        whole = builder.icmp_signed(">=", units, INT((self._places[-1][1] + 1) * self._width))
        with builder.if_else(whole) as (all_units, some_units):
            with all_units:
                for (r, v), z in results.items():
                    self._store(z, self._row(out, INT(r)), v)
            with some_units:
                for (r, v), z in results.items():
                    self._store(z, self._row(out, INT(r)), v, units)
        builder.ret_void()

    def _row(self, matrix: tuple[Any, Any], index: Any) -> Any:
        """The address of a row of a matrix that is given by its address and its stride."""
        return self._builder.add(matrix[0], self._builder.mul(matrix[1], index))

    def _pointer(self, address: Any, kind: Any) -> Any:
        return self._builder.inttoptr(address, kind.as_pointer())

    def _place(self, row: Any, v: int) -> Any:
        """A pointer to the row's vector of number v."""
        return self._pointer(self._builder.add(row, INT(v * VECTOR_BYTES)), self._vector)

    def _load(self, row: Any, v: int) -> Any:
        return self._builder.load(self._place(row, v), align=self._itemsize)

    def _ask_for(self, row: Any, v: int) -> None:
        """Have the row's vector of number v brought near."""
        pointer = self._pointer(self._builder.add(row, INT(v * VECTOR_BYTES)), ir.IntType(8))
        kinds = [pointer.type, INT32, INT32, INT32]
        ask = self._declared("llvm.prefetch.p0", ir.VoidType(), kinds)
        self._builder.call(ask, [pointer, INT32(0), INT32(3), INT32(1)])  # to read, near, data

    def _store(self, z: Any, row: Any, v: int, units: Any = None) -> None:
        """Store a vector; with `units`, only the part that lies in the row's first `units`."""
        place = self._place(row, v)
        if units is None:
            self._builder.store(z, place, align=self._itemsize)
            return
        indices = ir.VectorType(INT, self._width)
        columns = ir.Constant(indices, [v * self._width + i for i in range(self._width)])
        there = self._builder.icmp_signed("<", columns, self._spread(units, indices))
        mask = ir.VectorType(ir.IntType(1), self._width)
        kinds = [self._vector, self._vector.as_pointer(), INT32, mask]
        store = self._of_vectors("masked.store", ir.VoidType(), kinds, ".p0")
        self._builder.call(store, [z, place, INT32(self._itemsize), there])

    def _spread(self, value: Any, kind: Any) -> Any:
        """A vector that holds the value everywhere."""
        undefined = ir.Constant(kind, ir.Undefined)
        first = self._builder.insert_element(undefined, value, INT32(0))
        everywhere = ir.Constant(ir.VectorType(INT32, self._width), [0] * self._width)
        return self._builder.shuffle_vector(first, undefined, everywhere)

    def _of_vectors(self, name: str, result: Any, arguments: list[Any], suffix: str = "") -> Any:
        """LLVM's operation of that name on vectors of this type."""
        kind = f"v{self._width}{self._number.intrinsic_name}"
        return self._declared(f"llvm.{name}.{kind}{suffix}", result, arguments)

    def _declared(self, name: str, result: Any, arguments: list[Any]) -> Any:
        known = self._module.globals.get(name)
        return known or ir.Function(self._module, ir.FunctionType(result, arguments), name)


def each_input(
    builder: Any,
    n_in: Any,
    turn: int,
    step: Callable[[Any, int], None],
    *,
    apart: bool,
) -> None:
    """Loops that call `step` for each input, with its index and its number in a turn of `turn`
    inputs: those of a turn are neighbours or, `apart`, as far from each other as they can be.
    """
    turns = builder.sdiv(n_in, INT(turn))
    even = builder.mul(turns, INT(turn))
    end, apiece, distance = (turns, 1, turns) if apart else (even, turn, INT(1))
    with cgutils.for_range_slice(builder, INT(0), end, INT(apiece), INT) as (i, _):
        for s in range(turn):
            step(builder.add(i, builder.mul(distance, INT(s))), s)
    with cgutils.for_range_slice(builder, even, n_in, INT(1), INT) as (i, _):
        step(i, 0)


@njit()
def _bend(z: Any, halves: bool) -> None:  # noqa: FBT001
    """Bend z to tanh(z), or to sigmoid(z) = (tanh(z/2) + 1) / 2, with nothing but + * /.

    tanh(x/2) = e / (e + 2) for e = exp(x) - 1, and tanh(-x) = -tanh(x). That e comes from the first
    terms of its series for x/64, six times doubled: exp(2y) - 1 = (exp(y) - 1) (exp(y) + 1). No
    table, no branch and no call: the compiler makes vectors of it, which it can't of a call to the
    library's tanh.
    """
    real = z.dtype.type
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    limit, small = real(40), real(1 / 64)  # tanh(20) is 1 to the last digit of a float64
    a2, a3, a4, a5, a6 = real(1 / 2), real(1 / 3), real(1 / 4), real(1 / 5), real(1 / 6)
    a7, a8, a9 = real(1 / 7), real(1 / 8), real(1 / 9)
    for i in range(len(z)):
        x = z[i] if halves else two * z[i]
        y = abs(x)
        y = (limit if y > limit else y) * small  # noqa: FURB136 - min loses NaN
        e = one
        for a in (a9, a8, a7, a6, a5, a4, a3, a2):
            e = y * a * e + one
        e *= y
        for _ in range(6):
            e *= e + two
        t = e / (e + two)
        t = -t if x < zero else t
        z[i] = half * t + half if halves else t


@njit()
def _tiling(batch: int) -> tuple[int, int, int]:
    """How many tiles the rows make, how many rows one has, and how many have not one less."""
    tiles = -(-batch // ROWS)
    height = -(-batch // tiles)
    return tiles, height, batch - tiles * (height - 1)


@njit()
def _copy(A_in: Any, copy: Any, part: Any, parts: int) -> None:
    """One thread's share of copying A_in: of each tile, the numbers of all its rows for one input,
    then for the next. `copy` has room for as many numbers, in one piece.
    """
    batch, n_in = A_in.shape
    tiles, height, tall = _tiling(batch)
    for tile in range(part * tiles // parts, (part + 1) * tiles // parts):
        row = tile * height - max(tile - tall, 0)
        rows = height if tile < tall else height - 1
        turned = copy[row * n_in : (row + rows) * n_in].reshape(n_in, rows)
        for first in range(0, n_in, LINE):
            for r in range(rows):
                for i in range(first, min(first + LINE, n_in)):
                    turned[i, r] = A_in[row + r, i]


@njit()
def _share(
    A_in: Any, copy: Any, W: Any, b: Any, floor: Any, curve: int, out: Any, blocks: Any, sums: Any,
    part: Any, parts: int,
) -> None:  # fmt: skip
    """One thread's share of the tiles, an equal number of them, in the order of kernels._blocking.

    W: (columns, n_in, 2 * lanes) and b: (columns * 2 * lanes,), a column being two panels. A_in and
    out are in C order; `copy` is A_in as `_copy` leaves it, or has no numbers. blocks: how many
    inputs and columns a block has, and at how many places one row reads W. sums: batch * columns
    * 2 * lanes numbers, for what comes of all blocks of inputs but the last; none for one block.
    """
    batch, n_in = A_in.shape
    n_units, itemsize = out.shape[1], out.itemsize
    columns, _, wide = W.shape
    lanes = wide // PANELS
    tiles, height, tall = _tiling(batch)
    way = COPIED if len(copy) else (APART if blocks[2] > 1 else PLAIN)
    A = copy.ctypes.data if way == COPIED else A_in.ctypes.data
    lowest = A_in.dtype.type(-np.inf)
    begin, end = part * columns * tiles // parts, (part + 1) * columns * tiles // parts
    for first in range(0, n_in, blocks[0]):
        inputs = min(blocks[0], n_in - first)
        last = first + inputs == n_in
        for left in range(begin // tiles, -(-end // tiles), blocks[1]):
            for tile in range(tiles):
                row = tile * height - max(tile - tall, 0)
                rows = height if tile < tall else height - 1
                A_row = A + (row * n_in + first * (rows if way == COPIED else 1)) * itemsize
                for column in range(left, min(left + blocks[1], columns)):
                    if not begin <= column * tiles + tile < end:
                        continue
                    unit = column * wide
                    units = min(wide, n_units - unit)
                    before = sums.ctypes.data + (row * columns * wide + unit) * itemsize
                    after = out.ctypes.data + (row * n_units + unit) * itemsize
                    _tile(  # type: ignore[call-arg]
                        rows, -(-units // lanes), way, inputs,
                        A_row, n_in * itemsize,
                        W.ctypes.data + column * W.strides[0] + first * W.strides[1], W.strides[1],
                        before if first else b.ctypes.data + unit * itemsize,
                        columns * wide * itemsize if first else 0,
                        floor if last else lowest,
                        after if last else before,
                        (n_units if last else columns * wide) * itemsize,
                        units if last else wide,
                    )  # fmt: skip
                    if curve and last:
                        for r in range(row, row + rows):
                            _bend(out[r, unit : unit + units], curve == SIGMOID)


def _alone(
    A_in: Any, copy: Any, W: Any, b: Any, floor: Any, curve: int, out: Any, blocks: Any, sums: Any,
    threads: int,
) -> None:  # fmt: skip
    """The whole layer on this thread."""
    if len(copy):
        _copy(A_in, copy, 0, 1)
    _share(A_in, copy, W, b, floor, curve, out, blocks, sums, 0, 1)


def _together(
    A_in: Any, copy: Any, W: Any, b: Any, floor: Any, curve: int, out: Any, blocks: Any, sums: Any,
    threads: int,
) -> None:  # fmt: skip
    """The whole layer on `threads` of Numba's threads, an equal share each."""
    # prange counts in unsigned numbers, which would be another function
    if len(copy) > LITTLE:
        for part in numba.prange(threads):
            _copy(A_in, copy, np.intp(part), threads)
    elif len(copy):
        _copy(A_in, copy, 0, 1)
    for part in numba.prange(threads):
        _share(A_in, copy, W, b, floor, curve, out, blocks, sums, np.intp(part), threads)


@cache
def compiled(dtype: str, shared: bool) -> Callable[..., None]:  # noqa: FBT001
    """The whole layer as machine code for float32 or float64, on one thread or on several."""
    number = getattr(types, dtype)
    A_in, out = types.Array(number, 2, "C", readonly=True), types.Array(number, 2, "C")
    W, vector = types.Array(number, 3, "C"), types.Array(number, 1, "C")
    whole = types.intp
    tuples: Any = types.UniTuple
    blocks = tuples(whole, 3)
    signature = types.void(A_in, vector, W, vector, number, whole, out, blocks, vector, whole)
    function: Callable[..., None] = njit(signature, parallel=shared)(
        _together if shared else _alone
    )
    return function
