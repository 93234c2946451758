"""Rows of marks, a mark a visit; as found, before anything was adjusted, it is hollow."""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.show.charts import fit
from bench.show.charts.page import MOST_ROWS, Page, names_beside
from bench.show.pictures.parts.picture import Marks, Visits

AXIS_BOTTOM, SAID = 0.7, 2.6  # inches
LINE = fit.SIZE * fit.LEADING / 72
FAR = 2.0  # a visit so many times slower than the estimate is drawn at the edge


def few(body: Visits) -> tuple[Visits, int]:
    """As many of the fastest kernels as can be read, and how many are left out."""
    rows = body.rows[-MOST_ROWS:]
    return replace(body, rows=rows), len(body.rows) - len(rows)


def draw(page: Page, body: Visits) -> None:
    """A row a kernel, the estimate's interval as a band."""
    kernels = [marks.kernel for marks in body.rows]
    row = min(1.4, (page.top - page.bottom - AXIS_BOTTOM) / len(kernels))
    left = page.left + names_beside(page, kernels, page.top, row)
    bottom = page.top - row * len(kernels)
    wide = page.right - SAID - left
    axes = page.rows(left, bottom, wide, row * len(kernels), len(kernels))
    farthest = max(abs(away) for marks in body.rows for away in (*marks.away, *marks.found))
    reach = min(max(farthest, 0.05) * 1.1, FAR)
    least = -min(reach, 1.0)
    axes.set_xlim(least, reach)
    step = next(
        s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if (reach - least) / s < wide / 0.9
    )
    places = [step * n for n in range(-9, 10) if least <= step * n <= reach]
    fit.fix_ticks(
        axes.xaxis, places, [f"{100 * place:+.0f} %" if place else "0 %" for place in places]
    )
    axes.axvline(0, color=page.theme.muted, linewidth=1.5)
    for k, marks in enumerate(body.rows):
        _paint(page, axes, k, marks, (least, reach))
        parts = _counts(marks, reach)
        text = ("\n" if row > len(parts) * LINE else ", ").join(parts)
        size = min(fit.SIZE, row * 72 / fit.LEADING / (text.count("\n") + 1))
        size = min(size, fit.SIZE * (SAID - 0.3) / fit.width_of(text))
        y = page.top - (k + 0.5) * row
        page.write(page.right - SAID + 0.3, y, text, size, va="center", color=page.theme.muted)
    page.write(left, bottom - 0.6, body.x, color=page.theme.muted)


def _paint(page: Page, axes: Axes, k: int, marks: Marks, ends: tuple[float, float]) -> None:
    """A row: its band, and its visits in their order from top to bottom."""
    low, high = np.clip([marks.low, marks.high], *ends)
    axes.barh(k, high - low, 0.84, low, fc=page.theme.tint(marks.kernel))
    place = k - 0.3 + 0.6 * np.arange(1, len(marks.away) + 1) / (len(marks.away) + 1)
    away, found = (np.minimum(places, ends[1]) for places in (marks.away, marks.found))
    how = page.mark(marks.kernel) | {"clip_on": False, "markersize": 8}
    hollow: dict[str, Any] = {
        "markerfacecolor": page.theme.paper,
        "markeredgecolor": page.theme.line(marks.kernel),
        "markeredgewidth": 1.5,
    }
    if marks.found != marks.away:
        axes.plot(found, place, **how | hollow)
    axes.plot(away, place, **how)


def _counts(marks: Marks, reach: float) -> list[str]:
    """How many visits there are, and lie beyond the edge."""
    far = sum(away > reach for away in (*marks.away, *marks.found))
    parts = ["1 visit" if len(marks.away) == 1 else f"{len(marks.away)} visits"]
    if marks.found != marks.away:
        parts.append("hollow: as found")
    return parts + ([f"{far} beyond +{100 * reach:.0f} %"] if far else [])
