"""README and the code say the same."""

import re

import pandas as pd

from bench import ROOT
from bench.data import records, store
from bench.show import table
from bench.stats import run_data
from bench.studies import gate_trials


def test_readme_documents_every_column_of_cells_csv_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| column | meaning |") :].split("\n\n")[0]
    first_column = "".join(line.split("|")[1] for line in table.splitlines()[2:])
    assert re.findall(r"`(\w+)`", first_column) == store.columns(records.CellRow)


def test_the_headline_is_the_reference_runs() -> None:
    folder = ROOT / "results" / "reference"
    said = table.headline(run_data.read(folder))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert said is not None
    assert said in readme


def test_what_is_said_of_the_gate_is_what_was_counted() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = pd.read_csv(gate_trials.TRIALS)
    rows = rows[rows.code == rows.code.iloc[-1]]
    identical = rows[rows.kind == "identical"]
    alarms = identical[identical.slower > 0].run.nunique()
    runs = f"{identical.run.nunique()} whole runs on identical code"
    assert f"{runs}: {alarms or 'no'} false alarm" in readme
    for percent, what in ((5, "slowdowns of 5 % found"), (7, "of 7 %"), (10, "of 10 %")):
        its = rows[(rows.kind == "planted") & (rows.slowdown_percent == percent)]
        assert f"{its.slower.sum()} of {its.cells.sum()} {what}" in readme


def test_the_pictures_and_files_that_are_linked_are_there() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
        links += re.findall(r'(?:src|srcset)="([^"]+)"', text)
        assert [link for link in links if not _leads_somewhere(link)] == []


def _leads_somewhere(link: str) -> bool:
    """Whether the file is there, and has the heading that the link names, as GitHub writes it."""
    file, _, anchor = link.partition("#")
    if not (ROOT / file).exists():
        return False
    headings = re.findall(r"^#+ (.*)$", (ROOT / file).read_text() if anchor else "", re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]
    return not anchor or anchor in anchors


def test_every_status_is_explained() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [s for s in records.STATUSES if f"`{s}`" not in readme] == []
