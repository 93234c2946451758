"""`python -m bench run`: measure, or go on with a run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench import session
from bench.plan.activations import ACTIVATIONS
from bench.terminal import needs, options
from bench.terminal.errors import BadInput


def run(
    sweep: Annotated[
        str, typer.Option(help="What to measure: quick, default, full, layers, or a TOML file.")
    ] = "default",
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            help="A name from kernels/, a .py file, or all; may be repeated."
            " Without it: the sweep's kernels."
        ),
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="Widths of the layers (n_units = n_in), like 16,256,1000.")
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer of your own: FILE.npz or FILE.safetensors, with :NAME where the file has"
            " several, and LABEL= before it to call it something; may be repeated.",
        ),
    ] = None,
    transposed: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--transposed", help="--layer's W is (n_units, n_in), as PyTorch stores it."),
    ] = False,
    batches: Annotated[
        str | None, typer.Option(help="How many examples to compute at once, like 1,64.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="float64, float32, tf32, float16, bfloat16, or int8 (weights alone)."),
    ] = None,
    activation: Annotated[str | None, typer.Option(help=f"{options.either(ACTIVATIONS)}.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Number of the GPU, from 0; several like 0,1; or all.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads for the libraries; 0 is one for each usable core.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="warm, or cold: flush the caches before each launch.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Stop after this long, like 90s or 5m.")
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(help="Stop when each time is known to within this, like 0.02 for ±2 %."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the layers' random weights, and of the order of visits."),
    ] = None,
    count: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--count", help="Count the instructions of each cell's launch, too."),
    ] = False,
    no_charts: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--no-charts", help="Leave charts and page to: python -m bench plot."),
    ] = False,
    tune: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--tune",
            help="Before the run, try for a minute which parameters suit numba_packed here; they"
            " are kept for later runs on this machine.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run. Without it: results/<time>-<sweep>.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Continue this run; --kernel, --widths and --batches add to it."),
    ] = None,
) -> None:
    """Measure kernels on layers of many sizes, check their answers, write CSV files and charts.

    Exit codes: 0 done; 1 a kernel was wrong, impossible, crashed or raised an error; 2 bad input,
    or a disk that can't be written; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP: what was measured by then
    is on disk.
    """
    changes: dict[str, Any] = {
        "kernels": kernel,
        "widths": options.integers("widths", widths),
        "batches": options.integers("batches", batches),
        "precision": precision,
        "activation": activation,
        "device": options.devices(device, _gpus),
        "threads": threads,
        "cache": cache,
        "seed": seed,
    }
    limits: dict[str, Any] = {"budget_s": options.duration(budget), "target": target}
    if missing := needs.lacking(needs.NEEDED):  # now, and not when all is measured
        raise BadInput(needs.line(missing))
    if transposed and not layer:
        raise BadInput("--transposed describes the file of --layer: give --layer too")
    if resume is None:
        code = session.start(
            sweep,
            changes | limits,
            out,
            layer or (),
            transposed=transposed,
            count=count,
            charts=not no_charts,
            tune=tune,
        )
    else:
        added = {name: changes.pop(name) for name in ("kernels", "widths", "batches")}
        changes |= {"layer": layer, "out": out, "tune": tune or None}
        given = [f"--{name}" for name, value in changes.items() if value is not None]
        if given:
            raise BadInput(
                f"a run that is resumed keeps its settings: leave out {', '.join(given)}"
            )
        code = session.go_on(str(resume), added, limits, count=count, charts=not no_charts)
    raise typer.Exit(code)


def _gpus() -> int:
    from bench.machine import driver

    return len(driver.ask().devices)
