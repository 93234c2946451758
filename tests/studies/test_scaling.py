"""Scaling by number of devices: how each count gets its devices, and what the file holds."""

import csv
import os
from types import SimpleNamespace
from typing import Any

import pytest

from bench.studies import RESULTS, scaling


def test_what_is_started_meanwhile_sees_so_many_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_a_users_own=1")
    before = dict(os.environ)
    with scaling.devices(3):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2"
        flags = os.environ["XLA_FLAGS"].split()
        assert flags == ["--xla_a_users_own=1", "--xla_force_host_platform_device_count=3"]
    assert dict(os.environ) == before


def test_counts_take_turns_and_the_middle_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    def run(cells: Any, budget_s: float, seed: int) -> Any:
        turns.append(os.environ["CUDA_VISIBLE_DEVICES"])
        seconds = (3.0, 1.0, 2.0)[seed]
        assert len(set(cells)) == len(cells)
        return SimpleNamespace(
            by_cell={
                cell: SimpleNamespace(value=seconds)
                for cell in cells
                if cell.kernel == "jax_sharded"  # the other one has no time
            }
        )

    monkeypatch.setattr(scaling, "run", run)
    points = scaling.measure([1, 4], scaling.KERNELS)
    assert turns == ["0", "0,1,2,3"] * scaling.TIMES
    assert [(p.kind, p.devices, p.n_units) for p in points] == [
        ("strong", 1, 2048),
        ("strong", 4, 2048),
        ("weak", 1, 512),
        ("weak", 4, 2048),
    ]
    assert {(p.seconds, p.low_s, p.high_s, p.runs) for p in points} == {(2.0, 1.0, 3.0, 3)}


def test_the_committed_file_is_what_its_points_say() -> None:
    with (RESULTS / "scaling.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, again in zip(rows, scaling.told(scaling.read()), strict=True):
        assert float(row["efficiency"]) == pytest.approx(again["efficiency"], rel=1e-3)
        assert {k: again[k] for k in ("kernel", "kind")} == {k: row[k] for k in ("kernel", "kind")}
