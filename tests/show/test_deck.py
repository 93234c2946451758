"""A deck says what the files say: numbers, titles, words for who can't see, notes."""

import io
import math
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from decks import (
    AWKWARD,
    FORTY,
    POWERS,
    REFERENCE,
    RUNS,
    Drawn,
    axis_words,
    cell,
    charts_of,
    content,
    drawn,
    folder,
    folder_of,
    grid,
    numbers,
    opened,
    unit_of,
)
from pptx import Presentation
from pptx.enum.chart import XL_CHART_TYPE, XL_MARKER_STYLE
from pptx.enum.shapes import MSO_SHAPE_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn

from bench.data import store
from bench.data.records import CellRow
from bench.show import charts, deck, table
from bench.show.deck import lines, oxml, pages, story
from bench.show.pictures import batching, roofline, speedup, throughput, time
from bench.show.pictures.parts import looks
from bench.show.pictures.parts.picture import Lines
from bench.stats import run_data


def batch_of(title: str, said: str) -> int:
    found = re.search(r"one example|batch (\d+)", f"{said} {title}")
    assert found
    return int(found[1] or 1)


def rows_of(name: str) -> pd.DataFrame:
    with TemporaryDirectory() as there:
        run = folder(name, Path(there) / "run")
        store.load(run, CellRow)  # it is what the reader takes
        return pd.read_csv(run / "cells.csv")


def same(point: Drawn, row: list[float], unit: float) -> None:
    """A point is the row's number, low and high."""
    for mine, its in zip((point.y, point.low, point.high), row, strict=True):
        if math.isnan(its):
            assert mine is None
        else:
            assert mine is not None
            assert mine * unit == pytest.approx(its, rel=1e-6)


@pytest.mark.parametrize(
    "name", ["reference", "as usual", "nine decades", "thirty kernels", "a GPU"]
)
def test_the_numbers_of_lines_are_those_of_cells_csv(name: str) -> None:
    cells = rows_of(name)
    known = cells[cells["flop_per_s"].notna()]
    rows = {(r["kernel"], r["n_units"], r["batch"]): r for r in known.to_dict("records")}
    seen: Counter[str] = Counter()
    for title, said, chart in charts_of(name):
        if chart.chart_type == XL_CHART_TYPE.BAR_CLUSTERED:
            continue
        x, y = axis_words(chart.category_axis), axis_words(chart.value_axis)
        for point in drawn(chart):
            what, number = "throughput", "flop_per_s"
            if x.startswith("FLOPs for each byte"):
                what, unit = "roofline", unit_of(chart, "FLOP/s")
                (row,) = (
                    r
                    for r in rows.values()
                    if r["kernel"] == point.kernel
                    and r["flops"] / r["bytes"] == pytest.approx(point.x, rel=1e-9)
                    and r["flop_per_s"] == pytest.approx(point.y * unit, rel=1e-6)
                )
            elif x.startswith("batch"):
                mine = [
                    r for r in rows.values() if (r["kernel"], r["n_units"]) == (point.kernel, 1000)
                ]
                what, unit = "batching", max(r["flop_per_s"] for r in mine) / 100
                row = rows[point.kernel, 1000, point.x]
                assert y == "share of its best, %"
            elif not x.startswith("width of the layer"):
                continue  # a chart that this test does not know
            else:
                row = rows[point.kernel, point.x, batch_of(title, said)]
                if y.startswith("instructions"):
                    counted = row["instructions_per_flop"] * 2000  # a thousand multiply-adds
                    prefix = y.removesuffix(" (log scale)").removeprefix("instructions")
                    same(point, [counted, math.nan, math.nan], POWERS[prefix.removeprefix(", ")])
                    seen["instructions"] += 1
                    continue
                if y.endswith("FLOP/s (log scale)"):
                    unit = unit_of(chart, "FLOP/s")
                else:
                    what, number, unit = "time", "time", unit_of(chart, "s")
            of = "{}_s" if number == "time" else "{}"
            columns = [of.format(n) for n in (number, f"{number}_low", f"{number}_high")]
            same(point, [row[column] for column in columns], unit)
            seen[what] += 1
    first, last = known["batch"].min(), known["batch"].max()
    counts = known["instructions"].dropna()
    ends = known.loc[counts.index, "batch"]
    at_ends = ends.isin([ends.min(), ends.max()])
    wide = known[known["n_units"] == 1000].groupby("kernel")["batch"].transform("size")
    assert seen == {
        "roofline": len(known),
        "batching": (wide > 1).sum(),
        "throughput": known["batch"].isin([first, last]).sum(),
        "time": (known["batch"] == first).sum(),
    } | ({"instructions": some.size} if (some := counts[at_ends]).size else {})  # none is missing


@pytest.mark.parametrize("name", RUNS)
def test_the_numbers_of_bars_are_those_of_cells_csv(name: str) -> None:
    cells = rows_of(name)
    seen = 0
    for title, said, chart in charts_of(name):
        if chart.chart_type != XL_CHART_TYPE.BAR_CLUSTERED:
            continue
        width = int(re.search(r"(\d+) units", title)[1])  # type: ignore[index]
        here = (cells["n_units"] == width) & (cells["batch"] == batch_of("", said))
        series = chart.plots[0].series[0]
        bars = series._element.find(qn("c:errBars"))
        sides = (numbers(bars.find(qn(f"c:{side}"))) for side in ("minus", "plus"))
        for label, value, below, above in zip(
            chart.plots[0].categories, series.values, *sides, strict=True
        ):
            kernel = next(
                k for k in cells["kernel"].unique() if label.replace("\n", "").startswith(k)
            )
            (row,) = (r for _, r in cells[here & (cells["kernel"] == kernel)].iterrows())
            if kernel == "python_loop":
                assert "the baseline" in label
                assert value == 1
                assert (below, above) == (None, None)
                continue
            seen += 1
            if "with transfers" in label:
                whole = row["speedup"] * row["time_s"] / row["end_to_end_s"]
                assert value == pytest.approx(whole, rel=1e-6)
                assert (below, above) == (None, None)
                continue
            assert value == pytest.approx(row["speedup"], rel=1e-6)
            assert value - below == pytest.approx(row["speedup_low"], rel=1e-6)
            assert value + above == pytest.approx(row["speedup_high"], rel=1e-6)
        assert title
    assert seen or not cells["speedup"].notna().any()


def sheet_of(blob: bytes) -> dict[str, float | str]:
    """The cells of a workbook's one sheet."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(io.BytesIO(blob)) as book:
        strings = parse_xml(book.read("xl/sharedStrings.xml"))
        texts = ["".join(si.itertext()) for si in strings.iter(f"{space}si")]
        sheet = parse_xml(book.read("xl/worksheets/sheet1.xml"))
    found: dict[str, float | str] = {}
    for place in sheet.iter(f"{space}c"):
        value = place.findtext(f"{space}v")
        if value is not None:
            text = place.get("t") == "s"
            found[place.get("r", "")] = texts[int(value)] if text else float(value)
    return found


@pytest.mark.parametrize("name", ["reference", "as usual", "thirty kernels", "slower"])
def test_the_workbooks_hold_what_the_charts_show(name: str) -> None:
    for _, _, chart in charts_of(name):
        sheet = sheet_of(chart.part.chart_workbook.xlsx_part.blob)
        shown = 0
        for reference in chart._chartSpace.iter(qn("c:numRef"), qn("c:strRef")):
            cells = reference.find(qn("c:f")).text.split("!")[1].replace("$", "").split(":")
            column, row = re.fullmatch(r"([A-Z]+)(\d+)", cells[0]).groups()  # type: ignore[union-attr]
            for point in reference.iter(qn("c:pt")):
                value = sheet[f"{column}{int(row) + int(point.get('idx'))}"]
                text = point.find(qn("c:v")).text
                assert value == (text if isinstance(value, str) else pytest.approx(float(text)))
                shown += 1
        assert shown > 3


def test_titles_are_the_findings_of_the_charts() -> None:
    data = run_data.read(REFERENCE)
    run = charts.read(data)
    titles = [slide.shapes.title.text_frame.text for slide in opened("reference").slides]
    for chart in (speedup, batching, roofline, time):
        assert chart.picture(run).title in titles
    for batch, words in ((1, "one example"), (1024, "batch 1024")):
        rows = run.cells[(run.cells["batch"] == batch) & run.cells["flop_per_s"].notna()]
        assert f"{throughput.title(rows, run.machine)} ({words})" in titles
    assert titles[0] == table.headline(data)
    state = table.state(data) or "How it was measured"
    assert titles[-1] == state
    assert len(titles) == 9


@pytest.mark.parametrize("name", RUNS)
def test_every_picture_has_its_words_and_every_slide_its_notes(name: str) -> None:
    for slide in opened(name).slides:
        title = slide.shapes.title.text_frame.text
        assert title
        assert len(slide.notes_slide.notes_text_frame.text) > 30
        shapes = [shape.shape_id for shape in slide.shapes]
        assert len(set(shapes)) == len(shapes)
        foot = [s.text_frame.text for s in slide.placeholders if "Footer" in s.name]
        assert len(foot) == 1
        for shape in slide.shapes:
            if shape.has_chart or shape.shape_type == MSO_SHAPE_TYPE.PICTURE:
                words = shape._element.xpath(".//p:cNvPr")[0].get("descr")
                assert title in words
                assert re.search(r"\d", words)


def test_the_footer_is_that_of_the_charts() -> None:
    measured = store.machine(REFERENCE)
    when = f"{measured.started[:10]} · commit {str(measured.commit)[:7]}"
    for name, said in (
        ("reference", f"AMD EPYC · 2 threads · float32 · {when}"),
        ("as usual", "made up · 2 threads · float32 · 2026-11-22 · commit a1b2c3d"),
    ):
        for slide in opened(name).slides:
            texts = [s.text_frame.text for s in slide.shapes if s.has_text_frame]
            either = said, said.replace("2 threads", "1 thread")  # of which counts are
            assert any(text.startswith(either) for text in texts)


@pytest.mark.parametrize("name", ["reference", "thirty kernels"])
def test_a_kernel_has_the_colour_that_it_has_in_the_charts(name: str) -> None:
    light, seen = looks.THEMES["light"], 0
    for _, _, chart in charts_of(name):
        if chart.chart_type == XL_CHART_TYPE.BAR_CLUSTERED:
            continue
        for series in chart.plots[0].series:
            if series.marker.style != XL_MARKER_STYLE.NONE:
                colour = series.marker.format.fill.fore_color.rgb
                assert f"#{colour}".lower() == light.line(series.name).lower()
                assert series.marker.style == lines.MARKERS.get(
                    looks.look(series.name).marker, XL_MARKER_STYLE.CIRCLE
                )
                seen += 1
    assert seen


def test_a_line_is_broken_where_a_width_failed() -> None:
    cells = grid({"a": 1e9, "b": 2e9}, (16, 64, 256), (1,))
    cells[1] = cell("a", 64, 1, status="crashed", reason="signal 9")
    with TemporaryDirectory() as there:
        told = story.read(run_data.read(folder_of(cells, Path(there) / "run")))
    made = Presentation(io.BytesIO(pages.deck(told)))
    chart = next(
        shape.chart
        for slide in made.slides
        for shape in slide.shapes
        if shape.has_chart and shape.chart.chart_type != XL_CHART_TYPE.BAR_CLUSTERED
    )
    (series,) = (s for s in chart.plots[0].series if s.name == "a")
    y = numbers(series._element.find(qn("c:yVal")))
    assert [value is None for value in y[:3]] == [False, True, False]
    assert chart._chartSpace.find(f".//{qn('c:dispBlanksAs')}").get("val") == "gap"


@pytest.mark.parametrize("status", ["wrong", "impossible"])
def test_a_void_cell_reaches_no_slide(status: str) -> None:
    cells = [cell("good", 64, 1, 1e9), cell("bad", 64, 1, 9e15, status=status, reason="void")]
    with TemporaryDirectory() as there:
        told = story.read(run_data.read(folder_of(cells, Path(there) / "run")))
    for slide in told.slides[:-1]:
        assert f"bad: {status} (its only cell)" in slide.missing
        assert "bad" not in slide.alt
    assert len(told.slides) == 6


def test_a_run_without_a_number_says_why() -> None:
    titles = [slide.shapes.title.text_frame.text for slide in opened("every cell skipped").slides]
    assert titles == [
        "One dense layer, A_out = g(A_in @ W + b), written several ways",
        "No cell has a number",
        "How it was measured",
    ]
    text = " ".join(s.text_frame.text for s in opened("every cell skipped").slides[1].shapes)
    assert all(f"{kernel}: skipped (both cells)" in text for kernel in FORTY[:9])


def test_a_log_axis_says_so() -> None:
    for _, _, chart in charts_of("as usual"):
        for axis in (chart.category_axis, chart.value_axis):
            scaling = axis._element.find(qn("c:scaling"))
            log = scaling.find(qn("c:logBase")) is not None
            if log:
                assert scaling[0].tag == qn("c:logBase")  # the schema's order
            assert log == (axis.has_title and axis_words(axis).endswith("(log scale)"))


def test_the_same_files_give_the_same_bytes_without_the_time_of_writing(tmp_path: Path) -> None:
    run = folder_of(AWKWARD["as usual"], tmp_path / "run")
    one, two = (
        deck.write(run_data.read(run), tmp_path / name / deck.NAME).read_bytes() for name in "ab"
    )
    assert one == two
    with zipfile.ZipFile(io.BytesIO(one)) as package:
        assert {member.date_time for member in package.infolist()} == {oxml.EPOCH}
        core = package.read("docProps/core.xml").decode()
        books = [package.read(n) for n in package.namelist() if n.endswith(".xlsx")]
    assert re.findall(r"W3CDTF\">([^<]+)", core) == ["2026-11-22T12:46:00Z"] * 2
    assert books
    for book in books:
        with zipfile.ZipFile(io.BytesIO(book)) as inside:
            assert "2026-11-22T12:46:00Z" in inside.read("docProps/core.xml").decode()


def test_a_deck_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    run = folder_of(AWKWARD["one cell"], tmp_path / "run")
    (tmp_path / "deck.pptx").mkdir()
    with pytest.raises(OSError, match=r"deck\.pptx"):
        deck.write(run_data.read(run), tmp_path / "deck.pptx")
    assert not (tmp_path / "deck.pptx.half").exists()


@pytest.mark.skipif(
    not (shutil.which("soffice") and shutil.which("pdftotext")),
    reason="needs LibreOffice (soffice) and pdftotext: libreoffice-impress, poppler-utils",
)
def test_libreoffice_opens_it_and_finds_every_title(tmp_path: Path) -> None:
    (tmp_path / deck.NAME).write_bytes(content("reference"))
    home = f"-env:UserInstallation={(tmp_path / 'home').as_uri()}"
    convert = ["soffice", home, "--headless", "--convert-to", "pdf", "--outdir", str(tmp_path)]
    subprocess.run(
        [*convert, str(tmp_path / deck.NAME)], check=True, capture_output=True, timeout=120
    )
    text = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "deck.pdf"), "-"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = [" ".join(page.split()) for page in text.split("\f")[:-1]]
    slides = list(opened("reference").slides)
    assert len(found) == len(slides)
    for page, slide in zip(found, slides, strict=True):
        assert slide.shapes.title.text_frame.text in page
    for kernel in ("python_loop", "numpy_dot", "numpy_matmul"):
        assert sum(kernel in page for page in found) >= 7


def test_layers_with_names_are_told_in_sentences_and_kept_out_of_the_charts(tmp_path: Path) -> None:
    named = [
        replace(cell(kernel, 64, batch, rate), layer=f"layer {i}", n_in=32)
        for i in range(5)
        for batch in (1, 128)
        for kernel, rate in (("numpy_dot", 1e9), ("numpy_matmul", 4e9 + i))
    ]
    told = story.read(run_data.read(folder_of(named, tmp_path / "layers")))
    slides = [s for s in told.slides if s.title.startswith("One matmul is fastest in 10 of 10")]
    assert len(slides) == 3
    pictures = [s.body for s in slides if isinstance(s.body, story.Points)]
    points = [point for picture in pictures for point in picture.points]
    assert points[0] == (
        "layer 0, one example: numpy_matmul 4.00 GFLOP/s (3.92 GFLOP/s to 4.08 GFLOP/s), 4.00x"
        " numpy_dot"
    )
    assert [f"layer {i}, " in "".join(points) for i in range(5)] == [True] * 5
    squares = [cell("numpy_matmul", width, 1, 1e9) for width in (16, 64, 256)]
    both = story.read(run_data.read(folder_of([*named, *squares], tmp_path / "both")))
    drawn = [s.body for s in both.slides if isinstance(s.body, Lines)]
    assert drawn
    assert {line.kernel for body in drawn for line in body.panels[0].lines} == {"numpy_matmul"}
