"""What every chart shares: words for numbers, which cells to draw, a kernel's looks, and the page.

The page is a slide, 13.33 x 7.5 inches with text of 14 points and more, or a sheet of paper, 11 x 8
inches: at seven inches across, in a document, its text is nine points. Everything on it is placed
in inches from the measured size of the text, so that nothing is cut and nothing overlaps, however
long a kernel's name or the list of what is missing.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, NullLocator
from PIL import Image

from bench.records import Cell, Status
from bench.text import plain

DPI = 192
SIZES = {"slide": (40 / 3, 7.5), "paper": (11.0, 8.0)}  # inches: 2560 x 1440, 2112 x 1536 pixels
MARGIN = 0.55
SIZE = 14.0  # points: the smallest text on a slide that the last row can read
LEADING = 1.3  # line height over text size
NOTE_LINES = 4
READABLE = 4.5  # the least contrast of text
LONGEST_NAME = 40
HEADLINE = 1000  # the width that the headline is about
NO_NUMBER = "no cell has a number"

_FONT = "DejaVu Sans"  # comes with matplotlib

# Text as paths looks the same where the font is missing; a fixed salt makes the same bytes.
_RC = {
    "font.family": [_FONT],
    "font.size": SIZE,
    "text.parse_math": False,  # a name may hold a dollar sign
    "svg.fonttype": "path",
    "svg.hashsalt": "bench",
    "hatch.linewidth": 1.5,
}


@contextmanager
def applied() -> Iterator[None]:
    """Matplotlib's own defaults and ours, whatever the reader's matplotlibrc says, only here."""
    with matplotlib.style.context(["default", _RC]):
        yield


@applied()
def save(figure: Figure, stem: Path, formats: Sequence[str]) -> list[Path]:
    """Write `stem`.png and the like, without dates or versions, and let the figure go.

    Each is put in its place when it is whole: a chart is there entirely, or as it was before.
    """
    written = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        half = stem.with_name(f"{path.name}.half")
        try:
            _WRITE[kind](figure, half)
            half.replace(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
        written.append(path)
    figure.clear()
    return written


def _png(figure: Figure, path: Path) -> None:
    """With a palette: a third of the bytes, and the same to the eye."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba()))  # type: ignore[no-untyped-call]
    picture.convert("RGB").quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        path, "png", dpi=(DPI, DPI), optimize=True
    )


def _svg(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _pdf(figure: Figure, path: Path) -> None:
    nameless = {"CreationDate": None, "Creator": None, "Producer": None}
    figure.savefig(path, format="pdf", metadata=nameless)


_WRITE = {"png": _png, "svg": _svg, "pdf": _pdf}


# --- words for kernels


def name_of(kernel: str) -> str:
    """A kernel's name, its middle left out where it is too long for a slide."""
    half = LONGEST_NAME // 2
    return kernel if len(kernel) <= LONGEST_NAME else f"{kernel[: half - 1]}…{kernel[-half:]}"


def broken(kernel: str, longest: int = 24) -> str:
    """A kernel's name over several lines, broken at its underscores where it has some."""
    lines = [""]
    for piece in re.findall(rf"[^_]{{1,{longest - 1}}}_*|_+", name_of(kernel)):
        if lines[-1] and len(lines[-1]) + len(piece) > longest:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


_SPOKEN = {
    "python_loop": "the Python loop",
    "numpy_dot": "a dot a unit",
    "numpy_matmul": "one matmul",
    "cupy_matmul": "CuPy's matmul",
}


def spoken(kernel: object) -> str:
    """A kernel as a title speaks of it."""
    return _SPOKEN.get(str(kernel), name_of(str(kernel)))


def sentence(words: str) -> str:
    """With a capital, unless it begins with a kernel's own name."""
    return words[0].upper() + words[1:] if words.startswith(tuple(_SPOKEN.values())) else words


# --- which cells

_VOID = ("wrong", "impossible")  # their times reach no chart


@dataclass(frozen=True, slots=True)
class View:
    """The cells of one picture: at most one for each kernel, width and batch."""

    cells: pd.DataFrame
    said: str  # what was chosen, for the subtitle


def has_number(rows: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """Which rows have a number that may be drawn."""
    return rows[column].notna() & (rows[column] > 0) & ~rows["status"].isin(_VOID)


def choose(cells: pd.DataFrame, number: str) -> View:
    """Of each thing that a picture can show only one of, the one with the most numbers."""
    rows = _typed(cells)
    said = []
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


def _typed(cells: pd.DataFrame) -> pd.DataFrame:
    """The columns of a cell with their types: an empty string reads from a CSV file as NaN."""
    rows = cells.reindex(columns=[field.name for field in fields(Cell)]).reset_index(drop=True)
    text = [field.name for field in fields(Cell) if field.type in (str, Status)]
    numbers = rows.columns.difference(text)
    rows[text] = rows[text].astype(object).where(rows[text].notna(), "").astype(str).map(plain)
    rows[numbers] = rows[numbers].apply(pd.to_numeric, errors="coerce")
    return rows.replace([math.inf, -math.inf], math.nan)


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
        phrases.append(f"{name_of(kernel)}: {words(status, unsaid)} ({_where(group, mine)})")
    return phrases


def words(status: str, unsaid: str) -> str:
    """A status in plain words; `unsaid` where the cell was measured and has no number yet."""
    return unsaid if status in ("ok", "") else status.replace("_", " ")


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


def peak(machine: Mapping[str, Any], name: str) -> float | None:
    """One of the machine's ceilings, if it is known."""
    rate = (machine.get("peaks") or {}).get(name)
    return float(rate) if rate and math.isfinite(rate) and rate > 0 else None


def headline_width(rows: pd.DataFrame) -> int | None:
    """The width that charts of one width show: 1000, else the largest."""
    widths = {int(width) for width in rows["n_units"]}
    return HEADLINE if HEADLINE in widths else max(widths, default=None)


def footer(rows: pd.DataFrame, machine: Mapping[str, Any]) -> str:
    """Where and when this was measured, of what is known."""
    cpu = machine.get("cpu")
    parts = [cpu.get("model") if isinstance(cpu, Mapping) else cpu]
    threads = sorted({int(n) for n in rows["threads"].dropna()})
    if threads:
        many = "thread" if threads == [1] else "threads"
        parts.append(f"{' to '.join(map(str, dict.fromkeys((threads[0], threads[-1]))))} {many}")
    parts += sorted({precision for precision in rows["precision"] if precision})
    parts.append(_date(machine.get("started")))
    if commit := machine.get("commit"):
        parts.append("commit " + re.sub(r"^([0-9a-f]{7})[0-9a-f]+", r"\1", str(commit)))
    if run := machine.get("run"):
        parts.append(f"run {run}")
    parts.append(_sample(rows))
    return plain(" · ".join(str(part) for part in parts if part))


def _sample(rows: pd.DataFrame) -> str:
    """How many visits are behind each number."""
    visits = sorted({int(n) for n in rows["visits"].dropna() if n > 0})
    if not visits:
        return ""
    many = "visit" if visits == [1] else "visits"
    return f"{' to '.join(map(str, dict.fromkeys((visits[0], visits[-1]))))} {many} a cell"


def _date(started: object) -> str:
    """The day of an ISO date, or of seconds since the epoch."""
    if isinstance(started, int | float):
        return datetime.fromtimestamp(started, UTC).date().isoformat()
    return str(started or "")[:10]


# --- a kernel's looks

Dash = Literal["solid"] | tuple[int, tuple[int, ...]]
_DASHES: tuple[Dash, ...] = ("solid", (0, (5, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, marker and dash: three ways to tell a line, for those who can't use the first."""

    colour: str
    marker: str
    dash: Dash


# From the palettes of Okabe & Ito and of Tol. The kernels that most runs have come first: they stay
# apart under protanopia, deuteranopia and tritanopia (tests/test_charts.py computes it).
_LOOKS = {
    "python_loop": Look("#CC3311", "o", "solid"),
    "numpy_dot": Look("#E69F00", "s", "solid"),
    "numpy_matmul": Look("#0072B2", "D", "solid"),
    "cupy_matmul": Look("#009E73", "^", "solid"),
    "numba_loop": Look("#882255", "o", (0, (5, 2))),
    "numpy_einsum": Look("#56B4E9", "v", (0, (5, 2))),
    "blas_gemm": Look("#332288", "P", (0, (1, 1))),
    "torch_linear": Look("#EE3377", "X", (0, (6, 2, 1, 2))),
    "jax_dense": Look("#AA4499", "p", (0, (6, 2, 1, 2))),
    "cupy_fused": Look("#117733", "<", (0, (5, 2))),
    "nvmath_fused": Look("#999933", ">", (0, (1, 1))),
}
_OTHERS = ("#CC79A7", "#44AA99", "#BB5566", "#4477AA", "#997700", "#994455", "#6699CC")
_MARKERS = ("h", "d", "*", "8", "H", "p", "v", "s")


def look(kernel: str) -> Look:
    """How a kernel looks in every chart, whichever others are there."""
    if kernel in _LOOKS:
        return _LOOKS[kernel]
    colour, marker, dash, *_ = hashlib.sha256(kernel.encode()).digest()  # hash() is salted
    return Look(
        _OTHERS[colour % len(_OTHERS)],
        _MARKERS[marker % len(_MARKERS)],
        _DASHES[dash % len(_DASHES)],
    )


def contrast(one: str, two: str) -> float:
    """Of two colours, as WCAG 2 has it: 1 to 21."""
    rgb = np.array([to_rgb(one), to_rgb(two)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    dim, bright = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((bright + 0.05) / (dim + 0.05))


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours that are not a kernel's."""

    paper: str
    ink: str
    muted: str
    grid: str
    lift: float  # how far a kernel's colour moves towards the ink
    text_lift: float  # the same for text, which needs more contrast than a line

    def line(self, kernel: str) -> str:
        return self._mixed(kernel, self.lift)

    def text(self, kernel: str) -> str:
        """Moved on towards the ink until it can be read on the paper."""
        parts = (self.text_lift + step / 20 for step in range(20))
        mixed = (self._mixed(kernel, min(part, 1.0)) for part in parts)
        return next(colour for colour in mixed if contrast(colour, self.paper) >= READABLE)

    def _mixed(self, kernel: str, part: float) -> str:
        own, ink = np.array(to_rgb(look(kernel).colour)), np.array(to_rgb(self.ink))
        return to_hex(own + (ink - own) * part)


THEMES = {
    "light": Theme("#FFFFFF", "#1A1A1A", "#595959", "#E3E3E3", 0.0, 0.3),
    "dark": Theme("#15181D", "#F2F2F2", "#B0B4BA", "#343A42", 0.25, 0.45),
}


# --- the page


@cache
def width_of(text: str, size: float = SIZE, weight: str = "normal") -> float:
    """Inches that the longest line of a text takes."""
    font = FontProperties(family=_FONT, size=size, weight=weight)
    measured = text_to_path.get_text_width_height_descent
    return max(float(measured(line, font, ismath=False)[0]) for line in text.split("\n")) / 72


def wrapped(text: str, room: float, size: float = SIZE, weight: str = "normal") -> list[str]:
    """Lines of at most so many inches, where words allow it."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, weight) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True, slots=True)
class Sheet:
    """What to draw on."""

    theme: str = "light"
    size: str = "slide"


@dataclass(slots=True)
class Page:
    """A slide with its words on, and the box that is left for the chart, in inches."""

    figure: Figure
    theme: Theme
    right: float
    top: float
    left: float = MARGIN
    bottom: float = MARGIN * 0.8

    def write(self, x: float, y: float, text: str, size: float = SIZE, **how: Any) -> Text:
        """Text at a place in inches; `how` is matplotlib's."""
        how = {"color": self.theme.ink, "linespacing": 1.2, **how}
        return self.figure.text(x, y, text, size=size, transform=self.figure.dpi_scale_trans, **how)

    def stroke(self, x: Sequence[float], y: Sequence[float], **how: Any) -> None:
        """A line between places in inches."""
        self.figure.add_artist(Line2D(x, y, transform=self.figure.dpi_scale_trans, **how))

    def drawn(self, kernel: str) -> dict[str, Any]:
        """A kernel's line, in matplotlib's words."""
        mine = look(kernel)
        return {
            "color": self.theme.line(kernel),
            "marker": mine.marker,
            "linestyle": mine.dash,
            "linewidth": 3,
            "markersize": 9,
            "markeredgecolor": self.theme.paper,
        }

    def wrap(self, text: str, size: float = SIZE, weight: str = "normal") -> list[str]:
        """Lines that fit between the margins."""
        return wrapped(text, self.right - self.left, size, weight)

    def head(self, text: str, size: float, weight: str = "normal", **how: Any) -> None:
        """A paragraph at the top of what is left."""
        if lines := self.wrap(text, size, weight):
            how |= {"va": "top", "weight": weight}
            self.write(self.left, self.top, "\n".join(lines), size, **how)
            self.top -= len(lines) * size * LEADING / 72 + 0.04

    def foot(self, lines: list[str], **how: Any) -> None:
        """Lines at the bottom of what is left."""
        if lines:
            self.write(self.left, self.bottom, "\n".join(lines), va="bottom", **how)
            self.bottom += len(lines) * SIZE * LEADING / 72 + 0.08

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """A panel at a place in inches, with the theme's colours and a quiet frame."""
        wide, tall = self.figure.get_size_inches()
        axes = self.figure.add_axes(
            (left / wide, bottom / tall, width / wide, height / tall),
            facecolor=self.theme.paper,
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(self.theme.muted)
        axes.tick_params(colors=self.theme.muted, labelsize=SIZE, length=5)
        axes.grid(color=self.theme.grid, linewidth=1)
        axes.set_axisbelow(True)
        return axes


def page(sheet: Sheet, title: str, said: Sequence[str], gone: list[str], below: str) -> Page:
    """A slide: title and subtitle above; what is not shown, and where it was measured, below."""
    colours, (wide, tall) = THEMES[sheet.theme], SIZES[sheet.size]
    figure = Figure(figsize=(wide, tall), dpi=DPI, facecolor=colours.paper)
    FigureCanvasAgg(figure)  # gives text a measurable size
    new = Page(figure, colours, wide - MARGIN, tall - MARGIN * 0.8)
    size = 28.0
    while size > 20 and len(new.wrap(title, size, "bold")) > 1:
        size -= 1
    new.head(title, size, "bold")
    new.head(" · ".join(part for part in said if part), 16, color=colours.muted)
    new.foot(new.wrap(below), color=colours.muted)
    new.foot(_note(new, gone))
    return new


def _note(page: Page, gone: list[str]) -> list[str]:
    """What is not shown, in a few lines: whole phrases, then how many more there are."""
    for kept in range(len(gone), 0, -1):
        rest = len(gone) - kept
        more = f"; and {rest} more, see cells.csv" if rest else ""
        lines = page.wrap(f"Not shown: {'; '.join(gone[:kept])}{more}.")
        if len(lines) <= NOTE_LINES:
            return lines
    return [f"Not shown: {len(gone)} groups of cells, see cells.csv."] if gone else []


def nothing(page: Page, words: str = NO_NUMBER) -> Figure:
    """The picture of a run that has nothing to draw."""
    x, y = (page.left + page.right) / 2, (page.bottom + page.top) / 2
    page.write(x, y, words, 24, ha="center", va="center", color=page.theme.muted)
    return page.figure


def names_beside(page: Page, kernels: list[str], top: float, row: float) -> float:
    """Write the kernels' names left of their rows; return the room that they take, in inches."""
    texts = [broken(kernel, 24 if row > 0.5 else LONGEST_NAME) for kernel in kernels]
    size = min(16, row * 72 / 1.3 / max(text.count("\n") + 1 for text in texts))
    room = max(width_of(text, size, "bold") for text in texts) + 0.15
    for k, (kernel, text) in enumerate(zip(kernels, texts, strict=True)):
        how: dict[str, Any] = {"ha": "right", "va": "center", "weight": "bold"}
        y = top - (k + 0.5) * row
        page.write(page.left + room - 0.15, y, text, size, color=page.theme.text(kernel), **how)
    return room


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers for a log axis: decades, at most `most`; 1, 2, 5 in a short range."""
    decades = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    if len(decades) >= 2:
        return [10.0**d for d in decades if d % math.ceil(len(decades) / max(most, 1)) == 0]
    tenths = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in tenths for m in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high][:most]


def fix_ticks(axis: Any, places: Sequence[float], labels: Sequence[str]) -> None:
    """Ticks exactly there, and none between."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels(labels)


def apart(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Centres as near to the wanted ones as can be, in their order, that don't overlap.

    Less the room that the labels below need, the centres only have to rise: so neighbours that
    would fall are pooled at their mean, and all is kept between `low` and `high`.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    below = np.cumsum([0.0] + [heights[i] for i in order])
    room = [below[k] + heights[i] / 2 for k, i in enumerate(order)]
    pools: list[list[float]] = []
    for k, i in enumerate(order):
        pools.append([wanted[i] - room[k]])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    offsets = [float(np.mean(pool)) for pool in pools for _ in pool]
    placed = [0.0] * len(wanted)
    for k, i in enumerate(order):
        placed[i] = max(low, min(offsets[k], high - below[-1])) + room[k]
    return placed
