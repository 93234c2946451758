"""What does the harness add? A kernel that does nothing, against `timeit` on the same function.

In turn, several times: a run of the harness on `studies/kernels/nothing.py`, and timeit's minimum
and median over repeats in a fresh process.

    python -m bench.studies.overhead [TURNS]
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.studies import cell, run, write

NOTHING = Path(__file__).parent / "kernels" / "nothing.py"

TIMEIT = """
import json, timeit
def make():
    def launch(x):
        return x
    return launch
launch, x = make(), object()
names = {"launch": launch, "x": x}
times = timeit.repeat("launch(x)", globals=names, number=100_000, repeat=50)
print(json.dumps([seconds / 100_000 for seconds in times]))
"""


def main(turns: int) -> None:
    """Run, write results/studies/overhead.csv, print the finding."""
    rows = []
    for turn in range(turns):
        planned = cell(str(NOTHING), 1, 1)
        ours = run([planned], budget_s=3.0, seed=turn).by_cell[planned]
        done = subprocess.run(
            [sys.executable, "-c", TIMEIT], check=True, capture_output=True, text=True
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
    print(
        f"an empty launch: harness {1e9 * median(row['harness_s'] for row in rows):.0f} ns, timeit"
        f" {1e9 * median(row['timeit_median_s'] for row in rows):.0f} ns (medians of {turns}"
        f" turns); harness less timeit {median(gaps):.0f} ns ({gaps[0]:.0f} to {gaps[-1]:.0f})"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] or ["10"])))
