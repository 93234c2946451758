"""The line below every chart: where and when this was measured, and how often."""

import pandas as pd

from bench.data.machine import Machine
from bench.show.pictures.parts import words
from bench.terminal.text import plain


def footer(rows: pd.DataFrame, machine: Machine) -> str:
    """CPU, devices, threads, precision, date, commit and sample, of what is known."""
    changed = " with changes" if machine.clean is False else ""
    parts = [
        machine.cpu.model,
        *devices(rows),
        words.from_to([int(n) for n in rows["threads"]], "thread", "threads"),
        *sorted(set(rows["precision"])),
        machine.started[:10],
        f"commit {machine.commit[:7]}{changed}" if machine.commit else "",
        words.from_to([int(n) for n in rows["visits"] if n > 0], "visit a cell", "visits a cell"),
        _waited(rows),
    ]
    return plain(" · ".join(part for part in parts if part))


def _waited(rows: pd.DataFrame) -> str:
    """How many cells' numbers rest on visits alone that waited for a core."""
    measured = rows[rows["visits"] > 0]
    waited = int((measured["waited"] >= measured["visits"]).sum())
    return f"in {waited} of {len(measured)} cells every visit waited for a core" if waited else ""


def devices(rows: pd.DataFrame) -> list[str]:
    """The devices other than the CPU, without their place on the bus."""
    names = {str(name) for name in rows["device"]} - {"cpu", ""}
    return sorted(name.split(" at ")[0] for name in names)
