"""Several runs side by side: throughput by width at the largest batch that all of them have."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from bench.show.charts import Run, _ceilings, _cells, _footer, _lines, _page, _words
from bench.terminal import units

NUMBER = "flop_per_s"
TITLE = "Throughput of one dense layer, run by run"


@_page.applied()
def compare(runs: Sequence[Run], sheet: _page.Sheet) -> Figure:
    """A panel a run, a line a kernel, each with its machine's own ceilings."""
    views = [_cells.choose(run.cells, NUMBER) for run in runs]
    batch = max(set.intersection(*(set(view.shown["batch"]) for view in views)), default=None)
    shown = [view.shown[view.shown["batch"] == batch] for view in views]
    page = _page.page(
        sheet,
        title(runs, shown),
        [
            "Arithmetic done a second, 95 % interval",
            f"batch {batch}" if batch else "",
            *dict.fromkeys(view.said for view in views),
        ],
        [
            f"{_words.name_of(run.name)}: {phrase}"
            for run, rows in zip(runs, shown, strict=True)
            for phrase in _ceilings.unknown(run.machine, rows)
        ],
        "; ".join(
            _footer.footer(view.cells, run.machine) for run, view in zip(runs, views, strict=True)
        ),
    )
    if batch is None:
        return _page.nothing(page, "no batch has numbers in all of these runs")
    widths = sorted({int(width) for rows in shown for width in rows["n_units"]})
    ends = [widths[0] / math.sqrt(2), widths[-1] * math.sqrt(2)]
    panels = [
        _lines.Panel(
            run.name,
            _lines.of_rows(rows, "n_units", NUMBER, widths),
            _ceilings.guides(run.machine, rows, ends),
        )
        for run, rows in zip(runs, shown, strict=True)
    ]
    along = _lines.X("width of the layer, units (log scale)", widths, str)
    return _lines.draw(page, panels, along, _lines.Y("FLOP/s (log scale)"))


def title(runs: Sequence[Run], shown: Sequence[pd.DataFrame]) -> str:
    """How much more the best kernel of one run does than that of the next, where it is clear."""
    tops = []
    for run, rows in zip(runs, shown, strict=True):
        if len(rows):
            best = rows.sort_values(NUMBER).iloc[-1]
            tops.append(
                (float(best[NUMBER]), best[f"{NUMBER}_low"], best[f"{NUMBER}_high"], run.name)
            )
    tops.sort()
    if len(tops) == 2 and tops[0][2] < tops[1][1]:
        (slow, _, _, slower), (fast, _, _, faster) = tops
        names = (_words.name_of(name) for name in (faster, slower))
        return f"At its best, {next(names)} does {units.times(fast / slow)} what {next(names)} does"
    return TITLE
