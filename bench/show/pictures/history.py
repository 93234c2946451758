"""Runs over time: each kernel's time at each run, where it changed, and what else changed there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from statistics import median, quantiles

from bench.data.series import Change, Kept, Series, differences
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Line, Lines, Moment, Panel, Picture, X, Y
from bench.show.pictures.parts.ticks import even_ticks
from bench.terminal.text import plain

Found = Sequence[tuple[Series, Sequence[Change]]]

MOST_PANELS = 3
LETTERS = "abcdefgh"
ROOM = 500
"""Letters that all moments together may be explained with, below the chart."""

MOST_WORDS, LONGEST = 3, 60
"""What is said of a moment at most: how many things, and letters of each."""

LEAST = 5.0
"""Per cent above and below the first level that are shown at least."""

TICKS = 5

METHOD = (
    "What is plotted: each run's time, in per cent of the middle one before the first change, with"
    " its 95 % interval. A change is told where the ranks of the runs before it and after it differ"
    " by more than chance makes them differ in 2 of 1000 series. A ring is around the first run"
    " after a change."
)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened between two neighbouring runs."""

    before: Kept
    after: Kept
    changed: Sequence[tuple[Series, Change]] = ()

    @property
    def size(self) -> float:
        """How far the kernel that changed most did, in logarithms; 0 where none did."""
        return max((abs(math.log(change.ratio)) for _, change in self.changed), default=0.0)

    @property
    def words(self) -> str:
        """Which commits, which kernels by how much, what else."""
        kernels: dict[str, list[Change]] = {}
        for series, change in self.changed:
            kernels.setdefault(words.name_of(series.subject.kernel), []).append(change)
        sizes = (f"{kernel} {_sizes(changes)}" for kernel, changes in kernels.items())
        what = [*sizes, *differences(self.before, self.after)]
        more = [f"and {len(what) - MOST_WORDS} more"] * (len(what) > MOST_WORDS)
        parts = [plain(part)[:LONGEST] for part in what[:MOST_WORDS]] + more
        return f"{self.before.version} to {self.after.version}: {', '.join(parts)}"


def picture(found: Found) -> Picture:
    """A panel a case, a line a kernel, of one machine's series: one at least."""
    groups: dict[str, list[tuple[Series, Sequence[Change]]]] = {}
    for series, changes in found:
        groups.setdefault(_case(series), []).append((series, changes))
    kept = sorted(groups.values(), key=_interest)[:MOST_PANELS]
    shown = [pair for group in kept for pair in group]
    runs = sorted(
        {run.key: run for series, _ in shown for run in series.runs}.values(),
        key=lambda run: (run.at_s, run.key),
    )
    places = {run.key: place for place, run in enumerate(runs, 1)}
    every = sorted(_events(shown, runs), key=lambda event: (-event.size, -event.after.at_s))
    lengths = accumulate(len(event.words) for event in every[: len(LETTERS)])
    count = max(sum(length <= ROOM for length in lengths), min(len(every), 1))
    events = sorted(every[:count], key=lambda event: places[event.after.key])
    levels = [level for series, changes in shown for level in _levels(series, changes)]
    ends = _ends(levels)
    beyond = sum(not ends[0] <= number <= ends[1] for level in levels for number in level)
    missing = {
        f"{len(groups) - len(kept)} more cases (--case chooses)": len(groups) - len(kept),
        f"{len(every) - len(events)} smaller or earlier changes": len(every) - len(events),
        f"{beyond} numbers that lie beyond the edge": beyond,
    }
    panels = [_panel(group, places, ends, events) for group in kept]
    explained = (f"{letter}: {e.words}" for letter, e in zip(LETTERS, events, strict=False))
    return Picture(
        _title(shown, runs),
        ["Time of a launch, in per cent of its first level, 95 % interval", _conditions(shown)],
        Lines(panels, _axis(runs), Y("time", "%", ends)),
        [phrase for phrase, count in missing.items() if count],
        _footer(runs),
        plain("; ".join(explained)),
        kernels=list(dict.fromkeys(series.subject.kernel for series, _ in shown)),
        method=METHOD,
    )


def _case(series: Series) -> str:
    """What the kernels of one panel have in common."""
    device = series.subject.device if series.subject.device != "cpu" else ""
    return repr(replace(series.subject, kernel="", device=device))


def _interest(group: Sequence[tuple[Series, Sequence[Change]]]) -> tuple[float, int, int]:
    """Cases with the largest changes come first, then those of most runs and the widest layers."""
    sizes = [abs(math.log(change.ratio)) for _, changes in group for change in changes]
    series = group[0][0]
    return -max(sizes, default=0.0), -len(series.runs), -series.subject.case.n_units


def _events(shown: Found, runs: Sequence[Kept]) -> list[Event]:
    """The changes of all kernels, and those of the environment, by the run after them."""
    events = {
        after.key: Event(before, after)
        for before, after in pairwise(runs)
        if differences(before, after)
    }
    for series, changes in shown:
        for change in changes:
            event = events.get(change.after.key, Event(change.before, change.after))
            events[change.after.key] = replace(event, changed=[*event.changed, (series, change)])
    return list(events.values())


def _levels(series: Series, changes: Sequence[Change]) -> list[list[float]]:
    """The numbers of each level, in per cent of the first level."""
    first, cuts = _first(series, changes), [0, *(change.at for change in changes), None]
    return [[100 * value / first for value in series.values[a:b]] for a, b in pairwise(cuts)]


def _first(series: Series, changes: Sequence[Change]) -> float:
    return median(series.values[: changes[0].at if changes else None])


def _ends(levels: Sequence[Sequence[float]]) -> tuple[float, float]:
    """From where to where the axis goes: outliers of a level, by Tukey's far fences, don't ask."""
    usual = [100 - LEAST, 100 + LEAST]
    for level in levels:
        lower, _, upper = quantiles(level, n=4) if len(level) > 1 else 3 * [*level]
        reach = 3 * (upper - lower)
        usual += [number for number in level if lower - reach <= number <= upper + reach]
    low, high = min(usual), max(usual)
    step = (ticks := even_ticks(low, high, 7))[1] - ticks[0]
    return step * math.floor(low / step), step * math.ceil(high / step)


def _panel(
    group: Found,
    places: Mapping[str, int],
    ends: tuple[float, float],
    events: Sequence[Event],
) -> Panel:
    def inside(percent: float) -> float:
        return min(max(percent, ends[0]), ends[1])  # nan stays

    lines, rings = [], dict[str, list[tuple[float, float]]]()
    for series, changes in group:
        scale = 100 / _first(series, changes)
        x = [places[run.key] for run in series.runs]
        y, low, high = (
            [inside(scale * n) for n in numbers]
            for numbers in (series.values, series.lows, series.highs)
        )
        lines.append(Line(series.subject.kernel, x, y, low, high))
        for change in changes:
            rings.setdefault(change.after.key, []).append((x[change.at], y[change.at]))
    moments = [
        Moment(places[event.after.key] - 0.5, letter, rings.get(event.after.key, ()))
        for letter, event in zip(LETTERS, events, strict=False)
    ]
    subject = group[0][0].subject
    return Panel(f"{subject.case.layer} {subject.shape}".strip(), lines, (), moments)


def _axis(runs: Sequence[Kept]) -> X:
    """Ticks at some runs, no two of one day."""
    places = {round(1 + part * (len(runs) - 1) / (TICKS - 1)) for part in range(TICKS)}
    days = {_day(runs[place - 1]): float(place) for place in sorted(places, reverse=True)}
    ticks = {place: day for day, place in sorted(days.items(), key=lambda pair: pair[1])}
    return X("runs, in their order", ticks, log=False)


def _day(run: Kept) -> str:
    return f"{datetime.fromtimestamp(run.at_s, UTC):%Y-%m-%d}"


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+z.1f}"


def _sizes(changes: Sequence[Change]) -> str:
    """One change with its interval; of several cases from the least to the largest."""
    if len(changes) == 1:
        (only,) = changes
        return f"{_percent(only.ratio)} % ({_percent(only.low)} to {_percent(only.high)})"
    ratios = [change.ratio for change in changes]
    ends = dict.fromkeys(_percent(ratio) for ratio in (min(ratios), max(ratios)))
    return f"{' to '.join(ends)} % ({len(changes)} cases)"


def _title(shown: Found, runs: Sequence[Kept]) -> str:
    """The largest change, or that there is none."""
    every = [(series, change) for series, changes in shown for change in changes]
    if not every:
        return f"No change to be told in {words.from_to([len(runs)], 'run', 'runs')}"
    series, change = max(every, key=lambda pair: abs(math.log(pair[1].ratio)))
    how = "slower" if change.ratio > 1 else "faster"
    name = f"{words.name_of(series.subject.kernel)}, {series.subject.shape}"
    size = f"{100 * abs(change.ratio - 1):.2g} % {how}"
    return plain(f"{name}, became {size} with {change.after.version}")


def _conditions(shown: Found) -> str:
    subjects = [series.subject for series, _ in shown]
    return " · ".join(
        dict.fromkeys(
            word
            for subject in subjects
            for word in (
                subject.case.precision,
                subject.case.activation,
                f"{subject.threads} threads",
                "cold caches" if subject.cache == "cold" else "",
                "head sides of comparisons" if subject.source == "gate" else "",
                subject.quantity if subject.quantity != "time" else "",
            )
            if word
        )
    )


def _footer(runs: Sequence[Kept]) -> str:
    first, last = runs[0], runs[-1]
    parts = [
        last.facts.get("CPU", ""),
        f"machine {last.host or last.machine}",
        words.from_to([len(runs)], "run", "runs"),
        " to ".join(dict.fromkeys((_day(first), _day(last)))),
        " to ".join(dict.fromkeys((first.version, last.version))),
    ]
    return plain(" · ".join(part for part in parts if part))
