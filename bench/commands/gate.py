"""`python -m bench gate`: two commits compared."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer

from bench import ROOT
from bench.terminal import options
from bench.terminal.errors import BadInput

UNUSED = {
    "--calibrate compares your files with themselves, by time": (
        *("base", "head", "env", "witness", "simulate", "inconclusive", "comment", "out"),
    ),
    "--witness count measures no time": ("budget", "slower_than", "seed"),
    "--witness time counts nothing": ("simulate",),
}
"""Options that would change nothing, by what they are given with."""


def gate(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Option(help="The commit, branch or tag to compare with.")
    ] = None,
    head: Annotated[str, typer.Option(help="The other commit; worktree: your files.")] = (
        "worktree"
    ),
    sweep: Annotated[str, typer.Option(help="What to measure: a sweep or a TOML file.")] = "gate",
    kernel: Annotated[
        list[str] | None,
        typer.Option(help="This kernel only, or all; may be repeated. Without it: the sweep's."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="How long to measure times, like 90s or 5m. Counting comes on top."),
    ] = None,
    slower_than: Annotated[str, typer.Option(help="The slowdown to look for.")] = "5%",
    env: Annotated[
        str, typer.Option(help="shared: your packages; locked: those of each side's lock file.")
    ] = "shared",
    witness: Annotated[
        str, typer.Option(help="time, count (instructions, by the CPU or Valgrind), or both.")
    ] = "both",
    simulate: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--simulate", help="Count cache and branch misses too, as Valgrind has them."),
    ] = False,
    inconclusive: Annotated[str, typer.Option(help="warn: exit with 0 for can't tell.")] = "fail",
    comment: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--comment", help="In a GitHub workflow: one comment on the pull request."),
    ] = False,
    calibrate: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--calibrate", help="Learn how much this machine varies by itself.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of the rounds' random order.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files. Without it: results/<time>-gate.")
    ] = None,
) -> None:
    """Compare the kernels of two commits: did one get slower?

    Both commits are measured here and now, taking turns on one core, with one thread; and where
    something can count instructions, those of each launch are counted on both sides. Exit codes:
    0 none got slower; 1 a kernel got slower; 2 bad input, or a cell that can't be measured on both
    sides; 3 can't tell.
    """
    from bench.gate import command

    for name, value, known in (
        ("env", env, ("shared", "locked")),
        ("witness", witness, ("time", "count", "both")),
        ("inconclusive", inconclusive, ("warn", "fail")),
    ):
        if value not in known:
            raise BadInput(f"--{name} is {value!r}, should be {options.either(known)}")
    reason = "--calibrate" if calibrate else f"--witness {witness}"
    for sentence, names in UNUSED.items():
        given = [name for name in names if _typed(context, name)]
        if sentence.startswith(f"{reason} ") and given:
            raise BadInput(f"{sentence}: leave --{given[0].replace('_', '-')} out")
    what = command.What(
        sweep,
        tuple(kernel or ()),
        options.percent(slower_than),
        options.duration(budget),
        random.randrange(2**31) if seed is None else seed,
        cast("command.Asking", witness),
        simulate,
        comment,
    )
    if calibrate:
        command.calibrate(what)
        raise typer.Exit(0)
    if base is None:
        raise BadInput("--base is missing: give a commit, branch or tag to compare with")
    folder = out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-gate"
    says = command.compare_commits(what, base, head, folder, locked=env == "locked")
    if says == "can't tell" and inconclusive == "warn":
        raise typer.Exit(0)
    raise typer.Exit(command.CODES[says])


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
