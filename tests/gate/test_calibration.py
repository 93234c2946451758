"""What runs of identical code differ by: found from made-up runs whose truth is known, and kept."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.records import Round
from bench.gate import calibration, decide
from bench.terminal.errors import BadInput


def runs(between: float, within: float, count: int = 40, seed: int = 1) -> list[list[Round]]:
    """Runs of ten rounds of six cells, whose log ratios have these standard deviations."""
    generator = random.Random(seed)
    made = []
    for _ in range(count):
        offsets = [generator.gauss(0, between) for _ in range(6)]
        made.append(
            [
                Round(
                    n,
                    "screen",
                    f"k {i}",
                    "k",
                    1.0,
                    1.0,
                    offset + generator.gauss(0, within),
                    0.0,
                    16,
                )
                for n in range(1, 11)
                for i, offset in enumerate(offsets)
            ]
        )
    return made


@pytest.mark.parametrize("between", [0.004, 0.01, 0.03])
@pytest.mark.parametrize("within", [0.001, 0.01])
def test_the_spread_between_runs_is_found_whatever_the_rounds_scatter(
    between: float, within: float
) -> None:
    found = calibration.spread(runs(between, within))
    assert found == {"k": pytest.approx(between, rel=0.2)}


def test_a_cell_that_was_there_once_tells_nothing() -> None:
    once = [replace(row, cell="once", kernel="another") for row in runs(0.01, 0.01)[0]]
    assert set(calibration.spread([*runs(0.01, 0.01), once])) == {"k"}


def test_rounds_alone_are_no_spread() -> None:
    assert calibration.spread(runs(0.0, 0.01))["k"] < 0.0015
    assert calibration.spread(runs(0.0, 0.0)) == {"k": calibration.LEAST}


def test_a_spread_is_kept_with_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "results" / "spread.json"
    assert calibration.read(path, "a machine") == decide.Spread()
    calibration.write(path, "a machine", 20, {"numpy_dot": 0.0123456})
    calibration.write(path, "another", 9, {"numpy_dot": 0.5})
    kept = calibration.read(path, "a machine")
    assert (kept.runs, kept.of("numpy_dot"), kept.of("python_loop")) == (20, 0.01235, 0.01235)
    calibration.write(path, "a machine", 9, {"python_loop": 0.02})
    kept = calibration.read(path, "a machine")
    assert (kept.runs, kept.of("numpy_dot"), kept.of("python_loop")) == (9, 0.01235, 0.02)
    assert kept.margin("numpy_dot", 0.05) == pytest.approx(3.7 * 0.01235)
    assert calibration.read(path, "a third") == decide.Spread()


@pytest.mark.parametrize("text", ["{", "[]", '{"m": {"runs": 0, "by_kernel": {}}}', '{"m": 3}'])
def test_a_file_that_is_not_ours_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spread.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"spread\.json: .*: remove it, or gate --calibrate anew"):
        calibration.read(path, "m")
