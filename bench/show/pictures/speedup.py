"""How many times the Python loop each kernel is, at one width: a bar a kernel, a panel a batch."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from bench.show.pictures import Run
from bench.show.pictures.parts import cells, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Bar, Bars, Nothing, Picture
from bench.terminal import units

NUMBER = "speedup"
BASELINE = "python_loop"
TOLD = "numpy_matmul"  # the kernel that the title speaks of
WHOLE = "end_to_end_s"
UNSAID = "no loop to compare with"  # a cell without a speed-up that nothing else explains
METHOD = (
    "What is plotted: how many times as fast as the Python loop each kernel is on the same"
    " case. The axis is on a log scale, each step ten times the last, and bars begin at 1, the"
    " loop itself. Speed-ups are paired: both sides were measured next to each other in each"
    " pass. A hatched bar is a speed-up over a loop that was too slow to run: its time is"
    " predicted from the largest layer that it ran."
)


def picture(run: Run, batch: int | None = None) -> Picture:
    """Speed-ups over the loop at the headline width: at one batch, or at the first and last."""
    view = cells.choose(run.cells, NUMBER)
    width = headline_width(view.cells)
    rows = view.cells[view.cells["n_units"] == width]
    batches = _batches(rows) if batch is None else [batch]
    if batches:
        rows = rows[rows["batch"].isin(batches)]
    shown = rows[cells.has_number(rows, NUMBER)]
    kernels = _order(rows, shown)
    steps = _steps(kernels, shown)
    timed = cells.has_number(view.cells, "time_s").any()
    body = Bars(
        {
            case_words(batch): [_bar(rows, batch, kernel, whole=whole) for kernel, whole in steps]
            for batch in batches
        },
        "times the Python loop (log scale)",
    )
    return Picture(
        title(shown, width, batches),
        ["Times as fast as python_loop on the same case, estimate with 95 % interval", view.chosen],
        body if batches else Nothing(UNSAID if timed else cells.NO_NUMBER),
        cells.missing(rows[~rows["kernel"].isin(kernels)], NUMBER, UNSAID),
        footer(rows, run.machine),
        kernels=cells.fastest_first(shown[shown["kernel"] != BASELINE], NUMBER),
        method=METHOD,
    )


def slides(run: Run) -> Iterator[Picture]:
    """A batch each."""
    rows = cells.choose(run.cells, NUMBER).cells
    for batch in _batches(rows[rows["n_units"] == headline_width(rows)]):
        yield picture(run, batch)


def headline_width(rows: pd.DataFrame) -> int | None:
    """The headline's; of the widths that have a loop to compare with, where any has."""
    based = rows[(rows["speedup_basis"] != "") & cells.has_number(rows, NUMBER)]
    return cells.headline_width(based if len(based) else rows)


def _batches(rows: pd.DataFrame) -> list[int]:
    return cells.first_and_last(rows.loc[cells.has_number(rows, NUMBER), "batch"])


def case_words(batch: int) -> str:
    return "one example (batch 1)" if batch == 1 else f"batch {batch}"


def title(shown: pd.DataFrame, width: int | None, batches: Sequence[int]) -> str:
    """What was found, where the interval says that it was; else what is plotted.

    It speaks of the fastest kernel on a GPU at the largest batch, or else of one matmul at the
    smallest.
    """
    if batches:
        last = shown[shown["batch"] == batches[-1]]
        gpu = last[cells.elsewhere(last)].sort_values(NUMBER, kind="stable").tail(1)
        told = shown[(shown["kernel"] == TOLD) & (shown["batch"] == batches[0])]
        for row in list[Any]([*gpu.itertuples(), *told.itertuples()]):
            if row.speedup_low > 1:
                loop = "predicted " if row.speedup_basis == "predicted" else ""
                units_of = "1 unit" if width == 1 else f"{width} units"
                finding = f"{words.spoken(row.kernel)} is {units.times(row.speedup)}"
                whole = row.speedup * row.time_s / row.end_to_end_s if row.device != "cpu" else 0
                sent = f", {units.times(whole)} with transfers" if whole > 0 else ""
                case = words.at(row.batch)
                return f"{units_of}, {case}: {finding} the {loop}Python loop{sent}"
    return "Speed-up over the Python loop" + (f", {width} units" if width else "")


def _order(rows: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """The baseline first, then from the slowest kernel to the fastest in its largest batch."""
    last = shown.sort_values("batch").drop_duplicates("kernel", keep="last")
    kernels = list(last.sort_values(NUMBER, kind="stable")["kernel"])
    if kernels and (rows["kernel"] == BASELINE).any():
        kernels = [BASELINE, *(kernel for kernel in kernels if kernel != BASELINE)]
    return kernels


def _steps(kernels: Sequence[str], shown: pd.DataFrame) -> list[tuple[str, bool]]:
    """A row for each kernel, and (True) one below it with transfers for each that has memory of its
    own.
    """
    sent = cells.elsewhere(shown) & cells.has_number(shown, WHOLE)
    far = set(shown.loc[sent, "kernel"])
    return [(k, whole) for k in kernels for whole in ((False, True) if k in far else (False,))]


def _bar(rows: pd.DataFrame, batch: int, kernel: str, *, whole: bool) -> Bar:
    case = rows[(rows["kernel"] == kernel) & (rows["batch"] == batch)]
    none = math.nan
    if kernel == BASELINE:
        predicted = not cells.has_number(case, "time_s").any()
        one, words_of = units.times(1, 1), "the baseline"
        return Bar(kernel, 1.0, none, none, one, words_of, predicted=predicted, base=True)
    if not cells.has_number(case, NUMBER).any():
        status = words.of_status(case["status"].iloc[0], UNSAID) if len(case) else ""
        return Bar(kernel, none, none, none, "", status or "not in this run", whole=whole)
    row = case.iloc[0]
    value, low, high = (float(row[c]) for c in (NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"))
    if whole:  # of the loop's time, which is its speed-up times its own
        value *= float(row["time_s"] / row[WHOLE])
    if math.isnan(value):
        return Bar(kernel, none, none, none, "", "not measured", whole=whole)
    if whole or not (low > 0 and high > 0):
        low = high = none
    predicted = row["speedup_basis"] == "predicted"
    head, tail = said(value, low, high)
    return Bar(kernel, value, low, high, head, tail, predicted=predicted, whole=whole)


def said(value: float, low: float, high: float) -> tuple[str, str]:
    """What is said of a speed-up, and its interval: one that holds 1 is not called a speed-up."""
    if math.isnan(low):
        return units.times(value), "no interval"
    interval = f"{units.times(low)} to {units.times(high)}"
    return "no measurable difference" if low <= 1 <= high else units.times(value), interval
