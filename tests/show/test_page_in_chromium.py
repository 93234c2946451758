"""The page as its reader has it: in Chromium, from a file, with no network."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import histories
import page_runs
import pytest

from bench import ROOT
from bench.data.records import CellRow
from bench.data.series import Change
from bench.plan.case import Case
from bench.show import page as pages
from bench.show.pictures import history
from bench.stats import prediction, run_data
from bench.terminal import units

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
WIDE: Any = {"width": 1280, "height": 800}


@pytest.fixture(scope="module")  # Playwright's event loop is in no other test's way
def browser() -> Iterator["Browser"]:
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: make test")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Reader:
    """A reader with a page open; what the page asked of the network, and its trouble."""

    def __init__(self, browser: "Browser", folder: Path) -> None:
        self._folder = folder
        self.trouble: list[str] = []
        self._context = browser.new_context(viewport=WIDE, offline=True, accept_downloads=True)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: self.trouble.append(dialog.message))
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "blob:", "data:,")):
            self.trouble.append(f"request: {request.url}")

    def open(self, *names: str, view: str = "") -> "Page":
        path = self._folder / f"{'+'.join(names).replace(' ', '-')}.html"
        if not path.exists():
            path.write_text(page_runs.page(*names), encoding="utf-8")
        self.page.goto("about:blank")  # else only the fragment would change
        self.page.goto(f"file://{path}{view}")
        self.page.wait_for_selector("html[data-ready=yes]")
        return self.page

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def reader(browser: "Browser", tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(browser, tmp_path)
    yield reader
    reader.close()
    assert reader.trouble == []


MARKS = """() => Object.fromEntries([...document.querySelectorAll("[data-plot]")].map((place) =>
  [place.dataset.plot, place.querySelectorAll(".mark-symbol.role-mark path").length]))"""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["h100", "a GPU", "thirty kernels", "no cells"], id="some"),
        pytest.param(list(page_runs.RUNS), id="all", marks=pytest.mark.campaign),
    ],
)
def test_a_mark_a_cell_and_no_trouble(names: list[str], reader: Reader) -> None:
    for name in names:
        page = reader.open(name)
        plots = page_runs.data(page_runs.page(name))["plots"]
        drawn = {key: len(spec["data"]["values"]) for key, spec in plots.items()}
        assert page.evaluate(MARKS) == drawn
        bars = page.locator("table.bars rect").count()
        assert bars == len(page_runs.read(page_runs.page(name)).xpath("//rect"))
        assert reader.trouble == [], name


def test_hostile_names_stay_names(reader: Reader) -> None:
    page = reader.open("hostile")
    for name in page_runs.HOSTILE:
        assert page.get_by_role("row").filter(has_text=name).count() > 1
    page.get_by_role("searchbox").fill("</script>")
    page.locator(".key button").first.click()
    page.locator("[data-slot=pick] select").or_(page.locator(".ask select")).first.focus()
    assert page.locator("img, iframe, object, embed").count() == 0


def test_the_table_sorts_filters_and_gives_its_file(reader: Reader) -> None:
    page = reader.open("reference")
    rows = page.locator("table.cells tbody tr:visible")
    assert rows.count() == 120
    page.get_by_role("searchbox").fill("numpy_matmul 1000 ok")
    assert rows.count() == 4
    page.get_by_role("button", name="time", exact=True).click()
    up = rows.locator("td:nth-of-type(6)").all_text_contents()
    page.get_by_role("button", name="time", exact=True).click()
    assert (
        rows.locator("td:nth-of-type(6)").all_text_contents()
        == up[::-1]
        == sorted(up, key=_number, reverse=True)
    )
    assert page.locator("[aria-sort=descending]").count() == 1
    page.get_by_label("all columns").check()
    assert page.locator("table.cells thead th").count() == len(fields(CellRow))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download cells.csv").click()
    assert Path(download.value.path()).read_text("utf-8") == page_runs.csv_of("reference")


def _number(text: str) -> float:
    """What units.si wrote."""
    value, unit = text.split()
    powers = {prefix: 10.0**power for power, prefix in units.PREFIXES.items()}
    return float(value) * powers[unit.removesuffix("s")]


def test_a_link_keeps_the_view(reader: Reader) -> None:
    page = reader.open("reference")
    page.get_by_role("searchbox").fill("numpy")
    page.locator(".key button[data-kernel=numpy_dot]").first.click()
    page.locator("[type=range]").fill("3")
    page.get_by_label("inputs (n_in)").fill("512")
    page.get_by_role("button", name="visits to numpy_dot, row 13").click()
    view = page.evaluate("location.hash")
    shown = page.locator("main").inner_text().split()
    page = reader.open("reference", view=view)
    # in any order: an axis that changed has its labels in that of their coming
    assert sorted(page.locator("main").inner_text().split()) == sorted(shown)
    assert page.locator(".key button[aria-pressed=false]").count() > 0
    assert page.locator("[data-plot] .mark-symbol path[aria-label^=numpy_dot]").count() == 0
    assert page.locator("[data-plot] .mark-symbol path[aria-label^=numpy_matmul]").count() > 50


def test_every_visit_to_a_cell_is_two_clicks_away(reader: Reader) -> None:
    page = reader.open("reference")
    page.get_by_role("button", name="visits to numpy_matmul, row 14").click()
    page.get_by_text("These visits as a table").click()
    run = run_data.read(ROOT / "results" / "reference")
    cell = next(c for c in run.by_cell if (c.kernel, c.case.n_in, c.case.batch) == WANTED)
    measured = run.by_cell[cell].measured
    rows = page.locator("[data-slot=pick] tbody tr")
    assert rows.count() == len(measured.launches)
    assert rows.filter(has_text="no").count() == len(measured.launches) - len(measured.counted)
    seconds = {f"{run.times.visit_s[number]:.5g}" for number in measured.counted}
    told = rows.locator("td:nth-of-type(1)").evaluate_all("all => all.map((c) => c.dataset.value)")
    assert {f"{float(text):.5g}" for text in told if text} == seconds


WANTED = ("numpy_matmul", 16, 128)


def test_the_slider_says_what_cells_csv_says(reader: Reader) -> None:
    page = reader.open("reference")
    slider, batches = page.locator("[type=range]"), [1, 16, 128, 1024]
    for place, batch in enumerate(batches):
        slider.fill(str(place))
        assert slider.get_attribute("aria-valuetext") == f"batch {batch}"
        row = page.locator("[data-slot=slider] tr[data-kernel=numpy_matmul] td").all_inner_texts()
        (cell,) = (
            c
            for c in run_data.read(ROOT / "results" / "reference").cells
            if (c.kernel, c.n_units, c.batch) == ("numpy_matmul", 1000, batch)
        )
        assert cell.time_s is not None
        assert row[:2] == [units.si(cell.time_s, "s"), units.si(cell.time_s / batch, "s")]


def test_your_layer_is_what_predict_says(reader: Reader) -> None:
    page = reader.open("h100")
    models = prediction.models(run_data.read(ROOT / "results" / "h100").cells)
    for sizes in ((1000, 1000, 1), (700, 3000, 50), (3, 1, 7), (9000, 16384, 4096)):
        labels = ("inputs (n_in)", "units (n_units)", "examples (batch)")
        for label, size in zip(labels, sizes, strict=True):
            page.get_by_label(label).fill(str(size))
        case = Case(*sizes, "float32", "relu")
        for (kernel, _), model in models.items():
            row = page.locator(f"[data-slot=layer-table] tr[data-kernel={kernel}] td")
            time, measured, interval, parts, _ = row.all_inner_texts()
            answer = model.predict(case)
            assert time == units.si(answer.seconds, "s")
            assert measured == (units.si(answer.measured, "s") if answer.measured else "")
            assert answer.low is not None
            assert answer.high is not None
            ends = f"{units.si(answer.low, 's')} to {units.si(answer.high, 's')}"
            assert interval == ends + " (extrapolated)" * (not answer.inside)
            assert parts == ", ".join(f"{p} {100 * s:.0f} %" for p, s in answer.parts.items())
    page.get_by_label("inputs (n_in)").fill("0")
    assert "whole numbers" in page.locator("[data-slot=layer-said]").inner_text()
    page.locator("[name=known]").select_option(label="LLaMA-7B FFN up, batch 16")
    assert page.get_by_label("units (n_units)").input_value() == "11008"


def test_two_runs_and_their_comparison(reader: Reader) -> None:
    page = reader.open("reference", "h100")
    heading = page.locator("h1:visible")
    choices = page.get_by_role("navigation", name="Runs").get_by_role("button")
    assert choices.all_inner_texts() == ["reference", "h100", "compare"]
    first = heading.inner_text()
    choices.nth(1).click()
    assert heading.inner_text() != first
    choices.nth(2).click()
    assert heading.inner_text() == "Machines side by side"
    page.wait_for_selector("[data-plot=compare-machines-1] .mark-symbol path")
    page = reader.open("reference", "h100", view=page.evaluate("location.hash"))
    assert page.locator("h1:visible").inner_text() == "Machines side by side"


WIDEST = """() => Math.max(...[...document.querySelectorAll(".plot svg")].map(
  (svg) => svg.getBoundingClientRect().right))"""


@pytest.mark.parametrize("first", [360, 2560])
def test_it_fits_from_a_phone_to_a_wall(first: int, reader: Reader) -> None:
    reader.page.set_viewport_size({"width": first, "height": 900})
    page = reader.open("h100")
    for width in (first, 1280, 3840):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"({WIDEST})() <= {width}")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(WIDEST) > min(width, 1000) / 2


def test_it_is_dark_where_the_reader_likes_it_and_white_in_print(reader: Reader) -> None:
    page = reader.open("as usual")
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    line = "getComputedStyle(document.querySelector('.plot .mark-line path')).stroke"
    light, drawn = page.evaluate(colour), page.evaluate(line)
    assert light == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) == "rgb(21, 24, 29)"
    assert page.evaluate(line) != drawn
    page.emulate_media(media="print", color_scheme="dark")
    assert (page.evaluate(colour), page.evaluate(line)) == (light, drawn)
    assert page.locator(".tools").is_hidden()
    assert page.locator("figure").first.is_visible()


SERIOUS = ("serious", "critical")


def test_axe_finds_nothing_serious(reader: Reader) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    for view in ("#run=0", "#run=1", "#run=compare"):
        page = reader.open("a GPU", "every status", view=view)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        found = axe.Axe().run(page).response["violations"]
        said = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in SERIOUS]
        assert said == []


CONTROLS = """() => {
  const all = "a[href], button, input, select, summary, [tabindex='0']";
  return [...document.querySelectorAll(all)].filter((e) => e.checkVisibility()).length;
}"""
NEXT = """() => {
  const here = document.activeElement;
  here.dataset.reached = "yes";
  const { outlineStyle, outlineWidth } = getComputedStyle(here);
  return [here.tagName, outlineStyle !== "none" && outlineWidth !== "0px"];
}"""


def test_the_keyboard_alone_reaches_and_operates_every_control(reader: Reader) -> None:
    page = reader.open("one cell")
    count = page.evaluate(CONTROLS)
    for _ in range(count):
        page.keyboard.press("Tab")
        tag, seen = page.evaluate(NEXT)
        assert seen, f"no visible focus: {tag}"
    assert page.locator("[data-reached]").count() == count
    page = reader.open("reference")
    page.locator(".key button[data-kernel=numpy_dot]").first.focus()
    page.keyboard.press("Space")
    assert page.locator(".key button[aria-pressed=false]").count() > 1
    page.locator("[type=range]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("output").inner_text() == "16"
    page.locator("table.cells thead button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("table.cells [aria-sort=ascending]").count() == 1
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert re.search("at=main", page.evaluate("location.hash"))


def test_the_page_of_a_history_draws_itself(browser: "Browser", tmp_path: Path) -> None:
    values = [1e-3 * (1 + 0.001 * (n % 7) + 0.1 * (n > 9)) for n in range(20)]
    each = histories.series(values)
    runs = each.runs[9], each.runs[10]
    found = [(each, [Change(10, 1.1, 1.09, 1.11, *runs)])]
    pages.write_picture(history.picture(found), tmp_path / "history.html")
    reader = Reader(browser, tmp_path)
    assert reader.open("history").evaluate(MARKS) == {"chart-0": len(values) + 1}  # and a ring
    reader.close()
    assert reader.trouble == []
