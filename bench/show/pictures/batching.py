"""What is left unused: the share of its best throughput that a kernel reaches at each batch."""

import pandas as pd

from bench.show.pictures import Run
from bench.show.pictures.parts import cells, lines, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Lines, Nothing, Panel, Picture, X, Y

NUMBER = "flop_per_s"
METHOD = (
    "What is plotted: each kernel's throughput as a share of the best that it reaches at any"
    " batch of this run, at one width. With one example every weight is read for two"
    " operations; with many, each weight is used again while it is near."
)


def picture(run: Run) -> Picture:
    """The share against the batch, at the headline width: a line a kernel."""
    view = cells.choose(run.cells, NUMBER)
    width = cells.headline_width(view.shown)
    rows = view.cells[view.cells["n_units"] == width] if width else view.cells
    here = view.shown[view.shown["n_units"] == width]
    shown = shares(here)
    alone = sorted(set(here["kernel"]) - set(shown["kernel"]))
    batches = cells.places(shown["batch"])
    body = Lines(
        [Panel(f"{width} units", lines.of_rows(shown, "batch", NUMBER, batches))],
        X("batch: examples at a time (log scale)", {batch: str(batch) for batch in batches}),
        Y("share of its best", "%"),
    )
    why = "no kernel has numbers at two batches" if alone else cells.NO_NUMBER
    return Picture(
        title(shown, width),
        ["Throughput, as a share of the kernel's own best, with 95 % interval", view.chosen],
        Nothing(why) if shown.empty else body,
        cells.missing(rows, NUMBER)
        + [f"{words.name_of(kernel)}: measured at one batch only" for kernel in alone],
        footer(rows, run.machine),
        kernels=cells.fastest_first(shown, "best"),
        method=METHOD,
    )


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
    fastest = shown[shown["best"] == shown["best"].max()]
    if len(fastest):
        mine = shown[shown["kernel"] == fastest["kernel"].iloc[0]].sort_values("batch")
        first = mine.iloc[0]
        if first[f"{NUMBER}_high"] < 50:
            batch = first["batch"]
            case = f"{words.at(batch)} at a time" if batch == 1 else words.at(batch)
            who, share = words.spoken(first["kernel"]), f"{first[NUMBER]:.2g} %"
            return f"With {case}, {who} reaches {share} of its best"
    return "Throughput by batch" + (f", {width} units" if width else "")
