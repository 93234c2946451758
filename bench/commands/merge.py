"""`python -m bench merge`: one folder of runs from many machines."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bench import ROOT


def merge(
    run: Annotated[
        list[str], typer.Argument(help="Runs' folders or names, or folders of merged runs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder, new or merged before. Without it: results/<time>-fleet."),
    ] = None,
    expect: Annotated[
        list[str] | None, typer.Option(help="A host that should have a run; may be repeated.")
    ] = None,
) -> None:
    """Make one folder of runs from many machines, each run once, and name hosts that are slow
    among their like.

    Exit codes: 0 done; 1 an expected host is missing; 2 bad input.
    """
    from bench.fleet import command

    folder = out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-fleet"
    raise typer.Exit(0 if command.run(run, folder, expect or ()) else 1)
