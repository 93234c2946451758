"""What does the harness add? A kernel that does next to nothing, against `timeit` on its launch.

In turn, several times: a run of the harness on `studies/kernels/one_product.py`, and timeit's
minimum and median over repeats in a fresh process. (One that does nothing at all is refused.)

    python -m bench.studies.overhead [TURNS]
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench import ROOT
from bench.studies import cell, run, write

KERNEL = Path(__file__).parent / "kernels" / "one_product.py"

TIMEIT = """
import json, timeit
import numpy as np
from bench.studies.kernels import one_product
from kernels import Layer
W = np.full((1, 1), 0.5, "float32")
names = {"launch": one_product.prepare(Layer(W, W), 1).launch, "x": 0.25}
times = timeit.repeat("launch(x)", globals=names, number=100_000, repeat=50)
print(json.dumps([seconds / 100_000 for seconds in times]))
"""


def main(turns: int) -> None:
    """Run, write results/studies/overhead.csv, print the finding."""
    rows = []
    for turn in range(turns):
        planned = cell(str(KERNEL), 1, 1)
        ours = run([planned], budget_s=3.0, seed=turn).by_cell[planned]
        done = subprocess.run(
            [sys.executable, "-c", TIMEIT], check=True, capture_output=True, text=True, cwd=ROOT
        )
        theirs = json.loads(done.stdout)
        rows.append(
            {
                "turn": turn,
                "harness_s": ours.value,
                "harness_low_s": ours.low,
                "harness_high_s": ours.high,
                "timeit_median_s": median(theirs),
                "timeit_min_s": min(theirs),
            }
        )
    write("overhead", rows)
    gaps = sorted(1e9 * (row["harness_s"] - row["timeit_median_s"]) for row in rows)
    ours, theirs = (
        1e9 * median(row[column] for row in rows) for column in ("harness_s", "timeit_median_s")
    )
    print(
        f"one product a launch: harness {ours:.0f} ns, timeit {theirs:.0f} ns (medians of {turns}"
        f" turns); harness less timeit {median(gaps):.0f} ns ({gaps[0]:.0f} to {gaps[-1]:.0f})"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] or ["10"])))
