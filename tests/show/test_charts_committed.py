"""The charts in plots/ are those of the runs in results/: `RENEW=1` draws them again.

A chart that was drawn before its run was measured anew, or before its words were changed, looks
right. So `drawn.json` has, of each committed chart, the picture that it shows, a digest of data and
words, and the file. How a picture is drawn is no part of it, for that differs between versions of
Matplotlib: `test_charts_kept.py` looks at that.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import ROOT
from bench.show import charts, pictures
from bench.show.pictures.parts.picture import Line, Picture
from bench.stats import run_data

DRAWN = Path(__file__).with_name("drawn.json")
FILES = sorted(
    path for folder in ("reference", "h100") for path in (ROOT / "plots" / folder).iterdir()
)


@cache
def run(name: str) -> charts.Run:
    return charts.read(run_data.read(ROOT / "results" / name))


@cache
def shown(name: str, chart: str) -> Picture:
    module = pictures.load(chart)
    part = pictures.part(run(name), module)
    assert part is not None
    picture = module.picture(part)
    assert isinstance(picture, Picture)
    return picture


def plain(value: Any) -> Any:
    """A record as lists and words, its numbers to four digits: no eye sees more. A field that has
    its default is left out, so that a new one makes no other picture.
    """
    if is_dataclass(value):
        given = {each.name: getattr(value, each.name) for each in fields(value)}
        own = {each.name: each.default for each in fields(value)}
        return [type(value).__name__, plain({k: v for k, v in given.items() if v != own[k]})]
    if isinstance(value, Mapping):
        return [[plain(key), plain(entry)] for key, entry in value.items()]
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return [plain(each) for each in value] if isinstance(value, list | tuple) else str(value)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def of_picture(picture: Picture) -> str:
    return digest(json.dumps(plain(picture)).encode())


def parts_of(path: Path) -> tuple[str, str, str]:
    """Run, chart and theme of a committed chart."""
    chart, _, theme = path.stem.partition("-")
    return path.parent.name, chart, theme or "light"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_committed_chart_shows_its_run_as_it_is_now(path: Path) -> None:
    drawn = json.loads(DRAWN.read_text(encoding="utf-8"))
    name, chart, theme = parts_of(path)
    if os.environ.get("RENEW"):
        charts.draw_all([run(name)], [path.parent], [chart], theme, formats=["png"])
        drawn[f"{name}/{path.name}"] = [of_picture(shown(name, chart)), digest(path.read_bytes())]
        content = json.dumps(drawn, indent=1, sort_keys=True) + "\n"
        DRAWN.write_text(content, encoding="utf-8")
    now = [of_picture(shown(name, chart)), digest(path.read_bytes())]
    assert drawn.get(f"{name}/{path.name}") == now, "draw it again: CONTRIBUTING.md, Add a chart"


def test_a_number_or_a_word_of_a_picture_is_another_picture() -> None:
    picture = shown("reference", "batching")
    assert of_picture(picture) == of_picture(replace(picture))
    assert of_picture(picture) != of_picture(replace(picture, title="another"))
    lines = Line("a", [1.0, 2.0], [3.0, 4.0])
    assert plain(lines) == plain(replace(lines, y=[3.0, 4.0 + 1e-9]))
    assert plain(lines) != plain(replace(lines, y=[3.0, 4.01]))
