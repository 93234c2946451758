"""The activations g, each safe at any finite input: none overflows, none turns into NaN.

Two forms: on one Python float, for the loop; in place on an array, for everything with NumPy's
ufuncs (`xp` is numpy or cupy).
"""

import math
from collections.abc import Callable
from typing import Any


def _relu(z: float) -> float:
    return max(0.0, z)


def _sigmoid(z: float) -> float:
    # exp only ever sees a number <= 0, so it can't overflow
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    e = math.exp(z)
    return e / (1.0 + e)


SCALAR: dict[str, Callable[[float], float]] = {
    "linear": lambda z: z,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
}


def in_place(xp: Any, name: str) -> Callable[[Any], None]:
    """A function that turns the array z, of any shape, into g(z) where it stands."""

    def linear(z: Any) -> None:
        pass

    def relu(z: Any) -> None:
        xp.maximum(z, 0, out=z)

    def sigmoid(z: Any) -> None:
        # 1/(1+exp(-z)) would overflow; tanh saturates instead
        xp.multiply(z, 0.5, out=z)
        xp.tanh(z, out=z)
        xp.multiply(z, 0.5, out=z)
        xp.add(z, 0.5, out=z)

    def tanh(z: Any) -> None:
        xp.tanh(z, out=z)

    return {"linear": linear, "relu": relu, "sigmoid": sigmoid, "tanh": tanh}[name]
