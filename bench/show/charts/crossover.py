"""Which kernel is fastest where: a tile a width and batch, and by how much it leads."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.show.charts import Run, _cells, _fit, _footer, _key, _page, _words
from bench.terminal import units

LEFT, BELOW, HEADING, GAP = 1.1, 0.75, 0.4, 0.5  # inches
SMALL = 10.0  # points: smaller words on a tile are left out, the kernel's name for a key
SAID = "The fastest kernel and its lead over the next, framed where significant (95 %)"
EVEN = "no difference"
RESIDENT, WHOLE = "inputs where the kernel computes", "with transfers"


@dataclass(frozen=True, slots=True)
class Tile:
    """The fastest kernel of a case, and its lead over the next one."""

    width: int
    batch: int
    kernel: str
    lead: float  # the next one's time over its own; NaN: no other kernel has a number here
    low: float  # the lead's interval, from those of the two times; NaN: not known
    high: float
    clear: bool  # its interval meets no other kernel's

    @property
    def known(self) -> bool:
        return not math.isnan(self.low)

    @property
    def lines(self) -> list[str]:
        """What is said on it: the lead and its interval, where there is one."""
        if math.isnan(self.lead):
            return ["alone"]
        if not self.known:
            return [units.times(self.lead) + "?"]
        if not self.clear:
            return [EVEN]
        return [units.times(self.lead), f"{units.number(self.low)} to {units.number(self.high)}"]


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """The grid with inputs resident and, where a device has memory of its own, with transfers."""
    view = _cells.choose(run.cells, "time_s")
    shown = view.shown
    grids = {RESIDENT: tiles(shown)}
    if _cells.elsewhere(shown).any():
        grids[WHOLE] = tiles(with_transfers(shown))
    page = _page.page(
        sheet,
        title(shown, grids),
        [
            SAID,
            view.said,
        ],
        _cells.missing(view.cells, "time_s"),
        _footer.footer(view.cells, run.machine),
    )
    if shown.empty:
        return _page.nothing(page)
    every = [tile for found in grids.values() for tile in found]
    if any(not (tile.known or math.isnan(tile.lead)) for tile in every):
        page.foot(
            page.wrap("? and a dotted frame: no interval (too few visits, or with transfers).")
        )
    _draw(page, grids)
    return page.figure


def with_transfers(shown: pd.DataFrame) -> pd.DataFrame:
    """Times end to end, which have no interval: the input sent, one launch, the output fetched.

    A kernel on the CPU without that time keeps its own, for its data has no way to go; one on
    another device is left out.
    """
    whole = shown["end_to_end_s"].where(_cells.has_number(shown, "end_to_end_s"))
    timed = whole.notna()
    here = ~_cells.elsewhere(shown)
    intervals = {name: shown[name].mask(timed) for name in ("time_low_s", "time_high_s")}
    changed = shown.assign(time_s=whole.fillna(shown["time_s"]), **intervals)
    return changed[timed | here]


def tiles(shown: pd.DataFrame) -> list[Tile]:
    """One for each width and batch that has a number."""
    found = []
    columns = ["n_units", "batch", "time_s", "kernel", "time_low_s", "time_high_s"]
    rows = shown[columns].sort_values(columns[:4]).itertuples()
    for _, case in groupby(rows, lambda row: (row.n_units, row.batch)):
        best, *rest = list[Any](case)
        lead = low = high = math.nan
        clear = True
        if rest:
            lead = rest[0].time_s / best.time_s
            low, high = rest[0].time_low_s / best.time_high_s, rest[0].time_high_s / best.time_low_s
            lows = [row.time_s if math.isnan(row.time_low_s) else row.time_low_s for row in rest]
            clear = best.time_high_s < min(lows)
        found.append(
            Tile(int(best.n_units), int(best.batch), str(best.kernel), lead, low, high, clear)
        )
    return found


def title(shown: pd.DataFrame, grids: dict[str, list[Tile]]) -> str:
    """From where on a GPU wins; else which kernel wins most."""
    gpu = set(shown.loc[_cells.elsewhere(shown), "kernel"])
    if gpu:
        starts = [_start(found, gpu) for found in grids.values()]
        if starts[0]:
            after = f"; with transfers {starts[-1] or 'nowhere'}" if len(starts) > 1 else ""
            return f"The GPU wins {starts[0]}{after}"
    here = grids[RESIDENT]
    wins = [tile for tile in here if tile.clear and tile.lead > 1]
    if not wins:
        return "The fastest kernel by width and batch"
    kernels = [tile.kernel for tile in wins]
    most = max(sorted(set(kernels)), key=kernels.count)
    leads = [tile.lead for tile in wins if tile.kernel == most]
    return _words.sentence(
        f"{_words.spoken(most)} is fastest in {len(leads)} of {len(here)} cases,"
        f" by up to {units.times(max(leads))}"
    )


def _start(found: list[Tile], gpu: set[str]) -> str:
    """The smallest layer on which a GPU wins, at the batch that has the smallest; nearly so, where
    no win has an interval.
    """
    wins = [tile for tile in found if tile.kernel in gpu and tile.lead > 1]
    clear = [tile for tile in wins if tile.clear and tile.known]
    first = min(((t.width, t.batch) for t in clear or wins if not t.known or t.clear), default=None)
    if first is None:
        return ""
    return f"from {'' if clear else 'about '}{first[0]} units at batch {first[1]}"


def _draw(page: _page.Page, grids: dict[str, list[Tile]]) -> None:
    """The grids side by side; with a key, where a tile is too small for its kernel's name."""
    every = [tile for found in grids.values() for tile in found]
    batches = sorted({tile.batch for tile in every})
    widths = sorted({tile.width for tile in every})
    wide = (page.right - page.left - LEFT - GAP * (len(grids) - 1)) / len(grids)
    step = min(wide / len(widths), 3.0)
    heading = HEADING if len(grids) > 1 else 0.0
    row = _row(page, heading, len(batches))
    named = all(_words_on(tile, step, row, named=True)[1] >= SMALL for tile in every)
    if not named:
        _key.write(page, _entries(page, dict.fromkeys(tile.kernel for tile in every)))
        row = _row(page, heading, len(batches))
    left = page.left + LEFT
    how: dict[str, Any] = {"color": page.theme.muted, "va": "center"}
    for name, found in grids.items():
        top = page.top - heading
        if heading:
            page.write(left, page.top - 0.28, name, 16, weight="bold")
        for x, width in enumerate(widths):
            size = min(_fit.SIZE, _fit.SIZE * step * 0.95 / _fit.width_of(str(width)))
            below = top - row * len(batches) - 0.2
            page.write(left + (x + 0.5) * step, below, str(width), size, ha="center", **how)
        page.write(left, top - row * len(batches) - 0.5, "width of the layer, units", **how)
        for y, batch in enumerate(batches if name == RESIDENT else []):
            middle = top - (y + 0.5) * row
            said = f"batch\n{batch}" if row > 2.6 * _fit.SIZE / 72 else f"{batch}"
            page.write(left - 0.15, middle, said, min(_fit.SIZE, row * 50), ha="right", **how)
        for tile in found:
            start = left + widths.index(tile.width) * step
            below = top - (batches.index(tile.batch) + 1) * row
            _paint(page, tile, (start, below, step, row), named=named)
        left += wide + GAP


def _row(page: _page.Page, heading: float, batches: int) -> float:
    """A tile's height."""
    return min((page.top - page.bottom - heading - BELOW) / batches, 1.4)


def _entries(page: _page.Page, kernels: Iterable[str]) -> list[_key.Entry]:
    colours = page.theme
    return [_key.Entry(_words.name_of(k), colours.text(k), _mark(page, k)) for k in kernels]


def _mark(page: _page.Page, kernel: str) -> dict[str, Any]:
    return page.drawn(kernel) | {"linestyle": "none"}


def _paint(
    page: _page.Page, tile: Tile, box: tuple[float, float, float, float], *, named: bool
) -> None:
    """A ground in the kernel's colour where it leads, framed where the lead is clear; its words."""
    (x, y, step, row), inset = box, min(0.04, box[2] / 10)
    even, leads = tile.known and not tile.clear, tile.known and tile.clear
    ground = page.theme.paper if even else page.theme.tint(tile.kernel)
    page.figure.add_artist(
        Rectangle(
            (x + inset, y + inset),
            step - 2 * inset,
            row - 2 * inset,
            facecolor=ground,
            edgecolor=page.theme.line(tile.kernel) if leads else page.theme.muted,
            linewidth=2.5 if leads else 1,
            linestyle="solid" if leads else "dotted",
            transform=page.figure.dpi_scale_trans,
        )
    )
    lines, size = _words_on(tile, step, row, named=named)
    colour = page.theme.muted if even else page.theme.text(tile.kernel, ground)
    lower = 0.0 if named or even else row / 8
    for i, line in enumerate(lines):
        how: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": colour}
        how["weight"] = "bold" if line == tile.lines[0] else "normal"
        below = (i - (len(lines) - 1) / 2) * size * _fit.LEADING / 72
        page.write(x + step / 2, y + row / 2 - lower - below, line, size, **how)
    if lower:
        mark = _mark(page, tile.kernel) | {"markersize": min(9.0, row * 18, step * 18)}
        page.stroke([x + step / 2], [y + row * 0.78], **mark)


def _words_on(tile: Tile, step: float, row: float, *, named: bool) -> tuple[list[str], float]:
    """Of what could stand on a tile, the most that can be read there, and its size in points."""
    room, tall = step - 0.2, (row - 0.14) * 72 / _fit.LEADING
    lead = tile.lines
    name = _words.broken(tile.kernel, 12).split("\n") if named and lead != [EVEN] else []
    if not named:
        tall *= 0.6
    for lines in ([*name, *lead], [*name, lead[0]]):
        most = min(_fit.SIZE * room / _fit.width_of(line, weight="bold") for line in lines)
        size = min(_fit.SIZE, tall / len(lines), most)
        if size >= SMALL:
            break
    return lines, size
