"""Which cells a picture shows, and what it says of those that it doesn't."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.charts import _words

HEADLINE = 1000  # the width that the headline is about
VOID = ("wrong", "impossible")  # their times reach no chart


@dataclass(frozen=True, slots=True)
class View:
    """The cells of one picture: at most one for each kernel, width and batch."""

    cells: pd.DataFrame
    said: str  # what was chosen, for the subtitle


def has_number(rows: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """Which rows have a number that may be drawn."""
    return rows[column].notna() & (rows[column] > 0) & ~rows["status"].isin(VOID)


def choose(cells: pd.DataFrame, number: str) -> View:
    """Of each thing that a picture can show only one of, the one with the most numbers."""
    rows, said = cells, []
    for column in ("precision", "activation"):
        counts = has_number(rows, number).groupby(rows[column], sort=False).sum()
        if len(counts):
            most = str(counts.idxmax())
            rows = rows[rows[column] == most]
            said.append(f"{most} only" if len(counts) > 1 else most)
    caches = set(rows["cache"])
    if "warm" in caches and len(caches) > 1:
        rows = rows[rows["cache"] == "warm"]
        said.append("warm caches only")
    elif caches == {"cold"}:
        said.append("cold caches")
    for column, sign, chosen in (
        ("threads", 1, "most threads only"),
        ("device_index", -1, "first device only"),
    ):
        rank = rows[column] * sign
        keep = rank == rank.groupby(rows["kernel"]).transform("max")
        if not keep.all():
            rows = rows[keep]
            said.append(chosen)
    rows, shape = _one_input_width(rows)
    rows = rows.loc[has_number(rows, number).sort_values(kind="stable").index]
    rows = rows.drop_duplicates(["kernel", "n_units", "batch"], keep="last").sort_index()
    return View(rows, " · ".join(part for part in [*said, shape] if part))


def headline_width(rows: pd.DataFrame) -> int | None:
    """The width that charts of one width show: 1000, else the largest."""
    widths = {int(width) for width in rows["n_units"]}
    return HEADLINE if HEADLINE in widths else max(widths, default=None)


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
    lacks = rows[~has_number(rows, number)]
    phrases = []
    for key, group in lacks.groupby(["kernel", "status"], sort=False):
        kernel, status = map(str, key)
        mine = rows[rows["kernel"] == kernel]
        phrases.append(
            f"{_words.name_of(kernel)}: {_words.of_status(status, unsaid)} ({_where(group, mine)})"
        )
    return phrases


def _where(group: pd.DataFrame, mine: pd.DataFrame) -> str:
    """Which of a kernel's cells `group` is, in as few words as are true."""
    if len(group) == len(mine):
        return "its only cell" if len(mine) == 1 else f"all {len(mine)} cells"
    batches: dict[str, list[int]] = {}
    for batch in sorted(int(number) for number in group["batch"].unique()):
        part = group[group["batch"] == batch]
        widths = sorted(mine.loc[mine["batch"] == batch, "n_units"])
        gone = sorted(part["n_units"])
        if len(gone) == 1:
            place = f"width {gone[0]}"
        elif gone == widths:
            place = "every width"
        else:
            place = (
                f"from width {gone[0]}" if gone == widths[-len(gone) :] else f"{len(gone)} widths"
            )
        batches.setdefault(place, []).append(batch)
    if len(batches) > 3:
        return f"{len(group)} of {len(mine)} cells"
    every = mine["batch"].nunique()
    return ", ".join(f"{place}{_at(which, every)}" for place, which in batches.items())


def _at(batches: Sequence[int], every: int) -> str:
    if len(batches) == every:
        return "" if every == 1 else " at every batch"
    listed = " and ".join(map(str, batches))
    return f" at batch {listed}" if len(batches) <= 2 else f" at {len(batches)} batches"
