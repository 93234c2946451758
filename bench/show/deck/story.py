"""A run -> what its slides say: the pictures of its charts, in parts that a slide can hold."""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bench.show import method, pictures, table
from bench.show.pictures import Run, machines
from bench.show.pictures.parts import cells, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import (
    Bar,
    Bars,
    Dot,
    Dots,
    Line,
    Lines,
    Picture,
    Y,
)
from bench.stats.run_data import RunData
from bench.terminal import units

ORDER = ("speedup", "instructions", "throughput", "batching", "roofline", "time", "layers")
"""The charts as a speaker needs them; others come after these."""

MOST_KERNELS = 8
"""So many kernels can be told apart on a slide; more are split over several."""

MOST_POINTS = 4
"""Sentences on a slide."""


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences."""

    points: Sequence[str]


@dataclass(frozen=True, slots=True)
class Slide:
    """What one slide says."""

    title: str
    subtitle: str
    body: Lines | Bars | Points  # lines and bars: of one panel
    alt: str  # the body in words, for who can't see it
    notes: str
    footer: str
    missing: Sequence[str] = ()  # a phrase a kernel


@dataclass(frozen=True, slots=True)
class Story:
    """A whole deck."""

    title: str
    machine: Sequence[str]  # what it was measured on, a line each
    notes: str
    footer: str
    made: datetime
    slides: Sequence[Slide]


def read(run: RunData) -> Story:
    """The deck of a run."""
    return tell(pictures.read(run), table.headline(run), table.state(run))


def tell(run: Run, headline: str | None, state: str | None) -> Story:
    """The slides of a run, the last of them about how it was measured."""
    slides = [slide for picture in _pictures(run) for slide in of_picture(picture)]
    last = _method(run, state)
    return Story(
        headline or "One dense layer, A_out = g(A_in @ W + b), written several ways",
        table.machine(run.machine),
        method.HEADLINE,
        last.footer,
        _started(run),
        [*(slides or [_nothing(run)]), last],
    )


def beside(runs: Sequence[Run]) -> Story:
    """The slides of several runs, a slide a run."""
    return alone(machines.compare(runs), max(map(_started, runs)))


def alone(picture: Picture, made: datetime) -> Story:
    """The slides of one picture that is no run's, the last of them what stands below it."""
    slides = list(of_picture(picture))
    if picture.note:
        what = Points(picture.note.split("; "))
        last = picture.title, picture.subtitle[0], what, "", picture.method, picture.footer
        slides.append(Slide(*last))
    return Story(picture.title, [picture.footer], picture.method, picture.footer, made, slides)


def _started(run: Run) -> datetime:
    """When the run began, which is what its deck is dated."""
    try:
        return datetime.fromisoformat(run.machine.started).astimezone(UTC)
    except ValueError:
        return datetime(1980, 1, 1, tzinfo=UTC)


def _pictures(run: Run) -> Iterator[Picture]:
    """What the charts say."""
    rank = {name: place for place, name in enumerate(ORDER)}
    for name in sorted(pictures.names(), key=lambda name: rank.get(name, len(rank))):
        chart = pictures.load(name)
        part = pictures.part(run, chart)
        if part is not None and hasattr(chart, "slides"):
            yield from chart.slides(part)
        elif part is not None and hasattr(chart, "picture"):
            yield chart.picture(part)


def of_picture(picture: Picture) -> Iterator[Slide]:
    """A slide a panel and group of kernels, or sentences; none of what this pen can't draw."""
    body = picture.body
    match body:
        case Lines():
            for panel in body.panels:
                for of, part in _parts(picture, {line.kernel for line in panel.lines}):
                    lines = [line for line in panel.lines if line.kernel in part]
                    kept: Lines | Bars = replace(body, panels=[replace(panel, lines=lines)])
                    numbers = [_line_words(line, body.y) for line in lines]
                    yield _slide(picture, kept, panel.title, of, numbers)
        case Bars():
            for title, panel_bars in body.panels.items():
                for of, part in _parts(picture, {bar.kernel for bar in panel_bars}):
                    bars = [bar for bar in panel_bars if bar.base or bar.kernel in part]
                    kept = replace(body, panels={title: bars})
                    yield _slide(picture, kept, title, of, [_bar_words(bar) for bar in bars])
        case Dots():
            rows = _row_words(body)
            for first in range(0, len(rows), MOST_POINTS):
                points = rows[first : first + MOST_POINTS]
                of = f"rows {first + 1} to {first + len(points)} of {len(rows)}"
                of = of if len(rows) > MOST_POINTS else ""
                yield _slide(picture, Points(points), "the fastest kernel of each", of)


def _parts(picture: Picture, there: AbstractSet[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """The kernels in groups that a slide can hold; what is said of a group."""
    kernels = [kernel for kernel in picture.kernels if kernel in there]
    count = math.ceil(len(kernels) / MOST_KERNELS)
    size = math.ceil(len(kernels) / count) if count else 1
    for first in range(0, len(kernels), size):
        part = kernels[first : first + size]
        of = f"kernels {first + 1} to {first + len(part)} of {len(kernels)}, the fastest first"
        yield (of if count > 1 else ""), part


def _slide(
    picture: Picture,
    body: Lines | Bars | Points,
    case: str,
    of: str,
    numbers: Sequence[str] = (),
) -> Slide:
    """A part of a picture, with all that the picture says."""
    what, *chosen = picture.subtitle
    subtitle = " · ".join(part for part in (what, " ".join(case.split()), *chosen, of) if part)
    alt = f"{_kind(body)}: {picture.title}. {subtitle}. {'; '.join(numbers)}." if numbers else ""
    notes = f"{picture.method}\n\n{method.COMMON}"
    return Slide(picture.title, subtitle, body, alt, notes, picture.footer, picture.missing)


def _kind(body: Lines | Bars | Points) -> str:
    if isinstance(body, Lines):
        return "Line chart" if body.joined else "Scatter chart"
    return "Bar chart"


def _bar_words(bar: Bar) -> str:
    parts = ("with transfers" if bar.whole else "", bar.head, bar.tail, bar.remark)
    return " ".join([words.name_of(bar.kernel), *(part for part in parts if part)])


def _line_words(line: Line, axis: Y) -> str:
    """A kernel's first and last number."""
    ends = [line.known[i] for i in sorted({0, len(line.known) - 1})]
    numbers = [
        f"{f'{y:.2g} %' if axis.share else units.si(y, axis.unit)} at {x:.4g}" for x, y in ends
    ]
    return f"{words.name_of(line.kernel)} {', '.join(numbers)}"


def _row_words(body: Dots) -> list[str]:
    """A sentence for each layer and batch."""
    return [
        f"{layer.name}, {words.at(batch)}: {_winner(dots, body.unit)}"
        for layer in body.layers
        for batch, dots in layer.batches.items()
    ]


def _winner(dots: Sequence[Dot], unit: str) -> str:
    """The fastest kernel's number with its interval, and its lead over the next."""
    best, *others = sorted(dots, key=lambda dot: -dot.value)
    value, low, high = (units.si(n, unit) for n in (best.value, best.low, best.high))
    interval = "" if math.isnan(best.low) else f" ({low} to {high})"
    said = f"{words.name_of(best.name)} {value}{interval}"
    if not others:
        return said
    return f"{said}, {units.times(best.value / others[0].value)} {words.name_of(others[0].name)}"


def _nothing(run: Run) -> Slide:
    """Of a run without a number: why."""
    view = cells.choose(run.cells, "time_s")
    return Slide(
        cells.NO_NUMBER.capitalize(),
        view.chosen,
        Points(cells.missing(view.cells, "time_s") or ["The run has no cells."]),
        "",
        method.NOTHING,
        footer(view.cells, run.machine),
    )


def _method(run: Run, state: str | None) -> Slide:
    """How it was measured, and what the machine was like."""
    title = state or "how it was measured"
    view = cells.choose(run.cells, "time_s")
    return Slide(
        title[0].upper() + title[1:],
        "How it was measured" if state else view.chosen,
        Points(method.points(run)),
        "",
        method.METHOD,
        footer(view.cells, run.machine),
    )
