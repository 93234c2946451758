"""README and the code say the same."""

import re
from pathlib import Path

from bench import peaks, records, store, table

ROOT = Path(__file__).parent.parent


def test_readme_documents_every_column_of_cells_csv_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| column | meaning |") :].split("\n\n")[0]
    first_column = "".join(line.split("|")[1] for line in table.splitlines()[2:])
    assert re.findall(r"`(\w+)`", first_column) == store.columns(records.Cell)


def test_the_headline_is_the_reference_runs() -> None:
    folder = ROOT / "results" / "reference"
    visits, blocks = store.load(folder, records.Visit), store.load(folder, records.Block)
    said = table.headline(visits, blocks, peaks.of(store.machine(folder)))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert said is not None
    assert said in readme


def test_the_pictures_and_files_that_are_linked_are_there() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        links += re.findall(r'(?:src|srcset)="([^"]+)"', text)
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_status_is_explained() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [s for s in records.STATUSES if f"`{s}`" not in readme] == []
