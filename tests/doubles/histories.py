"""Histories that nobody measured."""

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from bench.data.series import Kept, Series, Subject
from bench.history import database
from bench.history.database import Entry
from bench.plan.case import Case

KEPT = Kept(
    *("", "a run", "run", 0.0, "", True, "0123456789ab", "box", "lock"),
    facts={"NumPy": "2.3.1"},
    packages={"numpy": "2.3.1"},
)
DAY_S = 86400.0
BEGAN_S = 1.79e9


def run(number: int, **changes: Any) -> Kept:
    """A run a day, each of a commit of its own."""
    known: dict[str, Any] = {
        "key": f"{number:016x}",
        "name": f"run-{number}",
        "at_s": BEGAN_S + number * DAY_S,
        "commit": f"{number:07x}" + 33 * "0",
    }
    return replace(KEPT, **known | changes)


def subject(kernel: str = "numpy_matmul", width: int = 64, **changes: Any) -> Subject:
    case = Case(width, width, 1, "float32", "relu")
    return replace(Subject(KEPT.machine, "run", "time", kernel, case, "cpu", 2, "warm"), **changes)


def entry(seconds: float = 1e-3, kernel: str = "numpy_matmul", width: int = 64) -> Entry:
    return Entry(subject(kernel, width), seconds, 0.98 * seconds, 1.02 * seconds, "abc")


def series(values: Sequence[float], runs: Sequence[Kept] = (), **changes: Any) -> Series:
    """A number a run."""
    unknown = [nan] * len(values)
    kept = list(runs) or [run(number) for number in range(len(values))]
    return Series(subject(**changes), kept, values, unknown, unknown, ["abc"] * len(values))


def filled(path: Path, values: Sequence[float], *kernels: str) -> Path:
    """A database with a run a value, which each of the kernels has."""
    for number, value in enumerate(values):
        entries = [entry(value, kernel) for kernel in kernels or ("numpy_matmul",)]
        database.add(path, run(number), entries)
    return path
