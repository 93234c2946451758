"""How far off are predictions of the cost model, and do their intervals hold?

    python -m bench.studies.predicting [RUN ...]

Of each run and kernel every cell is left out in turn: how far is what the others predict from what
it took, and does the interval, found in the same way from the others alone, hold it? And in
the order of a run's first pass, where a cell is predicted from those with less work before it is
measured: what decides which cells are skipped. Without names: the committed runs, and the cells of
a run of the sweep `layers` in results/studies/predicting_layers.csv. Needs no quiet machine.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import ROOT
from bench.data import reader, store
from bench.data.records import CellRow
from bench.plan.case import Case
from bench.stats import prediction
from bench.studies import RESULTS, write

LAYERS = RESULTS / "predicting_layers.csv"


def main() -> None:
    """Predict, write results/studies/predicting.csv, print a line a kernel and the coverage."""
    runs = [Path(name) for name in sys.argv[1:]]
    files = [run / store.FILES[CellRow] for run in runs] or [
        *(ROOT / "results" / name / store.FILES[CellRow] for name in ("reference", "h100")),
        LAYERS,
    ]
    rows = [row for file in files for row in of_run(file)]
    for row in rows:
        print(
            "{run:18} {kernel:14} {cells:3} cells: {middle_percent:5.1f} % (nine tenths"
            " {large_percent:5.1f} %), held {held} of {told}; first pass"
            " {first_pass_percent:.1f} %".format(**row)
        )
    told, held = (sum(row[name] for row in rows) for name in ("told", "held"))
    print(f"intervals of 90 % held {held} of {told} cells ({100 * held / told:.1f} %)")
    write("predicting", rows)


def of_run(file: Path) -> Iterator[dict[str, Any]]:
    """A row a kernel."""
    name = file.stem if file == LAYERS else file.parent.name
    for (kernel, _), model in prediction.models(reader.read(file, CellRow)).items():
        if not model.errors:
            continue
        told, held = coverage(model.measured)
        first = first_pass(model.measured)
        yield {
            "run": name,
            "kernel": kernel,
            "cells": len(model.measured),
            "middle_percent": 100 * model.middle_error,
            "large_percent": 100 * model.large_error,
            "told": told,
            "held": held,
            "first_pass_percent": 100 * math.expm1(median(first)),
            "first_pass_large_percent": 100 * math.expm1(float(np.quantile(first, 0.9))),
        }


def coverage(measured: Mapping[Case, float]) -> tuple[int, int]:
    """Of how many cells that are left out there is an interval, and how many of them it holds."""
    told = held = 0
    for case, seconds in measured.items():
        others = {other: s for other, s in measured.items() if other != case}
        answer = prediction.fit_with_error(others).predict(case)
        if answer.low is not None and answer.high is not None:
            told += 1
            held += answer.low <= seconds <= answer.high
    return told, held


def first_pass(measured: Mapping[Case, float]) -> list[float]:
    """|log(predicted / measured)| of each cell that smaller ones predict, in a first pass."""
    seen: dict[Case, float] = {}
    errors = []
    for case in sorted(measured, key=lambda case: (case.flops, case.n_units)):
        predicted = prediction.predict(case, seen)
        if predicted is not None and case not in seen:
            errors.append(abs(math.log(predicted / measured[case])))
        seen[case] = measured[case]
    return errors


if __name__ == "__main__":
    main()
