"""`python -m bench predict`: what a layer that was not measured would take."""

from typing import Annotated

import typer

from bench.data import run_folder
from bench.show import runs
from bench.terminal import streams
from bench.terminal.errors import BadInput


def predict(
    run: Annotated[str, typer.Argument(help="A run's folder, its name, or latest.")] = "latest",
    n_in: Annotated[int, typer.Option(help="Inputs of the layer.")] = 1000,
    n_units: Annotated[int, typer.Option(help="Units of the layer.")] = 1000,
    batch: Annotated[int, typer.Option(help="Examples at a time.")] = 1,
) -> None:
    """Say what each kernel would take for a layer that was not measured, and how sure that is."""
    from bench.plan.case import LARGEST, Case
    from bench.show import predicted, progress
    from bench.stats import prediction

    for name, size in (("n-in", n_in), ("n-units", n_units), ("batch", batch)):
        if not 1 <= size <= LARGEST:
            raise BadInput(f"--{name} is {size}, should be from 1 to {LARGEST}")
    folder = run_folder.find(run)
    if run_folder.compared(folder):
        raise BadInput(f"{folder} compares two commits, and predicting needs a run")
    models = prediction.models(runs.renew(folder, streams.note).cells)
    if not models:
        raise BadInput(f"{folder} has no cell with a time: there is nothing to predict from")
    case = Case(n_in, n_units, batch, "", "")
    console = streams.console(width=progress.WIDTH)
    console.print(predicted.table(case, models))
    console.print(predicted.CAPTION, markup=False, soft_wrap=True, style="dim")
    if not all(model.predict(case).inside for model in models.values()):
        console.print(predicted.OUTSIDE, markup=False, soft_wrap=True)
    streams.product()
