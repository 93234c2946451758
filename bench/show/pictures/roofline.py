"""Arithmetic against memory: each cell at its intensity, under its own device's ceilings."""

import textwrap

import pandas as pd

from bench.data.machine import MEMORY, Machine
from bench.show.pictures import Run
from bench.show.pictures.parts import ceilings, cells, looks, ticks, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Guide, Line, Lines, Nothing, Panel, Picture, X, Y
from bench.terminal import units

NUMBER = "flop_per_s"
METHOD = (
    "What is plotted: each cell's throughput over its arithmetic intensity, the FLOPs for"
    " each byte of the layer's arrays, each read or written once. The dashed roofs are measured:"
    " the bandwidth of memory, or of a cache, times the intensity, then the rate of multiply-adds"
    " in registers or, without Numba, of a large matrix product. In float16, bfloat16 and int8 the"
    " multiply-adds are those of the CPU's own instruction, whose name is beside the roof, or"
    " float32's. The dotted line is NumPy's best"
    " product or, without Numba, what the CPU's flags and stated clock promise. A layer that stays"
    " in a cache may stand above the memory's line, and none above that of the nearest cache."
)


def picture(run: Run) -> Picture:
    """FLOP/s against FLOPs a byte: a point a cell."""
    view = cells.choose(run.cells, NUMBER)
    shown = view.shown.assign(intensity=view.shown["flops"] / view.shown["bytes"])
    return Picture(
        title(shown, run.machine),
        [
            "A point a cell, with 95 % interval; caches may lift it above the memory's line",
            view.chosen,
        ],
        Nothing(cells.NO_NUMBER) if shown.empty else _body(run, shown),
        [*cells.missing(view.cells, NUMBER), *ceilings.unknown(run.machine, shown)],
        footer(view.cells, run.machine),
        kernels=cells.fastest_first(shown, NUMBER),
        method=METHOD,
    )


def _body(run: Run, shown: pd.DataFrame) -> Lines:
    points = []
    for kernel, rows in shown.sort_values("intensity", kind="stable").groupby("kernel", sort=False):
        x, y, low, high = (
            [float(n) for n in rows[name]]
            for name in ("intensity", NUMBER, f"{NUMBER}_low", f"{NUMBER}_high")
        )
        points.append(Line(str(kernel), x, y, low, high))
    least, most = float(shown["intensity"].min()), float(shown["intensity"].max())
    places = ticks.log_ticks(least / 2, most * 2, 6)
    places = [place for place in places if least / 1.1 <= place <= most * 1.1] or [least]
    return Lines(
        [Panel("", points, roofs(run.machine, shown))],
        X(
            "FLOPs for each byte of the layer's arrays (log scale)",
            {place: f"{place:.3g}" for place in places},
        ),
        Y("FLOP/s", "FLOP/s"),
        joined=False,
    )


def title(shown: pd.DataFrame, machine: Machine) -> str:
    """How far the smallest batch is from the ridges, where a larger one passes them."""
    known = ceilings.of(machine, shown)
    first = shown[shown["batch"] == shown["batch"].min()]
    ridges = [(ceiling, ridge) for ceiling in known if (ridge := ceiling.ridge)]
    if ridges and len(first):
        few, most = first["intensity"].max(), shown["intensity"].max()
        if all(few < ridge < most for _, ridge in ridges):
            case = words.at(first["batch"].iloc[0]).capitalize()
            among = len(known) > 1
            takes = [f"{r:.2g}{f' on {c.short}' if among else ''}" for c, r in ridges]
            return f"{case} brings {few:.2g} FLOPs a byte; full speed takes {', '.join(takes)}"
    return "Throughput by arithmetic intensity"


def roofs(machine: Machine, shown: pd.DataFrame) -> list[Guide]:
    """Of each device the measured roof, bent where memory is the limit; beside it that of each
    cache and NumPy's best product, or what the hardware states.
    """
    low, high = float(shown["intensity"].min()) / 1.15, float(shown["intensity"].max()) * 1.15
    known, guides = ceilings.of(machine, shown), []
    for ceiling in known:
        if rate := ceiling.flop_per_s:
            ridge = ceiling.ridge
            x = [low, *([ridge] if ridge and low < ridge < high else []), high]
            y = [rate * min(1, at / ridge) if ridge else rate for at in x]
            guides.append(Guide(ceiling.label, x, y))
        guides += _slopes(ceiling, rate or float(shown[NUMBER].max()), low, high)
        if product := ceiling.product_flop_per_s:
            guides.append(Guide(ceilings.PRODUCT, [low, high], [product] * 2, looks.DOTTED))
        elif stated := ceiling.stated_flop_per_s:
            here = ceiling.device == "cpu"
            whose = "predicted by the\nCPU's flags and clock"
            text = whose if here else textwrap.fill(f"data sheet, {ceiling.short}", 18)
            guides.append(Guide(text, [low, high], [stated, stated], looks.DOTTED))
    return guides


def _slopes(ceiling: ceilings.Ceiling, rate: float, low: float, high: float) -> list[Guide]:
    """A line a level of a CPU's memory, up to where it reaches `rate`; memory's own is part of the
    roof, where there is one. A level that is nowhere the limit has none.
    """
    guides = []
    for level in ceiling.levels:
        end = min(rate / level.bytes_per_s, high)
        if (level.name != MEMORY or not ceiling.flop_per_s) and end > low:
            text = f"{level.name}: {units.si(level.bytes_per_s, 'B/s')}"
            guides.append(Guide(text, [low, end], [level.bytes_per_s * x for x in (low, end)]))
    return guides
