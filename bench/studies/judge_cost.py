"""What does the judge cost a run?

    python -m bench.studies.judge_cost [SECONDS]

Passes over the default sweep, as a run makes them, with kernels that run on a CPU. Told of each
case is how much of the time of its visits was spent waiting for the judge: to draw inputs and work
out the answers, in the first visit to a case, and to compare outputs, in every one.
"""

import sys
from collections import defaultdict

from bench.data.records import Block, Visit
from bench.measure import scheduler, visit
from bench.plan import sweep
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.studies import write
from bench.worker import limits

KERNELS = ("python_loop", "numpy_dot", "numpy_matmul", "numba_packed")


def main(seconds: float) -> None:
    """Write results/studies/judge_cost.csv, print the shares."""
    threads = limits.usable_cores()
    asked = sweep.read("default")
    cells = [Cell(kernel, case, 0, threads) for case in asked.cases() for kernel in KERNELS]
    rows: dict[Case, list[tuple[float, float]]] = defaultdict(list)
    with visit.Visitor(threads, 0, asked.launch_limit_s) as visitor:
        before = 0.0

        def record(row: Visit, blocks: list[Block]) -> None:
            nonlocal before
            took, before = visitor.judge.asked_s - before, visitor.judge.asked_s
            if row.wall_s is not None:
                case = Case(row.n_in, row.n_units, row.batch, row.precision, row.activation)
                rows[case].append((took, row.wall_s))

        scheduler.Scheduler(
            cells,
            visitor,
            record,
            budget_s=seconds,
            target=1e-9,
            launch_limit_s=asked.launch_limit_s,
        ).run()
    write(
        "judge_cost",
        [
            {
                "n_units": case.n_units,
                "batch": case.batch,
                "visits": len(visits),
                "wall_s": sum(wall_s for _, wall_s in visits),
                "judge_s": sum(took for took, _ in visits),
                "first_judge_s": visits[0][0],
            }
            for case, visits in rows.items()
        ],
    )
    every = [one for visits in rows.values() for one in visits]
    judge_s, wall_s = (sum(column) for column in zip(*every, strict=True))
    first_s = sum(visits[0][0] for visits in rows.values())
    print(f"{len(every)} visits took {wall_s:.1f} s, the judge {judge_s:.1f} s of that")
    print(f"share {judge_s / wall_s:.1%}; drawing and working out took {first_s:.1f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 160.0)
