"""How much arithmetic a kernel does a second, by width: a line a kernel, a panel a batch."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.data.machine import Machine
from bench.show.pictures import Run
from bench.show.pictures.parts import ceilings, cells, lines, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Lines, Nothing, Panel, Picture, Y

NUMBER = "flop_per_s"
TITLE = "Throughput of one dense layer, by width"
MOST_PANELS = 6
MANY_KERNELS, ONE_ROW = 4, 4  # more kernels can't be labelled beside more panels than one row has
METHOD = (
    "What is plotted: the arithmetic of the layer (2 x batch x inputs x units, and the bias)"
    " over the time of a launch; launches in a row, inputs where the kernel computes. Both"
    " axes are on a log scale. The ceiling is the rate of multiply-adds in a CPU's"
    " registers or, without Numba and on a GPU, of a large matrix product."
)


def picture(run: Run, batch: int | None = None) -> Picture:
    """Throughput against width, with its interval and each device's ceiling: at one batch, or at
    as many as there is room for.
    """
    view = cells.choose(run.cells, NUMBER)
    every = cells.places(view.shown["batch"])
    many = view.shown["kernel"].nunique() > MANY_KERNELS
    most = ONE_ROW if many and len(every) > MOST_PANELS else MOST_PANELS
    batches = _spread(every, most) if batch is None else [batch]
    left_out = set(every) - set(batches)
    rows = view.cells[~view.cells["batch"].isin(left_out)]
    if batch is not None:
        rows = rows[rows["batch"] == batch]
    shown = view.shown[view.shown["batch"].isin(batches)]
    case = "" if batch is None else f" ({words.at(batch)})"
    count = f"{len(batches)} of {len(every)} batches" if left_out and batch is None else ""
    return Picture(
        title(shown, run.machine) + case,
        ["Arithmetic done a second, estimate with 95 % interval", view.chosen, count],
        Nothing(cells.NO_NUMBER) if shown.empty else _body(run, shown, batches),
        [*cells.missing(rows, NUMBER), *ceilings.unknown(run.machine, shown)],
        footer(rows, run.machine),
        kernels=cells.fastest_first(shown, NUMBER),
        method=METHOD,
    )


def slides(run: Run) -> Iterator[Picture]:
    """The smallest batch and the largest."""
    for batch in cells.first_and_last(cells.choose(run.cells, NUMBER).shown["batch"]):
        yield picture(run, batch)


def _body(run: Run, shown: pd.DataFrame, batches: list[int]) -> Lines:
    widths = cells.places(shown["n_units"])
    guides = ceilings.guides(run.machine, shown, widths)
    panels = []
    for batch in batches:
        rows = shown[shown["batch"] == batch]
        panels.append(
            Panel(f"batch {batch}", lines.of_rows(rows, "n_units", NUMBER, widths), guides)
        )
    return Lines(panels, lines.widths(widths), Y("FLOP/s", "FLOP/s"))


def title(shown: pd.DataFrame, machine: Machine) -> str:
    """How near to the ceiling the fastest kernel of each device comes; where there is but one
    device, how far from it the slowest stays. A ceiling that was passed is no ceiling.
    """
    known, parts = ceilings.of(machine, shown), list[str]()
    for ceiling in known:
        here = shown[shown["device"] == ceiling.device]
        best = here.groupby("kernel")[NUMBER].max().sort_values(kind="stable")
        if not ceiling.flop_per_s or best.iloc[-1] > ceiling.flop_per_s:
            return TITLE
        told = [(best.index[-1], best.iloc[-1])]
        if len(known) == 1 and len(best) > 1:
            told.append((best.index[0], best.iloc[0]))
        for kernel, rate in told:
            again = bool(parts)
            verb = "" if again else " reaches"
            whose = "" if again and len(known) == 1 else f" of {ceiling.best}"
            share = f"{100 * rate / ceiling.flop_per_s:.2g} %"
            parts.append(f"{words.spoken(kernel)}{verb} {share}{whose}")
    return words.sentence("; ".join(parts)) if len(parts) > 1 else TITLE


def _spread(values: list[int], most: int) -> list[int]:
    """At most so many of them, evenly over their order, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, most)]
