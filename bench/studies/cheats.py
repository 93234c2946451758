"""What becomes of a kernel whose number would be wrong? Each way that was thought of, on the real
program: alone, beside a process that keeps a core busy, and with cold caches.

    python -m bench.studies.cheats [SECONDS [NAME ...]]

The kernels of `studies/kernels/cheats.py` are measured beside numpy_matmul, at 64 and 256 units and
1 and 16 examples, on one thread. Told of each: in how many of its cells it has
a number, and in how many it was refused and as what; the least and the most that its numbers are of
what a launch truly takes. That is numpy_matmul's time in the same run where the kernel's own work
is NumPy's; of the real lazy libraries it is their latency, for which one launch is evaluated.

Honest kernels that look like it are measured in the same way.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.data import store
from bench.data.records import CellRow
from bench.studies import write

BUDGET_S = 4.0
"""For each kernel of a run."""

TOGETHER = 8
"""So many kernels are measured in one run."""

APART = ("others_rows",)
"""These do something to the others."""

MISTAKES = (
    *("lazy_fenced", "lazy_says_eager", "lazy_unfenced", "lazy_fetch", "half_in_fetch"),
    *("in_send", "product_in_send", "dask_layer", "mlx_fenced"),
    *("milliseconds", "nanoseconds", "minutes", "half_of_it", "a_tenth_of_it", "a_fifth_less"),
    *("a_fifth_more", "waits_uncounted", "warm_caches", "zeros", "a_tile_is_missing", "masked"),
    *("in_int8", "sums_in_float16", "two_blas_threads"),
)
"""What an honest author may do."""

CHEATS = (
    *("fourth_time", "while_timed", "works_ahead", "a_subclass", "a_child_does_half"),
    *("patched_host", "patched_timing", "patched_judge", "others_rows"),
)
"""What only somebody does who wants another number."""

HONEST = ("numpy_dot", "numpy_einsum", "numba_loop", "jax_dense", "mlx_dense")
"""Kernels of this checkout: with outputs of their own, that are fenced, eager, lazy."""

OPTIONS = {
    "in_int8": ("--precision", "bfloat16"),
    "sums_in_float16": ("--precision", "float16"),
}

BY_LATENCY = ("mlx_fenced",)
"""Kernels in a library of its own, whose launches take other times than NumPy's."""

WITHOUT_CHARTS = (
    "import runpy; from bench.show import runs; runs.draw = lambda *_: [];"
    " runpy.run_module('bench', run_name='__main__')"
)


@dataclass(frozen=True, slots=True)
class Mode:
    """What a run has beside it."""

    name: str
    busy: bool = False
    cache: str = "warm"


MODES = (Mode("alone"), Mode("beside a busy core", busy=True), Mode("cold caches", cache="cold"))


def groups(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Kernels that are measured in one run: with the same options, and none that harms others."""
    alike = [name for name in names if name not in OPTIONS and name not in APART]
    yield from batched(alike, TOGETHER)
    for name in names:
        if name not in alike:
            yield (name,)


def batched(names: list[str], size: int) -> Iterator[tuple[str, ...]]:
    """Their order kept, so many at a time."""
    for start in range(0, len(names), size):
        yield tuple(names[start : start + size])


def tried(
    names: tuple[str, ...], mode: Mode, budget_s: float, folder: Path
) -> Iterator[dict[str, Any]]:
    """A run of some kernels and of numpy_matmul -> a row of each."""
    out = folder / f"{names[0]}-{mode.name.replace(' ', '-')}"
    command = [sys.executable, "-c", WITHOUT_CHARTS, "run", "--sweep", "quick", "--out", str(out)]
    command += ["--widths", "64,256", "--batches", "1,16", "--cache", mode.cache, "--threads", "1"]
    command += ["--budget", f"{budget_s * (1 + len(names)):g}s", *OPTIONS.get(names[0], ())]
    for name in (*names, "numpy_matmul"):
        kernel = name
        if name in MISTAKES + CHEATS:
            stub = folder / f"{name}.py"
            stub.write_text(f"from bench.studies.kernels.cheats import {name} as prepare\n")
            kernel = str(stub)
        command += ["--kernel", kernel]
    spin = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(spin) if mode.busy else nullcontext() as busy:
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        finally:
            if busy is not None:
                busy.kill()
    ended = "" if done.returncode in (0, 1) else done.stderr.strip()[-200:]
    cells = [] if ended else store.load(out, CellRow)
    by_name = {name: [cell for cell in cells if Path(cell.kernel).stem == name] for name in names}
    honest = [cell for cell in cells if cell.kernel == "numpy_matmul"]
    for name, mine in by_name.items():
        yield row(name, mode, mine, honest, ended)


def row(
    name: str, mode: Mode, mine: list[CellRow], honest: list[CellRow], ended: str
) -> dict[str, Any]:
    """What became of a kernel in one run."""
    truth = {place(cell): cell.time_s for cell in honest}
    if name in BY_LATENCY:
        truth = {place(cell): cell.latency_s for cell in mine}
    shares = [
        cell.time_s / true
        for cell in mine
        if name not in HONEST
        and cell.status == "ok"
        and cell.time_s
        and (true := truth.get(place(cell)))
    ]
    status = Counter(cell.status for cell in mine if cell.status not in ("ok", "pending"))
    kind = "mistake" if name in MISTAKES else "cheat" if name in CHEATS else "honest"
    return {
        "kernel": name,
        "kind": kind,
        "run": mode.name,
        "numbers": len([cell for cell in mine if cell.status == "ok"]),
        "refused": sum(status.values()),
        "as": " ".join(sorted(status)),
        "least_of_truth": min(shares, default=None),
        "most_of_truth": max(shares, default=None),
        "reason": ended or next((cell.reason for cell in mine if cell.status in status), ""),
    }


def place(cell: CellRow) -> tuple[int, int]:
    """Where in the sweep a cell is."""
    return cell.n_units, cell.batch


def main(budget_s: float, names: tuple[str, ...]) -> None:
    """Write results/studies/cheats.csv, print the sum."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for group in groups(names):
            for mode in MODES:
                for told in tried(group, mode, budget_s, Path(folder)):
                    rows.append(told)
                    print(told, file=sys.stderr)
                rows.sort(key=lambda told: names.index(told["kernel"]))
                write("cheats", rows)
    for kind in ("mistake", "cheat", "honest"):
        of_kind = [told for told in rows if told["kind"] == kind]
        with_number = {told["kernel"]: 0 for told in of_kind if told["numbers"]}
        print(
            f"{kind}: {len({told['kernel'] for told in of_kind})} kernels in"
            f" {len(of_kind)} runs, {sum(told['refused'] > 0 for told in of_kind)} of them refused;"
            f" with a number: {', '.join(with_number) or 'none'}"
        )


if __name__ == "__main__":
    chosen = tuple(sys.argv[2:]) or (*MISTAKES, *CHEATS, *HONEST)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else BUDGET_S, chosen)
