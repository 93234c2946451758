"""Runs that nobody measured, for tests of charts. None of it is ever shown as a result."""

import itertools
from typing import Any

import pandas as pd
from msgspec import structs

from bench.data import store
from bench.data.machine import Cpu, Level, Machine, Peaks
from bench.data.records import CellRow
from bench.show import charts

MACHINE = Machine(
    cpu=Cpu("AMD EPYC 9R14 96-Core Processor"),
    started="2026-11-22T12:46:00Z",
    commit="a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
    peaks=Peaks("float32", 2.3e11, 2e10, None),
)
WITH_LEVELS = structs.replace(
    MACHINE,
    peaks=structs.replace(
        MACHINE.peaks or Peaks("", None, None, None),
        registers_flop_per_s=2.5e11,
        levels=(
            Level("L1", 4.4e11, 4.7e11),
            Level("L2", 2.4e11, 2.3e11),
            Level("L3", 2e11, 1.9e11),
            Level("memory", 5e10, 4e10),
        ),
    ),
)
"""The same where Numba is."""
UNKNOWN = Machine()
GPU = "cuda:0 made-up GPU at 0000:17:00.0"
GPU_MACHINE = structs.replace(MACHINE, device_peaks={GPU: Peaks("float32", 5e13, 3e12, 6.7e13)})
NOTHING = dict.fromkeys(
    (name for name, kind in CellRow.__annotations__.items() if "None" in str(kind))
)
AWAY = (0.98, 0.99, 1.0, 1.01, 1.3)
LONGER = (1.0, 1.0, 1.0, 1.2, 1.5)
"""A made-up cell's visits, about its time, and how many times longer they took as found."""


def cell(kernel: str, width: int, batch: int, **known: Any) -> CellRow:
    """A cell; its time, rate and speed-up, where given, are known to 2 %; and its instructions are
    counted, where it has a time on the CPU.
    """
    row: dict[str, Any] = NOTHING | {
        "kernel": kernel,
        "kernel_hash": "0" * 12,
        "n_in": width,
        "n_units": width,
        "batch": batch,
        "precision": "float32",
        "activation": "relu",
        "device_index": 0,
        "device": "cpu",
        "threads": 2,
        "cache": "warm",
        "status": "ok",
        "reason": "",
        "visits": 5,
        "disturbed": 0,
        "flops": batch * width * (2 * width + 1),
        "bytes": 4 * (width * width + width + 2 * batch * width),
        "speedup_basis": "measured" if "speedup" in known else "",
    }
    row |= known
    if row["flop_per_s"] and not row["time_s"]:
        row["time_s"] = row["flops"] / row["flop_per_s"]
    if row["time_s"] and row["device"] == "cpu" and "instructions" not in known:
        row["instructions"] = 6e9 * row["time_s"]  # two a cycle, at 3 GHz
        row["instructions_per_flop"] = row["instructions"] / row["flops"]
    for number, unit in (("flop_per_s", ""), ("speedup", ""), ("time", "_s")):
        if value := row[f"{number}{unit}"]:
            sides = {f"{number}_low{unit}": value * 0.98, f"{number}_high{unit}": value * 1.02}
            row |= sides | {name: known[name] for name in sides if name in known}
    return CellRow(**row)


def made(cells: list[CellRow], machine: Machine = MACHINE) -> charts.Run:
    """The run of these cells, with five visits to each that has a time."""
    frame = store.table(cells)
    visits = frame[frame["time_s"].notna()].loc[:, [*charts.CELL, "time_s"]].assign(key=0)
    away = pd.DataFrame({"pass": range(1, len(AWAY) + 1), "away": AWAY, "longer": LONGER})
    away = away.assign(key=0)
    visits = visits.merge(away, on="key")
    seconds = visits["time_s"] * visits["away"]
    visits = visits.assign(seconds=seconds, as_found=seconds * visits["longer"])
    visits = visits.drop(columns=["time_s", "away", "longer", "key"])
    return charts.Run("made-up", frame, machine, visits)


def laptop(
    widths: tuple[int, ...] = (16, 64, 256, 1000, 2048, 4096),
    batches: tuple[int, ...] = (1, 32, 1024),
    more: tuple[str, ...] = (),
) -> list[CellRow]:
    """Like a laptop's: a flat loop that gets too slow, two NumPy kernels, no CuPy."""
    cells = []
    for batch, width in itertools.product(batches, widths):
        slow = batch * width**2 > 5e6
        basis = "predicted" if slow else "measured"
        rates = {
            "numpy_dot": 2e6 * width**0.9,
            "numpy_matmul": 2e11 / (1 + 900 / width + 30 / batch),
        }
        rates |= {kernel: 1e11 * 0.8**i for i, kernel in enumerate(more)}
        loop: dict[str, Any] = {"flop_per_s": 35e6, "speedup": 1.0}
        if slow:
            loop = {"status": "skipped", "reason": "predicted to take 99 s"}
        cells.append(cell("python_loop", width, batch, **loop))
        for kernel, rate in rates.items():
            known = {"flop_per_s": rate, "speedup": rate / 35e6, "speedup_basis": basis}
            cells.append(cell(kernel, width, batch, **known))
        cells.append(cell("cupy_matmul", width, batch, status="unavailable", reason="no CuPy"))
    return cells


def gpu_box(
    widths: tuple[int, ...] = (16, 64, 256, 1000, 2048, 4096),
    batches: tuple[int, ...] = (1, 16, 128, 1024),
) -> list[CellRow]:
    """Like a laptop's with a GPU in it, of 5 µs a launch and 20 GB/s of transfers."""
    cells = []
    for one in laptop(widths, batches):
        if one.kernel == "cupy_matmul":
            continue
        alone = one.time_s and one.time_s + 1e-6
        cells.append(CellRow(**(_fields(one) | {"latency_s": alone, "end_to_end_s": alone})))
    for (batch, width), (kernel, slower) in itertools.product(
        itertools.product(batches, widths), {"cupy_matmul": 1.0, "cupy_fused": 0.9}.items()
    ):
        flops, sent = batch * width * (2 * width + 1), 8 * batch * width / 20e9
        seconds = slower * (5e-6 + flops / (4e13 / (1 + 40 / batch + 400 / width)))
        latency = seconds + 8e-6
        known = {"time_s": seconds, "flop_per_s": flops / seconds, "latency_s": latency}
        known |= {"end_to_end_s": latency + 2e-5 + sent, "speedup": flops / seconds / 35e6}
        basis = "predicted" if batch * width**2 > 5e6 else "measured"
        cells.append(cell(kernel, width, batch, device=GPU, speedup_basis=basis, **known))
    return cells


def _fields(one: CellRow) -> dict[str, Any]:
    return {name: getattr(one, name) for name in CellRow.__annotations__}
