"""The gate beside a simulated GPU, as long as its default budget lasts: identical code, planted."""

from pathlib import Path

import pytest
from campaign import campaign
from kernel_sides import a_side
from test_compare import SPREAD

from bench import ROOT
from bench.gate import compare, decide
from bench.plan import sweep
from bench.plan.cell import Cell

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul", "timeline")
TIMELINE = ROOT / "bench" / "studies" / "kernels" / "timeline.py"


@campaign
@pytest.mark.parametrize("slower", [1.0, 1.1])
def test_the_default_sweep_and_budget_end_with_verdicts(slower: float, tmp_path: Path) -> None:
    """Simulated: bench/studies/kernels/timeline.py. A card's own times are not in it."""
    text = TIMELINE.read_text(encoding="utf-8")
    planted = text.replace("SLOWER = 1.0", f"SLOWER = {slower}")
    sides = [a_side(tmp_path, "base", timeline=text), a_side(tmp_path, "head", timeline=planted)]
    settled = sweep.read("gate")
    found = compare.compare(
        [Cell(kernel, case) for case in settled.cases() for kernel in KERNELS],
        sides,
        SPREAD,
        0.05,
        limit_s=settled.launch_limit_s,
        budget_s=settled.budget_s,
        seed=1,
    )
    said = [verdict.says for verdict in found.verdicts if verdict.kernel == "timeline"]
    assert len(said) == len(settled.cases())
    if slower > 1:
        assert said.count("slower") >= 0.8 * len(said)
        assert decide.outcome(found.verdicts, found.problem) == "slower"
    else:
        assert "slower" not in said
        assert said.count("not slower") >= 0.8 * len(said)
