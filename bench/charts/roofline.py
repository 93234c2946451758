"""Arithmetic against memory: each cell at its intensity, under the machine's ceilings."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.charts import Run, _ceilings, _cells, _fit, _footer, _lines, _page

NUMBER = "flop_per_s"


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """FLOP/s against FLOPs a byte on log axes: a point a cell."""
    view = _cells.choose(run.cells, NUMBER)
    shown = view.cells[_cells.has_number(view.cells, NUMBER)]
    shown = shown.assign(intensity=shown["flops"] / shown["bytes"])
    page = _page.page(
        sheet,
        title(shown, run.machine),
        [
            "A point a cell, with 95 % interval; caches may lift it above the memory's line",
            view.said,
        ],
        _cells.missing(view.cells, NUMBER),
        _footer.footer(view.cells, run.machine),
    )
    if shown.empty:
        return _page.nothing(page)
    lines = []
    for kernel, mine in shown.sort_values("intensity", kind="stable").groupby("kernel", sort=False):
        x, y, low, high = (
            [float(n) for n in mine[name]]
            for name in ("intensity", NUMBER, f"{NUMBER}_low", f"{NUMBER}_high")
        )
        lines.append(_lines.Line(str(kernel), x, y, low, high))
    least, most = float(shown["intensity"].min()), float(shown["intensity"].max())
    ticks = _fit.log_ticks(least / 2, most * 2, 6)
    ticks = [tick for tick in ticks if least / 1.1 <= tick <= most * 1.1] or [least]
    along = _lines.X("FLOPs for each byte of the layer's arrays (log scale)", ticks, _say)
    panel = _lines.Panel("", lines, _roofs(run.machine, least, most))
    return _lines.draw(page, [panel], along, _lines.Y("FLOP/s (log scale)"), joined=False)


def _say(intensity: float) -> str:
    return f"{intensity:.3g}"


def title(shown: pd.DataFrame, machine: Mapping[str, Any]) -> str:
    """How far the smallest batch is from the machine's ridge, where a larger one passes it."""
    rate, memory = _measured(machine)
    first = shown[shown["batch"] == shown["batch"].min()]
    if rate and memory and len(first):
        few, ridge = first["intensity"].max(), rate / memory
        if few < ridge < shown["intensity"].max():
            batch = first["batch"].iloc[0]
            case = "One example" if batch == 1 else f"Batch {batch}"
            return f"{case} brings {few:.2g} FLOPs a byte; full speed takes {ridge:.2g}"
    return "Throughput by arithmetic intensity"


def _measured(machine: Mapping[str, Any]) -> tuple[float | None, float | None]:
    names = ("measured_flop_per_s", "measured_bytes_per_s")
    rate, memory = (_ceilings.peak(machine, name) for name in names)
    return rate, memory


def _roofs(machine: Mapping[str, Any], low: float, high: float) -> list[_lines.Guide]:
    """The measured roof, bent where memory is the limit, and the arithmetic that the CPU states."""
    rate, memory = _measured(machine)
    stated = _ceilings.peak(machine, "theoretical_flop_per_s")
    ends = [low / 1.15, high * 1.15]
    roofs = []
    if rate:
        bend = [rate / memory] if memory and ends[0] < rate / memory < ends[1] else []
        x = [ends[0], *bend, ends[1]]
        y = [min(rate, at * memory) if memory else rate for at in x]
        roofs.append(_lines.Guide("measured ceiling", x, y))
    if stated:
        roofs.append(
            _lines.Guide(
                "predicted by the\nCPU's flags and clock", ends, [stated, stated], (0, (1, 1))
            )
        )
    return roofs
