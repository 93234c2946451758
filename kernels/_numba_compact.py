"""The compiled half of _compact: sums in float32 over weights of 16 or 8 bits that become
float32 in the vector registers, on their way from memory into a product. This file imports Numba.

A tile is `rows` examples times the units of two panels; a panel is as many units as a vector
register has float32 numbers, its weights one input after the other:

    sums[r, v, :] += A[i, r] * float32(W[i, panel v's units])      for r < rows, v < 2

As in _numba_tiles, registers and instructions are LLVM's choice, and the vectors are written down
in its language. How a weight becomes float32 (`_TileWriter._widened`):

- float16: one instruction for a whole vector, where the CPU has it (AVX-512, F16C, NEON); else
  shifted to where float32 has these bits, and multiplied by what its exponent lacks;
- bfloat16: shifted by 16 bits, for it is the upper half of a float32;
- int8: to 32 bits, and from whole numbers to float32. The scale of a unit multiplies its sum.

All of them are exact. Of A a copy is made in float32, in the order in which tiles read it. A tile's
sums go to a few lines of memory that stay in the nearest cache, and from there scaled, with bias
and activation, rounded once, into the output.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from kernels._numba import allowed_features, njit
from kernels._numba_tiles import (
    LITTLE,
    PANELS,
    ROWS,
    SIGMOID,
    VECTOR_BYTES,
    _bend,
    _tiling,
    each_input,
)

LANES = VECTOR_BYTES // 4
"""Units of a panel: float32 numbers of a vector."""

HELD: dict[str, np.dtype[Any]] = {
    "float16": np.dtype(np.int16),
    "bfloat16": np.dtype(np.uint16),
    "int8": np.dtype(np.int8),
}
"""The type that holds the bits of each kind of weights; by it compiled code knows the kind."""

BUSY = 8
"""Multiply-adds that a core has under way: two begin in each clock cycle, and one takes four."""

INT, INT32, FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()

VECTOR, WHOLE = ir.VectorType(FLOAT, LANES), ir.VectorType(INT32, LANES)


CONVERTS_FLOAT16 = not allowed_features().isdisjoint(("avx512f", "f16c", "neon"))
"""Whether this CPU has an instruction that makes a vector of float16 one of float32."""


@intrinsic
def _tile(
    _typing: Any, rows: Any, apart: Any, n_in: Any, A: Any, W: Any, column: Any, sums: Any
) -> Any:
    """One tile: sums = A @ W, for `rows` rows, PANELS panels and `n_in` inputs; a single row may
    have `apart` (0 or 1), and reads W at places that are far apart, as _memory has it.

    A, `column` and `sums` are addresses: of A's numbers for one input after the other, of that part
    of W, (n_in, PANELS * LANES), and of (rows, PANELS * LANES) numbers that are written. W is there
    for its type.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        after = builder.append_basic_block("after")
        rows, apart, n_in, A, _, column, sums = arguments
        choice = builder.switch(builder.sub(rows, apart), after)
        for height in range(ROWS + 1):  # 0: one row, apart
            block = builder.append_basic_block(f"tile_{height}")
            choice.add_case(INT(height), block)
            with builder.goto_block(block):
                writer = _TileWriter(builder.module, W.dtype, max(height, 1), apart=not height)
                builder.call(writer.function, [n_in, A, column, sums])
                builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(rows, apart, n_in, A, W, column, sums), generate


class _TileWriter:
    """Writes the function, in LLVM's language, that computes tiles of one height."""

    def __init__(self, module: Any, held: Any, height: int, *, apart: bool) -> None:
        self._module, self._held, self._height, self._apart = module, held, height, apart
        self._places = [(r, v) for r in range(height) for v in range(PANELS)]
        # few rows have few sums, so each is kept in parts, one input after the other
        self._parts = next(n for n in (1, 2, 4) if n * len(self._places) >= BUSY)
        name = f"compact_{held}_{height}{'_apart' * apart}"
        self.function = self._declared(name, ir.VoidType(), [INT] * 4)
        if self.function.is_declaration:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
            self._builder = ir.IRBuilder(self.function.append_basic_block("entry"))
            n_in, A, column, sums = self.function.args
            self._store(self._summed(n_in, A, column), sums)

    def _summed(self, n_in: Any, A: Any, column: Any) -> dict[Any, Any]:
        """The sums over all inputs, each in its parts: the whole work."""
        builder = self._builder
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        sums = {}
        for key in [(place, part) for place in self._places for part in range(self._parts)]:
            # LLVM makes registers of these: nobody else knows where they are
            sums[key] = builder.alloca(VECTOR)
            builder.store(zero, sums[key])
        multiply_add = self._declared(f"llvm.fmuladd.v{LANES}f32", VECTOR, [VECTOR] * 3)
        panel = LANES * self._held.bitwidth // 8

        def step(i: Any, part: int) -> None:
            row = builder.add(column, builder.mul(i, INT(PANELS * panel)))
            weights = [self._widened(builder.add(row, INT(v * panel))) for v in range(PANELS)]
            first = builder.add(A, builder.mul(i, INT(4 * self._height)))
            for r in range(self._height):
                number = builder.load(self._pointer(builder.add(first, INT(4 * r)), FLOAT))
                x = self._spread(number)
                for v in range(PANELS):
                    place = sums[(r, v), part]
                    added = builder.call(multiply_add, [x, weights[v], builder.load(place)])
                    builder.store(added, place)

        each_input(builder, n_in, self._parts, step, apart=self._apart)
        return sums

    def _widened(self, address: Any) -> Any:
        """The weights at an address as a vector of float32."""
        builder, width = self._builder, self._held.bitwidth
        bits = ir.VectorType(ir.IntType(width), LANES)
        stored = builder.load(self._pointer(address, bits), align=width // 8)
        if self._held == types.int8:
            return builder.sitofp(builder.sext(stored, WHOLE), VECTOR)
        if self._held == types.uint16:  # bfloat16
            upper = builder.shl(builder.zext(stored, WHOLE), self._whole(16))
            return builder.bitcast(upper, VECTOR)
        if CONVERTS_FLOAT16:
            halves = builder.bitcast(stored, ir.VectorType(ir.HalfType(), LANES))
            return builder.fpext(halves, VECTOR)
        # as `_from_float16` does it, number by number
        whole = builder.zext(stored, WHOLE)
        sign = builder.shl(builder.and_(whole, self._whole(0x8000)), self._whole(16))
        size = builder.shl(builder.and_(whole, self._whole(0x7FFF)), self._whole(13))
        lacking = ir.Constant(VECTOR, [LACKING] * LANES)
        number = builder.bitcast(builder.fmul(builder.bitcast(size, VECTOR), lacking), WHOLE)
        endless = builder.icmp_unsigned(">=", size, self._whole(int(ENDLESS)))
        number = builder.select(endless, builder.or_(size, self._whole(int(INFINITE))), number)
        return builder.bitcast(builder.or_(number, sign), VECTOR)

    def _store(self, sums: dict[Any, Any], where: Any) -> None:
        """Add up the parts, and store the sums."""
        builder = self._builder
        for r, v in self._places:
            z = builder.load(sums[(r, v), 0])
            for part in range(1, self._parts):
                z = builder.fadd(z, builder.load(sums[(r, v), part]))
            address = builder.add(where, INT((r * PANELS + v) * VECTOR_BYTES))
            builder.store(z, self._pointer(address, VECTOR), align=4)
        builder.ret_void()

    def _pointer(self, address: Any, kind: Any) -> Any:
        return self._builder.inttoptr(address, kind.as_pointer())

    def _spread(self, number: Any) -> Any:
        """A vector that holds the number everywhere."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = self._builder.insert_element(undefined, number, INT32(0))
        return self._builder.shuffle_vector(first, undefined, self._whole(0))

    def _whole(self, number: int) -> Any:
        return ir.Constant(WHOLE, [number] * LANES)

    def _declared(self, name: str, result: Any, arguments: list[Any]) -> Any:
        known = self._module.globals.get(name)
        return known or ir.Function(self._module, ir.FunctionType(result, arguments), name)


def _to_whole(_typing: Any, _number: Any) -> Any:
    return types.uint32(types.float32), lambda _c, b, _s, given: b.bitcast(given[0], INT32)


def _to_float(_typing: Any, _bits: Any) -> Any:
    return types.float32(types.uint32), lambda _c, b, _s, given: b.bitcast(given[0], FLOAT)


_bits: Any = intrinsic(_to_whole)
"""In compiled code, a float32 -> its bits as a whole number."""

_from_bits: Any = intrinsic(_to_float)
"""In compiled code, the bits of a float32 -> that."""


LACKING = 2.0**112
"""float32's exponent counts from 127, float16's from 15."""

ENDLESS, INFINITE = np.uint32(0x7C00 << 13), np.uint32(0x7F800000)
"""From here on float16 has infinities and NaN, where its bits have been moved to float32's place;
and where float32 has them."""

SIGN, ONE = np.uint32(0x8000), np.uint32(1)
UP, LOST = np.uint32(16), np.uint32(13)
"""How far a sign, or all of a bfloat16, is shifted; bits that float32 has and float16 has not."""


@njit()
def _from_float16(held: Any) -> Any:
    bits = np.uint32(held)
    size = (bits & np.uint32(0x7FFF)) << LOST
    number = _bits(_from_bits(size) * np.float32(LACKING))
    number = size | INFINITE if size >= ENDLESS else number
    return _from_bits(number | (bits & SIGN) << UP)


@njit()
def _to_float16(number: Any) -> Any:
    """The nearest one, of two the even one; NaN stays NaN."""
    bits = _bits(number)
    size = bits & np.uint32(0x7FFFFFFF)
    near = (size - np.uint32(112 << 23) + np.uint32(0xFFF) + (size >> LOST & ONE)) >> LOST
    # below 2**-14 its last bit stays 2**-24: the last one that float32 has of a number above a half
    tiny = _bits(_from_bits(size) + np.float32(0.5)) - np.uint32(126 << 23)
    near = tiny if size < np.uint32(113 << 23) else near
    near = np.uint32(0x7C00) if size >= np.uint32(143 << 23) else near
    near = np.uint32(0x7E00) if size > INFINITE else near
    return np.uint16(near | bits >> UP & SIGN)


@njit()
def _from_bfloat16(held: Any) -> Any:
    return _from_bits(np.uint32(held) << UP)


@njit()
def _to_bfloat16(number: Any) -> Any:
    """The nearest one, of two the even one; NaN stays NaN."""
    bits = _bits(number)
    near = (bits + np.uint32(0x7FFF) + (bits >> UP & ONE)) >> UP
    return np.uint16(np.uint32(0x7FC0) if bits & np.uint32(0x7FFFFFFF) > INFINITE else near)


@njit()
def _same(number: Any) -> Any:
    return number


def _read(held: Any) -> Any:
    """A number of A_in in float32."""


def _written(number: Any, out: Any) -> Any:
    """A float32 as the numbers of `out` are held."""


@overload(_read, strict=False)  # its annotations are not those of a lambda
def _read_of(held: Any) -> Any:
    reading = {types.int16: _from_float16, types.uint16: _from_bfloat16, types.float32: _same}
    read = reading[held]
    return lambda held: read(held)  # noqa: PLW0108 - Numba wants a function to compile


@overload(_written, strict=False)
def _written_of(number: Any, out: Any) -> Any:
    writing = {types.int16: _to_float16, types.uint16: _to_bfloat16, types.float32: _same}
    write = writing[out.dtype]
    return lambda number, out: write(number)


@njit()
def _copy(A_in: Any, copy: Any, part: Any, parts: int) -> None:
    """One thread's share of copying A_in: of each tile, the numbers of all its rows for one input,
    then for the next, in float32. `copy` has room for as many numbers, in one piece.
    """
    batch, n_in = A_in.shape
    tiles, height, tall = _tiling(batch)
    for tile in range(part * tiles // parts, (part + 1) * tiles // parts):
        row = tile * height - max(tile - tall, 0)
        rows = height if tile < tall else height - 1
        turned = copy[row * n_in : (row + rows) * n_in].reshape(n_in, rows)
        for first in range(0, n_in, LANES):
            for r in range(rows):
                for i in range(first, min(first + LANES, n_in)):
                    turned[i, r] = _read(A_in[row + r, i])


@njit()
def _share(
    A: Any, W: Any, scale: Any, b: Any, floor: Any, curve: int, out: Any, apart: int,
    part: Any, parts: int,
) -> None:  # fmt: skip
    """One thread's share of the tiles: all rows of two panels, then of the next two.

    So a core keeps two panels of W in its cache while A passes by. W: (columns, n_in, 2 * LANES),
    a column being two panels; `scale` and b: (n_units,). A is A_in as `_copy` leaves
    it, and out (batch, n_units) in C order. apart: 1 if one row reads W at places far apart, or 0.
    """
    batch, n_units = out.shape
    columns, n_in, wide = W.shape
    tiles, height, tall = _tiling(batch)
    sums = np.empty((ROWS, wide), np.float32)
    for item in range(part * columns * tiles // parts, (part + 1) * columns * tiles // parts):
        column, tile = item // tiles, item % tiles
        unit = column * wide
        units = min(wide, n_units - unit)
        row = tile * height - max(tile - tall, 0)
        rows = height if tile < tall else height - 1
        _tile(  # type: ignore[call-arg]
            rows, apart if rows == 1 else 0, n_in, A.ctypes.data + row * n_in * 4,
            W, W.ctypes.data + column * W.strides[0], sums.ctypes.data,
        )  # fmt: skip
        for r in range(rows):
            z = sums[r]
            for u in range(units):
                number = z[u] * scale[unit + u] + b[unit + u]
                z[u] = max(number, floor)  # no comparison with NaN is true
            if curve:
                _bend(z[:units], curve == SIGMOID)
            for u in range(units):
                out[row + r, unit + u] = _written(z[u], out)


def _alone(
    A_in: Any, copy: Any, W: Any, scale: Any, b: Any, floor: Any, curve: int, out: Any, apart: int,
    threads: int,
) -> None:  # fmt: skip
    """The whole layer on this thread."""
    _copy(A_in, copy, 0, 1)
    _share(copy, W, scale, b, floor, curve, out, apart, 0, 1)


def _together(
    A_in: Any, copy: Any, W: Any, scale: Any, b: Any, floor: Any, curve: int, out: Any, apart: int,
    threads: int,
) -> None:  # fmt: skip
    """The whole layer on `threads` of Numba's threads, an equal share each."""
    # prange counts in unsigned numbers, which would be another function
    if A_in.size <= LITTLE:
        _copy(A_in, copy, 0, 1)
    else:
        for part in numba.prange(threads):
            _copy(A_in, copy, np.intp(part), threads)
    for part in numba.prange(threads):
        _share(copy, W, scale, b, floor, curve, out, apart, np.intp(part), threads)


@cache
def compiled(precision: str, shared: bool) -> Callable[..., None]:  # noqa: FBT001
    """The whole layer as machine code for one kind of weights, on one thread or on several."""
    single, held = types.float32, getattr(types, HELD[precision].name)
    outside = single if precision == "int8" else held
    A_in, out = types.Array(outside, 2, "C", readonly=True), types.Array(outside, 2, "C")
    W, vector = types.Array(held, 3, "C"), types.Array(single, 1, "C")
    whole = types.intp
    signature = types.void(A_in, vector, W, vector, vector, single, whole, out, whole, whole)
    function: Callable[..., None] = njit(signature, parallel=shared)(
        _together if shared else _alone
    )
    return function
