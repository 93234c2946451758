"""Layers with names: how much arithmetic each kernel does a second on them, a row a batch."""

import pandas as pd

from bench.show.pictures import Run, throughput
from bench.show.pictures.parts import cells, words
from bench.show.pictures.parts.footer import footer
from bench.show.pictures.parts.picture import Dot, Dots, Layer, Nothing, Picture

LAYERS = True  # the part of a run that it shows
NUMBER = "flop_per_s"


def picture(run: Run) -> Picture:
    """A dot a kernel with its interval, in a row a layer and batch, from small layers to large."""
    named = run.cells[run.cells["layer"] != ""]
    rows = pd.concat(
        [named[:0], *(cells.choose(mine, NUMBER).cells for _, mine in named.groupby("layer"))]
    )
    shown = rows[cells.has_number(rows, NUMBER)]
    body = Dots(layers(shown), list(dict.fromkeys(shown["kernel"])), "FLOP/s")
    return Picture(
        title(shown),
        [
            "Arithmetic done a second, estimate with 95 % interval",
            "cold caches" if set(rows["cache"]) == {"cold"} else "",
        ],
        Nothing(cells.NO_NUMBER) if shown.empty else body,
        missing(rows),
        footer(rows, run.machine),
        kernels=cells.fastest_first(shown, NUMBER),
        method=throughput.METHOD,
    )


def layers(shown: pd.DataFrame) -> list[Layer]:
    """From the one with the fewest weights to the one with the most."""
    by_size = []
    for name, rows in shown.groupby("layer"):
        n_in, n_units, activation = rows.iloc[0][["n_in", "n_units", "activation"]]
        shape = f"{n_in} x {n_units}, {activation}"
        batches = {
            batch: _dots(rows[rows["batch"] == batch]) for batch in cells.places(rows["batch"])
        }
        by_size.append((n_in * n_units, n_in, Layer(str(name), shape, batches)))
    return [layer for *_, layer in sorted(by_size, key=lambda size: size[:2])]


def _dots(rows: pd.DataFrame) -> list[Dot]:
    numbers = rows[["kernel", NUMBER, f"{NUMBER}_low", f"{NUMBER}_high"]]
    return [
        Dot(str(kernel), float(value), float(low), float(high))
        for kernel, value, low, high in numbers.itertuples(index=False)
    ]


def title(shown: pd.DataFrame) -> str:
    """On how many of the rows a kernel is clearly the fastest, where one is on most."""
    cases = [case for _, case in shown.groupby(["layer", "batch"]) if len(case) > 1]
    wins = [winner for winner in map(_winner, cases) if winner]
    if wins:
        most = max(sorted(set(wins)), key=wins.count)
        if 2 * wins.count(most) > len(cases):
            finding = f"{words.spoken(most)} is fastest in {wins.count(most)} of {len(cases)} cases"
            return words.sentence(f"{finding} of named layers")
    count = shown["layer"].nunique()
    return "Throughput of one named layer" if count == 1 else f"Throughput of {count} named layers"


def _winner(case: pd.DataFrame) -> str:
    """The kernel whose interval is above all others'; empty where there is none."""
    ordered = case.sort_values(NUMBER, ascending=False)
    first, rest = ordered.iloc[0], ordered.iloc[1:]
    clear = (first[f"{NUMBER}_low"] > rest[f"{NUMBER}_high"]).all()
    return str(first["kernel"]) if clear else ""


def missing(rows: pd.DataFrame) -> list[str]:
    """The cells without a number, a phrase for each kernel and status."""
    lacks = rows[~cells.has_number(rows, NUMBER)]
    phrases = []
    for key, group in lacks.groupby(["kernel", "status"], sort=False):
        kernel, status = map(str, key)
        mine = int((rows["kernel"] == kernel).sum())
        why = words.of_status(status, "no number")
        where = f"{len(group)} of {mine} cells" if len(group) < mine else words.all_of(mine)
        phrases.append(f"{words.name_of(kernel)}: {why} ({where})")
    return phrases
