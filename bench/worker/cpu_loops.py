"""Loops that do one thing only: multiply-adds in registers, reading, copying. Imports Numba.

They are written in the language of LLVM, Numba's compiler, as kernels._numba_tiles is: vectors and
multiply-adds are written down, so that no compiler has to find them. Numba's threads run them at
the same time, each on memory of its own, and each leaves whole numbers that say what was done.

    RAISE, RAISE_HALF   x = x * 1 + 1 in CHAINS vectors, of all or half of a register's bytes;
                        in bfloat16 and int8 x = 1 * 1 + 1 * 1 (+ 1 * 1 + 1 * 1) + x in 32 bits
    READ, READ_APART    sums of all 64-bit numbers of a piece of memory, or of PLACES pieces of it
                        that are far apart, at the same time
    COPY, COPY_PAST     a piece of memory to another place, by way of the caches or past them
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernels._memory import PLACES
from kernels._numba import njit
from kernels._numba_tiles import ROWS, VECTOR_BYTES

RAISE, RAISE_HALF, READ, READ_APART, COPY, COPY_PAST = range(6)

CHAINS = 2 * ROWS
"""Vectors that are raised at the same time: 24 where there are 32 registers, else 12, which beside
the two ones that it takes fit into 16. A multiply-add takes 4 or 5 cycles, and in each two begin,
on some ARM CPUs four."""

HALF = VECTOR_BYTES // 2 if VECTOR_BYTES > 16 else VECTOR_BYTES
"""Bytes of a shorter vector. Some CPUs lower their clock for the longest ones, and others have
fewer units for them."""

STREAM = 8
"""Vectors that are read or copied in a turn of the inner loop."""

UNIT = STREAM * VECTOR_BYTES
"""Pieces of memory are a multiple of so many bytes."""

WORD_BYTES = 8

INT, INT32, FLOAT = ir.IntType(64), ir.IntType(32), ir.FloatType()
WORDS = ir.VectorType(INT, VECTOR_BYTES // WORD_BYTES)

ONE: dict[str, Any] = {
    "float64": np.float64(1),
    "float32": np.float32(1),
    "float16": np.int16(0x3C00),
    "bfloat16": np.uint16(0x3F80),
    "int8": np.int8(1),
}
"""A 1 of each precision, in the type that holds its bits; by it compiled code knows which."""

NUMBERS = {types.float64: ir.DoubleType(), types.float32: FLOAT, types.int16: ir.HalfType()}
"""Precisions that have a multiply-add, which LLVM makes the CPU's own where it can."""

GROUPS = {
    types.uint16: ("llvm.x86.avx512bf16.dpbf16ps", FLOAT),
    types.int8: ("llvm.x86.avx512.vpdpbusd", INT32),
}
"""Those whose products are added up in 32 bits, as many as fit there, by an instruction of x86."""


@intrinsic
def _raise(_typing: Any, turns: Any, one: Any, half: Any, out: Any) -> Any:
    """Raise CHAINS vectors, which begin with zeros, `turns` times by 1; write them to `out`.

    `half` (1 or 0): vectors of HALF bytes. `one` is a 1 that the compiler doesn't know.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        turns, value, half, out = arguments
        with builder.if_else(builder.icmp_signed("!=", half, INT(0))) as (short, long):
            for branch, width in ((short, HALF), (long, VECTOR_BYTES)):
                with branch:
                    _raise_vectors(builder, one, width, turns, value, out)
        return context.get_dummy_value()

    return types.void(turns, one, half, out), generate


def _raise_vectors(builder: Any, one: Any, width: int, turns: Any, value: Any, out: Any) -> None:
    """`one`: the type of `value`, a key of NUMBERS or GROUPS."""
    if one in NUMBERS:
        number = factor = NUMBERS[one]
        lanes = 8 * width // one.bitwidth
        name = f"llvm.fmuladd.v{lanes}{number.intrinsic_name}"
        value = builder.bitcast(value, number)
    else:
        instruction, number = GROUPS[one]
        name, factor, lanes = f"{instruction}.{8 * width}", INT32, width // 4
        everywhere = (2**32 - 1) // (2**one.bitwidth - 1)
        value = builder.mul(builder.zext(value, INT32), INT32(everywhere))
    vector, factors = ir.VectorType(number, lanes), ir.VectorType(factor, lanes)
    undefined = ir.Constant(factors, ir.Undefined)
    first = builder.insert_element(undefined, value, INT32(0))
    ones = builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)
    )
    kind = ir.FunctionType(vector, [vector, factors, factors])
    multiply_add = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    chains = _variables(builder, vector, CHAINS)
    for chain in chains:
        builder.store(ir.Constant(vector, None), chain)
    with cgutils.for_range(builder, turns):
        for chain in chains:
            builder.store(builder.call(multiply_add, [builder.load(chain), ones, ones]), chain)
    for place, chain in enumerate(chains):
        target = _pointer(builder, out, place * width, vector)
        builder.store(builder.load(chain), target, align=1)


@intrinsic
def _read(_typing: Any, turns: Any, source: Any, apart: Any, size: Any, out: Any) -> Any:
    """Read `size` bytes `turns` times; write STREAM vectors of 64-bit sums to `out`. They are read
    in one piece or, unless `apart` is 0, in PLACES pieces so many bytes from each other.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        turns, source, apart, size, out = arguments
        sums = _variables(builder, WORDS, STREAM)
        for part in sums:
            builder.store(ir.Constant(WORDS, [0] * WORDS.count), part)
        with builder.if_else(builder.icmp_signed("==", apart, INT(0))) as (whole, pieces):
            for branch, places in ((whole, 1), (pieces, PLACES)):
                with branch, cgutils.for_range(builder, turns):
                    _add_up(builder, sums, source, apart, size, places)
        for vector, part in enumerate(sums):
            target = _pointer(builder, out, vector * VECTOR_BYTES, WORDS)
            builder.store(builder.load(part), target, align=1)
        return context.get_dummy_value()

    return types.void(turns, source, apart, size, out), generate


def _add_up(
    builder: Any, sums: Sequence[Any], source: Any, apart: Any, size: Any, places: int
) -> None:
    """Add `size` bytes to the sums, a UNIT of as many places in a turn."""
    each = builder.sdiv(size, INT(places))
    with cgutils.for_range_slice(builder, INT(0), each, INT(UNIT // places), INT) as (at, _):
        for vector, part in enumerate(sums):
            place, number = divmod(vector, STREAM // places)
            first = builder.add(source, builder.mul(apart, INT(place)))
            word = _load(builder, builder.add(first, at), number)
            builder.store(builder.add(builder.load(part), word), part)


@intrinsic
def _copy(_typing: Any, turns: Any, source: Any, target: Any, size: Any, past: Any) -> Any:
    """Copy `size` bytes `turns` times; with `past` (1 or 0) the target isn't put into a cache."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        turns, source, target, size, past = arguments
        with builder.if_else(builder.icmp_signed("!=", past, INT(0))) as (beyond, by_way):
            for branch, hint in ((beyond, True), (by_way, False)):
                with branch, cgutils.for_range(builder, turns), _pieces(builder, size) as at:
                    words = [_load(builder, builder.add(source, at), v) for v in range(STREAM)]
                    for v, word in enumerate(words):
                        stored = _store(builder, word, builder.add(target, at), v)
                        if hint:
                            mark = builder.module.add_metadata([INT32(1)])
                            stored.set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.void(turns, source, target, size, past), generate


def _variables(builder: Any, kind: Any, count: int) -> list[Any]:
    """Variables that LLVM makes registers of: nobody else knows where they are."""
    with builder.goto_entry_block():
        return [builder.alloca(kind) for _ in range(count)]


@contextmanager
def _pieces(builder: Any, size: Any) -> Iterator[Any]:
    """A loop over the places of a piece's UNITs."""
    with cgutils.for_range_slice(builder, INT(0), size, INT(UNIT), INT) as (at, _):
        yield at


def _pointer(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    return builder.inttoptr(builder.add(address, INT(offset)), kind.as_pointer())


def _load(builder: Any, address: Any, vector: int) -> Any:
    place = _pointer(builder, address, vector * VECTOR_BYTES, WORDS)
    return builder.load(place, align=VECTOR_BYTES)


def _store(builder: Any, words: Any, address: Any, vector: int) -> Any:
    place = _pointer(builder, address, vector * VECTOR_BYTES, WORDS)
    return builder.store(words, place, align=VECTOR_BYTES)


@intrinsic
def _now(_typing: Any) -> Any:
    """The clock of time.perf_counter, in nanoseconds."""

    def generate(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        kind = ir.FunctionType(INT32, [INT32, INT.as_pointer()])
        name = "clock_gettime"
        ask = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        (now,) = _variables(builder, ir.ArrayType(INT, 2), 1)  # seconds, nanoseconds
        first = builder.bitcast(now, INT.as_pointer())
        builder.call(ask, [INT32(time.CLOCK_MONOTONIC), first])
        seconds, rest = builder.load(first), builder.load(builder.gep(first, [INT(1)]))
        return builder.add(builder.mul(seconds, INT(10**9)), rest)

    return types.int64(), generate


def _together(
    what: int, turns: int, source: Any, target: Any, size: int, step: int, one: Any, out: Any,
    stamps: Any,
) -> None:  # fmt: skip
    """Each thread does it in chunks of so many turns, and notes the time before and after each.

    source, target: addresses, one a thread, of `size` bytes; each chunk goes on `step` bytes
    behind the one before. To read apart, target is the second of the PLACES. out: a row a thread,
    as `results` makes it. stamps: (threads, chunks + 1) nanoseconds.
    """
    for part in numba.prange(len(source)):
        row = out[part].ctypes.data
        stamps[part, 0] = _now()  # type: ignore[call-arg]
        for chunk in range(stamps.shape[1] - 1):
            at = chunk * step
            if what <= RAISE_HALF:
                _raise(turns, one, what, row)
            elif what == READ:
                _read(turns, source[part] + at, 0, size, row)
            elif what == READ_APART:
                _read(turns, source[part] + at // PLACES, target[part] - source[part], size, row)
            else:
                _copy(turns, source[part] + at, target[part] + at, size, what - COPY)
            stamps[part, chunk + 1] = _now()


def results(threads: int) -> NDArray[Any]:
    """Room for what each thread leaves: its vectors, as bytes."""
    return np.zeros((threads, CHAINS * VECTOR_BYTES), np.uint8)


@cache
def compiled(precision: str) -> Callable[..., None]:
    """The loops as machine code for all of Numba's threads: a key of ONE, which the CPU must have
    an instruction for.
    """
    number, address = numba.from_dtype(ONE[precision].dtype), types.Array(types.intp, 1, "C")
    out, stamps = types.Array(types.uint8, 2, "C"), types.Array(types.int64, 2, "C")
    whole = types.intp
    signature = types.void(whole, whole, address, address, whole, whole, number, out, stamps)
    function: Callable[..., None] = njit(signature, parallel=True)(_together)
    return function


def numbers(what: int, itemsize: int) -> int:
    """How many multiply-adds a turn of RAISE or RAISE_HALF does, of numbers of that size."""
    return CHAINS * (HALF if what == RAISE_HALF else VECTOR_BYTES) // itemsize


def addresses(places: Sequence[int]) -> NDArray[Any]:
    """Where each thread's piece of memory begins, as the loops take it."""
    return np.array(places, np.intp)
