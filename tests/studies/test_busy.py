"""The study of estimates on a busy machine, on recordings that the tests make."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from busy_machine import BLOCKS, FLOOR_S, noisy, switching

from bench.studies import busy, busy_coverage

PASSES = 24


def recording(path: Path, cores: int = 2) -> Path:
    """A minute of a machine whose neighbour is there in half of the visits."""
    generator = np.random.default_rng(0)
    slowdown = switching(generator, PASSES, 4, 0.5)
    visit = np.repeat(np.arange(PASSES * 4), BLOCKS)
    kernel = np.array(["loop", "dot", "loop", "dot"])[visit % 4]
    columns = {
        "at_s": np.linspace(0, 60, len(visit)),
        "visit": visit,
        "kernel": kernel,
        "width": 64 + visit % 4 // 2,
        "batch": 1,
        "loops": 1,
        "seconds": (noisy(generator, slowdown.shape) * np.exp(slowdown)).ravel(),
    }
    probe = FLOOR_S * np.exp(slowdown.ravel())
    for core in range(cores):
        columns |= {f"{when}_{core}_s": probe for when in ("before", "after")}
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("cores", [2, 3])
def test_a_line_an_estimate_the_shipped_one_first(
    cores: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    busy.main([str(recording(tmp_path / "made.csv.gz", cores)), "4"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(busy.ESTIMATES)
    for line in lines:
        assert re.fullmatch(r"[a-z_]+ rms \d+\.\d % coverage \d\.\d\d", line)
    assert lines[0].startswith("shipped rms ")
    assert lines[0].endswith(" coverage 1.00")


def test_ten_segments_unless_told_otherwise(tmp_path: Path) -> None:
    blocks = busy.read(str(recording(tmp_path / "made.csv.gz")))
    estimates = busy.table(blocks, busy.SEGMENTS, busy.shipped)
    assert estimates.shape == (4, 10)
    rms, coverage = busy.score(estimates)
    assert rms < 0.1
    assert coverage == 1.0


def test_a_segment_without_a_cell_has_no_number_for_it(tmp_path: Path) -> None:
    blocks = busy.read(str(recording(tmp_path / "made.csv.gz")))
    early = blocks[(blocks.at_s < 25) | (blocks.kernel == "dot")]
    _, coverage = busy.score(busy.table(early, 2, busy.shipped))
    assert coverage == 0.75


def test_simulated_intervals_hold_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_coverage, "VISITS", (6, 12))
    blocks = busy.read(str(recording(tmp_path / "made.csv.gz")))
    table = busy_coverage.summary(pd.DataFrame(busy_coverage.trials(blocks, 6)))
    assert table[["visits", "kernel"]].to_numpy().tolist() == [
        [visits, kernel] for visits in (6, 12) for kernel in ("all", "dot", "loop")
    ]
    assert table.held.min() > 0.8
