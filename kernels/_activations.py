"""The activations g that a layer may have. To add one, add a row to `ACTIVATIONS`: nothing else.

With the row, sweep files, `--activation` and the CSV files know its name, every answer is checked
against its reference, and all kernels that use the forms in this table compute it. A kernel that
writes g in a language of its own (CUDA C, Numba, JAX, ...) has its own table of what it can do, and
raises Unsupported for the rest until someone adds a line there.

Only the standard library is imported here, because `bench` reads this file to know the names before
NumPy is imported (bench/plan/activations.py). The functions are handed the array library, `xp`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, slots=True)
class Activation:
    """One g, element by element, in the three forms that are needed; `xp` is numpy or cupy.

    Each form must be safe at any finite z: none may overflow or turn into NaN. The reference should
    be another formula than the kernels' form, if g has two, so that a mistake in one is not made in
    both. How much g magnifies an error of z is worked out from the reference: no derivative is
    needed. |g(z)| may be at most about 1 + |z|, which the check's bounds take for granted.
    """

    of_float: Callable[[float], float]  # z -> g(z), for the loop in plain Python
    in_place: Callable[[Any, Any], None]  # (xp, z): array z becomes g(z), by functions of xp
    reference: Callable[[Any, Any], Any]  # (numpy, z) -> g(z), float64 arrays: the right answer


def _sigmoid_of_float(z: float) -> float:
    # exp only ever sees a number <= 0, so it can't overflow
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


def _sigmoid_in_place(xp: Any, z: Any) -> None:
    # 1/(1+exp(-z)) would overflow; tanh saturates instead
    xp.multiply(z, 0.5, out=z)
    xp.tanh(z, out=z)
    xp.multiply(z, 0.5, out=z)
    xp.add(z, 0.5, out=z)


def _sigmoid_reference(xp: Any, z: Any) -> Any:
    e = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, 1 / (1 + e), e / (1 + e))


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(
        of_float=lambda z: z,
        in_place=lambda xp, z: None,
        reference=lambda xp, z: z,
    ),
    "relu": Activation(
        of_float=lambda z: max(0.0, z),
        in_place=lambda xp, z: xp.maximum(z, 0, out=z),
        reference=lambda xp, z: xp.where(z < 0, 0.0, z),
    ),
    "sigmoid": Activation(_sigmoid_of_float, _sigmoid_in_place, _sigmoid_reference),
    "tanh": Activation(
        of_float=math.tanh,
        in_place=lambda xp, z: xp.tanh(z, out=z),
        reference=lambda xp, z: xp.tanh(z),
    ),
}


def in_place(xp: Any, name: str) -> Callable[[Any], None]:
    """A function that turns the array z, of any shape, into g(z) where it stands."""
    return partial(ACTIVATIONS[name].in_place, xp)
