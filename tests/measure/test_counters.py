"""What the operating system tells of a stretch of time."""

import time
from pathlib import Path

import psutil
import pytest

from bench.measure import counters
from bench.measure.counters import Conditions


def test_a_stretch_is_the_difference_of_two_readings() -> None:
    before, after = Conditions(1.0, 5.0, 2.0, 3.0, 4.0), Conditions(1.5, 6.0, 2.0, 10.0, 3.75)
    assert after.since(before) == Conditions(0.5, 1.0, 0.0, 7.0, -0.25)


def test_an_ordinary_moment_has_no_sleep_and_no_step_in_it() -> None:
    # the clocks of a reading are read one after another: another process may come in between
    moments = [counters.now().since(counters.now()) for _ in range(20)]
    assert min(abs(happened.suspended) for happened in moments) < 1e-3
    assert min(abs(happened.stepped) for happened in moments) < 1e-3
    assert min(happened.steal for happened in moments) >= 0
    assert min(happened.throttled for happened in moments) >= 0


def test_sleep_and_a_clock_that_jumps_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    # monotonic time stands still while the machine sleeps; time since boot and of day go on
    clocks = {"monotonic": 50.0, "boot": 60.0, "day": 1000.0}
    monkeypatch.setattr(time, "monotonic", lambda: clocks["monotonic"])
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "clock_gettime", lambda which: clocks["boot"])
    monkeypatch.setattr(time, "time", lambda: clocks["day"])
    before = counters.now()
    clocks |= {"monotonic": 51.0, "boot": 361.0, "day": 1301.0}
    slept = counters.now().since(before)
    assert (slept.suspended, slept.stepped) == (300.0, 300.0)
    before = counters.now()
    clocks["day"] -= 3600.0
    assert counters.now().since(before).stepped == -3600.0


def test_steal_is_the_systems_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    class Times:
        steal = 4.25

    monkeypatch.setattr(psutil, "cpu_times", Times)
    assert counters.now().steal == 4.25
    monkeypatch.setattr(psutil, "cpu_times", object)  # macOS has none
    assert counters.now().steal == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("some avg10=0.17 avg60=0.73 avg300=1.30 total=13054786\nfull total=0\n", 13.054786),
        ("nonsense\n", 0.0),
        ("", 0.0),
    ],
)
def test_pressure_is_the_kernels_own_count(tmp_path: Path, text: str, seconds: float) -> None:
    (tmp_path / "cpu").write_text(text)
    assert counters.pressure(tmp_path / "cpu") == seconds
    assert counters.pressure(tmp_path / "none") == 0.0
