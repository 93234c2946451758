"""`python -m bench report`: a page, slides and a table of a run."""

from pathlib import Path
from typing import Annotated

import typer

from bench.data import run_folder
from bench.show import runs
from bench.terminal import streams
from bench.terminal.errors import BadInput


def report(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="A run's folder, its name, or latest; a page may be of several."),
    ] = None,
    html: Annotated[
        bool | None,
        typer.Option("--html", help="A page to read and to try out: one file, no network."),
    ] = None,
    pptx: Annotated[
        bool | None,
        typer.Option("--pptx", help="Slides (16:9), with charts that PowerPoint can edit."),
    ] = None,
    markdown: Annotated[
        bool | None, typer.Option("--markdown", help="The table for a README or a pull request.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write. Without it: in plots/<run>; --markdown alone: stdout."),
    ] = None,
) -> None:
    """Make a page, slides and a table in Markdown from a run's files; without an option, all."""
    from bench.show import deck, page, progress
    from bench.show import markdown as tables

    named = list(dict.fromkeys(run_folder.find(name) for name in run or ["latest"]))
    folders = [each for folder in named for each in run_folder.runs(folder)]
    fleet = folders != named
    if not (html or pptx or markdown):
        html = pptx = True
        markdown = not fleet
    if (html or False) + (pptx or False) + (markdown or False) > 1 and out is not None:
        raise BadInput("--out names one file: give --html, --pptx or --markdown with it")
    for folder in folders:
        if run_folder.compared(folder):
            raise BadInput(f"{folder} compares two commits: python -m bench plot {folder} draws it")
    if len(folders) > 1 and (markdown or (pptx and (not fleet or len(named) > 1))):
        raise BadInput("slides and tables are of one run: give --html, or one run")
    several = [runs.renew(folder, streams.note) for folder in folders]
    folder, data = named[0], several[0]
    if html:
        path = out or run_folder.plots(folder) / page.NAME
        progress.paths("page", runs.page(several, path))
    if pptx:
        path = out or run_folder.plots(folder) / deck.NAME
        runs.written(
            path,
            folder,
            lambda: deck.write_fleet(several, path) if fleet else deck.write(data, path),
        )
        progress.paths("slides", [path])
    if markdown:
        text = tables.of(data)
        if out is None and not (html or pptx):
            streams.product(text)
            return
        path = out or run_folder.plots(folder) / tables.NAME
        runs.written(path, folder, lambda: tables.write(path, text))
        progress.paths("table", [path])
