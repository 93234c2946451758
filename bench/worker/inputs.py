"""Case and seed -> the arrays, and what the layer's answer should be, in float64."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.plan.case import Case
from bench.plan.weights import Numbers

FULL_CHECK = 2**26
"""Products (batch * n_in * n_units) up to which every output is checked; above it, samples are."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """A_in (batch, n_in), W (n_in, n_units), b (1, n_units), in the dtype for the precision."""

    A_in: NDArray[Any]
    W: NDArray[Any]
    b: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Some whole rows or columns of the exact output before activation, in float64.

    Its arrays have one shape, but for b, which has one row.
    """

    index: tuple[Any, Any]  # which of the output's rows and columns these are
    sums: NDArray[np.float64]  # A_in @ W
    size: NDArray[np.float64]  # |A_in| @ |W|
    deviation: NDArray[np.float64]  # sqrt(A_in**2 @ W**2): what a typical error scales with
    b: NDArray[np.float64]

    @property
    def z(self) -> NDArray[np.float64]:
        """The output before activation, A_in @ W + b."""
        return self.sums + self.b

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """|A_in| @ |W| + |b|: what a worst-case error bound scales with."""
        return self.size + np.abs(self.b)

    def scaled(self, factor: float) -> "Part":
        """The same for `factor` times the input; exact where the factor is a power of two."""
        return Part(
            self.index,
            factor * self.sums,
            abs(factor) * self.size,
            abs(factor) * self.deviation,
            self.b,
        )


def draw(
    case: Case, seed: int, dtype: type[np.floating[Any]], own: Numbers | None = None
) -> Arrays:
    """The case's arrays. The same seed gives the same bits on every machine.

    Uniform, mean 0; A_in has variance 1 and W variance 1/n_in, so that outputs are of order 1 at
    every width; b has variance 1/4 and is not zero. A layer's `own` W and b are taken as they are,
    and A_in by a power of two larger or smaller, so that A_in @ W is of order 1 all the same: the
    check knows errors beside numbers of that order, and a sigmoid shows none where it is flat.
    """
    A_in = _uniform((case.batch, case.n_in), 1.0, (seed, 1, case.n_in, case.batch))
    if own is None:
        W = _uniform(
            (case.n_in, case.n_units), 1 / math.sqrt(case.n_in), (seed, 2, case.n_in, case.n_units)
        )
        b = _uniform((1, case.n_units), 0.5, (seed, 3, case.n_units))
    else:
        W, b = own.W, own.b
        A_in *= _fitting(W, dtype)
    if case.precision == "bfloat16":
        A_in, W, b = _to_bfloat16(A_in), _to_bfloat16(W), _to_bfloat16(b)
    return Arrays(*(array.astype(dtype, copy=False) for array in (A_in, W, b)))


def _fitting(W: NDArray[Any], dtype: type[np.floating[Any]]) -> float:
    """The power of two that makes A_in @ W of order 1; not so large that A_in leaves the dtype."""
    largest = max(float(W.max()), -float(W.min()))
    squares = 0.0
    for row in W:  # not all at once in float64: W may be most of the memory
        relative = row.astype(np.float64) / largest  # its squares can't overflow
        squares += float(relative @ relative)
    sums = math.log2(largest) + math.log2(squares / W.shape[1]) / 2
    end = int(np.finfo(dtype).maxexp)
    return 2.0 ** min(max(-round(sums), -end), end - 6)  # honesty's other input is 16 times it


def _uniform(
    shape: tuple[int, int], deviation: float, seed: tuple[int, ...]
) -> NDArray[np.float64]:
    # raw bits, and operations that IEEE 754 fixes to the bit: NumPy promises a stable stream for
    # raw PCG64 output but not for its distributions, and a power is the C library's own affair
    raw = np.random.PCG64(seed).random_raw(shape[0] * shape[1])
    unit = (raw >> np.uint64(11)).astype(np.float64)
    unit *= 2.0**-52
    unit -= 1.0
    unit *= deviation * math.sqrt(3)
    return unit.reshape(shape)


def _to_bfloat16(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to the nearest number that bfloat16 has (the upper 16 bits of a float32)."""
    bits = values.astype(np.float32).view(np.uint32)
    bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return bits.view(np.float32).astype(np.float64)


def expected(arrays: Arrays, seed: int) -> list[Part]:
    """The exact output: all of it where that is cheap, else the first, the last and two random rows
    and columns.
    """
    batch, n_in = arrays.A_in.shape
    n_units = arrays.W.shape[1]
    everything = slice(None)
    if batch * n_in * n_units <= FULL_CHECK:
        return [_part(arrays, everything, everything)]
    generator = np.random.Generator(np.random.PCG64(seed))
    rows = np.unique([0, batch - 1, *generator.integers(0, batch, 2)])
    columns = np.unique([0, n_units - 1, *generator.integers(0, n_units, 2)])
    return [_part(arrays, rows, everything), _part(arrays, everything, columns)]


def _part(arrays: Arrays, rows: Any, columns: Any) -> Part:
    A = arrays.A_in[rows].astype(np.float64)
    W = arrays.W[:, columns].astype(np.float64)
    return Part(
        index=(rows, columns),
        sums=A @ W,
        size=np.abs(A) @ np.abs(W),
        deviation=np.sqrt(A**2 @ W**2),
        b=arrays.b[:, columns].astype(np.float64),
    )


def differing(mine: Arrays, theirs: Arrays) -> tuple[str, ...]:
    """The names of the arrays that are not the same to the bit."""
    return tuple(
        name
        for name in Arrays.__dataclass_fields__
        if not np.array_equal(_bits(getattr(mine, name)), _bits(getattr(theirs, name)))
    )


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """The array's bits as whole numbers: 0.0 and -0.0 differ there, and NaN equals itself."""
    return array.view(f"u{array.itemsize}")


def aligned_copy(array: NDArray[Any], offset: int) -> NDArray[Any]:
    """A C-ordered copy whose data begins `offset` cache lines of 64 bytes into a page.

    Where the data lies moves times by several percent, so each visit gets another place.
    """
    page = 4096
    raw = np.empty(array.nbytes + 2 * page, np.uint8)
    start = -raw.ctypes.data % page + 64 * (offset % (page // 64))
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
