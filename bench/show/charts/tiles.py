"""Grids of tiles, each as large as there is room for; small ones have marks, and names in a key."""

from typing import Any

from matplotlib.patches import Rectangle

from bench.show.charts import fit, key
from bench.show.charts.page import Page
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Tile, Tiles

LEFT, BELOW, HEADING, GAP = 1.1, 0.75, 0.4, 0.5  # inches
SMALL = 10.0  # points: smaller words on a tile are left out, the kernel's name for a key


def draw(page: Page, body: Tiles) -> None:
    """The grids side by side; with a key, where a tile is too small for its kernel's name."""
    every = [tile for grid in body.grids.values() for tile in grid]
    batches = sorted({tile.batch for tile in every})
    widths = sorted({tile.width for tile in every})
    wide = (page.right - page.left - LEFT - GAP * (len(body.grids) - 1)) / len(body.grids)
    step = min(wide / len(widths), 3.0)
    heading = HEADING if len(body.grids) > 1 else 0.0
    row = _row(page, heading, len(batches))
    named = all(_words_on(tile, step, row, named=True)[1] >= SMALL for tile in every)
    if not named:
        kernels = dict.fromkeys(tile.kernel for tile in every)
        key.write(page, [key.of_kernel(page, kernel, joined=False) for kernel in kernels])
        row = _row(page, heading, len(batches))
    left = page.left + LEFT
    how: dict[str, Any] = {"color": page.theme.muted, "va": "center"}
    for place, (title, grid) in enumerate(body.grids.items()):
        top = page.top - heading
        if heading:
            page.write(left, page.top - 0.28, title, 16, weight="bold")
        for x, width in enumerate(widths):
            size = min(fit.SIZE, fit.SIZE * step * 0.95 / fit.width_of(str(width)))
            below = top - row * len(batches) - 0.2
            page.write(left + (x + 0.5) * step, below, str(width), size, ha="center", **how)
        page.write(left, top - row * len(batches) - 0.5, body.x, **how)
        for y, batch in enumerate(batches if place == 0 else []):
            middle = top - (y + 0.5) * row
            text = f"{body.y}\n{batch}" if row > 2.6 * fit.SIZE / 72 else f"{batch}"
            page.write(left - 0.15, middle, text, min(fit.SIZE, row * 50), ha="right", **how)
        for tile in grid:
            start = left + widths.index(tile.width) * step
            below = top - (batches.index(tile.batch) + 1) * row
            _paint(page, tile, (start, below, step, row), named=named)
        left += wide + GAP


def _row(page: Page, heading: float, batches: int) -> float:
    """A tile's height."""
    return min((page.top - page.bottom - heading - BELOW) / batches, 1.4)


def _paint(page: Page, tile: Tile, box: tuple[float, float, float, float], *, named: bool) -> None:
    """A ground in the kernel's colour where it leads, framed where the lead is clear; its words."""
    (x, y, step, row), inset = box, min(0.04, box[2] / 10)
    leads = tile.known and tile.clear
    ground = page.theme.paper if tile.even else page.theme.tint(tile.kernel)
    page.figure.add_artist(
        Rectangle(
            (x + inset, y + inset),
            step - 2 * inset,
            row - 2 * inset,
            facecolor=ground,
            edgecolor=page.theme.line(tile.kernel) if leads else page.theme.muted,
            linewidth=2.5 if leads else 1,
            linestyle="solid" if leads else "dotted",
            transform=page.figure.dpi_scale_trans,
        )
    )
    lines, size = _words_on(tile, step, row, named=named)
    colour = page.theme.muted if tile.even else page.theme.text(tile.kernel, ground)
    lower = 0.0 if named or tile.even else row / 8
    for i, line in enumerate(lines):
        how: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": colour}
        how["weight"] = "bold" if line == tile.lines[0] else "normal"
        below = (i - (len(lines) - 1) / 2) * size * fit.LEADING / 72
        page.write(x + step / 2, y + row / 2 - lower - below, line, size, **how)
    if lower:
        mark = page.mark(tile.kernel) | {"markersize": min(9.0, row * 18, step * 18)}
        page.stroke([x + step / 2], [y + row * 0.78], **mark)


def _words_on(tile: Tile, step: float, row: float, *, named: bool) -> tuple[list[str], float]:
    """Of what could stand on a tile, the most that can be read there, and its size in points."""
    room, tall = step - 0.2, (row - 0.14) * 72 / fit.LEADING
    lead = tile.lines
    name = words.broken(tile.kernel, 12).split("\n") if named and not tile.even else []
    if not named:
        tall *= 0.6
    for lines in ([*name, *lead], [*name, lead[0]]):
        most = min(fit.SIZE * room / fit.width_of(line, weight="bold") for line in lines)
        size = min(fit.SIZE, tall / len(lines), most)
        if size >= SMALL:
            break
    return lines, size
