"""How long do all charts of the reference run take?

Each repetition is a process of its own, imports included, as at the end of `make bench`.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.studies import write

REPETITIONS = 5


def main() -> None:
    """Draw them a few times, write results/studies/draw_time.csv, print the median."""
    rows = []
    with tempfile.TemporaryDirectory() as out:
        for repetition in range(1, REPETITIONS + 1):
            began = time.perf_counter()
            command = [sys.executable, "-m", "bench", "plot", "reference", "--out", out]
            subprocess.run(command, check=True, capture_output=True)
            seconds = time.perf_counter() - began
            files = len(list(Path(out).iterdir()))
            rows.append({"repetition": repetition, "files": files, "seconds": seconds})
    print(f"all charts: {median(float(row['seconds']) for row in rows):.1f} s (median)")
    write("draw_time", rows)


if __name__ == "__main__":
    main()
