"""Rows of changes: a mark with its interval for what moved, ticks for what did not."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from bench.show.charts import fit
from bench.show.charts.page import Page
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Change, Changes

ROW = 0.36  # inches, the least
GAP = 0.2  # inches between the words above and the first row
AXIS = 0.75  # inches: the numbers below, and what they are
FAR = 1.0  # changes beyond it are drawn at the edge
SAID = 4.0  # inches: what was found, right of the rows
MARKS = {"slower": (">", "#CC3311"), "faster": ("<", "#00916A"), "can't tell": ("o", "")}


def draw(page: Page, body: Changes) -> None:
    """What moved, as far as there is room, then a row a kernel of what did not."""
    page.top -= GAP
    room = int((page.top - page.bottom - AXIS) / ROW) - len(body.calm)
    moved, rest = body.moved[:room], body.moved[room:]
    names = [change.cell for change in moved] + [f"{kernel}, not slower" for kernel in body.calm]
    row = min(0.7, (page.top - page.bottom - AXIS) / max(len(names), 1))
    size = min(fit.SIZE, row * 72 / fit.LEADING)
    shown = [words.name_of(name) for name in names]
    left = page.left + max(fit.width_of(name, size) for name in shown) + 0.2
    bottom = page.top - row * len(names)
    axes = page.rows(left, bottom, page.right - SAID - left, row * len(names), len(names))
    ends = [abs(end) for change in body.moved for end in (change.low, change.high)]
    ends += [abs(end) for dots in body.calm.values() for dot in dots for end in (dot.low, dot.high)]
    reach = min(max(1.5 * body.margin, 1.05 * max(ends)), max(FAR, 3 * body.margin))
    axes.set_xlim(-min(reach, 1.0), reach)
    axes.axvspan(body.margin, reach, color=page.theme.grid, zorder=0)
    axes.axvline(0, color=page.theme.muted, linewidth=1.5)
    _ticks(axes, reach, page.right - SAID - left)
    for k, change in enumerate(moved):
        _mark(page, axes, k, change, reach)
        _beside(page, k, row, change.words, size)
    for k, dots in enumerate(body.calm.values(), len(moved)):
        values = [dot.value for dot in dots]
        axes.plot(values, [k] * len(values), "|", color=page.theme.muted, markersize=row * 36)
        _beside(page, k, row, _span(values), size)
    for k, text in enumerate(shown):
        colour = page.theme.ink if k < len(moved) else page.theme.muted
        y = page.top - (k + 0.5) * row
        page.write(left - 0.15, y, text, size, ha="right", va="center", color=colour)
    more = f" · {len(rest)} cells more, see verdicts.csv" if rest else ""
    text = f"slower to the right; shaded: {100 * body.margin:g} % and more{more}"
    page.write(page.left, bottom - 0.62, text, color=page.theme.muted)


def _span(values: Sequence[float]) -> str:
    low, high = 100 * min(values), 100 * max(values)
    if len(values) == 1:
        return f"1 cell: {low:+.1f} %"
    return f"{len(values)} cells: {low:+.1f} to {high:+.1f} %"


def _mark(page: Page, axes: Axes, k: int, change: Change, reach: float) -> None:
    """A cell's change: by shape and colour slower, faster or can't tell (hollow)."""
    marker, colour = MARKS[change.kind]
    colour = colour or page.theme.ink
    filled = colour if change.kind != "can't tell" and not change.accepted else page.theme.paper
    value = min(max(change.value, -min(reach, 1.0)), reach)
    axes.hlines(k, change.low, min(change.high, reach), color=colour, linewidth=3)
    how: dict[str, Any] = {"markerfacecolor": filled, "markeredgecolor": colour}
    axes.plot(value, k, marker, markersize=10, clip_on=False, zorder=3, markeredgewidth=2, **how)


def _beside(page: Page, k: int, row: float, text: str, size: float) -> None:
    y = page.top - (k + 0.5) * row
    page.write(page.right - SAID + 0.2, y, text, size, va="center", color=page.theme.muted)


def _ticks(axes: Any, reach: float, wide: float) -> None:
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    step = next((s for s in steps if 2 * reach / s < wide / 0.8), 2.0)
    places = [step * n for n in range(-20, 21) if -min(reach, 1.0) <= step * n <= reach]
    fit.fix_ticks(
        axes.xaxis, places, [f"{100 * place:+.0f} %" if place else "0" for place in places]
    )
