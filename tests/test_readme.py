"""README and the code say the same."""

import re
from pathlib import Path

from bench import records, store

ROOT = Path(__file__).parent.parent


def test_readme_documents_every_column_of_cells_csv_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| column | meaning |") :].split("\n\n")[0]
    first_column = "".join(line.split("|")[1] for line in table.splitlines()[2:])
    assert re.findall(r"`(\w+)`", first_column) == store.columns(records.Cell)


def test_every_status_is_explained() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [s for s in records.STATUSES if f"`{s}`" not in readme] == []
