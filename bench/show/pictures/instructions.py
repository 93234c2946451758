"""What a kernel makes the CPU do: instructions for each thousand multiply-adds, by width."""

from collections.abc import Iterator

import pandas as pd

from bench.show.pictures import Run
from bench.show.pictures.parts import cells, lines, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Lines, Nothing, Panel, Picture, Y
from bench.terminal import units

NEEDS = "instructions"
NUMBER = "per_thousand"
TITLE = "Instructions for each thousand multiply-adds, by width"
METHOD = (
    "What is plotted: the instructions that the CPU carried out for one launch, counted in a"
    " process of their own on one thread, over the multiply-adds of the layer. Both axes are on a"
    " log scale. A count does not change when others use the machine. It says what a kernel asks of"
    " the CPU, not how long the CPU takes: caches, memory and the price of an instruction are not"
    " in it. One vector instruction does several multiply-adds."
)


def picture(run: Run, batch: int | None = None) -> Picture:
    """A line a kernel, a panel for the smallest batch and one for the largest, or for one batch."""
    counted = run.cells.assign(**{NUMBER: 2000 * run.cells["instructions_per_flop"]})
    view = cells.choose(counted, NUMBER)
    batches = cells.first_and_last(view.shown["batch"]) if batch is None else [batch]
    rows = view.cells[view.cells["batch"].isin(batches)] if batches else view.cells
    shown = view.shown[view.shown["batch"].isin(batches)]
    widths = cells.places(shown["n_units"])
    panels = [
        Panel(
            f"batch {each}",
            lines.of_rows(shown[shown["batch"] == each], "n_units", NUMBER, widths),
        )
        for each in batches
    ]
    body = Lines(panels, lines.widths(widths), Y("instructions", ""))
    case = "" if batch is None else f" ({words.at(batch)})"
    return Picture(
        title(shown) + case,
        ["Instructions for each thousand multiply-adds", view.chosen],
        Nothing(cells.NO_NUMBER) if shown.empty else body,
        cells.missing(rows, NUMBER, "not counted"),
        footer(rows.assign(threads=1, visits=0), run.machine),  # no visit counts, one thread does
        kernels=cells.fastest_first(shown, NUMBER, ascending=True),
        method=METHOD,
    )


def slides(run: Run) -> Iterator[Picture]:
    """The smallest batch and the largest."""
    counted = run.cells.assign(**{NUMBER: 2000 * run.cells["instructions_per_flop"]})
    for batch in cells.first_and_last(cells.choose(counted, NUMBER).shown["batch"]):
        yield picture(run, batch)


def title(shown: pd.DataFrame) -> str:
    """The most and the fewest that a kernel takes, each at the best of its cells."""
    best = shown.groupby("kernel")[NUMBER].min().sort_values(kind="stable") / 1000
    if len(best) < 2:
        return TITLE
    few, many = best.index[0], best.index[-1]
    least = f"{words.spoken(many)} takes {units.number(best.iloc[-1], 2)} instructions"
    return words.sentence(
        f"{least} for a multiply-add; {words.spoken(few)} {units.number(best.iloc[0], 2)}"
    )
