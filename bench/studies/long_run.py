"""Does a long run stay as light as it began, and are its files still read in seconds?

Several times: thousands of passes over forty cells whose visits are made up, so that what is
counted is the harness's own time and memory; and a million rows of blocks, read, estimated and
drawn in a fresh process.

    python -m bench.studies.long_run [TURNS]
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from bench.data import store
from bench.data.machine import Machine
from bench.data.records import Block, Quantity, Visit
from bench.measure import scheduler, visit
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.show import charts
from bench.stats import run_data
from bench.studies import write

SWEEP = Sweep(
    widths=(16, 64, 256, 1000, 2048),
    batches=(1, 64),
    kernels=("python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul"),
)
CELLS = [Cell(k, case, 0, 2, "warm") for case in SWEEP.cases() for k in SWEEP.kernels]
PASSES = 4000
VISITS = 100_000


class MadeUp:
    """Visits that take no time."""

    def __init__(self) -> None:
        self.random = random.Random(0)
        self.began: list[float] = []  # CPU seconds, by pass
        self.held: list[int] = []  # bytes, likewise

    def visit(
        self, cell: Cell, number: int, pass_number: int, launch_s: float | None
    ) -> tuple[Visit, list[Block]]:
        """A row and its ten blocks."""
        if pass_number > len(self.began):
            self.began.append(time.process_time())
            self.held.append(tracemalloc.get_traced_memory()[0])
        if pass_number > PASSES:
            raise KeyboardInterrupt
        row = replace(
            visit.refusal(cell, number, pass_number, "ok", ""),
            kernel_hash="0" * 12,
            device="cpu",
            error=0.3,
            wall_s=0.05,
            measured_s=0.01,
            waited_s=0.0,
        )
        second = cell.case.flops * 1e-11 * self.random.uniform(1, 2)
        trips: list[Quantity] = ["latency", "launch", "send", "fetch", "end_to_end"]
        readings = [5e-5 * self.random.uniform(1, 1.2) for _ in range(4)]
        blocks = [
            Block(number, "time", 8, second * self.random.uniform(1, 2), *readings)
            for _ in range(5)
        ]
        return row, [*blocks, *(Block(number, quantity, 1, second) for quantity in trips)]

    def respawn(self) -> None:
        """There are no workers."""


def passes() -> MadeUp:
    """A run that no target and no budget ends."""
    visits = MadeUp()
    running = scheduler.Scheduler(
        CELLS,
        visits,
        lambda row, blocks: None,
        budget_s=1e9,
        target=1e-9,
        launch_limit_s=1e9,
    )
    try:
        running.run()
    except KeyboardInterrupt:
        return visits
    raise AssertionError("it had a reason to stop")


def long_run() -> dict[str, float]:
    """What a pass costs, and what is held, in the first and the last tenth."""
    began = passes().began
    tracemalloc.start()
    held = passes().held
    tracemalloc.stop()
    tenth = PASSES // 10
    return {
        "pass_first_tenth_s": (began[tenth] - began[0]) / tenth,
        "pass_last_tenth_s": (began[-1] - began[-1 - tenth]) / tenth,
        "held_first_tenth_mb": mean(held[:tenth]) / 1e6,
        "held_last_tenth_mb": mean(held[-tenth:]) / 1e6,
    }


def make(folder: Path) -> None:
    """A run of a hundred thousand visits of ten blocks."""
    made = MadeUp()
    rows = [
        made.visit(CELLS[n % len(CELLS)], n + 1, n // len(CELLS) + 1, None) for n in range(VISITS)
    ]
    with store.Run.create(folder, SWEEP) as run:
        for row, blocks in rows:
            run.append(row, blocks)


def read(folder: Path) -> dict[str, float]:
    """What `plot` does with it: how long each part takes, and the most memory held."""
    marks = [(time.perf_counter(), time.process_time())]

    def mark() -> None:
        marks.append((time.perf_counter(), time.process_time()))

    visits, blocks = store.load(folder, Visit), store.load(folder, Block)
    mark()
    run = run_data.derive(folder, Machine(), visits, blocks)
    store.write_cells(folder, run.cells)
    mark()
    charts.draw_all([charts.read(run)], [folder / "plots"])
    mark()
    (start, _), (loaded, _), (estimated, _), (drawn, _) = marks
    return {
        "rows": len(blocks),
        "load_s": loaded - start,
        "estimate_s": estimated - loaded,
        "draw_s": drawn - estimated,
        "all_s": drawn - start,
        "all_cpu_s": marks[-1][1] - marks[0][1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(turns: int) -> None:
    """Write results/studies/long_run.csv, print the findings."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        make(folder)
        for turn in range(turns):
            command = [sys.executable, "-m", "bench.studies.long_run", "read", str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append({"turn": turn, **long_run(), **json.loads(done.stdout)})
            print("  ".join(f"{k} {v:.4g}" for k, v in rows[-1].items()), flush=True)
    write("long_run", rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        print(json.dumps(read(Path(sys.argv[2]))))
    else:
        main(int((sys.argv[1:] or ["3"])[0]))
