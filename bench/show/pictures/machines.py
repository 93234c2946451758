"""Several runs side by side: throughput by width at the largest batch that all of them have."""

from collections.abc import Sequence

import pandas as pd

from bench.show.pictures import Run
from bench.show.pictures.parts import ceilings, cells, lines, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Lines, Nothing, Panel, Picture, Y
from bench.terminal import units

NUMBER = "flop_per_s"
MOST = 8
"""Panels that can be read."""

TITLE = "Throughput of one dense layer, run by run"


def compare(runs: Sequence[Run]) -> Picture:
    """A panel a run, a line a kernel, each with its machine's own ceilings."""
    runs, left = runs[:MOST], runs[MOST:]
    views = [cells.choose(run.cells, NUMBER) for run in runs]
    batch = max(set.intersection(*(set(view.shown["batch"]) for view in views)), default=None)
    shown = [view.shown[view.shown["batch"] == batch] for view in views]
    return Picture(
        title(runs, shown),
        [
            "Arithmetic done a second, 95 % interval",
            f"batch {batch}" if batch else "",
            *dict.fromkeys(view.chosen for view in views),
        ],
        _body(runs, shown) if batch else Nothing("no batch has numbers in all of these runs"),
        [
            f"{words.name_of(run.name)}: {phrase}"
            for run, rows in zip(runs, shown, strict=True)
            for phrase in ceilings.unknown(run.machine, rows)
        ]
        + [f"{words.name_of(run.name)}: no room" for run in left],
        "; ".join(footer(view.cells, run.machine) for run, view in zip(runs, views, strict=True)),
        kernels=cells.fastest_first(pd.concat(shown), NUMBER),
    )


def _body(runs: Sequence[Run], shown: Sequence[pd.DataFrame]) -> Lines:
    widths = cells.places(pd.concat(shown)["n_units"])
    panels = [
        Panel(
            run.name,
            lines.of_rows(rows, "n_units", NUMBER, widths),
            ceilings.guides(run.machine, rows, widths),
        )
        for run, rows in zip(runs, shown, strict=True)
    ]
    return Lines(panels, lines.widths(widths), Y("FLOP/s", "FLOP/s"))


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
        names = (words.name_of(name) for name in (faster, slower))
        return f"At its best, {next(names)} does {units.times(fast / slow)} what {next(names)} does"
    return TITLE
