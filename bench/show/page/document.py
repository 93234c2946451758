"""Runs -> the page: the template's slots filled, and all that its scripts need as data."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring

from bench.plan import sweep
from bench.show import method, pictures, table
from bench.show.page import cells, comparison, grids, kernels, ladder, layer, plots, tables, vega
from bench.show.page.markup import data, element, fill, html
from bench.show.pictures import Run
from bench.show.pictures.parts.picture import Bars, Nothing, Picture, Tiles
from bench.stats import prediction
from bench.stats.run_data import RunData

TEMPLATE = Path(__file__).parent / "template"
SCRIPTS = ("common", "charts", "tables", "visits", "batching", "layer", "main")

PLACES = {
    "speedup": "first-chart",
    "instructions": "charts-ladder",
    "batching": "charts-batching",
    "throughput": "charts-limits",
    "roofline": "charts-limits",
    "time": "charts-limits",
    "crossover": "charts-fastest",
    "layers": "charts-fastest",
    "spread": "charts-visits",
}
"""Where in the story a chart stands; any other is among "More charts"."""

CHARTS_ALONE = ("batching", "limits", "fastest", "more")
"""Parts of the story that are nothing without their charts."""

FALLBACK = "One dense layer, A_out = g(A_in @ W + b), written several ways"

POLICY = (
    "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none';"
    " style-src-attr 'unsafe-inline'; style-src-elem {styles}; script-src {scripts}"
)
"""Nothing is fetched, and no script runs but the page's own. Vega sets styles of its elements."""


def document(runs: Sequence[RunData]) -> str:
    """The page of one or several runs, all of its text."""
    page = fromstring((TEMPLATE / "page.html").read_text(encoding="utf-8"))  # noqa: S314 - ours
    drawn = [pictures.read(run) for run in runs]
    known = list(dict.fromkeys(cell.kernel for run in runs for cell in run.cells))
    known.sort(key=lambda kernel: table.ORDER.index(kernel) if kernel in table.ORDER else 99)
    charts = Charts(known)
    main = _find(page, "main", "id")
    prototype = _slot(page, "run")
    place = list(main).index(prototype)
    main.remove(prototype)
    for number, (run, read) in enumerate(zip(runs, drawn, strict=True)):
        article = deepcopy(prototype)
        main.insert(place + number, article)
        _fill_run(article, run, read, number, charts)
    side_by_side = _slot(page, "comparison")
    if len(runs) > 1:
        comparison.fill(side_by_side, runs, drawn, charts.figure)
    else:
        main.remove(side_by_side)
    title = ", ".join(run.folder.name for run in runs)
    fill(_only(page, "title"), f"{title}: {table.headline(runs[0]) or FALLBACK}")
    _seal(page, runs, charts)
    return html(page)


def alone(picture: Picture) -> str:
    """The page of one picture that is no run's."""
    page = fromstring((TEMPLATE / "page.html").read_text(encoding="utf-8"))  # noqa: S314 - ours
    main = _find(page, "main", "id")
    main.remove(_slot(page, "run"))
    charts = Charts(picture.kernels)
    section = _slot(page, "comparison")
    for part in list(section):
        section.remove(part)
    section.append(charts.figure("chart", picture))
    fill(_only(page, "title"), picture.title)
    _seal(page, (), charts)
    return html(page)


class Charts:
    """The charts of a page as figures, and the specifications of those that Vega draws."""

    def __init__(self, known: Sequence[str]) -> None:
        self.kernels = known
        self.specs: dict[str, Any] = {}

    def figure(self, name: str, picture: Picture, explained: str = "") -> Element:
        """A chart with its finding as its title, what is not shown, and its numbers."""
        what, *chosen = picture.subtitle
        figure = element(
            "figure",
            element("h3", picture.title),
            element("p", " · ".join(part for part in (what, *chosen) if part), class_="subtitle"),
            id=name,
        )
        if len(picture.kernels) > 1 and not isinstance(picture.body, Bars | Tiles | Nothing):
            figure.append(self._key(picture))
        figure.append(element("div", *self._panels(name, picture), class_="panels"))
        if picture.missing:
            figure.append(
                element("p", f"Not shown: {'; '.join(picture.missing)}.", class_="missing")
            )
        if picture.note:
            figure.append(element("p", picture.note, class_="how"))
        numbers = tables.numbers(picture, self.kernels)
        if numbers is not None:
            scroll = element("div", numbers, class_="scroll tall", tabindex="0", role="region")
            scroll.set("aria-label", f"The numbers: {picture.title}")
            figure.append(element("details", element("summary", "The numbers"), scroll))
        if reading := picture.method or explained:
            summary = element("summary", "How to read it")
            figure.append(element("details", summary, element("p", reading, class_="how")))
        figure.append(element("figcaption", picture.footer))
        return figure

    def _key(self, picture: Picture) -> Element:
        shown = [kernel for kernel in self.kernels if kernel in set(picture.kernels)]
        buttons = (
            element(
                "button",
                grids.swatch(kernel, self.kernels),
                kernel,
                type="button",
                aria_pressed="true",
                data_kernel=kernel,
                title="show or hide it in all charts",
            )
            for kernel in shown
        )
        items = (element("li", button) for button in buttons)
        return element("ul", *items, class_="key", aria_label="Kernels: press to hide or show")

    def _panels(self, name: str, picture: Picture) -> Iterator[Element]:
        match picture.body:
            case Nothing(words):
                yield element("p", f"Nothing to draw: {words}.")
            case Bars() as body:
                yield from grids.bars(body, self.kernels)
            case Tiles() as body:
                yield from grids.tiles(body, self.kernels)
        panels = plots.plots(picture, self.kernels)
        for number, plot in enumerate(panels):
            key = f"{name}-{number}"
            self.specs[key] = plot.spec
            title = " ".join(plot.title.split())
            label = f"{picture.title}. {title}".strip(" .")
            place = element(
                "div", class_="plot", data_plot=key, aria_label=f"Chart: {label}", role="group"
            )
            heading = [element("h4", title)] if title else []
            yield element("div", *heading, place, class_="panel")


def _fill_run(article: Element, run: RunData, read: Run, number: int, charts: Charts) -> None:
    """All parts of the story about one run."""
    del article.attrib["data-slot"]
    article.set("data-run", str(number))
    article.set("aria-label", run.folder.name)
    for part in article.iter("section"):
        part.set("id", f"r{number}-{part.get('data-slot')}")
        part.set("tabindex", "-1")
    for link in ("ladder", "batching", "layer", "visits", "method", "cells"):
        _slot(article, f"to-{link}").set("href", f"#r{number}-{link}")
    fill(_slot(article, "machine"), f"Measured on: {_machine(run)}")
    used, titles = set[str](), list[str]()
    for name, picture, module in _pictures(read):
        place = PLACES.get(name, "charts-more")
        used.add(place)
        titles.append(picture.title)
        explained = (module.__doc__ or "").strip().partition("\n")[0]
        _slot(article, place).append(charts.figure(f"r{number}-chart-{name}", picture, explained))
    for name in CHARTS_ALONE:
        if f"charts-{name}" not in used:
            _slot(article, name).set("hidden", "hidden")
            for way in article.findall(f".//li[@data-to='{name}']"):
                way.set("hidden", "hidden")
    fill(_slot(article, "headline"), table.headline(run) or next(iter(titles), FALLBACK))
    ladder.fill(_slot(article, "steps"), read, charts.kernels)
    points = [element("li", point) for point in _method(run, read)]
    _slot(article, "method-points").extend(points)
    fill(_slot(article, "method-words"), method.METHOD.replace("\n\n", " "))
    fill(_slot(article, "footer"), f"{run.folder.name} · made by python -m bench report --html")


def _pictures(read: Run) -> Iterator[tuple[str, Picture, Any]]:
    """The charts of one run in the order of the story."""
    order = [*PLACES, *(name for name in pictures.names() if name not in PLACES)]
    for name in order:
        chart = pictures.load(name)
        part = pictures.part(read, chart)
        if part is not None and hasattr(chart, "picture"):
            yield name, chart.picture(part), chart


def _machine(run: RunData) -> str:
    known = [*table.machine(run.machine), *table.device_peaks(run.machine)]
    return "; ".join(known) + "." if known else "a machine that is not described."


def _method(run: RunData, read: Run) -> list[str]:
    state = table.state(run)
    machine = run.machine
    software = [
        f"{what} {version}"
        for what, version in (("Python", machine.python), ("NumPy", machine.numpy))
        if version
    ]
    return [
        *method.points(read),
        *table.device_peaks(machine),
        *([state] if state else []),
        *table.throttling(run.visits),
        *([caution] if (caution := table.caution(run.cells)) else []),
        *machine.warnings,
        " · ".join(part for part in (machine.os, *software, machine.started) if part),
        *table.reasons(run.cells),
    ]


def _data(runs: Sequence[RunData], charts: Charts) -> Element:
    return data(
        "page-data",
        {
            "kernels": charts.kernels,
            "plots": charts.specs,
            "runs": [
                {"name": run.folder.name, "models": layer.models(run.cells)} | cells.data(run)
                for run in runs
            ],
            "layers": layer.known(sweep.read("layers")),
            "reach": prediction.REACH,
            "nugget": prediction.NUGGET,
            "parts": prediction.PARTS,
        },
    )


def _seal(page: Element, runs: Sequence[RunData], charts: Charts) -> None:
    """Put style, data and scripts into the page, and name their hashes in its policy."""
    head, body = _only(page, "head"), _only(page, "body")
    body.insert(0, grids.symbols(charts.kernels))
    body.append(_data(runs, charts))
    colours = kernels.colours(charts.kernels)
    styles = [colours, (TEMPLATE / "style.css").read_text(encoding="utf-8")]
    own = [(TEMPLATE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    scripts = [*vega.scripts(), *own]
    for text in styles:
        SubElement(head, "style").text = text
    for text in scripts:
        assert not re.search(r"</script|<!--", text, re.IGNORECASE)
        SubElement(body, "script").text = text
    policy = POLICY.format(styles=_hashes(styles), scripts=_hashes(scripts))
    meta = next(m for m in head.iter("meta") if m.get("http-equiv"))
    meta.set("content", policy)


def _hashes(texts: Sequence[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _slot(root: Element, name: str) -> Element:
    return _find(root, name, "data-slot")


def _find(root: Element, name: str, attribute: str) -> Element:
    return next(part for part in root.iter() if part.get(attribute) == name)


def _only(root: Element, tag: str) -> Element:
    return next(root.iter(tag))
