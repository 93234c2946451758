"""Arithmetic against memory: each cell at its intensity, under its own device's ceilings."""

import pandas as pd
from matplotlib.figure import Figure

from bench.data.machine import Machine
from bench.show.charts import Run, _ceilings, _cells, _fit, _footer, _lines, _page

NUMBER = "flop_per_s"
STATED = (0, (1, 1))


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """FLOP/s against FLOPs a byte on log axes: a point a cell."""
    view = _cells.choose(run.cells, NUMBER)
    shown = view.shown.assign(intensity=view.shown["flops"] / view.shown["bytes"])
    page = _page.page(
        sheet,
        title(shown, run.machine),
        [
            "A point a cell, with 95 % interval; caches may lift it above the memory's line",
            view.said,
        ],
        [*_cells.missing(view.cells, NUMBER), *_ceilings.unknown(run.machine, shown)],
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
    panel = _lines.Panel("", lines, roofs(run.machine, shown))
    return _lines.draw(page, [panel], along, _lines.Y("FLOP/s (log scale)"), joined=False)


def _say(intensity: float) -> str:
    return f"{intensity:.3g}"


def title(shown: pd.DataFrame, machine: Machine) -> str:
    """How far the smallest batch is from the ridges, where a larger one passes them."""
    ceilings = _ceilings.of(machine, shown)
    first = shown[shown["batch"] == shown["batch"].min()]
    ridges = [(ceiling, ridge) for ceiling in ceilings if (ridge := ceiling.ridge)]
    if ridges and len(first):
        few, most = first["intensity"].max(), shown["intensity"].max()
        if all(few < ridge < most for _, ridge in ridges):
            batch = first["batch"].iloc[0]
            case = "One example" if batch == 1 else f"Batch {batch}"
            among = len(ceilings) > 1
            takes = [f"{r:.2g}{f' on {c.short}' if among else ''}" for c, r in ridges]
            return f"{case} brings {few:.2g} FLOPs a byte; full speed takes {', '.join(takes)}"
    return "Throughput by arithmetic intensity"


def roofs(machine: Machine, shown: pd.DataFrame) -> list[_lines.Guide]:
    """Of each device the measured roof, bent where memory is the limit, and the stated one."""
    low, high = float(shown["intensity"].min()) / 1.15, float(shown["intensity"].max()) * 1.15
    ceilings, found = _ceilings.of(machine, shown), []
    for ceiling in ceilings:
        whose = f",\n{ceiling.label}" if len(ceilings) > 1 else ""
        if rate := ceiling.flop_per_s:
            ridge = ceiling.ridge
            x = [low, *([ridge] if ridge and low < ridge < high else []), high]
            y = [rate * min(1, at / ridge) if ridge else rate for at in x]
            found.append(_lines.Guide(f"measured ceiling{whose}", x, y))
        if stated := ceiling.stated_flop_per_s:
            here = ceiling.device == "cpu"
            words = "predicted by the\nCPU's flags and clock" if here else f"data sheet{whose}"
            found.append(_lines.Guide(words, [low, high], [stated, stated], STATED))
    return found
