"""The noise: every visit to the headline case, as found and adjusted."""

from collections.abc import Sequence
from statistics import median

import pandas as pd

from bench.show.pictures import CELL, Run
from bench.show.pictures.parts import cells, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Marks, Nothing, Picture, Visits
from bench.terminal import units

TIMES = ("time_s", "time_low_s", "time_high_s")
NO_VISITS = "visits.csv and blocks.csv have no visit to show"


def picture(run: Run) -> Picture:
    """A row a kernel, a mark a visit: how far its seconds are from the cell's estimate."""
    view = cells.choose(run.cells, "time_s")
    case = view.shown[view.shown["n_units"] == cells.headline_width(view.shown)]
    case = case[case["batch"] == case["batch"].min()].sort_values("time_s", ascending=False)
    here = view.cells["batch"].isin(case["batch"]) & view.cells["n_units"].isin(case["n_units"])
    rows = view.cells[here] if len(case) else view.cells
    marks = _marks(run, case)
    why = NO_VISITS if len(case) else cells.NO_NUMBER
    return Picture(
        title(marks),
        [
            "A mark a visit, in order; band: 95 % interval",
            *(f"{r.n_units} units, batch {r.batch}" for r in case.head(1).itertuples()),
            view.chosen,
        ],
        Visits(marks, "away from the cell's estimate") if marks else Nothing(why),
        cells.missing(rows, "time_s"),
        footer(rows, run.machine),
        kernels=[row.kernel for row in reversed(marks)],
    )


def _marks(run: Run, case: pd.DataFrame) -> list[Marks]:
    """Of each kernel, in the order of the rows, how far each visit is from the cell's estimate."""
    if run.visits is None:
        return []
    visits = case[[*CELL, *TIMES]].merge(run.visits, on=CELL)
    visits[["away", "found", "low", "high"]] = (
        visits[["seconds", "as_found", *TIMES[1:]]].div(visits["time_s"], axis=0) - 1
    )
    marks = []
    for kernel, rows in visits.groupby("kernel", sort=False):
        ordered = rows.sort_values("pass")
        low, high = (float(rows[end].iloc[0]) for end in ("low", "high"))
        away, found = ([float(n) for n in ordered[name]] for name in ("away", "found"))
        marks.append(Marks(str(kernel), low, high, away, found))
    return marks


def title(marks: Sequence[Marks]) -> str:
    """How near its time half of the visits to the fastest kernel lie, adjusted and as found."""
    if not marks:
        return "Every visit to the headline case"
    fastest = marks[-1]
    near, found = (
        f"{units.number(100 * median(map(abs, places)), 2)} %"
        for places in (fastest.away, fastest.found)
    )
    half = f"half the visits to {words.spoken(fastest.kernel)} lie within {near} of its time"
    if fastest.found == fastest.away:
        return half.capitalize()
    return f"Adjusted, {half}; as found, {found}"
