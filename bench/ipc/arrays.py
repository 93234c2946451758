"""A case's arrays as processes share them: the layer in one file, its inputs in another.

Each visit has three inputs, drawn independently, so that none follows from another:

    strong   of the first launch: 16 times as large as `plain`, which lifts the errors of the sums
             above those of the result, and a flat activation hides those
    plain    what is measured
    loud     of a launch once that is done: so large that exp(z) overflows where it is not written
             with care, and that no bias decides alone
"""

import mmap
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.plan.case import Case

Input = Literal["plain", "strong", "loud"]

INPUTS: tuple[Input, ...] = get_args(Input)

Floating = type[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Arrays:
    """A_in (batch, n_in), W (n_in, n_units), b (1, n_units), in the dtype for the precision."""

    A_in: NDArray[Any]
    W: NDArray[Any]
    b: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Shared:
    """W (n_in, n_units), b (1, n_units) and each of INPUTS (batch, n_in), in shared memory."""

    W: NDArray[Any]
    b: NDArray[Any]
    inputs: NDArray[Any]  # (len(INPUTS), batch, n_in)

    def input(self, name: Input) -> NDArray[Any]:
        """One of the inputs, (batch, n_in)."""
        values: NDArray[Any] = self.inputs[INPUTS.index(name)]
        return values


def layer_shapes(case: Case) -> tuple[tuple[int, ...], ...]:
    """The shapes of the arrays in a layer's file, in its order: W and b."""
    return (case.n_in, case.n_units), (1, case.n_units)


def input_shape(case: Case) -> tuple[int, ...]:
    """The shape of all inputs of a case together."""
    return len(INPUTS), case.batch, case.n_in


def bytes_of(dtype: Floating, *shapes: tuple[int, ...]) -> int:
    """Bytes of a file with arrays of these shapes."""
    return sum(int(np.prod(shape, dtype=object)) for shape in shapes) * np.dtype(dtype).itemsize


def mapped(
    descriptor: int, dtype: Floating, *shapes: tuple[int, ...], writable: bool = False
) -> tuple[NDArray[Any], ...]:
    """The arrays of a shared file, one after another. The descriptor may be closed afterwards."""
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    memory = mmap.mmap(descriptor, bytes_of(dtype, *shapes), access=access)
    flat = np.frombuffer(memory, dtype)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return tuple(
        values.reshape(shape)
        for values, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)
    )


def shared(layer: int, inputs: int, case: Case, dtype: Floating) -> Shared:
    """A case's arrays, for reading alone."""
    return Shared(
        *mapped(layer, dtype, *layer_shapes(case)), *mapped(inputs, dtype, input_shape(case))
    )
