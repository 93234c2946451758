"""Does any file, however broken, do more than be read or be refused in one line?

A small valid run whose files are broken at random: bytes, fields, lines, the values in its JSON and
TOML. Each broken file goes to its reader, and the run it belongs to through all that `plot` and the
table make of it. What is neither read nor refused with `BadInput` is a failure: the file is kept in
tests/data/bad_files/, where a test reads it again for ever.

    python -m bench.studies.fuzz [SECONDS SEED]
"""

import io
import json
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import tomli_w
from rich.console import Console

from bench import ROOT
from bench.data import store
from bench.data.machine import Blas, Cpu, Gpu, Gpus, Machine, Peaks
from bench.data.records import Block, CellRow, Visit
from bench.measure.visit import refusal
from bench.plan import sweep
from bench.plan.cell import Cell
from bench.show import charts, table
from bench.stats import run_data
from bench.studies import write
from bench.terminal import errors

BAD_FILES = ROOT / "tests" / "data" / "bad_files"

NASTY = (
    *("", "0", "-1", "1.5", "1e-400", "1e400", "nan", "inf", "-inf", "9" * 30, "9" * 5000, "0x10"),
    *("1_000", " 1", "+1", "٣", "true", "None", "\0", "\ufeff", "\r", "\n", "\r\n", '"', '""', ","),
    *(
        "=1+1",
        "@x",
        "'-x",
        "\t",
        "$x^{$",
        "\x1b[31m",
        "\x1b]8;;http://x\x07",
        "\u202eabc",
        "\u2066",
    ),
    *("[red]x[/]", "[/]", "a" * 200_000, "ok", "skipped", "pending", "wrong", "python_loop", "]]>"),
    *("1e30", "1e-30", "1e8", "1e-12", "99999999"),
    *("predicted 1e9 s a launch", "predicted -. s a launch", "漢", "1e300", "1e-300", "1048577"),
)
"""Texts that have broken readers before."""

VALUES: tuple[Any, ...] = (None, True, -1, 0, 2**70, 1e308, -1e-308, "", "x", [], {}, [[]], [None])
"""Values of the wrong kind."""


def small_run(folder: Path) -> None:
    """A valid run in three cases: measured cells, a skipped one, one that can't run here."""
    asked = sweep.Sweep(widths=(16, 1000), batches=(1, 8), kernels=("python_loop", "numpy_matmul"))
    number = 0
    with store.Run.create(folder, asked) as run:
        for turn in range(1, 8):
            for case in asked.cases():
                for kernel, rate in (("python_loop", 3e7), ("numpy_matmul", 1e10)):
                    number += 1
                    cell = Cell(kernel, case, 0, 2, "warm")
                    ok = replace(
                        refusal(cell, number, turn, "ok", ""),
                        kernel_hash="0" * 12,
                        device="cpu",
                        error=0.5,
                        wall_s=0.05,
                        control_s=0.001,
                        measured_s=0.01,
                        waited_s=0.0,
                        stepped_s=-1e-5,
                    )
                    blocks = [Block(number, "time", 8, case.flops / rate * (1 + 0.01 * turn))]
                    if kernel == "python_loop" and case.batch == 8 and case.n_units == 1000:
                        why = "predicted 0.6 s a launch, limit 0.3 s"
                        ok = replace(ok, status="skipped", reason=why, predicted_s=0.6)
                        blocks = []
                    run.append(ok, [*blocks, *(replace(b, quantity="latency") for b in blocks)])
        run.write_machine(
            Machine(
                started="2026-11-22T15:06:09+00:00",
                cpu=Cpu("Zen", cores_usable=2, mhz=2e3, vector_flags=("avx2",)),
                memory_bytes=2**34,
                blas=(Blas("openblas", "0.3", "Zen"),),
                threads=2,
                gpus=Gpus(devices=(Gpu(name="x", bus="y"),)),
                warnings=("a",),
                peaks=Peaks("float32", 2e11, 1e10, None),
                device_peaks={"x at y": Peaks("float32", 2e12, None, 3e12, 1e11)},
            )
        )
    store.write_cells(folder, cells_of(folder))


def cells_of(folder: Path) -> list[CellRow]:
    """What the run's truth says."""
    return list(run_data.read(folder).cells)


def show(folder: Path, *, draw: bool = True, derive: bool = True) -> None:
    """All that is made of a run's files: the table, the sentences, the charts."""
    sweep.read(str(folder / "sweep.toml"))
    run = run_data.read(folder)
    rows = run.cells if derive else store.load(folder, CellRow)
    console = Console(file=io.StringIO(), width=120)
    for part in table.tables(rows, console.width):
        console.print(part)
    for line in table.reasons(rows):
        console.print(line, markup=False)
    table.caution(rows)
    table.headline(run)
    table.state(run)
    if derive:
        store.write_cells(folder, rows)
    if draw:
        shown = charts.read(replace(run, cells=rows))
        for path in charts.draw_all([shown], [folder / "plots"], formats=["svg"]):
            ET.parse(path)  # noqa: S314 - our own file


READERS: dict[str, Callable[[Path], object]] = {
    "sweep.toml": lambda folder: sweep.read(str(folder / "sweep.toml")),
    "machine.json": store.machine,
    "visits.csv": lambda folder: store.load(folder, Visit),
    "blocks.csv": lambda folder: store.load(folder, Block),
    "cells.csv": store.frame,
}
"""Each file's own reader."""


def broken(name: str, good: bytes, rng: random.Random) -> bytes:
    """The file with one to three mistakes in it."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        usual = _fields if name.endswith(".csv") else partial(_structure, name)
        good = rng.choice((_bytes, _lines, usual, usual, usual, usual))(good, rng)
    return good


def _bytes(good: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(good) + 1)
    end = min(start + rng.choice((0, 1, 2, 20)), len(good))
    new = rng.choice((rng.randbytes(rng.randint(0, 4)), rng.choice(NASTY).encode(), good[:end]))
    return good[:start] + new + good[end:]


def _lines(good: bytes, rng: random.Random) -> bytes:
    lines = good.splitlines(keepends=True) or [b""]
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(4)
    if way == 0:
        lines[at], lines[to] = lines[to], lines[at]
    elif way == 1:
        lines.insert(to, lines[at])
    elif way == 2:
        lines[at] = lines[at].rstrip(b"\n") + rng.choice((b"\r\n", b"\r", b"", b"\n\n"))
    else:
        del lines[at]
    return b"".join(lines)


def _fields(good: bytes, rng: random.Random) -> bytes:
    lines = [line.split(b",") for line in good.split(b"\n")]
    line = rng.choice(lines)
    other = rng.choice(rng.choice(lines))
    line[rng.randrange(len(line))] = rng.choice((rng.choice(NASTY).encode(), other))
    return b"\n".join(b",".join(line) for line in lines)


def _structure(name: str, good: bytes, rng: random.Random) -> bytes:
    loads, dumps = (
        (json.loads, json.dumps) if name.endswith(".json") else (tomllib.loads, tomli_w.dumps)
    )
    try:
        found = loads(good.decode())
        places: list[tuple[Any, Any]] = []
        _places(found, places)
        inner, key = rng.choice(places)
        if rng.random() < 0.1:
            del inner[key]
        else:
            inner[key] = rng.choice((*VALUES, rng.choice(NASTY)))
        return dumps(found).encode()
    except (ValueError, TypeError, LookupError):
        return _bytes(good, rng)  # broken already, or no TOML for it


def _places(found: Any, places: list[tuple[Any, Any]]) -> None:
    keys = list(found) if isinstance(found, dict) else range(len(found))
    for key in keys:
        places.append((found, key))
        if isinstance(found[key], dict | list):
            _places(found[key], places)


def attempt(what: Callable[[], object]) -> str:
    """Accepted, refused, or the failure: its kind and text."""
    try:
        what()
    except errors.BadInput as error:
        return "refused" if "\n" not in str(error) else "BadInput over several lines"
    except Exception as error:  # noqa: BLE001 - finding any of them is the point
        return f"{type(error).__name__}: {error}"
    return "accepted"


def main(seconds: float, seed: int) -> None:
    """Break files for so long, write results/studies/fuzz.csv, print the table."""
    rng = random.Random(seed)
    counts: Counter[tuple[str, str]] = Counter()
    seen: set[str] = set()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        small_run(folder)
        good = {name: (folder / name).read_bytes() for name in READERS}
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            name = rng.choice(list(READERS))
            content = broken(name, good[name], rng)
            (folder / name).write_bytes(content)
            results = {name: attempt(partial(READERS[name], folder))}
            # drawing takes a second, reading a millisecond
            draw = results[name] == "accepted" and rng.random() < 0.1
            whole = partial(show, folder, draw=draw, derive=name != "cells.csv")
            results["plot" if draw else "table"] = attempt(whole)
            for reader, result in results.items():
                verdict = result if result in ("accepted", "refused") else "failure"
                counts[reader, verdict] += 1
                if verdict == "failure" and result[:40] not in seen:
                    seen.add(result[:40])
                    print(f"{reader}: {result[:300]}")
                    BAD_FILES.mkdir(exist_ok=True)
                    (BAD_FILES / f"{len(seen):02}-{name}").write_bytes(content)
            (folder / name).write_bytes(good[name])
            (folder / "cells.csv").write_bytes(good["cells.csv"])
    rows = [
        {
            "reader": reader,
            "inputs": sum(counts[reader, v] for v in ("accepted", "refused", "failure")),
            "accepted": counts[reader, "accepted"],
            "refused": counts[reader, "refused"],
            "failures": counts[reader, "failure"],
        }
        for reader in (*READERS, "table", "plot")
    ]
    write("fuzz", rows)
    for row in rows:
        print("  ".join(f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main(float((sys.argv[1:] or ["300"])[0]), int((sys.argv[2:] or ["0"])[0]))
