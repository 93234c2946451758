"""Several runs side by side: the charts that compare them, and each case on each machine."""

from collections import Counter
from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

from bench.data.records import CellRow
from bench.show import pictures
from bench.show.page import markup
from bench.show.page.said import number
from bench.show.pictures import Run
from bench.show.pictures.parts.picture import Picture
from bench.stats.run_data import RunData
from bench.terminal import units

Case = tuple[str, int, int, int, str, str]


def fill(
    place: Element,
    runs: Sequence[RunData],
    drawn: Sequence[Run],
    figure: Callable[[str, Picture], Element],
) -> None:
    """Put what compares the runs into its part of the page."""
    slots = {part.get("data-slot"): part for part in place.iter()}
    for name in pictures.names():
        chart = pictures.load(name)
        if hasattr(chart, "compare"):
            slots["charts-comparison"].append(figure(f"compare-{name}", chart.compare(drawn)))
    slots["cases"].append(table(runs))


def table(runs: Sequence[RunData]) -> Element:
    """A row a kernel and case, those of most runs first; a column a run, and last over first."""
    by_run = [{_case(cell): cell for cell in run.cells if cell.time_s is not None} for run in runs]
    runs_of = Counter(case for cells in by_run for case in cells)
    cases = sorted(runs_of, key=lambda case: (-runs_of[case], case))
    names = [run.folder.name for run in runs]
    header = [
        "kernel",
        "layer",
        "n_in",
        "n_units",
        "batch",
        *names,
        f"{names[-1]} against {names[0]}",
    ]
    rows: list[list[markup.Content]] = []
    for case in cases:
        cells = [cells.get(case) for cells in by_run]
        kernel, n_in, n_units, batch, layer, _ = case
        rows.append(
            [
                kernel,
                layer,
                *(markup.numeral(str(size), size) for size in (n_in, n_units, batch)),
                *(_time(cell) for cell in cells),
                _ratio(cells[0], cells[-1]),
            ]
        )
    return markup.table(header, rows, class_="sortable")


def _case(cell: CellRow) -> Case:
    return cell.kernel, cell.n_in, cell.n_units, cell.batch, cell.layer, cell.precision


def _time(cell: CellRow | None) -> Element:
    seconds = cell.time_s if cell else None
    return markup.numeral(number(seconds, "s") or "-", seconds)


def _ratio(first: CellRow | None, last: CellRow | None) -> Element:
    """How many times as fast, with what the two intervals allow."""
    if not (first and last and first.time_s and last.time_s):
        return markup.numeral("", None)
    ratio = first.time_s / last.time_s
    said = units.times(ratio)
    ends = (first.time_low_s, first.time_high_s, last.time_low_s, last.time_high_s)
    if all(ends):
        low, high, least, most = (end or 0.0 for end in ends)
        said += f" ({units.number(low / most)} to {units.number(high / least)})"
    return markup.numeral(said, ratio)
