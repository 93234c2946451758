"""The gate's decisions on a recording that the test makes."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.gate import rounds
from bench.studies import busy_gate
from bench.studies.busy_gate import Block

VISITS = 100
BLOCKS = 9


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> busy_gate.Recorded:
    """Three cells on a machine whose neighbour comes and goes from block to block."""
    generator = np.random.default_rng(0)
    count = VISITS * 4 * BLOCKS
    slow = np.where(generator.random(count) < 0.3, 1.2, 1.0)
    place = np.repeat(np.arange(VISITS * 4), BLOCKS)
    path = tmp_path_factory.mktemp("recording") / "made.csv.gz"
    columns = {
        "at_s": np.linspace(0, 100, count),
        "visit": place,
        "kernel": np.array(["python_loop", "numpy_dot", "numpy_matmul", "python_loop"])[place % 4],
        "width": np.array([64, 64, 64, 1000])[place % 4],
        "batch": 1,
        "loops": 1,
        "seconds": np.array([1e-3, 1e-3, 1e-3, 1.0])[place % 4]
        * slow
        * np.exp(generator.normal(0, 0.01, count)),
        "before_0_s": 5e-5 * slow,
        "before_1_s": 5e-5,
        "after_0_s": 5e-5 * slow,
        "after_1_s": 5e-5,
    }
    pd.DataFrame(columns).to_csv(path, index=False)
    return busy_gate.recorded(path)


def test_cells_that_the_gate_has_no_time_for_are_left_out(recording: busy_gate.Recorded) -> None:
    assert {cell.label for cell in recording} == {
        f"{kernel} 64x64 batch 1" for kernel in ("python_loop", "numpy_dot", "numpy_matmul")
    }
    for its in recording.values():
        assert len(its) >= busy_gate.MOST_ROUNDS
        for pairs in its:
            assert rounds.LEAST_PAIRS <= len(pairs) <= rounds.PAIRS


@pytest.mark.parametrize("rule", busy_gate.RULES, ids=lambda rule: rule.name)
def test_the_same_seed_gives_the_same_replay(
    rule: busy_gate.Rule, recording: busy_gate.Recorded
) -> None:
    once = busy_gate.replay(recording, rule, 15, 0)
    assert busy_gate.replay(recording, rule, 15, 0) == once
    assert len(once.slowed) == 1


def test_a_row_tells_what_was_found(recording: busy_gate.Recorded) -> None:
    (rule,) = (rule for rule in busy_gate.RULES if rule.name.endswith("the gate"))
    row = busy_gate.row(recording, rule, 50, 3)
    assert (row["replays"], row["judged"], row["slowed"]) == (3, 3, 3)
    assert (row["red"], row["found_percent"]) == (0, 100.0)
    refusing = busy_gate.row(recording, busy_gate.RULES[0], 0, 3)
    assert (refusing["judged"], refusing["red"], refusing["cleared_percent"]) == (0, 0, 0)


def block(seconds: float, probe_s: float) -> Block:
    return Block(seconds, probe_s, probe_s)


def test_a_pair_is_corrected_by_what_its_probe_differs_by() -> None:
    pairs = [(block(1.0, 1.0), block(2.0, 2.0)), (block(1.0, 1.0), block(1.0, 1.0))]
    (_, first), (_, second) = busy_gate.corrected(0.5)(pairs)
    assert first.seconds == pytest.approx(math.sqrt(2))
    assert second == pairs[1][1]
    (_, first), _ = busy_gate.corrected(None)(pairs)
    assert 1 < first.seconds < 1.2


def test_pairs_with_a_slow_probe_on_either_side_are_disturbed() -> None:
    quiet, busy = block(1.0, 1.0), block(1.0, 1.2)
    pairs = [(quiet, quiet), (quiet, busy), (busy, quiet), (quiet, quiet)]
    assert busy_gate.undisturbed(pairs) == [pairs[0], pairs[3]]
