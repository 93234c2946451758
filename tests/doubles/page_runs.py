"""Runs for tests of the page: made-up ones, and what their pages say when they are read again."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import decks
import lxml.html

from bench import ROOT
from bench.data import store
from bench.data.records import STATUSES
from bench.show.page import document
from bench.stats import run_data

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "&quot;\"'><svg onload=alert(3)>",
    "]]><!--<script>",
    "a\\u003c/b${alert(4)}`",
    "=1+1 __proto__",
)
"""Names that a kernel's file may have."""

RUNS = {
    **decks.AWKWARD,
    "every status": [
        decks.cell("python_loop", 1000, 1, 4e7),
        *(
            decks.cell(f"k{i}", 1000, 1, status=status, reason=f"it was {status} <b>&</b>")
            for i, status in enumerate(STATUSES)
        ),
    ],
    "hostile": [
        *decks.grid({"python_loop": 4e7}, (64, 1000), (1, 64)),
        *decks.grid(dict.fromkeys(HOSTILE, 3e9), (64, 1000), (1, 64)),
        *(
            decks.cell("numpy_matmul", 64, 1, 1e9, layer=name)
            for name in (*HOSTILE, "constructor", "漢字 שכבה")
        ),
    ],
}


@cache
def page(*names: str) -> str:
    """The page of these runs."""
    with TemporaryDirectory() as there:
        folders = [_folder(name, Path(there) / str(i)) for i, name in enumerate(names)]
        return document.document([run_data.read(folder) for folder in folders])


@cache
def csv_of(name: str) -> str:
    """cells.csv of a kept run, as the program of today writes it."""
    return store.cells_text(run_data.read(ROOT / "results" / name).cells)


def _folder(name: str, there: Path) -> Path:
    committed = ROOT / "results" / name
    return committed if committed.is_dir() else decks.folder_of(RUNS[name], there / "run")


@cache
def read(text: str) -> Any:
    """The elements of a page, as a browser's parser would have them."""
    return lxml.html.document_fromstring(text)


@cache
def data(text: str) -> Any:
    """What the page's scripts are given."""
    return json.loads(read(text).get_element_by_id("page-data").text)
