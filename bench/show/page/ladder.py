"""The kernels from the slowest to the fastest: what each step took out of Python's hands."""

from collections.abc import Sequence
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
    view = cells.choose(run.cells[run.cells["layer"] == ""], speedup.NUMBER)
    width = speedup.headline_width(view.cells)
    here = view.cells[view.cells["n_units"] == width]
    picture = speedup.picture(run)
    if not isinstance(picture.body, Bars):
        place.append(element("li", "No kernel has a speed-up in this run."))
        return
    panels = {
        title: [bar for bar in bars if not bar.whole] for title, bars in picture.body.panels.items()
    }
    batches = {speedup.case_words(batch): batch for batch in cells.places(here["batch"])}
    here = here.assign(case=here["batch"].map({b: case for case, b in batches.items()}))
    for at in range(max(map(len, panels.values()), default=0)):
        place.append(
            _step({title: bars[: at + 1] for title, bars in panels.items()}, here, kernels)
        )


def _step(panels: dict[str, list[Bar]], here: pd.DataFrame, kernels: Sequence[str]) -> Element:
    """One kernel; `panels`: by case the bars up to its own."""
    kernel = next(iter(panels.values()))[-1].kernel
    source = looks_of.source(kernel)
    heading = words.sentence(words.spoken(kernel))
    title = element("h3", element("span", swatch(kernel, kernels), heading))
    if heading != kernel:
        title.append(element("code", kernel))
    step = element("li", title, class_=f"step k{kernels.index(kernel)}")
    if source is not None and source.loops is not None:
        loops = LOOPS.get(source.loops, f"{source.loops} loops in Python, one inside the other")
        step.append(element("p", loops, class_="loops"))
    facts = element("ul")
    for case, bars in panels.items():
        numbers = _numbers(bars, here[here["case"] == case])
        facts.append(element("li", f"{case}: {numbers}"))
    step.append(facts)
    if source is not None:
        shows = source.shows or source.summary
        step.append(element("p", shows[:1].upper() + shows[1:]))
        if source.code:
            code = element("pre", element("code", source.code), tabindex="0")
            code.set("role", "region")
            code.set("aria-label", f"The code of {kernel}")
            of = f"Its code, from kernels/{kernel}.py"
            changed = _hash_differs(kernel, here)
            if changed:
                of += " as it is in this checkout"
            step.append(element("details", element("summary", of), code))
    return step


def _hash_differs(kernel: str, here: pd.DataFrame) -> bool:
    """Whether the file can't be known to be what was measured."""
    return not (here.loc[here["kernel"] == kernel, "kernel_hash"] != "").any()


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
