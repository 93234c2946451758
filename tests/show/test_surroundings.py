"""Charts and slides where a notebook, a shell or a font would have them otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import bench, refused
from made_up import MACHINE, laptop, made

from bench import ROOT
from bench.data import store
from bench.show import charts
from bench.show.charts import fit, page
from bench.terminal.errors import BadInput

NOTEBOOK = "module://matplotlib_inline.backend_inline"
"""A backend that isn't installed here."""

LAYERS = ("漢字层", "слой", "שכבה", "طبقة", "परत", "🙂", "null", "a$b$c")


@pytest.mark.parametrize(
    "command", [["plot", "--only", "batching", "--format", "svg"], ["report", "--pptx"]]
)
def test_variables_of_notebooks_and_shells_change_nothing(
    command: list[str], tmp_path: Path
) -> None:
    name, *options = command
    out = tmp_path / ("deck.pptx" if name == "report" else "charts")
    done = subprocess.run(
        [sys.executable, "-m", "bench", name, "reference", *options, "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": NOTEBOOK, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert out.exists()


@pytest.mark.parametrize("chart", ["time", "layers"])
def test_names_that_the_font_lacks_are_drawn_without_a_word(
    chart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "DPI", 24)
    run = made(laptop((64, 1000), (1,), LAYERS), MACHINE)
    if chart == "layers":
        run.cells["layer"] = [LAYERS[i % len(LAYERS)] for i in range(len(run.cells))]
    written = charts.draw_all([run], [tmp_path], [chart], formats=charts.FORMATS)
    assert len(written) == len(charts.FORMATS)
    assert fit.width_of(LAYERS[0]) > 0


@pytest.mark.parametrize("command", [["plot", "--only", "batching"], ["report", "--markdown"]])
def test_a_run_on_a_full_disk_is_drawn_elsewhere(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise BadInput("cells.csv can't be written (No space left on device)")

    monkeypatch.setattr(store, "write_cells", full)
    name, *options = command
    done = bench(name, "reference", *options, "--out", str(tmp_path / "out"))
    assert (done.code, done.err.splitlines()[0].startswith("note: cells.csv can't")) == (0, True)
    assert (tmp_path / "out").exists()


def test_where_matplotlib_has_no_folder_its_own_words_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object) -> None:
        raise OSError("Matplotlib requires access to a writable cache directory")

    monkeypatch.setattr(charts, "draw_all", nowhere)
    line = refused("plot", "reference", "--out", str(tmp_path / "out"))
    assert line.startswith("error: charts can't be drawn: Matplotlib requires access")
