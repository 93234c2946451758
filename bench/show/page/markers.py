"""Kernels' markers as SVG paths within -1 to 1: for Vega's points and for keys beside charts."""

import math
from collections.abc import Sequence

_CIRCLE = "M-0.9,0A0.9,0.9,0,1,1,0.9,0A0.9,0.9,0,1,1,-0.9,0Z"
_PLUS = "M-1,-.3H-.3V-1H.3V-.3H1V.3H.3V1H-.3V.3H-1Z"
_CROSS = "M-1,-.55L-.55,-1L0,-.45L.55,-1L1,-.55L.45,0L1,.55L.55,1L0,.45L-.55,1L-1,.55L-.45,0Z"


def _polygon(corners: int, turn: float = 0.0, radii: Sequence[float] = (1.0,)) -> str:
    """A figure with its first corner at the top, turned clockwise by so many degrees; each corner
    is as far out as the next of the radii says.
    """
    angles = [math.radians(turn + 360 * corner / corners) for corner in range(corners)]
    places = [
        (radii[i % len(radii)] * math.sin(a), -radii[i % len(radii)] * math.cos(a))
        for i, a in enumerate(angles)
    ]
    return "M" + "L".join(f"{x:.3g},{y:.3g}" for x, y in places) + "Z"


PATHS = {
    "circle": _CIRCLE,
    "square": _polygon(4, 45),
    "diamond": _polygon(4),
    "thin-diamond": _polygon(4, radii=(1, 0.5)),
    "triangle-up": _polygon(3),
    "triangle-right": _polygon(3, 90),
    "triangle-down": _polygon(3, 180),
    "triangle-left": _polygon(3, 270),
    "plus": _PLUS,
    "cross": _CROSS,
    "star": _polygon(10, radii=(1, 0.45)),
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    "flat-hexagon": _polygon(6, 30),
    "octagon": _polygon(8, 22.5),
}
"""By the names of `looks.Look.marker`."""
