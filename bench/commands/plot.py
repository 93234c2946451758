"""`python -m bench plot`: charts of one or several runs."""

from pathlib import Path
from typing import Annotated

import typer

from bench.data import run_folder
from bench.show import runs
from bench.terminal import streams
from bench.terminal.errors import BadInput


def plot(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="A run's folder, its name, or latest; several are also compared."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Draw this chart only; may be repeated.")
    ] = None,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    size: Annotated[str, typer.Option(help="slide (16:9) or paper.")] = "slide",
    format: Annotated[  # noqa: A002 - the option's name
        list[str] | None,
        typer.Option(help="png, svg or pdf; may be repeated. Without it: png, svg."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the charts, of several runs one in it for each.")
    ] = None,
) -> None:
    """Draw the charts of one or several runs from their files."""
    from bench.show import progress

    folders = list(dict.fromkeys(run_folder.find(name) for name in run or ["latest"]))
    comparisons = [folder for folder in folders if run_folder.compared(folder)]
    if comparisons and len(folders) > 1:
        raise BadInput(f"{comparisons[0]} compares two commits: draw it by itself")
    if comparisons and set(only or ["gate"]) != {"gate"}:
        raise BadInput(f"{comparisons[0]} compares two commits, and its only chart is gate")
    outs = [run_folder.plots(folder) for folder in folders]
    if out is not None:
        outs = [out / folder.name for folder in folders] if len(folders) > 1 else [out]
    if len(set(outs)) < len(outs):
        raise BadInput("two of these runs have the same name: rename one, or draw each alone")
    looks = theme, size, format or ["png", "svg"]
    fleets = [folder for folder in folders if run_folder.runs(folder) != [folder]]
    if fleets and len(folders) > 1:
        raise BadInput(f"{fleets[0]} holds several runs: draw it by itself")
    if fleets:
        members = [runs.renew(each) for each in run_folder.runs(fleets[0])]
        drawn = runs.draw(members, outs * len(members), only or ["machines"], *looks)
    elif comparisons:
        drawn = runs.draw_comparison(folders[0], outs[0], *looks)
    else:
        data = [runs.renew(folder, streams.note) for folder in folders]
        drawn = runs.draw(data, outs, only or [], *looks)
    progress.paths("chart", drawn)
