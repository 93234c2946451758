"""Which kernel is fastest where: a tile a width and batch, and by how much it leads."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from bench.show.pictures import Run
from bench.show.pictures.parts import cells, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Nothing, Picture, Tile, Tiles
from bench.terminal import units

RESIDENT, WHOLE = "inputs where the kernel computes", "with transfers"


def picture(run: Run) -> Picture:
    """The grid with inputs resident and, where a device has memory of its own, with transfers."""
    view = cells.choose(run.cells, "time_s")
    shown = view.shown
    grids = {RESIDENT: tiles(shown)}
    if cells.elsewhere(shown).any():
        grids[WHOLE] = tiles(with_transfers(shown))
    every = [tile for grid in grids.values() for tile in grid]
    unsure = any(not (tile.known or math.isnan(tile.lead)) for tile in every)
    return Picture(
        title(shown, grids),
        [
            "The fastest kernel and its lead over the next, framed where significant (95 %)",
            view.chosen,
        ],
        Nothing(cells.NO_NUMBER) if shown.empty else Tiles(grids),
        cells.missing(view.cells, "time_s"),
        footer(view.cells, run.machine),
        "? and a dotted frame: no interval (too few visits, or with transfers)." if unsure else "",
        kernels=cells.fastest_first(shown, "time_s", ascending=True),
    )


def with_transfers(shown: pd.DataFrame) -> pd.DataFrame:
    """Times end to end, which have no interval: the input sent, one launch, the output fetched.

    A kernel on the CPU without that time keeps its own, for its data has no way to go; one on
    another device is left out.
    """
    whole = shown["end_to_end_s"].where(cells.has_number(shown, "end_to_end_s"))
    timed = whole.notna()
    here = ~cells.elsewhere(shown)
    intervals = {name: shown[name].mask(timed) for name in ("time_low_s", "time_high_s")}
    changed = shown.assign(time_s=whole.fillna(shown["time_s"]), **intervals)
    return changed[timed | here]


def tiles(shown: pd.DataFrame) -> list[Tile]:
    """One for each width and batch that has a number."""
    grid = []
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
        grid.append(
            Tile(int(best.n_units), int(best.batch), str(best.kernel), lead, low, high, clear)
        )
    return grid


def title(shown: pd.DataFrame, grids: Mapping[str, Sequence[Tile]]) -> str:
    """From where on a GPU wins; else which kernel wins most."""
    gpu = set(shown.loc[cells.elsewhere(shown), "kernel"])
    if gpu:
        starts = [_start(grid, gpu) for grid in grids.values()]
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
    return words.sentence(
        f"{words.spoken(most)} is fastest in {len(leads)} of {len(here)} cases,"
        f" by up to {units.times(max(leads))}"
    )


def _start(grid: Sequence[Tile], gpu: set[str]) -> str:
    """The smallest layer on which a GPU wins, at the batch that has the smallest; nearly so, where
    no win has an interval.
    """
    wins = [tile for tile in grid if tile.kernel in gpu and tile.lead > 1]
    clear = [tile for tile in wins if tile.clear and tile.known]
    first = min(((t.width, t.batch) for t in clear or wins if not t.known or t.clear), default=None)
    if first is None:
        return ""
    return f"from {'' if clear else 'about '}{first[0]} units at batch {first[1]}"
