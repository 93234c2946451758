"""Decks of the reference run and of awkward ones, made up, for the tests that read them again."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import made_up
from pptx import Presentation
from pptx.enum.chart import XL_MARKER_STYLE
from pptx.oxml.ns import qn

from bench import ROOT
from bench.data import store
from bench.data.machine import Cpu, Machine, Peaks, dumps
from bench.data.records import CellRow
from bench.show.deck import pages
from bench.show.deck import story as stories
from bench.stats import run_data
from bench.terminal import units

REFERENCE = ROOT / "results" / "reference"
FORTY = tuple(f"kernel_{i:02}_with_a_name_of_forty_characters_"[:40] for i in range(30))
MACHINE = Machine(
    started="2026-11-22T12:46:00+00:00",
    cpu=Cpu("made up", cores_usable=2),
    threads=2,
    commit="a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    peaks=Peaks("float32", 2.3e11, 2e10, None),
)


def cell(kernel: str, width: int, batch: int, rate: float | None = None, **known: Any) -> CellRow:
    """A made-up cell; its rate and speed-up, where it has them, are known to 2 %."""
    if rate:
        measured = {"visits": 9, "flop_per_s": rate, "speedup": rate / 4e7}
        return made_up.cell(kernel, width, batch, **(measured | known))
    skipped = {"status": "skipped", "reason": "predicted 9 s a launch, limit 1 s", "visits": 0}
    return made_up.cell(kernel, width, batch, **(skipped | known))


def grid(
    kernels: dict[str, float], widths: tuple[int, ...], batches: tuple[int, ...]
) -> list[CellRow]:
    places = itertools.product(kernels.items(), widths, batches)
    return [cell(k, w, b, rate * (w / 100) ** 0.3 * b**0.5) for (k, rate), w, b in places]


AWKWARD = {
    "as usual": [
        *grid({"python_loop": 4e7, "numpy_dot": 1e9, "numpy_matmul": 3e9}, (16, 64, 1000), (1, 64)),
        cell("python_loop", 4096, 1),
        cell("numpy_matmul", 4096, 1, 9e9),
        cell("cupy_matmul", 1000, 1, status="unavailable", reason="no CuPy"),
    ],
    "one cell": [cell("numpy_matmul", 64, 1, 3e9)],
    "every cell skipped": [cell(k, w, 1) for k in FORTY[:9] for w in (64, 1000)],
    "no cells": [],
    "names of forty": grid(dict.fromkeys(FORTY[:7], 2e9), (64, 1000, 1024), (1, 2, 4)),
    "nine decades": grid({"a": 1e2, "b": 3e6, "c": 2e11}, (1, 1000, 1_000_000), (1, 4096)),
    "thirty kernels": grid({k: 1e8 * 1.3**i for i, k in enumerate(FORTY)}, (64, 1000), (1, 1024)),
    "a GPU": [  # made up
        *grid({"python_loop": 4e7, "numpy_matmul": 3e9}, (64, 1000), (1, 64)),
        *(
            replace(c, device="cuda:0 Made Up 9000 at 0000:17:00.0", end_to_end_s=5 * c.time_s)
            for c in grid({"cupy_matmul": 4e11}, (64, 1000), (1, 64))
            if c.time_s
        ),
    ],
    "slower": [cell("python_loop", 8, 1, 4e7), cell("a", 8, 1, 4e3), cell("b", 8, 1, 3e7)],
}


def folder_of(cells: list[CellRow], folder: Path, machine: Machine = MACHINE) -> Path:
    """A run that has its cells only."""
    folder.mkdir(parents=True)
    store.write_cells(folder, cells)
    (folder / "machine.json").write_text(dumps(machine))
    return folder


RUNS = ("reference", *AWKWARD)


@cache
def story(name: str) -> stories.Story:
    """What a deck is to say."""
    with TemporaryDirectory() as there:
        return stories.read(run_data.read(folder(name, Path(there) / "run")))


def folder(name: str, there: Path) -> Path:
    return REFERENCE if name == "reference" else folder_of(AWKWARD[name], there)


@cache
def content(name: str) -> bytes:
    return pages.deck(story(name))


@cache
def opened(name: str) -> Any:
    """A deck, read again."""
    return Presentation(io.BytesIO(content(name)))


def charts_of(name: str) -> Iterator[tuple[str, str, Any]]:
    """Each chart of a deck, with its slide's title and subtitle."""
    for slide in opened(name).slides:
        for shape in slide.shapes:
            if shape.has_chart:
                said = next(s.text_frame.text for s in slide.shapes if not s.is_placeholder)
                yield slide.shapes.title.text_frame.text, said, shape.chart


def numbers(element: Any) -> list[float | None]:
    """What an element's cache holds, None where it has a gap."""
    found: list[float | None] = [None] * int(element.find(f".//{qn('c:ptCount')}").get("val"))
    for point in element.iter(qn("c:pt")):
        found[int(point.get("idx"))] = float(point.find(qn("c:v")).text)
    return found


@dataclass(frozen=True)
class Drawn:
    """A point of a chart, as it stands in its XML."""

    kernel: str
    x: float
    y: float
    low: float | None
    high: float | None


def drawn(chart: Any) -> list[Drawn]:
    """The points of the kernels' series of an XY chart."""
    found = []
    for series in chart.plots[0].series:
        ser = series._element
        if series.marker.style == XL_MARKER_STYLE.NONE:
            continue  # ticks, names, guides
        x, y = (numbers(ser.find(qn(f"c:{axis}Val"))) for axis in "xy")
        bars = ser.find(qn("c:errBars"))
        sides: list[list[float | None]] = [[None] * len(y)] * 2
        if bars is not None:
            sides = [numbers(bars.find(qn(f"c:{side}"))) for side in ("minus", "plus")]
        for at, value, below, above in zip(x, y, *sides, strict=True):
            if at is not None and value is not None:
                low = None if below is None else value - below
                high = None if above is None else value + above
                found.append(Drawn(series.name, at, value, low, high))
    return found


def axis_words(axis: Any) -> str:
    return str(axis.axis_title.text_frame.text)


POWERS = {prefix: 10.0**power for power, prefix in units.PREFIXES.items()}


def unit_of(chart: Any, unit: str) -> float:
    """What one of the axis is worth, from its words: "GFLOP/s (log scale)" is 1e9."""
    words = axis_words(chart.value_axis).removesuffix(" (log scale)")
    assert words.endswith(unit)
    return POWERS[words.removesuffix(unit)]
