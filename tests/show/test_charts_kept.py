"""The reference run's charts are as they were when a person last looked at them."""

import os
from functools import cache

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pictures import CHARTS, draw, words
from PIL import Image

from bench import ROOT
from bench.show import charts
from bench.show.charts.page import applied
from bench.show.pictures import batching
from bench.stats import run_data

BASELINE = ROOT / "tests" / "show" / "baseline"
TOLERANCE = 6.0  # of 255, in the mean of a block of 8 x 8 pixels


def small(figure: Figure) -> Image.Image:
    with applied():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        whole = Image.fromarray(np.asarray(canvas.buffer_rgba()))  # type: ignore[no-untyped-call]
    return whole.convert("L").resize((480, 272), Image.Resampling.BOX)


def distance(one: Image.Image, two: Image.Image) -> float:
    """The mean difference in the block of pixels that differs most."""
    difference = np.abs(np.asarray(one, float) - np.asarray(two, float))
    return float(difference.reshape(34, 8, 60, 8).mean(axis=(1, 3)).max())


@cache
def reference() -> charts.Run:
    return charts.read(run_data.read(ROOT / "results" / "reference"))


@pytest.mark.parametrize("chart", CHARTS)
def test_the_reference_run_looks_as_it_did(chart: str) -> None:
    path = BASELINE / f"{chart}.png"
    picture = small(draw(CHARTS[chart], reference()))
    if os.environ.get("RENEW"):
        BASELINE.mkdir(exist_ok=True)
        picture.quantize(32).save(path, optimize=True)
    with Image.open(path) as kept:
        assert distance(picture, kept.convert("L")) < TOLERANCE


def test_a_label_that_moved_is_seen() -> None:
    figure = draw(batching, reference())
    before = small(figure)
    (label,) = (text for text in words(figure) if text.get_text() == "numpy_dot")
    x, y = label.get_position()
    label.set_position((x + 0.08, y))
    assert distance(before, small(figure)) > TOLERANCE
