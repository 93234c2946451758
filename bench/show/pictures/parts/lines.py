"""From rows of cells.csv to lines."""

from collections.abc import Sequence

import pandas as pd

from bench.show.pictures.parts.picture import Line, X


def of_rows(rows: pd.DataFrame, x: str, y: str, places: Sequence[float]) -> list[Line]:
    """A line a kernel, broken where a place has no number; with the interval that stands beside the
    number, if it has one there.
    """
    lines = []
    for key, group in rows.groupby("kernel", sort=False):
        at = group.set_index(x).reindex(list(places))

        def numbers(name: str, at: pd.DataFrame = at) -> list[float]:
            return [float(v) for v in at[name]] if name in at else []

        seconds = y.removesuffix("_s") if y in ("time_s", "latency_s") else None
        low, high = (f"{seconds}_{s}_s" if seconds else f"{y}_{s}" for s in ("low", "high"))
        lines.append(Line(str(key), list(places), numbers(y), numbers(low), numbers(high)))
    return lines


def widths(places: Sequence[int]) -> X:
    """The axis of most charts, with a tick at each width that was measured."""
    return X("width of the layer, units (log scale)", {width: str(width) for width in places})
