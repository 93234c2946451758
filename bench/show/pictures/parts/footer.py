"""The line below every chart: where and when this was measured, and how often."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.show.pictures.parts import words
from bench.terminal.text import plain


def footer(rows: pd.DataFrame, machine: Mapping[str, Any]) -> str:
    """CPU, devices, threads, precision, date, commit and sample, of what is known."""
    commit = machine.get("commit")
    changed = " with changes" if machine.get("clean") is False else ""
    parts = [
        (machine.get("cpu") or {}).get("model"),
        *devices(rows),
        words.from_to([int(n) for n in rows["threads"]], "thread", "threads"),
        *sorted(set(rows["precision"])),
        str(machine.get("started") or "")[:10],
        f"commit {str(commit)[:7]}{changed}" if commit else "",
        words.from_to([int(n) for n in rows["visits"] if n > 0], "visit a cell", "visits a cell"),
    ]
    return plain(" · ".join(part for part in parts if part))


def devices(rows: pd.DataFrame) -> list[str]:
    """The devices other than the CPU, without their place on the bus."""
    names = {str(name) for name in rows["device"]} - {"cpu", ""}
    return sorted(name.split(" at ")[0] for name in names)
