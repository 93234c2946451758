"""Case and seed -> the arrays. The same seed gives the same bits on every machine."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.ipc.arrays import INPUTS, Arrays, Floating, Input
from bench.plan import weights
from bench.plan.case import Case, Weights
from bench.plan.weights import Numbers

MOST = 127
"""The largest whole number that int8 has with either sign."""

BLOCK = 2**15
"""Numbers that are drawn at a time: what it takes stays in a cache, and needs no room."""

STRONG = 16.0
LOUD = {"float64": 2048.0}
LOUD_ELSE = 256.0
"""How much larger than `plain` the other inputs are (bench.ipc.arrays), where the dtype has room.
Sums are of order 1 for `plain`; exp overflows at 89 in float32 and at 710 in float64."""

OVER_BIAS = 4.0
"""The sums of `loud` are at least so many times as large as the bias in the middle."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What bounds on a layer's errors are made of, in float64, each (n_units,)."""

    b: NDArray[np.float64]
    size: NDArray[np.float64]  # sum of |W| over each column
    length: NDArray[np.float64]  # square root of the sum of W**2


def draw(case: Case, seed: int, dtype: Floating, own: Numbers | None = None) -> Arrays:
    """A layer and its plain input, for those who need no process for it."""
    W = np.empty((case.n_in, case.n_units), dtype)
    b = np.empty((1, case.n_units), dtype)
    if own is None:
        draw_layer(W, b, case, seed)
    else:
        W, b = own.W, own.b
    A_in = np.empty((case.batch, case.n_in), dtype)
    scale = 1.0 if own is None else fitting(columns(W, b), dtype)
    draw_input(A_in, case, scale, (seed, 1, case.n_in, case.batch))
    return Arrays(A_in, W, b)


def draw_layer(W: NDArray[Any], b: NDArray[Any], case: Case, seed: int) -> None:
    """Fill in the layer: uniform, mean 0, W with variance 1/n_in and b with variance 1/4.

    With an input of variance 1 outputs are of order 1 at every width, and b is not zero.
    """
    _fill(W, case, 1 / math.sqrt(case.n_in), 1.0, (seed, 2, case.n_in, case.n_units))
    if case.precision == "int8":
        _to_int8(W)
    _fill(b, case, 0.5, 1.0, (seed, 3, case.n_units))


def load_layer(W: NDArray[Any], b: NDArray[Any], case: Case, own: Weights) -> None:
    """Fill in a layer's own numbers, rounded to those that its precision has. Raises BadInput."""
    weights.load(own, case, W.dtype.type, into=Numbers(W, b))
    if case.precision == "bfloat16":
        for array in (W, b):
            for row in array:
                row[...] = _to_bfloat16(row)
    if case.precision == "int8":
        _to_int8(W)


def draw_input(A_in: NDArray[Any], case: Case, scale: float, seed: tuple[int, ...]) -> None:
    """Fill in an input: uniform, mean 0, with the standard deviation `scale`, a power of two."""
    _fill(A_in, case, 1.0, scale, seed)


def columns(W: NDArray[Any], b: NDArray[Any]) -> Columns:
    """Facts of W's columns, a few rows at a time: W may be most of the memory."""
    n_in, n_units = W.shape
    size, squares = np.zeros(n_units), np.zeros(n_units)
    rows = max(BLOCK // n_units, 1)
    for start in range(0, n_in, rows):
        some = np.abs(W[start : start + rows].astype(np.float64))
        size += some.sum(axis=0)
        squares += np.square(some, out=some).sum(axis=0)
    return Columns(b[0].astype(np.float64), size, np.sqrt(squares))


def fitting(facts: Columns, dtype: Floating) -> float:
    """The power of two that makes A_in @ W of order 1; not so large that A_in leaves the dtype.

    For a layer's own W and b, which are taken as they are: the check knows errors beside numbers of
    that order, and a sigmoid shows none where it is flat.
    """
    largest = float(facts.length.max())
    sums = math.log2(largest) + math.log2(float(np.mean((facts.length / largest) ** 2))) / 2
    end = int(np.finfo(dtype).maxexp)
    return 2.0 ** min(max(-round(sums), -end), end - 6)


def scales(facts: Columns, scale: float, precision: str, dtype: Floating) -> dict[Input, float]:
    """The standard deviation of each of INPUTS; all finite, as the outputs for them are."""
    largest = float(np.finfo(dtype).max)
    # of order 1 are the sums in the middle; 8 times its deviation none exceeds
    sums = 8 * scale * float(facts.length.max())
    room = min((largest - float(np.abs(facts.b).max())) / sums, largest / (4 * scale))
    bias = OVER_BIAS * float(np.median(np.abs(facts.b)))
    loud = max(LOUD.get(precision, LOUD_ELSE), bias, 1.0)
    return {
        name: scale * 2.0 ** math.floor(math.log2(max(min(factor, room), 1.0)))
        for name, factor in zip(INPUTS, (1.0, STRONG, loud), strict=True)
    }


def _fill(
    array: NDArray[Any], case: Case, deviation: float, scale: float, seed: tuple[int, ...]
) -> None:
    # raw bits, and operations that IEEE 754 fixes to the bit: NumPy promises a stable stream for
    # raw PCG64 output but not for its distributions, and a power is the C library's own affair
    flat, bits = array.reshape(-1), np.random.PCG64(seed)
    assert np.shares_memory(flat, array)
    for start in range(0, flat.size, BLOCK):
        raw = bits.random_raw(min(BLOCK, flat.size - start))
        unit = (raw >> np.uint64(11)).astype(np.float64)
        unit *= 2.0**-52
        unit -= 1.0
        unit *= deviation * math.sqrt(3)
        unit *= scale
        if case.precision == "bfloat16":
            unit = _to_bfloat16(unit)
        flat[start : start + len(unit)] = unit


def _to_int8(W: NDArray[Any]) -> None:
    """Round W to what 8 bits can hold, in place: in each unit whole numbers from -127 to 127 times
    a scale that makes its largest weight one of the two (symmetric quantisation).

    The scale is a number that bfloat16 has, so its 8 digits times the 7 of a whole number are exact
    in float32: a kernel finds scale and numbers again (`kernels._int8`), and the answer to these
    weights is as sharp as any. Weights of a unit that is too small for a normal scale become zeros.
    """
    rows = max(BLOCK // W.shape[1], 1)
    blocks = [W[start : start + rows] for start in range(0, len(W), rows)]
    largest = np.max([np.abs(block).max(axis=0) for block in blocks], axis=0)
    scale = _to_bfloat16(largest / np.float32(MOST)).astype(W.dtype)
    scale[scale < np.finfo(W.dtype).tiny] = np.inf  # all of its weights over it are 0
    for block in blocks:
        np.rint(block / scale, out=block)
        np.multiply(block, scale, out=block, where=block != 0)


def _to_bfloat16(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rounded to the nearest number that bfloat16 has (the upper 16 bits of a float32)."""
    bits = values.astype(np.float32).view(np.uint32)
    bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )
    return bits.view(np.float32).astype(np.float64)
