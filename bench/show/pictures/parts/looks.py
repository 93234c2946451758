"""A kernel's looks, the same in every chart and run, and the themes' colours."""

import hashlib
from dataclasses import dataclass

READABLE = 4.5  # the least contrast of text, of WCAG 2
VISIBLE = 3.0  # the least of a line

Dash = tuple[float, ...]
"""Of a line, its dashes and gaps in turn, in widths of the line; nothing: an unbroken line."""


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, marker and dash: three ways to tell a line, for those who can't use the first."""

    colour: str
    marker: str
    dash: Dash


SOLID: Dash = ()
DOTTED, DASHED, LONG = (1, 1), (4, 1.5), (9, 2)
DASH_DOT, DASH_DOTS = (6, 1.5, 1, 1.5), (4, 1, 1, 1, 1, 1)

# Searched for among colours that can be seen on both papers, so that each two stay apart to usual
# eyes, under protanopia, deuteranopia and tritanopia, and in both themes. In grey print the first
# four differ in lightness; wherever two don't, their dashes do, and each has a marker of its own.
# tests/show/test_charts_colours.py computes all of it.
KNOWN = {
    "python_loop": Look("#CC3311", "circle", DOTTED),
    "numpy_dot": Look("#C88700", "square", DASHED),
    "numpy_matmul": Look("#0A4C90", "diamond", SOLID),
    "cupy_matmul": Look("#00916A", "triangle-up", DASH_DOT),
    "numba_loop": Look("#982828", "triangle-down", DOTTED),
    "numpy_einsum": Look("#1820F8", "cross", DASHED),
    "blas_gemm": Look("#9868F0", "plus", SOLID),
    "torch_linear": Look("#8808C0", "star", LONG),
    "jax_dense": Look("#B878B0", "pentagon", DOTTED),
    "numba_packed": Look("#909CF0", "hexagon", LONG),
    "cupy_fused": Look("#609840", "triangle-left", DASH_DOTS),
    "nvmath_fused": Look("#782848", "triangle-right", DASH_DOT),
}
_OTHERS = ("#CC79A7", "#44AA99", "#BB5566", "#4477AA", "#997700", "#994455", "#6699CC")
_MARKERS = ("thin-diamond", "octagon", "flat-hexagon")
# drawn beside jax_sharded (scaling.py), whose colour and marker its name would give it
_BESIDE = {"dask_matmul": Look("#BB5566", "thin-diamond", DOTTED)}
_DASHES: tuple[Dash, ...] = (SOLID, DOTTED, DASHED, LONG, DASH_DOT, DASH_DOTS)


def look(kernel: str) -> Look:
    """How a kernel looks in every chart, whichever others are there."""
    if (known := KNOWN.get(kernel) or _BESIDE.get(kernel)) is not None:
        return known
    colour, marker, dash, *_ = hashlib.sha256(kernel.encode()).digest()  # hash() is salted
    return Look(
        _OTHERS[colour % len(_OTHERS)],
        _MARKERS[marker % len(_MARKERS)],
        _DASHES[dash % len(_DASHES)],
    )


def contrast(one: str, two: str) -> float:
    """Of two colours, as WCAG 2 has it: 1 to 21."""
    dim, bright = sorted(_luminance(colour) for colour in (one, two))
    return (bright + 0.05) / (dim + 0.05)


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
        """A kernel's colour, for what is drawn on the paper."""
        return self._seen(kernel, self.lift, VISIBLE, self.paper)

    def tint(self, kernel: str) -> str:
        """A little of it, for a ground that words stand on."""
        return _mixed(self.paper, self.line(kernel), 0.15)

    def text(self, kernel: str, on: str = "") -> str:
        """A kernel's colour, for words on the paper or on another ground."""
        return self._seen(kernel, self.text_lift, READABLE, on or self.paper)

    def _seen(self, kernel: str, lift: float, least: float, ground: str) -> str:
        """Moved towards the ink until it stands out from the ground."""
        mixed = (_mixed(look(kernel).colour, self.ink, lift + n / 40) for n in range(40))
        return next(colour for colour in mixed if contrast(colour, ground) >= least)


def _rgb(colour: str) -> list[float]:
    """#RRGGBB -> red, green and blue from 0 to 1."""
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _rgb(colour)]
    return sum(part * c for part, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _mixed(one: str, two: str, part: float) -> str:
    """`part` of the second in the first."""
    pairs = zip(_rgb(one), _rgb(two), strict=True)
    return "#" + "".join(f"{round((a + (b - a) * min(part, 1.0)) * 255):02x}" for a, b in pairs)


THEMES = {
    "light": Theme("#FFFFFF", "#1A1A1A", "#595959", "#E3E3E3", 0.0, 0.2),
    "dark": Theme("#15181D", "#F2F2F2", "#B0B4BA", "#343A42", 0.2, 0.4),
}
