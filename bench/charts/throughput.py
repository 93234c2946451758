"""How much arithmetic a kernel does a second, by width: a line a kernel, a panel a batch."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.charts import Run, _ceilings, _cells, _footer, _lines, _page, _words

NUMBER = "flop_per_s"
TITLE = "Throughput of one dense layer, by width"
MOST_PANELS = 6
MANY_KERNELS = 4  # more can't be labelled beside panels in two rows


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """Throughput against width on log axes, with its interval and the machine's ceiling."""
    view = _cells.choose(run.cells, NUMBER)
    measured = view.cells[_cells.has_number(view.cells, NUMBER)]
    every = sorted(int(batch) for batch in measured["batch"].unique())
    many = measured["kernel"].nunique() > MANY_KERNELS
    batches = _spread(every, _lines.ONE_ROW if many and len(every) > MOST_PANELS else MOST_PANELS)
    left_out = set(every) - set(batches)
    rows = view.cells[~view.cells["batch"].isin(left_out)]
    shown = measured[~measured["batch"].isin(left_out)]
    said = ["Arithmetic done a second, estimate with 95 % interval", view.said]
    if left_out:
        said.append(f"{len(batches)} of {len(every)} batches")
    gone = _cells.missing(rows, NUMBER)
    page = _page.page(
        sheet, title(shown, run.machine), said, gone, _footer.footer(rows, run.machine)
    )
    if shown.empty:
        return _page.nothing(page)
    widths = sorted(int(width) for width in shown["n_units"].unique())
    panels = [
        _lines.Panel(
            f"batch {batch}",
            _lines.of_rows(shown[shown["batch"] == batch], "n_units", NUMBER, widths),
            _ceiling(run.machine, shown, widths),
        )
        for batch in batches
    ]
    along = _lines.X("width of the layer, units (log scale)", widths, str)
    return _lines.draw(page, panels, along, _lines.Y("FLOP/s (log scale)"))


def title(shown: pd.DataFrame, machine: Mapping[str, Any]) -> str:
    """How near to the ceiling the fastest kernel comes, and how far from it the slowest stays."""
    rate = _ceilings.peak(machine, "measured_flop_per_s")
    best = shown.groupby("kernel")[NUMBER].max().sort_values(kind="stable")
    here = shown[shown["device"] == "cpu"]["kernel"]
    if not rate or len(best) < 2 or not set(best.index) <= set(here):
        return TITLE
    (slow, low), (fast, high) = (*best.head(1).items(), *best.tail(1).items())
    if high > rate:  # a ceiling that was passed is no ceiling
        return TITLE
    low, high = (f"{100 * part / rate:.2g}" for part in (low, high))
    return _words.sentence(
        f"{_words.spoken(fast)} reaches {high} % of this machine's ceiling; "
        f"{_words.spoken(slow)} {low} %"
    )


def _spread(values: list[int], most: int) -> list[int]:
    """At most so many of them, evenly over their order, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, most)]


def _ceiling(
    machine: Mapping[str, Any], shown: pd.DataFrame, widths: list[int]
) -> list[_lines.Guide]:
    rate = _ceilings.peak(machine, "measured_flop_per_s")
    if not rate:
        return []
    # A GPU's line passes above it, so then it says whose ceiling it is.
    elsewhere = any(device and not device.startswith("cpu") for device in shown["device"])
    words = "measured matmul\nceiling" + (", CPU" if elsewhere else "")
    ends = [widths[0] / math.sqrt(2), widths[-1] * math.sqrt(2)]
    return [_lines.Guide(words, ends, [rate, rate])]
