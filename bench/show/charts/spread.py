"""The noise: every visit to the headline case, those that count and those that were set aside."""

import pandas as pd
from matplotlib.figure import Figure

from bench.show.charts import CELL, Run, _cells, _fit, _footer, _page, _words

TIMES = ("time_s", "time_low_s", "time_high_s")
AXIS_BOTTOM, SAID = 0.7, 2.6  # inches
LINE = _fit.SIZE * _fit.LEADING / 72
NO_VISITS = "visits.csv and blocks.csv have no visit to show"
FAR = 2.0  # a visit so many times slower than the estimate is drawn at the edge


@_page.applied()
def draw(run: Run, sheet: _page.Sheet) -> Figure:
    """A row a kernel, a mark a visit: how far its seconds are from the cell's estimate."""
    view = _cells.choose(run.cells, "time_s")
    case = view.shown[view.shown["n_units"] == _cells.headline_width(view.shown)]
    case = case[case["batch"] == case["batch"].min()].sort_values("time_s", ascending=False)
    here = view.cells["batch"].isin(case["batch"]) & view.cells["n_units"].isin(case["n_units"])
    rows = view.cells[here] if len(case) else view.cells
    left_out = max(len(case) - _cells.MOST_ROWS, 0)
    visits = _visits(run, case.tail(_cells.MOST_ROWS))
    page = _page.page(
        sheet,
        title(visits),
        [
            "A mark a visit, in order; band: 95 % interval",
            *(f"{r.n_units} units, batch {r.batch}" for r in case.head(1).itertuples()),
            view.said,
        ],
        _cells.missing(rows, "time_s") + ([f"{left_out} slower kernels"] if left_out else []),
        _footer.footer(rows, run.machine),
    )
    if visits.empty:
        return _page.nothing(page, NO_VISITS if len(case) else _page.NO_NUMBER)
    return _draw(page, visits, list(dict.fromkeys(visits["kernel"])))


def _visits(run: Run, rows: pd.DataFrame) -> pd.DataFrame:
    """Each visit's distance from its cell's estimate, in the order of the rows."""
    if run.visits is None:
        return pd.DataFrame(columns=["kernel", "away", "low", "high", "quiet", "pass"])
    visits = rows[[*CELL, *TIMES]].merge(run.visits, on=CELL)
    away = visits[["seconds", *TIMES[1:]]].div(visits["time_s"], axis=0) - 1
    return visits.assign(away=away["seconds"], low=away["time_low_s"], high=away["time_high_s"])


def title(visits: pd.DataFrame) -> str:
    """How many visits to the fastest kernel the machine disturbed."""
    if visits.empty:
        return "Every visit to the headline case"
    mine = visits[visits["kernel"] == visits["kernel"].iloc[-1]]
    aside, told = int((~mine["quiet"].astype(bool)).sum()), _words.spoken(mine["kernel"].iloc[0])
    count = f"{aside or 'None'} of {len(mine)} visits to {told}"
    return f"{count} {'was' if aside < 2 else 'were'} disturbed and set aside"


def _draw(page: _page.Page, visits: pd.DataFrame, kernels: list[str]) -> Figure:
    row = min(1.4, (page.top - page.bottom - AXIS_BOTTOM) / len(kernels))
    left = page.left + _page.names_beside(page, kernels, page.top, row)
    bottom = page.top - row * len(kernels)
    wide = page.right - SAID - left
    axes = page.axes(left, bottom, wide, row * len(kernels))
    reach = min(max(float(visits["away"].abs().max()), 0.05) * 1.1, FAR)
    least = -min(reach, 1.0)
    axes.set_xlim(least, reach)
    axes.set_ylim(len(kernels) - 0.5, -0.5)
    step = next(
        s for s in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if (reach - least) / s < wide / 0.9
    )
    places = [step * n for n in range(-9, 10) if least <= step * n <= reach]
    _fit.fix_ticks(
        axes.xaxis, places, [f"{100 * place:+.0f} %" if place else "0 %" for place in places]
    )
    _fit.fix_ticks(axes.yaxis, [], [])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=page.theme.muted, linewidth=1.5)
    for k, kernel in enumerate(kernels):
        mine = visits[visits["kernel"] == kernel].sort_values("pass")
        band = mine[["low", "high"]].iloc[0].clip(least, reach)
        axes.barh(k, band["high"] - band["low"], 0.84, band["low"], fc=page.theme.tint(kernel))
        place = k - 0.3 + 0.6 * mine["pass"].rank() / (len(mine) + 1)
        quiet = mine["quiet"].astype(bool)
        how = page.drawn(kernel) | {"linestyle": "none", "clip_on": False, "markersize": 8}
        away = mine["away"].clip(upper=reach)
        axes.plot(away[quiet], place[quiet], **how)
        hollow = {"markerfacecolor": page.theme.paper, "markeredgecolor": page.theme.line(kernel)}
        axes.plot(away[~quiet], place[~quiet], **how | hollow | {"markeredgewidth": 1.5})
        aside, far = int((~quiet).sum()), int((mine["away"] > reach).sum())
        parts = [f"{len(mine) - aside} count", f"{aside} set aside (hollow)"]
        parts += [f"{far} beyond +{100 * reach:.0f} %"] if far else []
        words = ("\n" if row > len(parts) * LINE else ", ").join(parts)
        size = min(_fit.SIZE, row * 72 / _fit.LEADING / (words.count("\n") + 1))
        size = min(size, _fit.SIZE * (SAID - 0.3) / _fit.width_of(words))
        y = page.top - (k + 0.5) * row
        page.write(page.right - SAID + 0.3, y, words, size, va="center", color=page.theme.muted)
    words = "away from the cell's estimate"
    page.write(left, bottom - 0.6, words, color=page.theme.muted)
    return page.figure
