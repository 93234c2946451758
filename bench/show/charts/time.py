"""Seconds for one launch, by width: launches in a row beside one launch and its fence."""

import pandas as pd
from matplotlib.figure import Figure

from bench.show.charts import Run, _cells, _footer, _lines, _page, _words
from bench.terminal import units

# the last panel's lines are labelled at their ends, and latencies may be missing
WAYS = {"latency_s": "latency", "time_s": "pipelined"}


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """Time against width on log axes, pipelined and latency, at the smallest and largest batch."""
    view = _cells.choose(run.cells, "time_s")
    batches = _cells.first_and_last(view.shown["batch"])
    rows = view.cells[view.cells["batch"].isin(batches)] if batches else view.cells
    shown = view.shown[view.shown["batch"].isin(batches)]
    measured = shown[shown["status"] == "ok"]
    alone = _cells.has_number(measured, "latency_s").any()
    page = _page.page(
        sheet,
        title(shown),
        ["Seconds a launch, in a row (95 % interval) or alone with its fence", view.said],
        _cells.missing(rows, "time_s")
        + (_cells.missing(measured, "latency_s", "no latency") if alone else []),
        _footer.footer(rows, run.machine),
    )
    if shown.empty:
        return _page.nothing(page)
    widths = sorted(int(width) for width in shown["n_units"].unique())
    panels = []
    for batch in batches:
        part = shown[shown["batch"] == batch]
        for column, way in WAYS.items():
            mine = part[_cells.has_number(part, column)]
            if len(mine):
                lines = _lines.of_rows(mine, "n_units", column, widths)
                panels.append(_lines.Panel(f"batch {batch}\n{way}", lines, _slope(part)))
    along = _lines.X("width of the layer, units (log scale)", widths, str)
    up = _lines.Y("seconds (log scale)", lambda seconds: units.si(seconds, "s", 1))
    return _lines.draw(page, panels, along, up)


def title(shown: pd.DataFrame) -> str:
    """How much less than the work the fastest kernel's time grows, at the smallest batch."""
    case = shown[shown["batch"] == shown["batch"].min()].sort_values("n_units", kind="stable")
    wide = case[case["n_units"] == case["n_units"].max()].sort_values("time_s", kind="stable")
    if len(wide):
        mine = case[case["kernel"] == wide["kernel"].iloc[0]]
        work, time = (mine[name].iloc[-1] / mine[name].iloc[0] for name in ("flops", "time_s"))
        if work > 2 * time:
            at = "one example" if mine["batch"].iloc[0] == 1 else f"batch {mine['batch'].iloc[0]}"
            more, longer = (units.times(number, 2) for number in (work, time))
            told = _words.spoken(mine["kernel"].iloc[0])
            return _words.sentence(f"{told} does {more} the work in {longer} the time ({at})")
    return "Time of one launch, by width"


def _slope(part: pd.DataFrame) -> list[_lines.Guide]:
    """What the work alone would take at the best rate of this batch: time grows as the FLOPs do."""
    work = part.drop_duplicates("n_units").sort_values("n_units")
    seconds = work["flops"] / part["flop_per_s"].max()
    near = seconds * 10 > part["time_s"].min()  # the rest would only push the lines up
    x, y = ([float(n) for n in numbers[near]] for numbers in (work["n_units"], seconds))
    if len(x) < 2:
        return []
    square = bool((work["n_in"] == work["n_units"]).all())
    words = "slope of the work" + (",\nwidth squared" if square else "")
    return [_lines.Guide(words, x, y, (0, (1, 1)))]
