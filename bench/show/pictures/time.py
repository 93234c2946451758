"""Seconds for one launch, by width: launches in a row beside one launch and its fence."""

from collections.abc import Iterator, Mapping

import pandas as pd

from bench.show.pictures import Run
from bench.show.pictures.parts import cells, lines, looks, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Guide, Lines, Nothing, Panel, Picture, Y
from bench.terminal import units

NUMBER = "time_s"
# the last panel's lines are labelled at their ends, and latencies may be missing
WAYS = {"latency_s": "latency", NUMBER: "pipelined"}
IN_A_ROW = {NUMBER: "pipelined"}
METHOD = (
    "What is plotted: the seconds that one forward step of the whole batch takes, launches in"
    " a row, against the width of the layer. Both axes are on a log scale. The dotted line is"
    " what the work alone would take at the best rate of this batch; a kernel that is flatter"
    " than it spends its time on something else than the work. The time of one launch by"
    " itself and its fence is latency_s in cells.csv."
)


def picture(run: Run, most: int = 2, ways: Mapping[str, str] = WAYS) -> Picture:
    """Time against width, pipelined and latency, at the smallest and (`most` 2) largest batch."""
    view = cells.choose(run.cells, NUMBER)
    batches = cells.first_and_last(view.shown["batch"])[:most]
    rows = view.cells[view.cells["batch"].isin(batches)] if batches else view.cells
    shown = view.shown[view.shown["batch"].isin(batches)]
    missing = cells.missing(rows, NUMBER)
    if "latency_s" in ways:
        measured = shown[shown["status"] == "ok"]
        if cells.has_number(measured, "latency_s").any():
            missing += cells.missing(measured, "latency_s", "no latency")
        what = "Seconds a launch, in a row (95 % interval) or alone with its fence"
    else:
        what = "Seconds a launch, in a row, 95 % interval"
    return Picture(
        title(shown),
        [what, view.chosen],
        Nothing(cells.NO_NUMBER) if shown.empty else _body(shown, batches, ways),
        missing,
        footer(rows, run.machine),
        kernels=cells.fastest_first(shown, NUMBER, ascending=True),
        method=METHOD,
    )


def slides(run: Run) -> Iterator[Picture]:
    """Launches in a row, at the smallest batch."""
    yield picture(run, 1, IN_A_ROW)


def _body(shown: pd.DataFrame, batches: list[int], ways: Mapping[str, str]) -> Lines:
    widths = cells.places(shown["n_units"])
    panels = []
    for batch in batches:
        part = shown[shown["batch"] == batch]
        for column, way in ways.items():
            timed = part[cells.has_number(part, column)]
            if len(timed):
                drawn = lines.of_rows(timed, "n_units", column, widths)
                heading = f"batch {batch}" + (f"\n{way}" if len(ways) > 1 else "")
                panels.append(Panel(heading, drawn, _slope(part)))
    return Lines(panels, lines.widths(widths), Y("seconds", "s"))


def title(shown: pd.DataFrame) -> str:
    """How much less than the work the fastest kernel's time grows, at the smallest batch."""
    case = shown[shown["batch"] == shown["batch"].min()].sort_values("n_units", kind="stable")
    wide = case[case["n_units"] == case["n_units"].max()].sort_values(NUMBER, kind="stable")
    if len(wide):
        mine = case[case["kernel"] == wide["kernel"].iloc[0]]
        work, time = (mine[name].iloc[-1] / mine[name].iloc[0] for name in ("flops", NUMBER))
        if work > 2 * time:
            at = words.at(mine["batch"].iloc[0])
            more, longer = (units.times(number, 2) for number in (work, time))
            kernel = words.spoken(mine["kernel"].iloc[0])
            return words.sentence(f"{kernel} does {more} the work in {longer} the time ({at})")
    return "Time of one launch, by width"


def _slope(part: pd.DataFrame) -> list[Guide]:
    """What the work alone would take at the best rate of this batch: time grows as the FLOPs do."""
    work = part.drop_duplicates("n_units").sort_values("n_units")
    seconds = work["flops"] / part["flop_per_s"].max()
    near = seconds * 10 > part[NUMBER].min()  # the rest would only push the lines up
    x, y = ([float(n) for n in numbers[near]] for numbers in (work["n_units"], seconds))
    if len(x) < 2:
        return []
    square = bool((work["n_in"] == work["n_units"]).all())
    text = "slope of the work" + (",\nwidth squared" if square else "")
    return [Guide(text, x, y, looks.DOTTED)]
