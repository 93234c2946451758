"""A run -> what its slides say. The charts' own functions choose cells and word findings."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from bench.show import charts, table
from bench.show.charts import (
    _ceilings,
    _cells,
    _fit,
    _footer,
    _lines,
    _page,
    _words,
    batching,
    layers,
    roofline,
    speedup,
    throughput,
    time,
)
from bench.show.deck import method
from bench.stats.run_data import RunData
from bench.terminal import units

MOST_KERNELS = 8
"""So many kernels can be told apart on a slide; more are split over several."""


MOST_POINTS = 4
"""Sentences on a slide."""


@dataclass(frozen=True, slots=True)
class Lines:
    """An XY scatter: a line a kernel, x on a log scale; in the unit of the axis, like GFLOP/s."""

    lines: Sequence[_lines.Line]
    guides: Sequence[_lines.Guide]
    x: _lines.X
    y: str
    unit: str = ""  # of y; empty: y is a share, from 0 to 100 %
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar a kernel from 1, on a log scale, the baseline first."""

    bars: Sequence[speedup.Bar]
    x: str


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences."""

    points: Sequence[str]


@dataclass(frozen=True, slots=True)
class Slide:
    """What one slide says."""

    title: str
    said: str  # the subtitle: what is plotted
    picture: Lines | Bars | Points
    alt: str
    notes: str
    footer: str
    gone: Sequence[str] = ()  # what is not shown, a phrase a kernel


@dataclass(frozen=True, slots=True)
class Story:
    """A whole deck."""

    title: str
    said: Sequence[str]  # what it was measured on, a line each
    notes: str
    footer: str
    made: datetime
    slides: Sequence[Slide] = field(default_factory=list)


def read(run: RunData) -> Story:
    """The deck of a run."""
    return tell(charts.read(run), table.headline(run), table.quietness(run))


def tell(run: charts.Run, headline: str | None, quietness: str | None) -> Story:
    """The slides of a run, in the order in which a speaker needs them."""
    parts = (_ladder, _throughput, _batching, _roofline, _time)
    squares = charts.part(run, None)
    slides = [slide for part in parts for slide in part(squares)] if squares else []
    slides += _layers(run)
    if not slides:
        slides = [_nothing(run)]
    slides.append(_method(run, quietness))
    return Story(
        headline or "One dense layer, A_out = g(A_in @ W + b), written several ways",
        table.machine(run.machine),
        method.HEADLINE,
        slides[-1].footer,
        _started(run),
        slides,
    )


def _started(run: charts.Run) -> datetime:
    """When the run began, which is what its deck is dated."""
    try:
        return datetime.fromisoformat(run.machine.started).astimezone(UTC)
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)


def at(batch: int) -> str:
    """A batch, as a title's condition."""
    return "one example" if batch == 1 else f"batch {batch}"


def _ends(rows: pd.DataFrame) -> list[int]:
    """The smallest batch and the largest."""
    batches = sorted(int(batch) for batch in rows["batch"].unique())
    return sorted({batches[0], batches[-1]}) if batches else []


def _measured(rows: pd.DataFrame, number: str) -> pd.DataFrame:
    return rows[_cells.has_number(rows, number)]


def _parts(
    rows: pd.DataFrame, number: str, *, ascending: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """The kernels in groups that a slide can hold, the fastest first; what is said of a group."""
    best = rows.groupby("kernel")[number].agg("min" if ascending else "max")
    kernels = [str(kernel) for kernel in best.sort_values(ascending=ascending, kind="stable").index]
    count = math.ceil(len(kernels) / MOST_KERNELS)
    size = math.ceil(len(kernels) / count) if count else 1
    for first in range(0, len(kernels), size):
        part = kernels[first : first + size]
        of = f"kernels {first + 1} to {first + len(part)} of {len(kernels)}, the fastest first"
        yield (of if count > 1 else ""), part


def _said(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _alt(kind: str, title: str, said: str, numbers: Sequence[str]) -> str:
    """A chart in words: what it is, what it shows, its numbers."""
    return f"{kind}: {title}. {said}. {'; '.join(numbers)}."


def _ladder(run: charts.Run) -> Iterator[Slide]:
    """The speed-ups over the loop at the headline width, a slide a batch."""
    number = speedup.NUMBER
    view = _cells.choose(run.cells, number)
    width = speedup.headline_width(view.cells)
    rows = view.cells[view.cells["n_units"] == width]
    for batch in _ends(_measured(rows, number)):
        case = rows[rows["batch"] == batch]
        shown = _measured(case, number)
        title = speedup.title(shown, width, [batch])
        order = speedup._order(case, shown)  # noqa: SLF001
        steps = speedup._steps(order, shown)  # noqa: SLF001
        for of, part in _parts(shown[shown["kernel"] != speedup.BASELINE], number):
            bars = [
                speedup._bar(case, batch, kernel, whole=whole)  # noqa: SLF001
                for kernel, whole in steps
                if kernel in {*part, speedup.BASELINE}
            ]
            said = _said(
                "Times as fast as python_loop on the same case, 95 % interval",
                f"{width} units, {at(batch)}",
                view.said,
                of,
            )
            yield Slide(
                title,
                said,
                Bars(bars, "times the Python loop (log scale)"),
                _alt("Bar chart", title, said, [_bar_words(bar) for bar in bars]),
                method.SPEEDUP,
                _footer.footer(case, run.machine),
                _cells.missing(case[~case["kernel"].isin(order)], number, speedup.UNSAID),
            )


def _bar_words(bar: speedup.Bar) -> str:
    sent = "with transfers" if bar.whole else ""
    said = " ".join(part for part in (sent, bar.head, bar.tail, bar.remark) if part)
    return f"{_words.name_of(bar.kernel)} {said}"


def _line_words(rows: pd.DataFrame, number: str, unit: str, x: str) -> list[str]:
    """Each kernel's first and last number."""
    words = []
    for key, mine in rows.sort_values(x, kind="stable").groupby("kernel", sort=False):
        ends = [mine.iloc[i] for i in sorted({0, len(mine) - 1})]
        told = [
            f"{units.si(end[number], unit) if unit else f'{end[number]:.2g} %'} at {end[x]:.4g}"
            for end in ends
        ]
        words.append(f"{_words.name_of(str(key))} {', '.join(told)}")
    return words


def _throughput(run: charts.Run) -> Iterator[Slide]:
    """FLOP/s by width, a slide for the smallest batch and one for the largest."""
    number = throughput.NUMBER
    view = _cells.choose(run.cells, number)
    for batch in _ends(view.shown):
        rows = view.cells[view.cells["batch"] == batch]
        shown = _measured(rows, number)
        widths = sorted(int(width) for width in shown["n_units"].unique())
        title = f"{throughput.title(shown, run.machine)} ({at(batch)})"
        for of, part in _parts(shown, number):
            mine = shown[shown["kernel"].isin(part)]
            said = _said("Arithmetic done a second, 95 % interval", at(batch), view.said, of)
            yield Slide(
                title,
                said,
                Lines(
                    _lines.of_rows(mine, "n_units", number, widths),
                    throughput._ceiling(run.machine, shown, widths),  # noqa: SLF001
                    _lines.X("width of the layer, units (log scale)", widths, str),
                    "",
                    "FLOP/s",
                ),
                _alt("Line chart", title, said, _line_words(mine, number, "FLOP/s", "n_units")),
                method.THROUGHPUT,
                _footer.footer(rows, run.machine),
                [*_cells.missing(rows, number), *_ceilings.unknown(run.machine, shown)],
            )


def _batching(run: charts.Run) -> Iterator[Slide]:
    """The share of its best throughput that a kernel reaches at each batch."""
    number = batching.NUMBER
    view = _cells.choose(run.cells, number)
    width = _cells.headline_width(view.shown)
    rows = view.cells[view.cells["n_units"] == width]
    shown = _measured(rows, number)
    share = batching.shares(shown)
    if share.empty:
        return
    alone = sorted(set(shown["kernel"]) - set(share["kernel"]))
    batches = sorted(int(batch) for batch in share["batch"].unique())
    title = batching.title(share, width)
    for of, part in _parts(share.assign(**{number: share["best"]}), number):
        mine = share[share["kernel"].isin(part)]
        said = _said(
            "Throughput, as a share of the kernel's own best, 95 % interval",
            f"{width} units",
            view.said,
            of,
        )
        yield Slide(
            title,
            said,
            Lines(
                _lines.of_rows(mine, "batch", number, batches),
                [],
                _lines.X("batch: examples at a time (log scale)", batches, str),
                "share of its best, %",
            ),
            _alt("Line chart", title, said, _line_words(mine, number, "", "batch")),
            method.BATCHING,
            _footer.footer(rows, run.machine),
            [
                *_cells.missing(rows, number),
                *(f"{_words.name_of(k)}: measured at one batch only" for k in alone),
            ],
        )


def _roofline(run: charts.Run) -> Iterator[Slide]:
    """Each cell at its arithmetic intensity, under the machine's ceilings."""
    number = roofline.NUMBER
    view = _cells.choose(run.cells, number)
    shown = view.shown
    shown = shown.assign(intensity=shown["flops"] / shown["bytes"])
    if shown.empty:
        return
    title = roofline.title(shown, run.machine)
    least, most = float(shown["intensity"].min()), float(shown["intensity"].max())
    ticks = [t for t in _fit.log_ticks(least / 2, most * 2, 6) if least / 1.1 <= t <= most * 1.1]
    for of, part in _parts(shown, number):
        mine = shown[shown["kernel"].isin(part)].sort_values("intensity", kind="stable")
        lines = [
            _lines.Line(
                str(kernel),
                *(
                    [float(n) for n in rows[name]]
                    for name in ("intensity", number, f"{number}_low", f"{number}_high")
                ),
            )
            for kernel, rows in mine.groupby("kernel", sort=False)
        ]
        said = _said("A point a cell, 95 % interval; caches may lift it", view.said, of)
        yield Slide(
            title,
            said,
            Lines(
                lines,
                roofline.roofs(run.machine, shown[shown["kernel"].isin(part)]),
                _lines.X(
                    "FLOPs for each byte of the layer's arrays (log scale)",
                    ticks or [least],
                    lambda intensity: f"{intensity:.3g}",
                ),
                "",
                "FLOP/s",
                joined=False,
            ),
            _alt("Scatter chart", title, said, _line_words(mine, number, "FLOP/s", "intensity")),
            method.ROOFLINE,
            _footer.footer(view.cells, run.machine),
            [*_cells.missing(view.cells, number), *_ceilings.unknown(run.machine, shown)],
        )


def _time(run: charts.Run) -> Iterator[Slide]:
    """Seconds a launch by width, at the smallest batch."""
    number = "time_s"
    view = _cells.choose(run.cells, number)
    for batch in _ends(view.shown)[:1]:
        rows = view.cells[view.cells["batch"] == batch]
        shown = _measured(rows, number)
        widths = sorted(int(width) for width in shown["n_units"].unique())
        title = time.title(shown)
        for of, part in _parts(shown, number, ascending=True):
            mine = shown[shown["kernel"].isin(part)]
            said = _said("Seconds a launch, in a row, 95 % interval", at(batch), view.said, of)
            yield Slide(
                title,
                said,
                Lines(
                    _lines.of_rows(mine, "n_units", number, widths),
                    time._slope(mine),  # noqa: SLF001
                    _lines.X("width of the layer, units (log scale)", widths, str),
                    "",
                    "s",
                ),
                _alt("Line chart", title, said, _line_words(mine, number, "s", "n_units")),
                method.TIME,
                _footer.footer(rows, run.machine),
                _cells.missing(rows, number),
            )


def _layers(run: charts.Run) -> Iterator[Slide]:
    """The fastest kernel on each layer with a name, and what it does a second."""
    number = layers.NUMBER
    named = run.cells[run.cells["layer"] != ""]
    shown = _measured(named, number)
    said = [
        _layer_words(layer, shown[(shown["layer"] == layer.name) & (shown["batch"] == batch)])
        for layer in layers.layers(shown)
        for batch in layer.batches
    ]
    for first in range(0, len(said), MOST_POINTS):
        part = said[first : first + MOST_POINTS]
        of = f"rows {first + 1} to {first + len(part)} of {len(said)}"
        yield Slide(
            layers.title(shown),
            _said(
                "The fastest kernel's arithmetic a second, 95 % interval",
                of if len(said) > MOST_POINTS else "",
            ),
            Points(part),
            "",
            method.THROUGHPUT,
            _footer.footer(named, run.machine),
            layers.missing(named),
        )


def _layer_words(layer: layers.Layer, rows: pd.DataFrame) -> str:
    """One layer at one batch, in a sentence."""
    ordered = rows.sort_values(layers.NUMBER, ascending=False)
    best = ordered.iloc[0]
    rate, low, high = (
        units.si(best[f"{layers.NUMBER}{end}"], "FLOP/s") for end in ("", "_low", "_high")
    )
    interval = "" if pd.isna(best[f"{layers.NUMBER}_low"]) else f" ({low} to {high})"
    where = f"{layer.name}, {at(int(best['batch']))}"
    words = f"{where}: {_words.name_of(str(best['kernel']))} {rate}{interval}"
    if len(ordered) == 1:
        return words
    next_best = ordered.iloc[1]
    lead = units.number(best[layers.NUMBER] / next_best[layers.NUMBER])
    return f"{words}, {lead}x {_words.name_of(str(next_best['kernel']))}"


def _nothing(run: charts.Run) -> Slide:
    """Of a run without a number: why."""
    view = _cells.choose(run.cells, "time_s")
    return Slide(
        _page.NO_NUMBER.capitalize(),
        view.said,
        Points(_cells.missing(view.cells, "time_s") or ["The run has no cells."]),
        "",
        method.NOTHING,
        _footer.footer(view.cells, run.machine),
    )


def _method(run: charts.Run, quietness: str | None) -> Slide:
    """How it was measured, and how quiet the machine was."""
    title = quietness or "how it was measured"
    view = _cells.choose(run.cells, "time_s")
    return Slide(
        title[0].upper() + title[1:],
        "How it was measured" if quietness else view.said,
        Points(method.points(run)),
        "",
        method.METHOD,
        _footer.footer(view.cells, run.machine),
    )
