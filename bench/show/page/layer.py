"""What the page needs to predict a layer: each kernel's cost model, and layers that people know."""

from collections.abc import Iterable
from typing import Any

from bench.data.records import CellRow
from bench.plan.sweep import Sweep
from bench.show import predicted
from bench.stats import prediction


def models(cells: Iterable[CellRow]) -> list[dict[str, Any]]:
    """The models as the page's script takes them."""
    return [
        {
            "kernel": kernel,
            "device": device,
            "each": model.each,
            "places": model.places,
            "pulls": model.pulls,
            "factor": model.factor,
            "seconds": list(model.measured.values()),
            "sizes": [prediction.shape(case) for case in model.measured],
            "error": predicted.error(model),
        }
        for (kernel, device), model in prediction.models(cells).items()
    ]


def known(layers: Sweep) -> list[dict[str, Any]]:
    """The layers of a sweep by their names, a batch each."""
    return [
        {
            "name": f"{case.layer}, batch {case.batch}",
            "n_in": case.n_in,
            "n_units": case.n_units,
            "batch": case.batch,
        }
        for case in layers.cases()
    ]
