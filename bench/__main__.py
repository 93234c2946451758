"""The commands, `python -m bench run` and others. Owns options and print."""

import os
import random
import signal
import sys
import tempfile
import traceback
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

from bench.terminal import needs

try:
    import typer

    from bench import ROOT, session
    from bench.data import run_folder
    from bench.history import command as history
    from bench.plan.activations import ACTIVATIONS
    from bench.show import runs
    from bench.terminal import options, signals, streams
    from bench.terminal.errors import BadInput, of_system
except ModuleNotFoundError as error:
    needs.stop(error, "".join(sys.argv[1:2]))

app = typer.Typer(
    help="One dense layer, A_out = g(A_in @ W + b), written several ways and timed here.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(history.app, name="history")


@app.command()
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
        typer.Option(help="Precision: float64, float32, tf32, float16 or bfloat16."),
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
            sweep, changes | limits, out, layer or (), transposed=transposed, count=count
        )
    else:
        added = {name: changes.pop(name) for name in ("kernels", "widths", "batches")}
        changes |= {"layer": layer, "out": out}
        given = [f"--{name}" for name, value in changes.items() if value is not None]
        if given:
            raise BadInput(
                f"a run that is resumed keeps its settings: leave out {', '.join(given)}"
            )
        code = session.go_on(str(resume), added, limits, count=count)
    raise typer.Exit(code)


@app.command()
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


@app.command()
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


@app.command()
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
    models = prediction.models(runs.renew(folder).cells)
    if not models:
        raise BadInput(f"{folder} has no cell with a time: there is nothing to predict from")
    case = Case(n_in, n_units, batch, "", "")
    console = streams.console(width=progress.WIDTH)
    console.print(predicted.table(case, models))
    console.print(predicted.CAPTION, markup=False, soft_wrap=True, style="dim")
    if not all(model.predict(case).inside for model in models.values()):
        console.print(predicted.OUTSIDE, markup=False, soft_wrap=True)


@app.command()
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


@app.command()
def gate(
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
    budget: Annotated[str | None, typer.Option(help="How long to measure, like 90s or 5m.")] = None,
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
    if folder.exists():
        raise BadInput(f"{folder} exists: take another --out")
    says = command.compare_commits(what, base, head, folder, locked=env == "locked")
    if says == "can't tell" and inconclusive == "warn":
        raise typer.Exit(0)
    raise typer.Exit(command.CODES[says])


@app.command()
def kernels(
    kernel: Annotated[
        list[str] | None, typer.Option(help="This kernel only; may be repeated.")
    ] = None,
    device: Annotated[int, typer.Option(help="Number of the GPU, from 0.")] = 0,
) -> None:
    """List the kernels, whether each runs on this machine, and if not, why."""
    from rich.table import Table
    from rich.text import Text

    from bench.measure import visit
    from bench.plan.cell import called
    from bench.terminal.text import plain
    from bench.worker import messages
    from bench.worker.limits import usable_cores

    threads = usable_cores()
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("kernel", "runs here", "what it is, or why it does not run"):
        shown.add_column(heading, overflow="fold")
    known = visit.software(threads).kernels
    for name in session.absolute(kernel or []) or known:
        session.refuse_unknown(name, known)
        summary, verdict = visit.describe(name, device, threads)
        here, said, colour = "yes", summary, "green"
        if isinstance(verdict, messages.Refused):
            here, said, colour = verdict.status, verdict.reason, "yellow"
        shown.add_row(Text(plain(called(name))), Text(here, colour), Text(plain(said)))
    streams.console().print(shown)
    streams.product()


@app.command()
def doctor(
    kernel: Annotated[
        list[str] | None, typer.Option(help="A kernel that you want to run; may be repeated.")
    ] = None,
    device: Annotated[
        int | None, typer.Option(help="The GPU that you want to use, from 0.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Say what can run on this machine and, for each thing that can't, why and what to do.

    Exit codes: 0 everything that you asked for can run (without an option: everything that this
    machine has the hardware for); 1 something can't; 2 bad input.
    """
    from bench.doctor import diagnose, observe, show
    from bench.doctor.seen import Asked
    from bench.measure import visit
    from bench.worker.limits import usable_cores

    if device is not None and device < 0:
        raise BadInput(f"--device is {device}, should be 0 or more")
    threads = usable_cores()
    worker = visit.software(threads)
    names = session.absolute(kernel or [])
    for name in names:
        session.refuse_unknown(name, worker.kernels)
    asked = Asked(tuple(names), device)
    seen = observe.observe(asked, worker, threads)
    findings = [*show.packages(), *diagnose.diagnose(seen, asked)]
    if json:
        print(show.as_json(findings, observe.as_record(seen)))
    else:
        streams.console().print(show.as_table(findings))
        streams.console().print(f"\n{show.conclusion(findings)}", markup=False, soft_wrap=True)
    streams.product()
    raise typer.Exit(0 if diagnose.can_run(findings) else 1)


def _gpus() -> int:
    from bench.machine import driver

    return len(driver.ask().devices)


def main() -> NoReturn:
    """Run a command; whatever the user got wrong is one line on stderr and exit code 2."""
    streams.replace()
    with signals.raised():
        try:
            _refuse_names()
            code = app(standalone_mode=False)
        except typer.TyperException as error:
            said = error.format_message() if hasattr(error, "format_message") else str(error)
            _fail(" ".join(said.split()))
        except BadInput as error:
            _fail(str(error))
        except signals.Stop as stop:
            print(f"stopped: {stop}", file=sys.stderr)
            code = stop.code
        except typer.Abort:
            code = 130
        except MemoryError as error:
            said = " ".join(str(error).split())
            _fail(
                f"out of memory{f': {said}' if said else ''}: end other programs, or ask for less"
            )
        except Exception as error:  # noqa: BLE001 - Python would exit with 1: a slower kernel, or a wrong one
            _unforeseen(error)
    sys.exit(code or 0)


def _unforeseen(error: Exception) -> NoReturn:
    """A package that is not installed, what the system says, or a mistake in the program itself."""
    if isinstance(error, ModuleNotFoundError) and error.name in needs.KNOWN:
        needs.stop(error, "".join(sys.argv[1:2]))
    if isinstance(error, OSError) and (why := of_system(error)) is not None:
        _fail(why)
    traceback.print_exc()
    _fail("this is a bug in the program: please report it, with the lines above")


def _refuse_names() -> None:
    """Raise BadInput for names that can't be written down: Python reads a name's bytes by the
    locale, which may be ASCII; and they may be no UTF-8.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise BadInput("the working directory is gone: change to one that is there") from error
    for name in (*sys.argv, str(ROOT), here):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            encoding = sys.getfilesystemencoding().upper()
            remedy = f"can't be read in this locale ({encoding}): set PYTHONUTF8=1"
            if encoding == "UTF-8":
                remedy = "is a name that is not in UTF-8: rename it"
            readable = os.fsencode(name).decode(errors="replace")
            raise BadInput(f"{readable} {remedy}") from error


def _fail(said: str) -> NoReturn:
    from bench.terminal.text import plain

    print(f"error: {plain(said)}", file=sys.stderr)
    sys.exit(2)


def _begin() -> None:
    """Be free of what the process that started this one has left to it."""
    # what libraries remark on is for developers, whom the tests tell; PYTHONWARNINGS=error would
    # make errors of it
    warnings.simplefilter("ignore")
    # ignored, it would hide how processes end; blocked, signals would end none
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # some containers have no folder for temporary files that can be written but this one
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = "/dev/shm"  # noqa: S108 - nothing secret is put there
    # no product is computed here; and OpenBLAS, where it can start no threads, raises SIGINT
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


if __name__ == "__main__":
    _begin()
    main()
