"""A run's slides: a 16:9 deck of charts that PowerPoint draws and its user can edit.

    results/<run>/
        | findings.py   what each slide says: a finding for a title, a picture, the method as notes
        v
      Slide
        | pages.py      the page: title, picture, footer, notes
        | native.py     the picture: lines.py (scale.py: its places) or bars.py, with brush.py
        | oxml.py       what PowerPoint's file format can say and python-pptx can't
        v
    deck.pptx           the same bytes for the same files

The charts' own functions choose the cells and word the findings, so that a deck and the PNG files
say the same. The text of the axes' ticks and of the lines' ends is that of two more series in each
chart, "ticks" and "names": no axis of PowerPoint's has its ticks at the widths that were measured.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.stats.run_data import RunData

NAME = "deck.pptx"


def write(run: "RunData", path: Path) -> Path:
    """Make the deck of a run."""
    from bench.show.deck import findings, pages

    story = findings.read(run)
    content = pages.deck(story)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.half")
    try:
        half.write_bytes(content)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return path
