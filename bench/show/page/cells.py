"""A run's cells as the page's scripts take them: the table, each cell's visits, the slider."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.data import store
from bench.data.records import CellRow
from bench.show import table
from bench.show.pictures.parts.cells import HEADLINE
from bench.stats.cell_visits import CellVisits, cell_of
from bench.stats.measured import waiting
from bench.stats.run_data import RunData
from bench.terminal import units

MOST_VISITS = 6000
"""In the page; of a longer run each cell has its newest ones."""

COLUMNS = {
    "kernel": "kernel",
    "layer": "layer",
    "n_in": "n_in",
    "n_units": "n_units",
    "batch": "batch",
    "status": "status",
    "time": "time_s",
    "95 %": "",
    "rate": "flop_per_s",
    "of peak": "percent_of_peak",
    "speed-up": "speedup",
    "visits": "visits",
    "device": "device",
}
"""The columns that are shown at first, and the column of cells.csv that each is sorted by."""


def data(run: RunData) -> dict[str, Any]:
    """The rows as cells.csv has them, and as people read them."""
    text = store.cells_text(run.cells)
    header, *rows = csv.reader(io.StringIO(text))
    sort = [header.index(name) if name else -1 for name in COLUMNS.values()]
    return {
        "header": header,
        "rows": rows,
        "shown": {
            "titles": list(COLUMNS),
            "sort": sort,
            "rows": [_shown(cell) for cell in run.cells],
        },
        "visits": _visits(run),
        "headline": _headline(run.cells),
        "batches": _batches(run.cells),
    }


def _shown(cell: CellRow) -> list[str]:
    none = cell.time_s is None
    return [
        cell.kernel,
        cell.layer,
        str(cell.n_in),
        str(cell.n_units),
        str(cell.batch),
        cell.status,
        "" if cell.time_s is None else units.si(cell.time_s, "s"),
        "" if none else table.spread(cell),
        "" if cell.flop_per_s is None else units.si(cell.flop_per_s, "FLOP/s"),
        "" if cell.percent_of_peak is None else f"{cell.percent_of_peak:.3g} %",
        table.speedup(cell),
        str(cell.visits),
        cell.device,
    ]


def _visits(run: RunData) -> list[dict[str, Any] | None]:
    """Of each cell its visits: pass, seconds adjusted and as found, waiting in %, if it counts."""
    most = max(MOST_VISITS // max(len(run.cells), 1), 10)
    return [_of_cell(run, cell, run.by_cell.get(cell_of(cell)), most) for cell in run.cells]


def _of_cell(
    run: RunData, cell: CellRow, known: CellVisits | None, most: int
) -> dict[str, Any] | None:
    good = [v for v in known.visits if v.visit in known.measured.launches] if known else []
    if known is None or not good:
        return None
    counted = known.measured.counted
    rows = []
    for visit in good[-most:]:
        launches = known.measured.launches[visit.visit]
        seconds = run.times.visit_s.get(visit.visit)
        found = run.times.found_s.get(visit.visit, median(launches.seconds))
        share = round(100 * waiting(visit), 1)
        rows.append(
            [visit.pass_number, _short(seconds), _short(found), share, visit.visit in counted]
        )
    layer = f"{cell.layer} " if cell.layer else ""
    name = f"{cell.kernel}, {layer}{cell.n_in} x {cell.n_units}, batch {cell.batch}"
    newest = f"; here the newest {most}" if len(good) > most else ""
    said = f"Visits that count: {len(counted)}; set aside: {known.set_aside.total()}{newest}."
    return {"name": name, "said": said, "rows": rows}


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds:.5g}")


def _headline(cells: Sequence[CellRow]) -> int | None:
    """The row of the cell that the headline is about."""
    case = ("numpy_matmul", HEADLINE, HEADLINE, 1)
    places = [i for i, c in enumerate(cells) if (c.kernel, c.n_in, c.n_units, c.batch) == case]
    return next((i for i in places if cells[i].time_s is not None), None)


def _batches(cells: Sequence[CellRow]) -> list[dict[str, Any]]:
    """What each kernel does at each batch of one width: the headline's, or the widest layer that
    has several batches.
    """
    timed = [c for c in cells if c.time_s and c.flop_per_s and not c.layer and c.cache == "warm"]
    widths = {c.n_units for c in timed}
    if not widths:
        return []
    width = HEADLINE if HEADLINE in widths else max(widths)
    here = [c for c in timed if c.n_units == width and c.n_in == width]
    best, batches = dict[str, float](), Counter(cell.kernel for cell in here)
    for cell in here:
        best[cell.kernel] = max(best.get(cell.kernel, 0.0), cell.flop_per_s or 0.0)
    return [
        {
            "batch": batch,
            "kernels": [
                _at_batch(cell, best[cell.kernel], alone=batches[cell.kernel] == 1)
                for cell in here
                if cell.batch == batch
            ],
        }
        for batch in sorted({cell.batch for cell in here})
    ]


def _at_batch(cell: CellRow, best: float, *, alone: bool) -> dict[str, Any]:
    assert cell.time_s is not None
    used = 100 * (cell.flop_per_s or 0.0) / best
    row = {
        "kernel": cell.kernel,
        "launch": units.si(cell.time_s, "s"),
        "each": units.si(cell.time_s / cell.batch, "s"),
    }
    if alone:
        return row | {"share": "", "used": None, "unused": "measured at one batch only"}
    return row | {"share": f"{used:.3g} %", "used": round(used, 3), "unused": f"{100 - used:.3g} %"}
