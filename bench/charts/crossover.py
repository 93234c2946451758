"""Which kernel is fastest where: a tile a width and batch, and by how much it leads."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench import units
from bench.charts import Run, _cells, _fit, _footer, _page, _words

LEFT, BELOW, HEADING, GAP = 1.1, 0.75, 0.4, 0.5  # inches
SMALL = 6.0


@dataclass(frozen=True, slots=True)
class Tile:
    """The fastest kernel of a case, and its lead over the next one."""

    width: int
    batch: int
    kernel: str
    lead: float  # NaN: no other kernel has a number here
    clear: bool  # the two intervals don't meet
    known: bool  # both have an interval

    @property
    def said(self) -> str:
        if math.isnan(self.lead):
            return "alone"
        if self.known and not self.clear:
            return "no difference"
        return units.times(self.lead) + ("" if self.known else "?")


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """The grid with inputs resident and, where a device has memory of its own, with transfers."""
    view = _cells.choose(run.cells, "time_s")
    shown = view.cells[_cells.has_number(view.cells, "time_s")]
    grids = {"inputs where the kernel computes": tiles(shown)}
    if _far(shown).any():
        grids["with transfers"] = tiles(with_transfers(shown))
    page = _page.page(
        sheet,
        title(shown, grids),
        ["The fastest kernel, and how many times the next one takes", view.said],
        _cells.missing(view.cells, "time_s"),
        _footer.footer(view.cells, run.machine),
    )
    if shown.empty:
        return _page.nothing(page)
    if any(not tile.known for found in grids.values() for tile in found):
        page.foot(["? where too few visits, or a time with transfers, leave no interval."])
    _draw(page, grids)
    return page.figure


def _far(shown: pd.DataFrame) -> "pd.Series[bool]":
    """Which cells ran on a device with memory of its own."""
    return _cells.has_number(shown, "end_to_end_s") & ~shown["device"].isin(["cpu", ""])


def with_transfers(shown: pd.DataFrame) -> pd.DataFrame:
    """Times end to end, where the data has a way to go; they have no interval."""
    far = _far(shown)
    changes = {"time_s": shown["end_to_end_s"], "time_low_s": math.nan, "time_high_s": math.nan}
    return shown.assign(**{name: shown[name].mask(far, new) for name, new in changes.items()})


def tiles(shown: pd.DataFrame) -> list[Tile]:
    """One for each width and batch that has a number."""
    found = []
    for _, case in shown.groupby(["n_units", "batch"]):
        best, *rest = list[Any](case.sort_values(["time_s", "kernel"]).itertuples())
        lead, clear, known = math.nan, True, True
        if rest:
            lead = rest[0].time_s / best.time_s
            known = best.time_high_s > 0 and all(row.time_low_s > 0 for row in rest)
            clear = not known or best.time_high_s < min(row.time_low_s for row in rest)
        found.append(
            Tile(int(best.n_units), int(best.batch), str(best.kernel), lead, clear, bool(known))
        )
    return found


def title(shown: pd.DataFrame, grids: dict[str, list[Tile]]) -> str:
    """From where on a GPU wins; else which kernel wins most."""
    gpu = set(shown.loc[~shown["device"].isin(["cpu", ""]), "kernel"])
    if gpu:
        starts = [_start(found, gpu) for found in grids.values()]
        if starts[0]:
            after = f"; with transfers {starts[-1] or 'nowhere'}" if len(starts) > 1 else ""
            return f"The GPU wins {starts[0]}{after}"
    here = next(iter(grids.values()))
    wins = [tile for tile in here if tile.clear and tile.known and tile.lead > 1]
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
    """The smallest layer on which a GPU clearly wins, at the batch that has the smallest."""
    wins = [(t.width, t.batch) for t in found if t.kernel in gpu and t.clear and t.lead > 1]
    return "from {} units at batch {}".format(*min(wins)) if wins else ""


def _draw(page: _page.Page, grids: dict[str, list[Tile]]) -> None:
    every = [tile for found in grids.values() for tile in found]
    widths = sorted({tile.width for tile in every})
    batches = sorted({tile.batch for tile in every})
    wide = (page.right - page.left - LEFT * len(grids) - GAP * (len(grids) - 1)) / len(grids)
    step = min(wide / len(widths), 3.0)
    row = min((page.top - page.bottom - HEADING - BELOW) / len(batches), 1.4)
    left = page.left + LEFT
    how: dict[str, Any] = {"color": page.theme.muted, "va": "center"}
    for heading, found in grids.items():
        top = page.top - HEADING
        page.write(left, page.top - 0.2, heading, 16, weight="bold", va="center")
        for x, width in enumerate(widths):
            size = min(_fit.SIZE, _fit.SIZE * step * 0.95 / _fit.width_of(str(width)))
            below = top - row * len(batches) - 0.2
            page.write(left + (x + 0.5) * step, below, str(width), size, ha="center", **how)
        page.write(left, top - row * len(batches) - 0.5, "width of the layer, units", **how)
        for y, batch in enumerate(batches):
            middle = top - (y + 0.5) * row
            said = f"batch\n{batch}" if row > 2.2 * _fit.SIZE / 72 else f"{batch}"
            page.write(left - 0.15, middle, said, min(_fit.SIZE, row * 50), ha="right", **how)
        for tile in found:
            start = left + widths.index(tile.width) * step
            _paint(page, tile, start, top - (batches.index(tile.batch) + 1) * row, step, row)
        left += wide + LEFT + GAP


def _paint(page: _page.Page, tile: Tile, x: float, y: float, step: float, row: float) -> None:
    """A frame in the kernel's colour, heavy where the lead is clear; its name and its lead."""
    clear = tile.clear and tile.known
    colour, inset = page.theme.line(tile.kernel), min(0.05, step / 10)
    page.figure.add_artist(
        Rectangle(
            (x + inset, y + inset),
            step - 2 * inset,
            row - 2 * inset,
            facecolor=page.theme.paper,
            edgecolor=colour if clear else page.theme.muted,
            linewidth=4 if clear else 1,
            linestyle="solid" if clear else "dotted",
            transform=page.figure.dpi_scale_trans,
        )
    )
    name = _words.broken(tile.kernel, 12)
    lines = [tile.said] if tile.said == "no difference" else [tile.said, *name.split("\n")]
    tall = (row - 4 * inset) * 72 / _fit.LEADING
    room = step - 4 * inset - 0.08
    size = min(_fit.SIZE, tall / len(lines))
    size = min(size, *(_fit.SIZE * room / _fit.width_of(line, weight="bold") for line in lines))
    if size < SMALL and len(lines) > 1:  # the frame's colour is left to say which
        lines = lines[:1]
        size = min(_fit.SIZE, tall, _fit.SIZE * room / _fit.width_of(lines[0], weight="bold"))
    colour = page.theme.text(tile.kernel) if clear else page.theme.muted
    how: dict[str, Any] = {"ha": "center", "va": "center", "weight": "bold", "color": colour}
    page.write(x + step / 2, y + row / 2, "\n".join(lines), size, **how)
