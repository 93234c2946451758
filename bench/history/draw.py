"""A history's chart and slides, from its series and their changes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import ROOT
from bench.data.series import Change, Series
from bench.show import charts, deck, progress
from bench.show.pictures import history
from bench.terminal.errors import BadInput

SLIDES = "pptx"


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
    drawn = [name for name in formats if name != SLIDES]
    try:
        files = charts.draw(picture, folder, "history", theme, size, drawn)
        if SLIDES in formats:
            last_s = max(run.at_s for series, _ in found for run in series.runs)
            made = datetime.fromtimestamp(last_s, UTC)
            files.append(deck.write_picture(picture, made, folder / f"history.{SLIDES}"))
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        where = error.filename or folder
        raise BadInput(
            f"{where} can't be written ({error.strerror}): take another --out"
        ) from error
    progress.paths("chart", files)
