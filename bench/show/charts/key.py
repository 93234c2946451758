"""A key: names in columns above a chart, where they find no room beside what they name."""

import math
from dataclasses import dataclass
from typing import Any

from bench.show.charts import fit
from bench.show.charts.page import Page
from bench.show.pictures.parts import words


@dataclass(frozen=True, slots=True)
class Entry:
    """A name, and the line or the mark that it stands for."""

    text: str
    colour: str
    drawn: dict[str, Any]  # matplotlib's words


def of_kernel(page: Page, kernel: str, *, joined: bool = True) -> Entry:
    """A kernel's name, and its line or (not `joined`) its mark."""
    drawn = page.drawn(kernel) if joined else page.mark(kernel)
    return Entry(words.name_of(kernel), page.theme.text(kernel), drawn)


def write(page: Page, entries: list[Entry]) -> None:
    """As large as fits into a third of what is left of the page, and off its top."""
    size, room = fit.SIZE + 1, (page.top - page.bottom) / 3
    while size > 6:
        size -= 1
        column = max(fit.width_of(entry.text, size) for entry in entries) + 0.9
        columns = max(1, int((page.right - page.left) / column))
        rows = math.ceil(len(entries) / columns)
        row = size * fit.LEADING / 72
        if rows * row <= room:
            break
    for i, entry in enumerate(entries):
        x, y = page.left + i % columns * column, page.top - (i // columns + 0.5) * row
        page.stroke([x, x + 0.25, x + 0.5], [y] * 3, markevery=[1], **entry.drawn)
        page.write(x + 0.6, y, entry.text, size, va="center_baseline", color=entry.colour)
    page.top -= rows * row + 0.1
