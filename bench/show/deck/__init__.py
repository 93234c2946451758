"""A run's slides: a 16:9 deck of charts that PowerPoint draws and its user can edit.

    results/<run>/
        | bench.show.pictures   what each chart says and shows
        v
      Picture
        | story.py      the slides: a panel and at most eight kernels each, the method as notes
        v
      Slide
        | pages.py      the page: title, body, footer, notes
        | native.py     the body: lines.py (scale.py: its places) or bars.py, with brush.py
        | oxml.py       what PowerPoint's file format can say and python-pptx can't
        v
    deck.pptx           the same bytes for the same files

A deck and the PNG files say the same, for they draw the same pictures. The text of the axes' ticks
and of the lines' ends is that of two more series in each chart, "ticks" and "names": no axis of
PowerPoint's has its ticks at the widths that were measured.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from bench.show.deck.story import Story
    from bench.show.pictures.parts.picture import Picture
    from bench.stats.run_data import RunData

NAME = "deck.pptx"


def write(run: "RunData", path: Path) -> Path:
    """Make the deck of a run."""
    from bench.show.deck import story

    return _write(story.read(run), path)


def write_fleet(runs: "Sequence[RunData]", path: Path) -> Path:
    """Make the deck of what sets several machines' runs apart."""
    from bench.show import pictures
    from bench.show.deck import story

    return _write(story.beside([pictures.read(run) for run in runs]), path)


def write_picture(picture: "Picture", made: "datetime", path: Path) -> Path:
    """Make the deck of one picture, dated so."""
    from bench.show.deck import story

    return _write(story.alone(picture, made), path)


def _write(told: "Story", path: Path) -> Path:
    from bench.show.deck import pages

    content = pages.deck(told)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.half")
    try:
        half.write_bytes(content)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return path
