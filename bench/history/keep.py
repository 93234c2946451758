"""A run into the history as it ends: never a reason to fail, and quick."""

from collections.abc import Sequence

from bench.data.series import Kept
from bench.history import database, schema
from bench.history.database import Entry
from bench.terminal.errors import BadInput

WAIT_S = 5.0
"""How long others may keep the file busy, who add a run themselves."""


def keep(kept: Kept, entries: Sequence[Entry]) -> str:
    """Keep it where the history is -> why not, in a line; empty where it is kept, or where there is
    nothing to keep.
    """
    path = schema.chosen(None)
    if path is None or not entries:
        return ""
    try:
        database.add(path, kept, entries, WAIT_S)
    except BadInput as error:
        return f"note: this run is not in the history: {error}"
    return ""
