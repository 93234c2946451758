"""A history's chart, slides and page, from its series and their changes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import ROOT
from bench.data.series import Change, Series
from bench.show import charts, deck, page, progress
from bench.show.pictures import history
from bench.terminal.errors import BadInput

SLIDES, PAGE = "pptx", "html"


def draw(
    found: Sequence[tuple[Series, Sequence[Change]]],
    out: Path | None,
    theme: str,
    size: str,
    formats: Sequence[str],
) -> None:
    """Draw one machine's series into a folder, and say where. Raises BadInput."""
    picture = history.picture(found)
    folder = out or ROOT / "plots" / "history"
    drawn = [name for name in formats if name not in (SLIDES, PAGE)]
    try:
        files = charts.draw(picture, folder, "history", theme, size, drawn)
        if SLIDES in formats:
            last_s = max(run.at_s for series, _ in found for run in series.runs)
            made = datetime.fromtimestamp(last_s, UTC)
            files.append(deck.write_picture(picture, made, folder / f"history.{SLIDES}"))
        if PAGE in formats:
            files.append(page.write_picture(picture, folder / f"history.{PAGE}"))
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        where = error.filename or folder
        raise BadInput(
            f"{where} can't be written ({error.strerror}): take another --out"
        ) from error
    progress.paths("chart", files)
