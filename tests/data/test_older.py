"""Files of older versions: what stood in a sentence is in its column once they are read."""

import csv
from pathlib import Path

import pytest

from bench import ROOT
from bench.data import store
from bench.data.records import Visit
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.stats import run_data

SKIPPED = refusal(
    Cell("python_loop", Case(16, 16, 1, "float32", "relu")), 1, 1, "skipped", "for a reason"
)


def older(folder: Path, *reasons: str) -> Path:
    """A run of skipped cells from before visits.csv had the column `predicted_s`."""
    with store.Run.create(folder, Sweep(widths=(16,), batches=(1,))) as run:
        run.append(SKIPPED, [])
    path = folder / "visits.csv"
    header, row = csv.reader(path.read_text(encoding="utf-8").splitlines())
    del header[header.index("predicted_s") :]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for number, reason in enumerate(reasons, 1):
            known = dict(zip(header, row, strict=False)) | {"visit": number, "reason": reason}
            writer.writerow(known.values())
    return folder


@pytest.mark.parametrize(
    ("reason", "predicted_s"),
    [
        ("predicted 0.613 s a launch, limit 0.3 s", 0.613),
        ("predicted 1e+03 s a launch, limit 0.3 s", 1000.0),
        ("predicted 1e999 s a launch, limit 0.3 s", None),
        ("predicted e s a launch", None),
        ("took 6.4 s for its first launch", None),
        ("", None),
    ],
)
def test_a_prediction_is_taken_from_the_reason(
    reason: str, predicted_s: float | None, tmp_path: Path
) -> None:
    run = run_data.read(older(tmp_path / "run", reason))
    assert [visit.predicted_s for visit in run.visits] == [predicted_s]
    assert [(cell.status, cell.predicted_s) for cell in run.cells] == [("skipped", predicted_s)]


def test_a_file_with_the_column_is_believed_whatever_the_reason_says(tmp_path: Path) -> None:
    with store.Run.create(tmp_path / "run", Sweep(widths=(16,), batches=(1,))) as run:
        run.append(SKIPPED, [])
        reason = "predicted 9 s a launch, limit 1 s"
        another = refusal(Cell("k", Case(16, 16, 1, "float32", "relu")), 2, 1, "skipped", reason)
        run.append(another, [])
    assert [visit.predicted_s for visit in store.load(run.folder, Visit)] == [None, None]


def test_the_reference_runs_predictions_are_read() -> None:
    visits = store.load(ROOT / "results" / "reference", Visit)
    skipped = [visit for visit in visits if visit.status == "skipped"]
    assert skipped
    for visit in skipped:
        assert visit.reason.startswith(f"predicted {visit.predicted_s:.3g} s a launch")
