"""Which cells a picture shows, and what it says of those that it doesn't."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.show.pictures.parts import words

HEADLINE = 1000  # the width that the headline is about
Places = dict[int, list[int]]  # batches, and at each the widths
NO_NUMBER = "no cell has a number"
VOID = ("wrong", "impossible")  # their times reach no chart


@dataclass(frozen=True, slots=True)
class View:
    """The cells of one picture: at most one for each kernel, width and batch."""

    cells: pd.DataFrame
    shown: pd.DataFrame  # those of them that have the number
    chosen: str  # in words, for the subtitle


def has_number(rows: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """Which rows have a number that may be drawn."""
    return rows[column].notna() & (rows[column] > 0) & ~rows["status"].isin(VOID)


def elsewhere(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows ran on a device with memory of its own."""
    return ~rows["device"].isin(["cpu", ""])


def choose(cells: pd.DataFrame, number: str) -> View:
    """Of each thing that a picture can show only one of, the one with the most numbers."""
    rows, chosen = cells, []
    for column in ("precision", "activation"):
        counts = has_number(rows, number).groupby(rows[column], sort=False).sum()
        if len(counts):
            most = str(counts.idxmax())
            rows = rows[rows[column] == most]
            chosen.append(f"{most} only" if len(counts) > 1 else most)
    caches = set(rows["cache"])
    if "warm" in caches and len(caches) > 1:
        rows = rows[rows["cache"] == "warm"]
        chosen.append("warm caches only")
    elif caches == {"cold"}:
        chosen.append("cold caches")
    for column, sign, kept in (
        ("threads", 1, "most threads only"),
        ("device_index", -1, "first device only"),
    ):
        rank = rows[column] * sign
        keep = rank == rank.groupby(rows["kernel"]).transform("max")
        if not keep.all():
            rows = rows[keep]
            chosen.append(kept)
    rows, shape = _one_input_width(rows)
    rows = rows.loc[has_number(rows, number).sort_values(kind="stable").index]
    rows = rows.drop_duplicates(["kernel", "n_units", "batch"], keep="last").sort_index()
    said = " · ".join(part for part in [*chosen, shape] if part)
    return View(rows, rows[has_number(rows, number)], said)


def headline_width(rows: pd.DataFrame) -> int | None:
    """The width that charts of one width show: 1000, else the largest."""
    widths = {int(width) for width in rows["n_units"]}
    return HEADLINE if HEADLINE in widths else max(widths, default=None)


def first_and_last(numbers: "pd.Series[int]") -> list[int]:
    """The smallest and the largest: two, one or none."""
    return sorted({int(numbers.min()), int(numbers.max())}) if len(numbers) else []


def places(numbers: "pd.Series[int]") -> list[int]:
    """Each once, in order: the ticks of an axis, the panels of a chart."""
    return sorted({int(number) for number in numbers})


def fastest_first(rows: pd.DataFrame, number: str, *, ascending: bool = False) -> list[str]:
    """The kernels by their best number; `ascending` where less is better."""
    best = rows.groupby("kernel")[number].agg("min" if ascending else "max")
    return [str(kernel) for kernel in best.sort_values(ascending=ascending, kind="stable").index]


def _one_input_width(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """One n_in for each width: the square layer where there is one, else the most inputs."""
    if (rows["n_in"] == rows["n_units"]).all():
        return rows, "square layers" if len(rows) else ""
    if rows.drop_duplicates(["n_units", "n_in"])["n_units"].is_unique:
        inputs = rows["n_in"].unique()
        return rows, f"{inputs[0]} inputs" if len(inputs) == 1 else "inputs differ by width"
    square = rows.assign(square=rows["n_in"] == rows["n_units"])
    first = square.sort_values(["square", "n_in"], ascending=False).groupby("n_units")["n_in"]
    rows = rows[rows["n_in"] == rows["n_units"].map(first.first())]
    every = (rows["n_in"] == rows["n_units"]).all()
    return rows, "square layers only" if every else "of each width, square or else most inputs"


def missing(rows: pd.DataFrame, number: str, unsaid: str = "no number") -> list[str]:
    """The cells without a number: a phrase for each kernel and status that says where."""
    every: dict[str, Places] = {}
    lacking: dict[tuple[str, str], Places] = {}
    columns = (rows[name] for name in ("kernel", "status", "batch", "n_units"))
    for kernel, status, batch, width, has in zip(*columns, has_number(rows, number), strict=True):
        every.setdefault(kernel, {}).setdefault(batch, []).append(width)
        if not has:
            lacking.setdefault((kernel, status), {}).setdefault(batch, []).append(width)
    phrases = []
    for (kernel, status), gone in lacking.items():
        why, where = words.of_status(status, unsaid), _where(gone, every[kernel])
        phrases.append(f"{words.name_of(kernel)}: {why} ({where})")
    return phrases


def _where(gone: Places, mine: Places) -> str:
    """Which of a kernel's cells `gone` are, in as few words as are true."""
    lost, cells = (sum(map(len, places.values())) for places in (gone, mine))
    if lost == cells:
        return words.all_of(cells)
    batches: dict[str, list[int]] = {}
    for batch in sorted(gone):
        part, widths = sorted(gone[batch]), sorted(mine[batch])
        if len(part) == 1:
            place = f"width {part[0]}"
        elif part == widths:
            place = "every width"
        else:
            last = part == widths[-len(part) :]
            place = f"from width {part[0]}" if last else f"{len(part)} widths"
        batches.setdefault(place, []).append(batch)
    if len(batches) > 3:
        return f"{lost} of {cells} cells"
    return ", ".join(f"{place}{_at(which, len(mine))}" for place, which in batches.items())


def _at(batches: Sequence[int], every: int) -> str:
    if len(batches) == every:
        return "" if every == 1 else " at every batch"
    listed = " and ".join(map(str, batches))
    return f" at batch {listed}" if len(batches) <= 2 else f" at {len(batches)} batches"
