"""A kernel's looks, the same in every chart and run, and the themes' colours."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.colors import to_hex, to_rgb

READABLE = 4.5  # the least contrast of text

Dash = Literal["solid"] | tuple[int, tuple[int, ...]]
_DASHES: tuple[Dash, ...] = ("solid", (0, (5, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, marker and dash: three ways to tell a line, for those who can't use the first."""

    colour: str
    marker: str
    dash: Dash


# From the palettes of Okabe & Ito and of Tol. The kernels that most runs have come first: they stay
# apart under protanopia, deuteranopia and tritanopia (tests/test_charts.py computes it).
_LOOKS = {
    "python_loop": Look("#CC3311", "o", "solid"),
    "numpy_dot": Look("#E69F00", "s", "solid"),
    "numpy_matmul": Look("#0072B2", "D", "solid"),
    "cupy_matmul": Look("#009E73", "^", "solid"),
    "numba_loop": Look("#882255", "o", (0, (5, 2))),
    "numpy_einsum": Look("#56B4E9", "v", (0, (5, 2))),
    "blas_gemm": Look("#332288", "P", (0, (1, 1))),
    "torch_linear": Look("#EE3377", "X", (0, (6, 2, 1, 2))),
    "jax_dense": Look("#AA4499", "p", (0, (6, 2, 1, 2))),
    "cupy_fused": Look("#117733", "<", (0, (5, 2))),
    "nvmath_fused": Look("#999933", ">", (0, (1, 1))),
}
_OTHERS = ("#CC79A7", "#44AA99", "#BB5566", "#4477AA", "#997700", "#994455", "#6699CC")
_MARKERS = ("h", "d", "*", "8", "H", "p", "v", "s")


def look(kernel: str) -> Look:
    """How a kernel looks in every chart, whichever others are there."""
    if kernel in _LOOKS:
        return _LOOKS[kernel]
    colour, marker, dash, *_ = hashlib.sha256(kernel.encode()).digest()  # hash() is salted
    return Look(
        _OTHERS[colour % len(_OTHERS)],
        _MARKERS[marker % len(_MARKERS)],
        _DASHES[dash % len(_DASHES)],
    )


def contrast(one: str, two: str) -> float:
    """Of two colours, as WCAG 2 has it: 1 to 21."""
    rgb = np.array([to_rgb(one), to_rgb(two)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    dim, bright = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((bright + 0.05) / (dim + 0.05))


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours that are not a kernel's."""

    paper: str
    ink: str
    muted: str
    grid: str
    lift: float  # how far a kernel's colour moves towards the ink
    text_lift: float  # the same for text, which needs more contrast than a line

    def line(self, kernel: str) -> str:
        return self._mixed(kernel, self.lift)

    def text(self, kernel: str) -> str:
        """Moved on towards the ink until it can be read on the paper."""
        parts = (self.text_lift + step / 20 for step in range(20))
        mixed = (self._mixed(kernel, min(part, 1.0)) for part in parts)
        return next(colour for colour in mixed if contrast(colour, self.paper) >= READABLE)

    def _mixed(self, kernel: str, part: float) -> str:
        own, ink = np.array(to_rgb(look(kernel).colour)), np.array(to_rgb(self.ink))
        return to_hex(own + (ink - own) * part)


THEMES = {
    "light": Theme("#FFFFFF", "#1A1A1A", "#595959", "#E3E3E3", 0.0, 0.3),
    "dark": Theme("#15181D", "#F2F2F2", "#B0B4BA", "#343A42", 0.25, 0.45),
}
