"""A run as one HTML file that a browser opens from disk: it fetches nothing.

    results/<run>/
        | bench.show.pictures   what each chart says and shows
        v
      Picture
        | plots.py      lines, dots and visits -> Vega-Lite specifications, as plain data
        | grids.py      bars and tiles -> tables, for they are words in a grid
        | tables.py     the numbers of a chart, as a table beside it
        v
    document.py         the template filled, part by part: ladder.py (the kernels, step by step),
                        cells.py (table, visits, slider), layer.py ("your layer"), comparison.py
        | markup.py     elements: text is data and never markup
        v
    report.html         style, scripts and Vega (vega/) inside

template/ holds the page itself: HTML, CSS, and a script a part. The order of the charts is that of
the story (`document.PLACES`); one that it doesn't know comes after them by itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.show.pictures.parts.picture import Picture
    from bench.stats.run_data import RunData

NAME = "report.html"


def write_picture(picture: "Picture", path: Path) -> Path:
    """Make the page of one picture that is no run's."""
    from bench.data import store
    from bench.show.page import document

    path.parent.mkdir(parents=True, exist_ok=True)
    store.replace(path, document.alone(picture))
    return path


def write(runs: "Sequence[RunData]", path: Path) -> Path:
    """Make the page of a run, or of several side by side."""
    from bench.data import store
    from bench.show.page import document

    content = document.document(runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    store.replace(path, content)
    return path
