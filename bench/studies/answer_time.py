"""How long does an answer take: how many cells have an interval after a minute?

python -m bench.studies.answer_time
"""

import time
from statistics import median
from typing import Any

from bench.stats.adjust import ENOUGH
from bench.studies import cell, run, write

WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
BATCHES = (1, 4, 16, 64)
KERNELS = ("python_loop", "numpy_dot", "numpy_matmul")
LOOP_PRODUCTS = 250_000  # the Python loop beyond this needs over 10 ms a launch
SECONDS = 60.0


def main() -> None:
    """Run once, write results/studies/answer_time.csv, print the finding."""
    names = [
        (kernel, width, batch)
        for width in WIDTHS
        for batch in BATCHES
        for kernel in KERNELS
        if kernel != "python_loop" or batch * width * width <= LOOP_PRODUCTS
    ]
    start = time.perf_counter()
    times = run([cell(*name) for name in names], SECONDS, seed=1).by_cell
    wall_s = time.perf_counter() - start
    rows: list[dict[str, Any]] = []
    for kernel, width, batch in names:
        time_s = times[cell(kernel, width, batch)]
        rows.append(
            {
                "kernel": kernel,
                "width": width,
                "batch": batch,
                "visits": time_s.visits,
                "time_s": time_s.value,
                "half_width": time_s.half_width,
            }
        )
    write("answer_time", rows)
    answered = [row for row in rows if row["visits"] >= ENOUGH]
    widths = sorted(100 * row["half_width"] for row in rows)
    print(
        f"{len(answered)} of {len(rows)} cells have a 95 % interval after {wall_s:.0f} s:"
        f" {median(row['visits'] for row in rows):.0f} visits each, half-width"
        f" {median(widths):.1f} % in the median, {widths[len(widths) * 9 // 10]:.1f} % at the"
        " ninth tenth"
    )


if __name__ == "__main__":
    main()
