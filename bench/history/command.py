"""The commands `history add | show | check | plot | export`: their options, and what they print."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.data import run_folder
from bench.terminal import streams
from bench.terminal.errors import BadInput
from bench.terminal.text import plain

if TYPE_CHECKING:
    from bench.data.series import Change, Series

app = typer.Typer(
    help="Runs over time: keep them, and find the commit that made a kernel slower.",
    no_args_is_help=True,
)

Db = Annotated[
    Path | None,
    typer.Option(help="The database file. Without it: $BENCH_HISTORY, or results/history.sqlite."),
]
Kernel = Annotated[
    list[str] | None, typer.Option(help="This kernel's series only; may be repeated.")
]
Case = Annotated[
    str, typer.Option(help="Only series with this in their name, like '512x512 batch 1 '.")
]
Machine = Annotated[
    str, typer.Option(help="Only this machine's: a part of its host's name, or of its hash.")
]
Runs = Annotated[int, typer.Option(help="The latest runs of each series, at most.", min=1)]


@app.command()
def add(
    run: Annotated[list[str], typer.Argument(help="A run's folder, its name, or latest.")],
    db: Db = None,
) -> None:
    """Keep runs in the database. The same run once more changes nothing; one that went on since
    takes its own place.
    """
    from bench.history import database, schema
    from bench.stats import run_data

    path = _path(db)
    schema.refuse_damaged(path)
    for name in dict.fromkeys(run):
        folder = run_folder.find(name)
        if run_folder.compared(folder):
            raise BadInput(f"{folder} compares two commits: its head side was kept as it ended")
        kept, entries = database.of_run(run_data.read(folder))
        if not entries:
            raise BadInput(f"{folder} has no number: there is nothing to keep of it")
        _say(f"{folder}: {database.add(path, kept, entries)}, {len(entries)} numbers")


@app.command()
def show(
    kernel: Kernel = None,
    case: Case = "",
    machine: Machine = "",
    runs: Runs = 200,
    db: Db = None,
) -> None:
    """Show what is kept: a row a series, from its first number to its latest."""
    from bench.history import told

    every = _series(kernel, case, machine, runs, db)
    streams.console(width=120).print(told.table(every[: told.MOST_ROWS]))
    if len(every) > told.MOST_ROWS:
        more = len(every) - told.MOST_ROWS
        _say(f"and {more} more series: choose by --kernel, --case or --machine")
    streams.product()


@app.command()
def check(
    kernel: Kernel = None,
    case: Case = "",
    machine: Machine = "",
    runs: Runs = 200,
    recent: Annotated[
        int, typer.Option(help="Fail for what became slower within so many runs.", min=1)
    ] = 10,
    db: Db = None,
) -> None:
    """Tell where series changed: by how much, between which commits, and what else changed there.

    Exit codes: 0 nothing became slower within the last --recent runs; 1 something did; 2 bad input.
    """
    from bench.history import told
    from bench.history.changes import FEWEST

    every = list(_changed(_series(kernel, case, machine, runs, db)))
    found = [(series, change) for series, changes in every for change in changes]
    found.sort(key=lambda pair: -pair[1].ratio)
    for series, change in found:
        _say(told.sentence(series, change))
    slower = [
        series
        for series, change in found
        if change.ratio > 1 and told.recent(series, change, recent)
    ]
    short = sum(len(series.runs) < FEWEST for series, _ in every)
    few = f"; {short} have fewer than {FEWEST} runs, too few to tell" if short else ""
    _say(
        f"{len(every)} series, {len(found)} changes; {len(slower)} became slower within the last"
        f" {recent} runs{few}"
    )
    streams.product()
    raise typer.Exit(1 if slower else 0)


@app.command()
def plot(
    kernel: Kernel = None,
    case: Case = "",
    machine: Machine = "",
    runs: Runs = 100,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    size: Annotated[str, typer.Option(help="slide (16:9) or paper.")] = "slide",
    format: Annotated[  # noqa: A002 - the option's name
        list[str] | None,
        typer.Option(help="png, svg, pdf, pptx or html; may be repeated. Without it: png, svg."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files. Without it: plots/history.")
    ] = None,
    db: Db = None,
) -> None:
    """Draw one machine's series: each run, the changes, and what else changed there. Of several
    machines, the one that ran last.
    """
    from bench.history import draw

    every = _series(kernel, case, machine, runs, db)
    latest = max((run for series in every for run in series.runs), key=lambda run: run.at_s)
    mine = [series for series in every if series.subject.machine == latest.machine]
    draw.draw(list(_changed(mine)), out, theme, size, format or ["png", "svg"])


@app.command()
def export(
    to: Annotated[
        str,
        typer.Option(help="otava, bencher, asv, github-action-benchmark or pytest-benchmark."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="New folder. Without it: results/history-<program>.")
    ] = None,
    kernel: Kernel = None,
    case: Case = "",
    machine: Machine = "",
    runs: Runs = 200,
    db: Db = None,
) -> None:
    """Write the history as files that another program reads."""
    from bench import ROOT
    from bench.history import export
    from bench.show import progress

    folder = out or ROOT / "results" / f"history-{to}"
    files = export.write(_series(kernel, case, machine, runs, db), to, folder)
    _say(f"{len(files)} files")
    progress.paths("folder", [folder])


def _path(db: Path | None) -> Path:
    from bench.history import schema

    path = schema.chosen(db)
    if path is None:
        raise BadInput(f"{schema.VARIABLE} is empty, which keeps no history: name a file with --db")
    return path


def _series(
    kernel: list[str] | None, case: str, machine: str, runs: int, db: Path | None
) -> "list[Series]":
    from bench.history import database

    path = _path(db)
    asked = database.Asked(tuple(kernel or ()), case, machine, runs)
    every = list(database.series(path, asked))
    if not every:
        raise BadInput(f"{path} has no such series: python -m bench history show lists all")
    return every


def _changed(every: "list[Series]") -> "Iterator[tuple[Series, list[Change]]]":
    from bench.history import changes

    return changes.of_all(every)


def _say(line: str) -> None:
    streams.console().print(plain(line), markup=False, soft_wrap=True)
