"""A case's arrays -> what its outputs should be, in float64, and which of their numbers to look at.

Of most cases the whole answer is worked out, once for all kernels. What is compared of an output is

- all of it, up to COMPARED numbers;
- of larger ones the first and the last row and column, every 64th row and every 64th column, begun
  at a place that is drawn afresh for each output, and 4096 numbers drawn anywhere.

A tile of 64 x 64, wherever it lies, has one of these rows in it, or the last one where it is cut
off, and one such column: up to 128 of its numbers are looked at in each output of each visit. A
tile of zeros passes only where all of these are right by chance. With relu, whose answer is zero in
half of all places, that has the probability 2**-64 in a whole row of a tile; cut off at a corner,
where it is smaller, its last row and column are looked at whole, and a tile of k x k numbers passes
with 2**-(2k - 1) in one output, with the square of it in the two of each visit. So no more than one
run in a thousand misses a wrong tile of 64 x 64, and in fact none does. Of numbers that are wrong
here and there a share of at least 1/32 is looked at: 100 of them pass one output with a
probability of at most exp(-100 / 32) = 4 %, a visit's two with 0.2 %, the eight of four visits with
1e-11; where all is compared, none does.

A case of more than FULL_CHECK products is too large for that. Its rows and columns are drawn once a
run, and worked out alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.ipc.arrays import Arrays
from bench.judge.inputs import Columns, columns

FULL_CHECK = 2**35
"""Products (batch * n_in * n_units) up to which the whole answer is worked out: those of the
default sweep's largest case are half as many."""

MOST_KEPT = 2**23
"""Numbers of an output up to which its whole answer is kept."""

COMPARED = 2**17
"""Numbers of an output up to which all of them are compared."""

EVERY = 64
"""Of larger ones, every so many rows and columns are."""

POINTS = 4096
"""And so many numbers anywhere."""

BLOCK = 2**22
"""Numbers of W that are turned into float64 at a time."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the exact output's numbers before activation, and what bounds on them are made of.

    All arrays are float64, and have one shape with each other when broadcast.
    """

    index: tuple[Any, Any]  # which of the output's rows and columns these are
    sums: NDArray[np.float64]  # A_in @ W
    b: NDArray[np.float64]
    size: NDArray[np.float64]  # more than |A_in| @ |W|: what a worst-case error bound scales with
    deviation: NDArray[np.float64]  # the standard deviation of A_in @ W over inputs as this one

    @property
    def z(self) -> NDArray[np.float64]:
        """The output before activation, A_in @ W + b."""
        return self.sums + self.b


@dataclass(frozen=True, slots=True)
class Answer:
    """The exact A_in @ W of one input: the whole, or some rows and columns."""

    shape: tuple[int, int]
    columns: Columns
    scale: float  # the standard deviation of the input's numbers
    known: tuple[tuple[tuple[Any, Any], NDArray[np.float64]], ...]  # where, and A_in @ W there

    def parts(self, generator: np.random.Generator) -> list[Part]:
        """What an output is compared with, drawn afresh."""
        (_, sums), *others = self.known
        if others or sums.size <= COMPARED:
            return [self._part(*known) for known in self.known]
        batch, n_units = self.shape
        indices = [
            *lines(self.shape, generator),
            tuple(generator.integers(0, length, POINTS) for length in (batch, n_units)),
        ]
        return [self._part(index, sums[index]) for index in indices]

    def _part(self, index: tuple[Any, Any], sums: NDArray[np.float64]) -> Part:
        facts, units = self.columns, index[1]
        return Part(
            index,
            sums,
            facts.b[units],
            3**0.5 * self.scale * facts.size[units],  # no number is larger: they are uniform
            self.scale * facts.length[units],
        )


def lines(
    shape: tuple[int, int], generator: np.random.Generator
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Whole rows and whole columns, EVERY so many, ends included: two indices of an output."""
    rows, units = (
        np.unique([0, length - 1, *range(generator.integers(min(EVERY, length)), length, EVERY)])
        for length in shape
    )
    everything = slice(None)
    return (rows, everything), (everything, units)


def work_out(
    inputs: NDArray[Any],
    W: NDArray[Any],
    facts: Columns,
    scales: tuple[float, ...],
    generator: np.random.Generator,
) -> list[Answer]:
    """The answers to several inputs, (inputs, batch, n_in), in one pass over W."""
    count, batch, n_in = inputs.shape
    n_units = W.shape[1]
    shape = (batch, n_units)
    everything = slice(None)
    if batch * n_in * n_units <= FULL_CHECK and batch * n_units <= MOST_KEPT:
        wanted: tuple[tuple[Any, Any], ...] = ((everything, everything),)
    else:
        wanted = lines(shape, generator)
    known: list[list[Any]] = [[] for _ in range(count)]
    for rows, units in wanted:
        some = inputs[:, rows]
        sums = product(some.reshape(-1, n_in), W[:, units]).reshape(count, some.shape[1], -1)
        for number in range(count):
            known[number].append(((rows, units), sums[number]))
    return [
        Answer(shape, facts, scale, tuple(each)) for scale, each in zip(scales, known, strict=True)
    ]


def product(A: NDArray[Any], W: NDArray[Any]) -> NDArray[np.float64]:
    """A @ W in float64, with no more than two blocks of them in float64 at once."""
    n_in, n_units = W.shape
    out = np.empty((len(A), n_units))
    for some in _blocks(len(A), 4 * BLOCK // n_in):
        exact = A[some].astype(np.float64)
        for units in _blocks(n_units, BLOCK // n_in):
            np.matmul(exact, W[:, units].astype(np.float64), out=out[some, units])
    return out


def _blocks(length: int, step: int) -> Iterator[slice]:
    step = max(step, 1)
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def expected(arrays: Arrays) -> list[Part]:
    """What the output of arrays that are at hand is compared with: see `Answer.parts`."""
    generator = np.random.default_rng()
    facts = columns(arrays.W, arrays.b)
    scale = float(np.abs(arrays.A_in).max()) / 3**0.5  # that of uniform numbers, or a little less
    (answer,) = work_out(arrays.A_in[np.newaxis], arrays.W, facts, (scale,), generator)
    return answer.parts(generator)
