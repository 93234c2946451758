"""How much arithmetic a kernel does a second, by width: a line a kernel, a panel a batch."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.data.machine import Machine
from bench.show.charts import Run, _ceilings, _cells, _footer, _lines, _page, _words

NUMBER = "flop_per_s"
TITLE = "Throughput of one dense layer, by width"
MOST_PANELS = 6
MANY_KERNELS = 4  # more can't be labelled beside panels in two rows


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """Throughput against width on log axes, with its interval and each device's ceiling."""
    view = _cells.choose(run.cells, NUMBER)
    every = sorted(int(batch) for batch in view.shown["batch"].unique())
    many = view.shown["kernel"].nunique() > MANY_KERNELS
    batches = _spread(every, _lines.ONE_ROW if many and len(every) > MOST_PANELS else MOST_PANELS)
    left_out = set(every) - set(batches)
    rows = view.cells[~view.cells["batch"].isin(left_out)]
    shown = view.shown[view.shown["batch"].isin(batches)]
    said = ["Arithmetic done a second, estimate with 95 % interval", view.said]
    if left_out:
        said.append(f"{len(batches)} of {len(every)} batches")
    gone = [*_cells.missing(rows, NUMBER), *_ceilings.unknown(run.machine, shown)]
    page = _page.page(
        sheet, title(shown, run.machine), said, gone, _footer.footer(rows, run.machine)
    )
    if shown.empty:
        return _page.nothing(page)
    widths = sorted(int(width) for width in shown["n_units"].unique())
    guides = _ceiling(run.machine, shown, widths)
    panels = []
    for batch in batches:
        mine = shown[shown["batch"] == batch]
        lines = _lines.of_rows(mine, "n_units", NUMBER, widths)
        panels.append(_lines.Panel(f"batch {batch}", lines, guides))
    along = _lines.X("width of the layer, units (log scale)", widths, str)
    return _lines.draw(page, panels, along, _lines.Y("FLOP/s (log scale)"))


def title(shown: pd.DataFrame, machine: Machine) -> str:
    """How near to the ceiling the fastest kernel of each device comes; where there is but one
    device, how far from it the slowest stays. A ceiling that was passed is no ceiling.
    """
    ceilings, parts = _ceilings.of(machine, shown), list[str]()
    for ceiling in ceilings:
        here = shown[shown["device"] == ceiling.device]
        best = here.groupby("kernel")[NUMBER].max().sort_values(kind="stable")
        if not ceiling.flop_per_s or best.iloc[-1] > ceiling.flop_per_s:
            return TITLE
        told = [(best.index[-1], best.iloc[-1])]
        if len(ceilings) == 1 and len(best) > 1:
            told.append((best.index[0], best.iloc[0]))
        for kernel, rate in told:
            verb, whose = ("", "") if parts else (" reaches", " of this machine's ceiling")
            if len(ceilings) > 1:
                owner = "the CPU" if ceiling.device == "cpu" else ceiling.short
                whose = f" of {owner}'s ceiling"
            share = f"{100 * rate / ceiling.flop_per_s:.2g} %"
            parts.append(f"{_words.spoken(kernel)}{verb} {share}{whose}")
    return _words.sentence("; ".join(parts)) if len(parts) > 1 else TITLE


def _spread(values: list[int], most: int) -> list[int]:
    """At most so many of them, evenly over their order, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, most)]


def _ceiling(machine: Machine, shown: pd.DataFrame, widths: list[int]) -> list[_lines.Guide]:
    ends = [widths[0] / math.sqrt(2), widths[-1] * math.sqrt(2)]
    return _ceilings.guides(machine, shown, ends)
