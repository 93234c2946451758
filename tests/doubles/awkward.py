"""Runs that are hard to draw."""

import itertools
import random
from typing import Any

from hypothesis import strategies as st
from made_up import GPU, cell, gpu_box, laptop

from bench.data.records import STATUSES, CellRow
from bench.show import charts
from bench.show.charts.page import Sheet

FORTY = tuple(f"kernel_{i}_with_a_name_of_forty_characters_"[:40] for i in range(9))


AWKWARD = {
    "as usual": laptop(),
    "a GPU": gpu_box(),
    "seven batches": laptop((16, 32, 64, 512, 1000, 1024, 8192), tuple(4**i for i in range(7))),
    "forty characters": laptop((64, 1000, 4096), (1, 1024), FORTY[:2]),
    "many kernels": laptop((1000, 4096), (1, 64), FORTY + tuple(f"k{i}" for i in range(21))),
    "one cell": [cell("numpy_matmul", 64, 1, flop_per_s=3e9, speedup=90.0)],
    "nothing ran": [cell(k, 64, b, status="error") for k in FORTY for b in (1, 2)],
    "no cells": [],
}


SHEETS = [Sheet(theme, size) for theme in charts.THEMES for size in charts.SIZES]


def a_run(seed: int, shape: tuple[int, int, int], decades: int) -> list[CellRow]:
    """Cells of any kind, each number and its interval there or not: of so many kernels, widths and
    batches.
    """
    draw, (kernels, widths, batches) = random.Random(seed), shape
    known = ["python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul", *FORTY]
    named = draw.sample(known + [f"k{i}" for i in range(20)], kernels)
    sizes = sorted(draw.sample(range(1, 20_000), widths))
    cells = []
    for kernel, width, batch in itertools.product(
        named, sizes, sorted(draw.sample(range(1, 5000), batches))
    ):
        row: dict[str, Any] = {"status": draw.choice(STATUSES)}
        if draw.random() < 0.8:
            rate = 10 ** draw.uniform(3, 3 + decades)
            row = {"flop_per_s": rate, "speedup": rate / 1e6}
            row["speedup_basis"] = draw.choice(["measured", "predicted"])
            if draw.random() < 0.2:
                gone = ("time_{}_s", "flop_per_s_{}", "speedup_{}")
                row |= {name.format(side): None for name in gone for side in ("low", "high")}
            row |= {n: 10 ** draw.uniform(-7, 1) for n in ("latency_s", "end_to_end_s")}
        if kernel.startswith(("cupy", "k1")):
            row["device"] = GPU
        cells.append(cell(kernel, width, batch, **row))
    return cells


SHAPES = [(1, 1, 1), (2, 6, 1), (1, 6, 4), (5, 2, 4), (5, 6, 2), (30, 1, 2)]
RUNS = st.builds(a_run, st.integers(0, 2**32), st.sampled_from(SHAPES), st.sampled_from([0, 2, 9]))
