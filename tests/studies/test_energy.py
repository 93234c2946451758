"""Energy by a counter that steps now and then: how near the truth, and what is said without one."""

import csv
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from devices import TICK, Board, HostClock

import kernels
from bench.studies import energy
from bench.studies.energy import NoCounter
from bench.worker.open_cell import OpenCell
from kernels import Step, _host

WATTS = 250.0


class Metered(Board):
    """Its counter steps every 100 ms, as an H100's."""

    def __init__(self, work_ticks: int, watts: float = WATTS) -> None:
        super().__init__(HostClock(), work_ticks, launch_ticks=2_000)
        self.watts = watts

    def joules(self) -> float | None:
        return 1e6 + self.watts * 0.1 * (self.clock() // 0.1)


def cell_on(device: Board) -> OpenCell:
    cell: Any = SimpleNamespace(step=Step(device.launch, device=device), x=0)
    opened: OpenCell = cell
    return opened


@pytest.mark.parametrize("work_ticks", [3_000, 700_000, 40_000_000])
def test_it_is_the_truth_within_its_error(work_ticks: int) -> None:
    device = Metered(work_ticks)
    launch_s = max(work_ticks, device.launch_ticks) * TICK
    launches, joules, seconds, error = energy.counted(cell_on(device), launch_s, clock=device.clock)
    assert seconds >= energy.FOR_S
    assert error < 0.05
    assert joules / launches == pytest.approx(WATTS * launch_s, rel=error + 0.002)


class TestWithoutACounter:
    """A device that tells no energy, or none that can be used, says so."""

    def refused(self, device: Board) -> str:
        with pytest.raises(NoCounter) as refused:
            energy.counted(cell_on(device), 1e-3, clock=device.clock)
        return str(refused.value)

    def test_none(self) -> None:
        assert "tells no energy (NVML" in self.refused(Board(HostClock(), 1_000_000, 2_000))

    def test_that_stands_still(self) -> None:
        assert "stands still" in self.refused(Metered(1_000_000, watts=0.0))

    def test_that_began_anew(self) -> None:
        assert "began anew" in self.refused(Metered(1_000_000, watts=-5.0))

    def test_that_is_lost_on_the_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = iter([1.0, 2.0])
        device = Metered(1_000_000)
        monkeypatch.setattr(device, "joules", lambda: next(told, None))
        assert "tells no energy any more" in self.refused(device)


def test_raplss_packages_are_added_and_their_parts_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_host, "POWERCAP", tmp_path)
    assert kernels.HOST.joules() is None
    counters = {"intel-rapl:0": 5_000_000, "intel-rapl:1": 2_500_000, "intel-rapl:0:0": 1_000_000}
    for name, microjoules in counters.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{microjoules}\n")
    assert kernels.HOST.joules() == 7.5
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert kernels.HOST.joules() is None


def test_each_batch_has_a_row_a_line_and_a_place_in_the_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(energy, "FOR_S", 0.05)
    stepping = staticmethod(lambda: 40.0 * 0.01 * (time.perf_counter() // 0.01))
    monkeypatch.setattr(kernels.Host, "joules", stepping)
    energies = energy.main(str(tmp_path), "numpy_matmul,nowhere", "32", "1,64")
    assert energies == 0
    first, second, *refused = capsys.readouterr().out.splitlines()
    assert first.startswith("numpy_matmul 32 units batch 1: ")
    assert " a launch, " in second
    assert len(refused) == 2
    assert "nowhere 32 units batch 1: no energy: error" in refused[0]
    with (tmp_path / "energy.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["batch"] for row in rows] == ["1", "64"]
    assert 20 < float(rows[0]["watts"]) < 80
    assert (tmp_path / "energy.png").stat().st_size > 1000


def test_without_any_energy_there_is_no_file_and_the_chart_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels.Host, "joules", lambda _: None)
    assert energy.main(str(tmp_path), "numpy_matmul", "8", "1") == 1
    assert list(tmp_path.iterdir()) == []
    assert energy.picture([]).subtitle == ["no device told its energy"]
