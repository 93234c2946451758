"""A page says what the files say, fetches nothing, and holds text as text."""

import csv
import io
import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import bench, refused
from decks import folder_of
from page_runs import HOSTILE, RUNS, csv_of, data, page, read

from bench import ROOT
from bench.data.records import Verdict
from bench.data.store import FILES
from bench.show.page import kernels, markers, markup, vega
from bench.show.pictures.parts import looks
from bench.terminal import units

KEPT = ["reference", "h100"]
MOST = 1.5e6  # bytes


def rows_of(name: str) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(csv_of(name)))
    return [{key: _value(text) for key, text in row.items()} for row in rows]


def _value(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


# What is in it


@pytest.mark.parametrize("name", KEPT)
def test_it_is_small_enough_to_be_mailed(name: str) -> None:
    assert len(page(name).encode()) < MOST


@pytest.mark.parametrize("name", [*KEPT, *RUNS])
def test_it_refers_to_nothing_outside_itself(name: str) -> None:
    root = read(page(name))
    links = [element.get(a) for element in root.iter() for a in ("src", "href", "srcset", "action")]
    assert {link for link in links if link and not link.startswith("#")} == {"data:,"}
    policy = root.xpath("//meta[@http-equiv]/@content")[0]
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"https?:|\*|'unsafe-eval'|script-src[^;]*'unsafe-inline'", policy)


@pytest.mark.parametrize("name", ["reference+h100", "as usual", "a GPU", "every status"])
def test_each_id_is_there_once_and_each_link_leads_to_one(name: str) -> None:
    root = read(page(*name.split("+")))
    ids = Counter(root.xpath("//@id"))
    assert max(ids.values()) == 1
    assert [link for link in root.xpath("//*/@href") if link[1:] not in ids] == ["data:,"]


@pytest.mark.parametrize("name", KEPT)
def test_the_rows_are_those_of_cells_csv(name: str) -> None:
    (run,) = data(page(name))["runs"]
    assert [run["header"], *run["rows"]] == list(csv.reader(io.StringIO(csv_of(name))))
    times = {cell[6] for cell in run["shown"]["rows"]}
    assert times == {units.si(r["time_s"], "s") if r["time_s"] else "" for r in rows_of(name)}


NUMBERS = {"throughput": "flop_per_s", "time": "time_s", "roofline": "flop_per_s"}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("chart", NUMBERS)
def test_the_numbers_of_a_chart_are_those_of_cells_csv(name: str, chart: str) -> None:
    number = NUMBERS[chart]
    column, unit = (number, "") if number == "flop_per_s" else ("time", "_s")
    panels = [spec for key, spec in data(page(name))["plots"].items() if f"-{chart}-" in key]
    drawn = [row for spec in panels for row in spec["data"]["values"]]
    known = {(r["kernel"], r[number]): r for r in rows_of(name) if r[number] != ""}
    latencies = {(r["kernel"], r["latency_s"]) for r in rows_of(name) if r["latency_s"] != ""}
    own = [row for row in drawn if (row["kernel"], row["y"]) in known]
    others = {(row["kernel"], row["y"]) for row in drawn} - known.keys()
    assert others <= (latencies if chart == "time" else set())
    for row in own:
        cell = known[row["kernel"], row["y"]]
        ends = [cell[f"{column}_{end}{unit}"] for end in ("low", "high")]
        assert [row.get("low", ""), row.get("high", "")] == ends
        assert row["x"] in (cell["n_units"], pytest.approx(cell["flops"] / cell["bytes"]))
    batches = {int(r["batch"]) for r in rows_of(name)}
    shown = {min(batches), max(batches)} if chart == "time" else batches
    assert len(own) == sum(int(r["batch"]) in shown for r in known.values())


@pytest.mark.parametrize("name", [*KEPT, *RUNS])
def test_beside_each_chart_stands_a_table_of_the_same_numbers(name: str) -> None:
    root, plots = read(page(name)), data(page(name))["plots"]
    for figure in root.iter("figure"):
        keys = figure.xpath(".//*[@data-plot]/@data-plot")
        drawn = sorted(row["y"] for key in keys for row in plots[key]["data"]["values"])
        if "-spread" in figure.get("id"):
            drawn = []  # in per cent there, and parts in the picture
        values = [
            [float(cell.get("data-value")) for cell in row.xpath("./td[@data-value]")]
            for row in figure.xpath(".//details//tbody/tr")
        ]
        if drawn:
            assert all(any(math.isclose(y, v) for row in values for v in row) for y in drawn)
            assert len(values) == len(drawn)
        assert figure.xpath("./h3")[0].text_content().strip()


@pytest.mark.parametrize("name", ["reference", "h100", "a GPU", "thirty kernels"])
def test_the_bars_are_the_speed_ups_of_cells_csv(name: str) -> None:
    (run,) = data(page(name))["runs"]
    root = read(page(name))
    place = run["header"].index("speedup")
    known = {row[place] for row in run["rows"]}
    bars = root.xpath("//table[@class='bars']//tr[not(.//*[@class='whole'])]/td[@data-value]")
    values = [float(cell.get("data-value")) for cell in bars]
    assert len(values) > 1
    assert set(values) <= {float(value) for value in known if value} | {1.0}


# Text is data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_wherever_it_stands(name: str) -> None:
    root = read(page("hostile"))
    assert {element.tag for element in root.iter() if isinstance(element.tag, str)} <= TAGS
    assert not [a for e in root.iter() for a in e.keys() if a.startswith("on")]  # noqa: SIM118
    assert name in data(page("hostile"))["kernels"]
    assert any(name in part for part in root.xpath("//td//text() | //th//text()"))


TAGS = {
    *("html", "head", "meta", "link", "title", "style", "body", "script", "noscript", "svg", "g"),
    *("line", "path", "use", "rect", "a", "header", "nav", "main", "article", "section", "footer"),
    *("h1", "h2", "h3", "h4", "p", "code", "pre", "ul", "ol", "li", "div", "span", "small"),
    *("figure", "figcaption", "details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
    *("form", "label", "input", "select", "option", "output", "button"),
}


def test_what_turns_text_about_or_is_unseen_leaves_a_mark() -> None:
    made = markup.element("p", "a\u202eb\x1b[31m\tc\nd", title="\x00\u2066x")
    assert markup.html(made) == (
        '<!DOCTYPE html>\n<p title="\ufffd\ufffdx">a\ufffdb\ufffd[31m c\nd</p>\n'
    )


def test_data_can_not_end_its_element() -> None:
    value = {"</script>": ["<!--", "\u2028", '"', "\\"]}
    made = markup.data("x", value)
    assert "<" not in (made.text or "")
    assert data(f'<script id="page-data">{made.text}</script>') == value


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        markup.data("x", math.nan)


# Kernels


@pytest.mark.parametrize(
    ("kernel", "loops"), [("python_loop", 3), ("numpy_dot", 1), ("numpy_matmul", 0)]
)
def test_a_step_shows_the_code_and_counts_the_loops_that_python_runs(
    kernel: str, loops: int
) -> None:
    source = kernels.source(kernel)
    assert source is not None
    assert source.loops == loops
    path = ROOT / "kernels" / f"{kernel}.py"
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in source.code.splitlines() if line.strip() not in lines] == []
    assert source.code.startswith("def launch(")
    (code,) = read(page("reference")).xpath(f"//pre[@aria-label='The code of {kernel}']/code")
    assert code.text == source.code
    assert source.shows
    assert source.shows[1:] in read(page("reference")).text_content()


@pytest.mark.parametrize("kernel", ["no_such_kernel", "_host", "../bench/session", "a.b", ""])
def test_of_a_kernel_from_elsewhere_there_is_no_code(kernel: str) -> None:
    assert kernels.source(kernel) is None


def test_every_marker_can_be_drawn() -> None:
    used = {look.marker for look in looks.KNOWN.values()} | set(looks._MARKERS)
    assert used <= markers.PATHS.keys()
    assert len(set(markers.PATHS.values())) == len(markers.PATHS)


# Vega


def test_vega_is_as_it_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vega.changed() == []
    folder = shutil.copytree(vega.FOLDER, tmp_path / "vega")
    with (folder / "vega.min.js").open("a") as file:
        file.write("//")
    monkeypatch.setattr(vega, "FOLDER", folder)
    assert vega.changed() == ["vega.min.js"]


def test_a_module_becomes_a_script() -> None:
    module = (
        b"import { a, b } from 'vega-util';\nx(a);\nexport { x as y };\n//# sourceMappingURL=z\n"
    )
    assert vega.as_script(module) == b"{\nconst { a, b } = vega;\nx(a);\nvega.y = x;\n}\n"


# The command


def test_a_page_of_one_run_and_of_two(tmp_path: Path) -> None:
    run = folder_of(RUNS["as usual"], tmp_path / "mine")
    done = bench("report", str(run), "--html")
    assert (done.code, done.out.split()) == (0, ["page:", str(run / "plots" / "report.html")])
    both = tmp_path / "both.html"
    assert bench("report", str(run), "reference", "--html", "--out", str(both)).code == 0
    root = read(both.read_text(encoding="utf-8"))
    assert [a.get("aria-label") for a in root.iter("article")] == ["mine", "reference"]
    (figure,) = root.xpath("//figure[starts-with(@id, 'compare-')]")
    assert figure.xpath(".//table")
    (table,) = root.xpath("//*[@data-slot='cases']/table")
    assert [th.text for th in table.xpath("./thead//th")][5:7] == ["mine", "reference"]
    times = {float(cell.get("data-value")) for cell in table.xpath(".//td[@data-value]")}
    assert {r["time_s"] for r in rows_of("reference") if r["time_s"] != ""} <= times


@pytest.mark.parametrize("options", [["--pptx"], []])
def test_slides_and_tables_are_of_one_run(options: list[str], tmp_path: Path) -> None:
    assert "of one run" in refused("report", "reference", "h100", *options)


def test_a_page_is_of_runs(tmp_path: Path) -> None:
    (tmp_path / FILES[Verdict]).write_text("")
    assert "compares two commits" in refused("report", "reference", str(tmp_path), "--html")
