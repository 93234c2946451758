"""What is left unused: the share of its best throughput that a kernel reaches at each batch."""

import pandas as pd
from matplotlib.figure import Figure

from bench.show.charts import Run, _cells, _footer, _lines, _page, _words

NUMBER = "flop_per_s"
ONE_BATCH = "no kernel has numbers at two batches"


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """The share against the batch, at the headline width: a line a kernel."""
    view = _cells.choose(run.cells, NUMBER)
    width = _cells.headline_width(view.shown)
    rows = view.cells[view.cells["n_units"] == width] if width else view.cells
    here = view.shown[view.shown["n_units"] == width]
    shown = shares(here)
    alone = sorted(set(here["kernel"]) - set(shown["kernel"]))
    page = _page.page(
        sheet,
        title(shown, width),
        ["Throughput, as a share of the kernel's own best, with 95 % interval", view.said],
        _cells.missing(rows, NUMBER)
        + [f"{_words.name_of(kernel)}: measured at one batch only" for kernel in alone],
        _footer.footer(rows, run.machine),
    )
    if shown.empty:
        return _page.nothing(page, ONE_BATCH if alone else _page.NO_NUMBER)
    batches = sorted(int(batch) for batch in shown["batch"].unique())
    panel = _lines.Panel(f"{width} units", _lines.of_rows(shown, "batch", NUMBER, batches))
    along = _lines.X("batch: examples at a time (log scale)", batches, str)
    up = _lines.Y("share of its best", lambda share: f"{share:.0f} %", share=True)
    return _lines.draw(page, [panel], along, up)


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Each number and its interval in per cent of the kernel's best, which is kept as `best`. A
    kernel that has but one batch is left out: it would only be 100 % of itself.
    """
    kernels = rows.groupby("kernel")[NUMBER]
    rows = rows.assign(best=kernels.transform("max"))[kernels.transform("size") > 1]
    names = [NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"]
    return rows.assign(**{name: 100 * rows[name] / rows["best"] for name in names})


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
