"""Is numba_packed as fast as the CPU allows, and what is each of its tricks worth?

    python -m bench.studies.limit rivals [SECONDS]    # needs all: make setup KERNELS=all
    python -m bench.studies.limit onednn [SECONDS]
    python -m bench.studies.limit tricks [SECONDS]
    python -m bench.studies.limit copying [SECONDS]
    python -m bench.studies.limit blocks [SECONDS]
    python -m bench.studies.limit narrow [SECONDS]

`rivals`: its time over NumPy's, PyTorch's and JAX's, on the widths and batches of the default
sweep; and its share of the CPU's ceiling, which is measured before and after.
`onednn`: the same over oneDNN with packed weights. `tricks`: its time over that of each variant
that does without one (bench/studies/kernels/packed_*.py); `copying`: over that without the copy of
A_in that it makes where rows meet in a cache, on widths where they do; `blocks`: over that without
blocks, where A_in doesn't fit the second-level cache. `narrow`: that of its tiles over NumPy's on
layers of two to eight units.

The first rows of each table are the losses. There is no interval with fewer than four visits.
Float32, relu, all usable cores.
"""

import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import peak_rates, survey
from bench.measure import visit
from bench.plan import sweep
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.stats import adjust
from bench.studies import cell, run, write
from bench.worker import limits

PACKED = "numba_packed"
KERNELS = Path(__file__).parent / "kernels"
RIVALS = ("numpy_matmul", "torch_linear", "jax_dense")
TRICKS = (
    "packed_in_place",
    "packed_four_rows",
    "packed_one_part",
    "packed_afterwards",
    "packed_alone",
    "packed_together",
)
SHAPES = [(width, batch) for width in (64, 256, 1024, 2048) for batch in (1, 16, 128, 1024)]
"""Of the tricks: multiples of two vectors, which the variant without packing needs."""

SLOWER = 1.03
"""Up to here it is called not slower."""


def peak() -> float:
    """FLOP/s that were seen in registers or in NumPy's large product, measured now."""
    machine = survey.survey(visit.software(limits.usable_cores()), limits.usable_cores())
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "peaks.json"
        peaks = peak_rates.of_cpu("float32", limits.usable_cores(), machine, kept)
    assert peaks is not None
    return peaks.ceiling_flop_per_s or 0.0


def compare(
    others: Sequence[str], shapes: Sequence[tuple[int, int]], budget_s: float
) -> list[dict[str, Any]]:
    """A row for each other kernel and shape: numba_packed's time over its, with the interval."""
    cells = {
        (kernel, shape): cell(kernel, *shape) for shape in shapes for kernel in (PACKED, *others)
    }
    times = run(list(cells.values()), budget_s, seed=1).by_cell
    rows = []
    for (kernel, (width, batch)), other in cells.items():
        packed = cells[PACKED, (width, batch)]
        if kernel == PACKED or other not in times:
            continue
        ours = times[packed]
        ratio = adjust.ratio(ours, times[other])
        rows.append(
            {
                "kernel": Path(kernel).stem,
                "width": width,
                "batch": batch,
                "visits": ratio.visits,
                "packed_us": ours.value * 1e6,
                "packed_gflop_per_s": packed.case.flops / ours.value / 1e9,
                "packed_over_other": ratio.value,
                "low": ratio.low if ratio.known else None,
                "high": ratio.high if ratio.known else None,
            }
        )
    return sorted(rows, key=lambda row: -(row["high"] or row["packed_over_other"]))


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The losses first, then how many are none."""
    for row in rows:
        spread = f"{row['visits']} visits"
        if row["high"] is not None:
            spread = f"{row['low']:.3f} to {row['high']:.3f}"
        print(
            f"{row['kernel']:<18} width {row['width']:>4}, batch {row['batch']:>4}:"
            f" {row['packed_over_other']:.3f} ({spread})"
            f"   {row['packed_us']:.1f} us, {row['packed_gflop_per_s']:.0f} GFLOP/s"
        )
    for kernel in dict.fromkeys(row["kernel"] for row in rows):
        its = [row for row in rows if row["kernel"] == kernel]
        told = [row for row in its if row["high"] is not None]
        fine = [row for row in told if row["high"] <= SLOWER]
        slower = [row for row in its if row["packed_over_other"] > 1]
        print(
            f"not slower than {kernel}: {len(fine)} of the {len(told)} cells with an interval;"
            f" in the median slower: {len(slower)} of {len(its)}"
        )


def onednn(budget_s: float) -> None:
    """Write results/studies/limit_onednn.csv, print it."""
    shapes = [(case.n_units, case.batch) for case in sweep.read("default").cases()]
    rows = compare([str(KERNELS / "torch_onednn.py")], shapes, budget_s)
    write("limit_onednn", rows)
    show(rows)


def rivals(budget_s: float) -> None:
    """Write results/studies/limit_rivals.csv, print it."""
    settled = sweep.read("default")
    shapes = [(case.n_units, case.batch) for case in settled.cases()]
    before = peak()
    rows = compare(RIVALS, shapes, budget_s)
    top = max(before, peak())
    for row in rows:
        row["share_of_ceiling"] = row["packed_gflop_per_s"] * 1e9 / top
    write("limit_rivals", rows)
    show(rows)
    print(f"the ceiling: {top / 1e9:.0f} GFLOP/s; of it")
    large = {
        (row["width"], row["batch"]): row["share_of_ceiling"]
        for row in rows
        if row["width"] >= 1024 and row["batch"] >= 128
    }
    for (width, batch), share in sorted(large.items()):
        print(f"  width {width}, batch {batch}: {share:.0%}")


def blocks(budget_s: float) -> None:
    """Write results/studies/limit_blocks.csv, print it."""
    shapes = [(1000, 1024), (2048, 128), (2048, 1024), (4096, 128), (4096, 1024)]
    rows = compare([str(KERNELS / "packed_unblocked.py")], shapes, budget_s)
    write("limit_blocks", rows)
    show(rows)


def narrow(budget_s: float) -> None:
    """Write results/studies/limit_narrow.csv, print it."""
    cells = {
        shape: [
            Cell(kernel, Case(*shape, "float32", "relu"), 0, limits.usable_cores(), "warm")
            for kernel in (str(KERNELS / "packed_tiled.py"), "numpy_matmul")
        ]
        for shape in itertools.product((256, 1024, 4096), (2, 3, 4, 8), (1, 4, 16, 64, 1024))
    }
    times = run([cell for pair in cells.values() for cell in pair], budget_s, seed=1).by_cell
    rows: list[dict[str, Any]] = []
    for (n_in, n_units, batch), (packed, other) in cells.items():
        if packed in times and other in times:
            ratio = adjust.ratio(times[packed], times[other])
            rows.append(
                {
                    "n_in": n_in,
                    "n_units": n_units,
                    "batch": batch,
                    "visits": ratio.visits,
                    "packed_us": times[packed].value * 1e6,
                    "packed_over_numpy": ratio.value,
                    "low": ratio.low if ratio.known else None,
                    "high": ratio.high if ratio.known else None,
                }
            )
    rows.sort(key=lambda row: -row["packed_over_numpy"])
    write("limit_narrow", rows)
    for row in rows:
        print(row)


def copying(budget_s: float) -> None:
    """Write results/studies/limit_copying.csv, print it."""
    shapes = [(width, batch) for width in (1024, 2048, 4096) for batch in (16, 128, 1024)]
    rows = compare([str(KERNELS / "packed_uncopied.py")], shapes, budget_s)
    write("limit_copying", rows)
    show(rows)


def tricks(budget_s: float) -> None:
    """Write results/studies/limit_tricks.csv, print it."""
    rows = compare([str(KERNELS / f"{name}.py") for name in TRICKS], SHAPES, budget_s)
    write("limit_tricks", rows)
    show(rows)


if __name__ == "__main__":
    studies = (rivals, onednn, tricks, copying, blocks, narrow)
    which = {study.__name__: study for study in studies}[sys.argv[1]]
    which(float(sys.argv[2]) if len(sys.argv) > 2 else 300.0)
