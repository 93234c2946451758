"""A comparison of two commits: every cell's change with its interval, and what was asked about."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from bench.data.machine import Comparison, Machine
from bench.data.records import Verdict
from bench.show.charts import _fit, _page, _words
from bench.terminal.text import plain

ROW = 0.36  # inches, the least
GAP = 0.2  # inches between the words above and the first row
AXIS = 0.75  # inches: the numbers below, and what they are
FAR = 1.0  # changes beyond it are drawn at the edge
SAID = 4.0  # inches: what was found, right of the rows
NOT_SLOWER = "not slower"
MARKS = {"slower": (">", "#CC3311"), "faster": ("<", "#00916A"), "can't tell": ("o", "")}


@_page.applied()
def draw(verdicts: Sequence[Verdict], machine: Machine, sheet: _page.Sheet) -> Figure:
    """A row a cell that moved or can't be told; the cells that are not slower, a row a kernel.

    `machine` is machine.json with its "comparison".
    """
    asked = machine.comparison or Comparison()
    page = _page.page(
        sheet,
        title(verdicts, asked),
        ["Change of a launch's time with its 95 % interval", _conditions(asked)],
        _unknown(verdicts),
        _footer(verdicts, machine),
    )
    page.top -= GAP
    known = [verdict for verdict in verdicts if verdict.change_low is not None]
    if not known:
        return _page.nothing(page, "no cell has rounds enough for an interval")
    calm = [verdict for verdict in known if verdict.says == NOT_SLOWER]
    moved = sorted((v for v in known if v.says != NOT_SLOWER), key=lambda v: -v.change)
    room = int((page.top - page.bottom - AXIS) / ROW) - len({v.kernel for v in calm})
    return _draw(page, moved, calm, room, asked.slower_than)


def title(verdicts: Sequence[Verdict], asked: Comparison) -> str:
    """What was found, in a line."""
    if asked.problem:
        return plain(f"Can't tell: {asked.problem}")
    red = [verdict for verdict in verdicts if verdict.says == "slower" and not verdict.accepted]
    if red:
        worst = max(red, key=lambda verdict: verdict.change)
        count = f"{len(red)} of {len(verdicts)} cells got slower"
        return f"{count}: {_words.name_of(worst.cell)} by {100 * worst.change:.0f} %"
    unknown = sum(verdict.says == "can't tell" for verdict in verdicts)
    if unknown:
        return f"{unknown} of {len(verdicts)} cells can't be told"
    return f"No cell of {len(verdicts)} is {100 * asked.slower_than:g} % slower"


def _conditions(asked: Comparison) -> str:
    if not asked.head:
        return ""
    env = ", each on its own lock's packages" if asked.locked else ""
    return plain(f"{asked.head[:12]} against {asked.base[:12]}{env}")


def _unknown(verdicts: Sequence[Verdict]) -> list[str]:
    return [f"{v.cell} (too few rounds)" for v in verdicts if v.change_low is None]


def _footer(verdicts: Sequence[Verdict], machine: Machine) -> str:
    parts = [
        machine.cpu.model,
        "1 thread, both sides on one core",
        machine.started[:10],
        _words.from_to([verdict.rounds for verdict in verdicts], "round a cell", "rounds a cell"),
    ]
    return plain(" · ".join(part for part in parts if part))


def _draw(
    page: _page.Page, moved: list[Verdict], calm: list[Verdict], room: int, asked: float
) -> Figure:
    moved, rest = moved[:room], moved[room:]
    kernels = sorted({verdict.kernel for verdict in calm})
    names = [
        *(verdict.cell for verdict in moved),
        *(f"{kernel}, {NOT_SLOWER}" for kernel in kernels),
    ]
    row = min(0.7, (page.top - page.bottom - AXIS) / max(len(names), 1))
    size = min(_fit.SIZE, row * 72 / _fit.LEADING)
    shown = [_words.name_of(name) for name in names]
    left = page.left + max(_fit.width_of(name, size) for name in shown) + 0.2
    bottom = page.top - row * len(names)
    axes = page.axes(left, bottom, page.right - SAID - left, row * len(names))
    ends = [abs(end or 0) for v in (*moved, *calm) for end in (v.change_low, v.change_high)]
    reach = min(max(1.5 * asked, 1.05 * max(ends)), max(FAR, 3 * asked))
    axes.set_xlim(-min(reach, 1.0), reach)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvspan(asked, reach, color=page.theme.grid, zorder=0)
    axes.axvline(0, color=page.theme.muted, linewidth=1.5)
    _ticks(axes, reach, page.right - SAID - left)
    for k, verdict in enumerate(moved):
        _mark(page, axes, k, verdict, reach)
        low, high = 100 * (verdict.change_low or 0), 100 * (verdict.change_high or 0)
        words = f"{100 * verdict.change:+z.1f} % ({low:+z.1f} to {high:+z.1f})"
        words = f"{words}, accepted" if verdict.accepted else words
        _beside(page, k, row, words, size)
    for k, kernel in enumerate(kernels, len(moved)):
        mine = [verdict.change for verdict in calm if verdict.kernel == kernel]
        axes.plot(mine, [k] * len(mine), "|", color=page.theme.muted, markersize=row * 36)
        low, high = 100 * min(mine), 100 * max(mine)
        span = f"{low:+.1f} %" if len(mine) == 1 else f"{low:+.1f} to {high:+.1f} %"
        count = "1 cell" if len(mine) == 1 else f"{len(mine)} cells"
        _beside(page, k, row, f"{count}: {span}", size)
    for k, text in enumerate(shown):
        colour = page.theme.ink if k < len(moved) else page.theme.muted
        y = page.top - (k + 0.5) * row
        page.write(left - 0.15, y, text, size, ha="right", va="center", color=colour)
    more = f" · {len(rest)} cells more, see verdicts.csv" if len(rest) else ""
    words = f"slower to the right; shaded: {100 * asked:g} % and more{more}"
    page.write(page.left, bottom - 0.62, words, color=page.theme.muted)
    return page.figure


def _mark(page: _page.Page, axes: Any, k: int, cell: Verdict, reach: float) -> None:
    """A cell's change: by shape and colour slower, faster or can't tell (hollow)."""
    marker, colour = MARKS[cell.says]
    colour = colour or page.theme.ink
    filled = colour if cell.says != "can't tell" and not cell.accepted else page.theme.paper
    change = min(max(cell.change, -min(reach, 1.0)), reach)
    ends = cell.change_low or 0.0, min(cell.change_high or 0.0, reach)
    axes.hlines(k, *ends, color=colour, linewidth=3)
    how = {"markerfacecolor": filled, "markeredgecolor": colour, "markeredgewidth": 2}
    axes.plot(change, k, marker, markersize=10, clip_on=False, zorder=3, **how)


def _beside(page: _page.Page, k: int, row: float, words: str, size: float) -> None:
    y = page.top - (k + 0.5) * row
    page.write(page.right - SAID + 0.2, y, words, size, va="center", color=page.theme.muted)


def _ticks(axes: Any, reach: float, wide: float) -> None:
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    step = next((s for s in steps if 2 * reach / s < wide / 0.8), 2.0)
    places = [step * n for n in range(-20, 21) if -min(reach, 1.0) <= step * n <= reach]
    _fit.fix_ticks(
        axes.xaxis, places, [f"{100 * place:+.0f} %" if place else "0" for place in places]
    )
    _fit.fix_ticks(axes.yaxis, [], [])
    axes.spines["left"].set_visible(False)
