"""The kernels from the slowest to the fastest: what each step took out of Python's hands."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

import pandas as pd

from bench.show.page import kernels as looks_of
from bench.show.page.grids import swatch
from bench.show.page.markup import element
from bench.show.page.said import number
from bench.show.pictures import Run, speedup
from bench.show.pictures.parts import cells, words
from bench.show.pictures.parts.picture import Bar, Bars
from bench.terminal import units

LOOPS = {
    0: "No loop in Python: a few calls do it all",
    1: "One loop in Python",
    2: "Two loops in Python, one inside the other",
    3: "Three loops in Python, one inside the other",
}


def fill(place: Element, run: Run, kernels: Sequence[str]) -> None:
    """Put a step for each kernel into the list."""
    run, layer = _one_layer(run)
    rows = cells.choose(run.cells, speedup.NUMBER).cells
    rows = rows[rows["n_units"] == speedup.headline_width(rows)]
    picture = speedup.picture(run)
    if not isinstance(picture.body, Bars):
        place.append(element("li", "No kernel has a speed-up in this run."))
        return
    panels = {
        case: [bar for bar in bars if not bar.whole] for case, bars in picture.body.panels.items()
    }
    rows = rows.assign(case=[speedup.case_words(batch) for batch in rows["batch"]])
    for last in range(1, 1 + max(map(len, panels.values()), default=0)):
        facts = {
            f"{layer}{case}": _numbers(bars[:last], rows[rows["case"] == case])
            for case, bars in panels.items()
        }
        kernel = next(iter(panels.values()))[last - 1].kernel
        place.append(_step(kernel, facts, kernels))


def _one_layer(run: Run) -> tuple[Run, str]:
    """The squares of a run's widths; of a run of layers with names, the one on which the most
    kernels have a speed-up, the largest of those, and its name.
    """
    squares = run.cells[run.cells["layer"] == ""]
    if len(squares) or run.cells.empty:
        return replace(run, cells=squares), ""
    layers = {str(name): rows for name, rows in run.cells.groupby("layer")}

    def rank(name: str) -> tuple[int, int]:
        rows = layers[name]
        known = rows.loc[cells.has_number(rows, speedup.NUMBER), "kernel"].nunique()
        return known, int(rows["n_in"].iloc[0] * rows["n_units"].iloc[0])

    name = max(layers, key=rank)
    return replace(run, cells=layers[name]), f"{name}, "


def _step(kernel: str, facts: Mapping[str, str], kernels: Sequence[str]) -> Element:
    """One kernel, and what is told of it at each case."""
    source = looks_of.source(kernel)
    heading = words.sentence(words.spoken(kernel))
    title = element("h3", element("span", swatch(kernel, kernels), heading))
    if heading != kernel:
        title.append(element("code", kernel))
    step = element("li", title, class_=f"step k{kernels.index(kernel)}")
    if source is not None and source.loops is not None:
        loops = LOOPS.get(source.loops, f"{source.loops} loops in Python, one inside the other")
        step.append(element("p", loops, class_="loops"))
    step.append(element("ul", *(element("li", f"{case}: {fact}") for case, fact in facts.items())))
    if source is not None:
        shows = source.shows or source.summary
        step.append(element("p", shows[:1].upper() + shows[1:]))
        if source.code:
            code = element("pre", element("code", source.code), tabindex="0", role="region")
            code.set("aria-label", f"The code of {kernel}")
            summary = element("summary", f"Its code, from kernels/{kernel}.py")
            step.append(element("details", summary, code))
    return step


def _numbers(bars: Sequence[Bar], here: pd.DataFrame) -> str:
    """The time of a launch, the speed-up, and how it compares with the step before."""
    bar, before = bars[-1], next((b for b in reversed(bars[:-1]) if b.value > 0), None)
    mine = here[(here["kernel"] == bar.kernel) & cells.has_number(here, "time_s")]
    parts = [f"{number(float(mine['time_s'].iloc[0]), 's')} a launch"] if len(mine) else []
    if bar.base:
        parts.append("too slow to run; its time is predicted" if bar.predicted else "the baseline")
    elif bar.value > 0:
        remark = f", over a {bar.remark}" if bar.remark else ""
        parts.append(f"{bar.head} the loop ({bar.tail}{remark})")
        if before is not None and not before.base:
            ratio = bar.value / before.value
            said = units.times(ratio) if ratio >= 1 else f"only {units.times(ratio)}"
            parts.append(f"{said} {words.name_of(before.kernel)}")
    else:
        parts.append(bar.tail)
    return ", ".join(parts)
