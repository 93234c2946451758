"""The chart of many runs: what it says, and that nothing on it touches."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import page_runs
import pytest
from histories import run, series
from hypothesis import given
from hypothesis import strategies as st
from pictures import faults, said

from bench.data.series import Change, Kept, Series
from bench.plan.case import Case
from bench.show import page
from bench.show.charts import pen
from bench.show.charts.page import Sheet
from bench.show.deck import story
from bench.show.pictures import history
from bench.show.pictures.parts.picture import Lines, Panel
from bench.show.pictures.parts.ticks import even_ticks

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
NEW = {"facts": {"CPU": "a CPU of 8 cores", "NumPy": "2.4.0"}}
OLD = {"facts": {"CPU": "a CPU of 8 cores", "NumPy": "2.3.1"}}


def kept(count: int, changed: int) -> list[Kept]:
    return [run(n, host="box", **(OLD if n < changed else NEW)) for n in range(count)]


def changes(each: Series, at: int, ratio: float) -> list[Change]:
    return [Change(at, ratio, ratio * 0.98, ratio * 1.02, each.runs[at - 1], each.runs[at])]


def made(
    count: int = 40, widths: Sequence[int] = (64,), kernels: Sequence[str] = KERNELS
) -> list[tuple[Series, list[Change]]]:
    """Series of which each second kernel becomes 8 % slower at run 10, and one has outliers."""
    runs, found = kept(count, 25), []
    for number, (width, kernel) in enumerate((w, k) for w in widths for k in kernels):
        generator = np.random.default_rng(number)
        values = 1e-4 * np.exp(generator.normal(0, 0.01, count))
        if step := number % 2:
            values[10:] *= 1.08
        values[count // 2] *= 3
        case = Case(width, width, 1, "float32", "relu")
        numbers = [float(value) for value in values]
        each = series(numbers, runs, kernel=kernel, case=case)
        each = replace(each, lows=list(values * 0.97), highs=list(values * 1.03))
        found.append((each, changes(each, 10, 1.08) if step else []))
    return found


def panel(found: history.Found) -> Panel:
    body = history.picture(found).body
    assert isinstance(body, Lines)
    return body.panels[0]


def test_its_title_is_the_largest_change() -> None:
    title = history.picture(made()).title
    assert title == "numpy_dot, 64x64 batch 1, became 8 % slower with 000000a00"
    assert history.picture([(made()[0][0], [])]).title == "No change to be told in 40 runs"


def test_a_line_is_in_per_cent_of_its_first_level() -> None:
    lines = panel(made()).lines
    assert [line.kernel for line in lines] == list(KERNELS)
    stepped = lines[1]
    assert np.median(stepped.y[:10]) == pytest.approx(100, abs=0.1)
    assert np.median(stepped.y[10:]) == pytest.approx(108, abs=1)
    assert stepped.low[0] == pytest.approx(0.97 * stepped.y[0])
    assert max(stepped.y) == max(lines[0].y)  # the outliers, at the edge
    assert "3 numbers that lie beyond the edge" in history.picture(made()).missing


def test_what_happened_is_marked_and_explained() -> None:
    picture = history.picture(made())
    moments = panel(made()).moments
    assert [(moment.x, moment.letter) for moment in moments] == [(10.5, "a"), (25.5, "b")]
    ((x, y),) = moments[0].points
    assert (x, y) == (11, panel(made()).lines[1].y[10])
    assert picture.note == (
        "a: 000000900 to 000000a00: numpy_dot +8.0 % (+5.8 to +10.2);"
        " b: 000001800 to 000001900: NumPy 2.3.1 -> 2.4.0"
    )
    several = history.picture(made(widths=(64, 512, 1000)))
    assert "numpy_dot +8.0 % (2 cases)" in several.note


def test_only_what_can_be_told_apart_is_shown() -> None:
    found = made(widths=(16, 32, 64, 128, 256))
    picture = history.picture(found)
    assert isinstance(picture.body, Lines)
    assert len(picture.body.panels) == history.MOST_PANELS
    assert "2 more cases (--case chooses)" in picture.missing
    restless = [(s, [c for at in range(3, 37, 3) for c in changes(s, at, 1.1)]) for s, _ in made()]
    assert "10 smaller or earlier changes" in history.picture(restless).missing


def test_a_run_that_a_series_lacks_leaves_its_place_empty() -> None:
    whole, short = made()[0][0], made()[1][0]
    short = replace(
        short,
        **{
            name: getattr(short, name)[5:] for name in ("runs", "values", "lows", "highs", "hashes")
        },
    )
    lines = panel([(whole, []), (short, [])]).lines
    assert list(lines[0].x) == list(range(1, 41))
    assert list(lines[1].x) == list(range(6, 41))


def new(number: int) -> dict[str, Any]:
    """Facts that no other run has."""
    return {"facts": {f"a fact {k} {'of many words ' * k}": str(number) for k in range(30)}}


def awkward() -> dict[str, list[tuple[Series, list[Change]]]]:
    long = "a_kernel_with_a_name_that_is_far_too_long_for_a_slide_" * 3
    one = series([1e-3], [run(0)])
    return {
        "usual": made(),
        "three panels": made(widths=(64, 512, 1000)),
        "five panels' worth": made(count=200, widths=(16, 32, 64, 128, 256)),
        "many kernels": made(kernels=[f"kernel_{n}" for n in range(14)]),
        "a long name": made(kernels=[long, long + "2"]),
        "one run": [(one, [])],
        "two runs of a day": [(series([1e-3, 2e-3], [run(0), run(1, at_s=run(0).at_s)]), [])],
        "all alike": [(series([1e-3] * 30), [])],
        "restless": [
            (s, [c for at in range(3, 37, 3) for c in changes(s, at, 1.1)])
            for s, _ in made(widths=(64, 512, 1000))
        ],
        "everything new": [(series([1e-3] * 9, [run(n, **new(n)) for n in range(9)]), [])],
    }


@pytest.mark.parametrize("name", awkward())
@pytest.mark.parametrize("sheet", [Sheet(), Sheet("dark", "paper")])
def test_no_two_words_touch(name: str, sheet: Sheet) -> None:
    assert faults(pen.draw(history.picture(awkward()[name]), sheet)) == []


@pytest.mark.parametrize("name", awkward())
def test_its_page_says_the_same(name: str, tmp_path: Path) -> None:
    picture = history.picture(awkward()[name])
    assert isinstance(picture.body, Lines)
    text = page.write_picture(picture, tmp_path / "history.html").read_text(encoding="utf-8")
    specs = page_runs.data(text)["plots"].values()
    for panel, spec in zip(picture.body.panels, specs, strict=True):
        numbers = [row["y"] for row in spec["data"]["values"]]
        assert numbers == [y for line in panel.lines for y in line.y]
        letters = [layer["mark"]["text"] for layer in spec["layer"] if "text" in layer["mark"]]
        assert letters == [moment.letter for moment in panel.moments]
    (title,) = page_runs.read(text).xpath("//h3")
    assert title.text_content() == picture.title
    assert page_runs.read(text).xpath("//article") == []


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_round_and_neither_too_few_nor_too_many(
    low: float, length: float, most: int
) -> None:
    ticks = even_ticks(low, low + length, most)
    assert 2 <= len(ticks) <= max(most, 4)
    assert all(low - 1e-6 * length <= tick <= low + (1 + 1e-6) * length for tick in ticks)
    step = f"{ticks[1] - ticks[0]:.0e}"
    assert step[0] in "125"


def test_letters_and_dates_are_seen() -> None:
    words = said(pen.draw(history.picture(made()), Sheet()))
    for text in ("a", "b", "2026-09-21", "110 %", "machine box", "a CPU of 8 cores"):
        assert text in words.split() or text in words


@pytest.mark.parametrize("name", awkward())
def test_its_slides_say_the_same(name: str) -> None:
    picture = history.picture(awkward()[name])
    told = story.alone(picture, datetime(2026, 1, 1, tzinfo=UTC))
    assert told.title == picture.title
    letters = [point[0] for point in getattr(told.slides[-1].body, "points", [])]
    assert letters == [part[0] for part in picture.note.split("; ") if part]
