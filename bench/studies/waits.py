"""Does a visit whose threads waited for a core measure something else than the others?

Every visit of recorded runs, waits or not, is estimated alike; its number is compared with the
median of those of its cell's visits that waited for at most a tenth of the time.

    python -m bench.studies.waits RUN...
"""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.stats import run_data
from bench.stats.times import times
from bench.studies import write

CALM, LEAST = 0.1, 3
"""What others are compared with: visits that waited for at most this share, so many of them."""

EDGES = (0.0, 0.02, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, np.inf)


def main(folders: list[str]) -> None:
    """Write results/studies/waits.csv and print it."""
    shares, ratios = (np.concatenate(part) for part in zip(*map(_visits, folders), strict=True))
    rows: list[dict[str, Any]] = []
    for low, high in pairwise(EDGES):
        inside = ratios[(shares >= low) & (shares < high)]
        if len(inside):
            lower, middle, upper = np.quantile(inside, [0.25, 0.5, 0.75])
            rows.append(
                {
                    "waited_from": low,
                    "waited_below": high,
                    "visits": len(inside),
                    "lower_quartile": lower,
                    "median": middle,
                    "upper_quartile": upper,
                }
            )
    write("waits", rows)
    for row in rows:
        print(
            f"waited for {100 * row['waited_from']:.0f} % and more: {row['visits']} visits took"
            f" {row['median']:.3f} times as long (half of them {row['lower_quartile']:.3f} to"
            f" {row['upper_quartile']:.3f})"
        )


def _visits(folder: str) -> tuple[list[float], list[float]]:
    """What share of its time each visit waited, and its number over that of its calm neighbours."""
    run = run_data.read(Path(folder))
    measured = {cell: visits.measured for cell, visits in run.by_cell.items()}
    alike = {
        cell: replace(visits, waited=dict.fromkeys(visits.waited, 0.0))
        for cell, visits in measured.items()
    }
    visit_s = times(alike, run.machine.speed_history).visit_s
    shares: list[float] = []
    ratios: list[float] = []
    for visits in measured.values():
        calm = [visit_s[visit] for visit, share in visits.waited.items() if share <= CALM]
        if len(calm) >= LEAST:
            middle = np.median(calm)
            shares += visits.waited.values()
            ratios += [float(visit_s[visit] / middle) for visit in visits.waited]
    return shares, ratios


if __name__ == "__main__":
    main(sys.argv[1:] or ["results/reference"])
