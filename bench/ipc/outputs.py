"""A visit's outputs on their way to the judge: each has its place in one shared file.

The worker writes them with one copy, outside of the clock; the judge reads them into memory of its
own, so that what it looks at can't change any more.
"""

import os
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.ipc.arrays import Floating, Input

Label = Literal["first", "last", "other"]

LABELS: tuple[Label, ...] = get_args(Label)

INPUT_OF: dict[Label, Input] = {"first": "strong", "last": "plain", "other": "loud"}
"""Which input each of them is the answer to."""


class Wrong(Exception):
    """The output is not the layer's: says what it is, what it should be and where."""


def refuse_unfit(output: object, shape: tuple[int, int], dtype: Floating) -> None:
    """Raise Wrong unless the output is a plain array of this shape and dtype.

    One of a subclass may be something else to whoever reads it: a masked array has other numbers
    than it shows, a proxy none until it is asked.
    """
    if type(output) is np.ndarray and output.shape == shape and output.dtype == dtype:
        return
    kind = type(output)
    got = f"a {kind.__qualname__}"
    if isinstance(output, np.ndarray):
        got = "" if kind is np.ndarray else f"{got} of "
        got += f"{output.dtype} {output.shape}"
    plain = "" if kind is np.ndarray else "a plain numpy.ndarray of "
    raise Wrong(f"the output is {got}, should be {plain}{np.dtype(dtype)} {shape}")


def write(descriptor: int, label: Label, output: NDArray[Any]) -> None:
    """Put an output in its place. Raises MemoryError where there is no room."""
    data = np.ascontiguousarray(output).reshape(-1).view(np.uint8).data
    position = LABELS.index(label) * len(data)
    try:
        while data:
            done = os.pwrite(descriptor, data, position)
            data, position = data[done:], position + done
    except OSError as error:
        raise MemoryError(f"no room for an output: {error.strerror}") from error


def read(descriptor: int, label: Label, shape: tuple[int, int], dtype: Floating) -> NDArray[Any]:
    """A copy of the output in its place. Raises Wrong where none is there."""
    output = np.empty(shape, dtype)
    data = output.reshape(-1).view(np.uint8).data
    position = LABELS.index(label) * len(data)
    while data:
        done = os.preadv(descriptor, [data], position)
        if not done:
            raise Wrong(f"its {label} output was not handed over")
        data, position = data[done:], position + done
    return output
