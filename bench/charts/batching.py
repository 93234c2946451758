"""What is left unused: the share of its best throughput that a kernel reaches at each batch."""

import pandas as pd
from matplotlib.figure import Figure

from bench.charts import Run, _cells, _footer, _lines, _page, _words

NUMBER = "flop_per_s"


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """The share against the batch, at the headline width: a line a kernel."""
    view = _cells.choose(run.cells, NUMBER)
    measured = view.cells[_cells.has_number(view.cells, NUMBER)]
    width = _cells.headline_width(measured)
    rows = view.cells[view.cells["n_units"] == width] if width else view.cells
    shown = rows[_cells.has_number(rows, NUMBER)]
    best = shown.groupby("kernel")[NUMBER].transform("max")
    names = [NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"]
    shown = shown.assign(best=best, **{name: 100 * shown[name] / best for name in names})
    page = _page.page(
        sheet,
        title(shown, width),
        ["Throughput, as a share of the kernel's own best, with 95 % interval", view.said],
        _cells.missing(rows, NUMBER),
        _footer.footer(rows, run.machine),
    )
    if shown.empty:
        return _page.nothing(page)
    batches = sorted(int(batch) for batch in shown["batch"].unique())
    panel = _lines.Panel(f"{width} units", _lines.of_rows(shown, "batch", NUMBER, batches))
    along = _lines.X("batch: examples at a time (log scale)", batches, str)
    up = _lines.Y("share of its best", lambda share: f"{share:.0f} %", share=True)
    return _lines.draw(page, [panel], along, up)


def title(shown: pd.DataFrame, width: int | None) -> str:
    """What the fastest kernel leaves unused at the smallest batch, if it does."""
    units = f", {width} units" if width else ""
    fastest = shown[shown["best"] == shown["best"].max()]
    if len(fastest):
        mine = shown[shown["kernel"] == fastest["kernel"].iloc[0]].sort_values("batch")
        first = mine.iloc[0]
        if first[f"{NUMBER}_high"] < 50:
            batch = first["batch"]
            case = "one example at a time" if batch == 1 else f"batch {batch}"
            who, share = _words.spoken(first["kernel"]), f"{first[NUMBER]:.2g} %"
            return f"With {case}, {who} reaches {share} of its best"
    return f"Throughput by batch{units}"
