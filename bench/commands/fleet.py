"""`python -m bench fleet`: one sweep on every machine of a Dask cluster, and the runs merged."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import ROOT
from bench.commands import run
from bench.data import run_folder
from bench.terminal import needs, options
from bench.terminal.errors import BadInput

SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What is no option of the fleet is one of `run`."""


def fleet(
    context: typer.Context,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, like tcp://10.0.0.1:8786."
            " Without it: a cluster of this machine alone."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder. Without it: results/<time>-fleet.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this fleet: with the hosts that have no run yet."),
    ] = None,
    hosts: Annotated[
        int, typer.Option(help="How many hosts there should be: the fleet waits for them.", min=1)
    ] = 1,
    wait: Annotated[
        str, typer.Option(help="How long to wait for hosts that are not there, or no longer.")
    ] = "1m",
    limit: Annotated[
        str | None,
        typer.Option(help="A run that takes longer hangs. Without it: twice the budget and 5m."),
    ] = None,
    checkout: Annotated[
        str,
        typer.Option(
            help="This program's checkout on the hosts. Without it: where the worker was started,"
            " else where this one is."
        ),
    ] = "",
) -> None:
    """Run one sweep on every host of a cluster, one run a host at a time, and merge what comes
    back. All other options are those of run, like --sweep and --budget.

    Exit codes: 0 done; 1 a host has no run, or a kernel was wrong, impossible, crashed or raised an
    error on one; 2 bad input, or a disk here that can't be written; 130 Ctrl-C, 143 SIGTERM,
    129 SIGHUP: what had come back by then is on disk.
    """
    from bench.fleet import asked, command

    if needs.lacking(["distributed"]):
        lacking = f"{needs.words('distributed')}: {needs.remedy(['distributed'])}"
        raise BadInput(f"{lacking}, or make fleet")
    limit_s = options.duration(limit, "--limit")
    where = command.Where(scheduler, hosts, options.duration(wait, "--wait") or 0.0, checkout)
    if resume is None:
        folder = out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-fleet"
        what = asked.asked(context.args, _understood(context.args), limit_s)
    else:
        folder = run_folder.find(str(resume))
        given = [word for word in context.args if word.startswith("-")]
        given += ["--out"] if out is not None else []
        if given:
            kept = "a fleet that is resumed keeps its settings: leave out"
            raise BadInput(f"{kept} {', '.join(given)}")
        what = asked.read(folder, limit_s)
    raise typer.Exit(command.fleet(what, where, folder, resume=resume is not None))


def _understood(words: list[str]) -> dict[str, Any]:
    """Options of `run` as it understands them. Raises what its parser says of others."""
    app = typer.Typer()
    app.command()(run.run)
    return typer.main.get_command(app).make_context("run", list(words)).params
