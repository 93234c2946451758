"""How much of a visit to a GPU's cell measures, and how soon have 120 cells an answer?

On a simulated GPU in real time (`studies/kernels/timeline.py`), so that what it costs is the
harness's own. Three kernels on it and two on the CPU, with 24 layers.

    python -m bench.studies.visit_share
"""

from collections import defaultdict
from pathlib import Path
from shutil import copy
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.data.records import Block, Visit
from bench.measure import scheduler, visit
from bench.studies import cell, write

TIMELINE = Path(__file__).parent / "kernels" / "timeline.py"
WIDTHS = (16, 64, 128, 256, 512, 1000)
BATCHES = (1, 16, 64, 128)
SECONDS = 25.0
THREADS = 1  # of the host's products: how long their threads spin is no part of the question


def main() -> None:
    """Run, write results/studies/visit_share.csv, print the finding."""
    rows: list[Visit] = []
    blocks: list[Block] = []

    def record(row: Visit, more: list[Block]) -> None:
        rows.append(row)
        blocks.extend(more)

    with TemporaryDirectory() as folder, visit.Visitor(THREADS, 0, limit_s=1.0) as visitor:
        on_timeline = [str(copy(TIMELINE, Path(folder) / f"timeline_{n}.py")) for n in range(3)]
        cells = [
            cell(kernel, width, batch, THREADS)
            for width in WIDTHS
            for batch in BATCHES
            for kernel in ("numpy_dot", "numpy_matmul", *on_timeline)
        ]
        scheduler.Scheduler(
            cells, visitor, record, budget_s=SECONDS, target=1e-9, launch_limit_s=10.0, seed=0
        ).run()
    timed: dict[int, float] = defaultdict(float)
    for block in blocks:
        if block.quantity == "time":
            timed[block.visit] += block.loops * block.seconds
    began = min(row.at_s for row in rows)
    answered_s = max(row.at_s for row in rows if row.pass_number == 1) - began
    found: list[dict[str, Any]] = [
        {
            "kernel": row.kernel,
            "pass": row.pass_number,
            "width": row.n_units,
            "batch": row.batch,
            "visit_s": row.wall_s,
            "measured_s": row.measured_s,
            "blocks_s": timed[row.visit],
        }
        for row in rows
        if row.status == "ok" and row.pass_number > 1 and row.kernel.startswith("timeline")
    ]
    write("visit_share", found)
    share, blocks_share = (
        sorted(row[what] / row["visit_s"] for row in found) for what in ("measured_s", "blocks_s")
    )
    print(
        f"{len(cells)} cells first answered after {answered_s:.0f} s; a visit to one of the"
        f" simulated GPU's takes {1e3 * median(row['visit_s'] for row in found):.0f} ms, of which"
        f" {100 * median(share):.0f} % measures (blocks {100 * median(blocks_share):.0f} %;"
        f" ninth tenth of visits {100 * share[len(share) * 9 // 10]:.0f} %)"
    )


if __name__ == "__main__":
    main()
