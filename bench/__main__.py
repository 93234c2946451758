"""The commands: `python -m bench run | plot | gate | kernels`. Owns options, paths and print."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from bench import signals, streams
from bench.sweep import BadInput

if TYPE_CHECKING:
    from bench.records import Block, Cell, Visit
    from bench.store import Run
    from bench.sweep import Sweep

app = typer.Typer(
    help="One dense layer, A_out = g(A_in @ W + b), written several ways and timed here.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ROOT = Path(__file__).parent.parent

BAD = ("wrong", "impossible", "crashed", "error")
"""A run with a cell of one of these statuses exits with 1."""


@app.command()
def run(
    sweep: Annotated[str, typer.Option(help="quick, default, full, or a TOML file.")] = "default",
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            help="A name from kernels/, or a .py file; may be repeated. None: all of them."
        ),
    ] = None,
    widths: Annotated[
        str | None, typer.Option(help="Units of the layers, like 16,256,1000.")
    ] = None,
    batches: Annotated[str | None, typer.Option(help="Examples at a time, like 1,64.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="float64, float32, tf32, float16 or bfloat16.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="linear, relu, sigmoid or tanh.")] = None,
    device: Annotated[int | None, typer.Option(help="Which GPU, from 0.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the libraries; 0: one a usable core.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="warm, or cold: caches flushed before each launch.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Stop after this long, like 90s or 5m.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="Stop at this relative half-width, like 0.02.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the inputs' values.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's directory. None: results/<time>-<sweep>.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with this run; --kernel, --widths and --batches add to it."),
    ] = None,
) -> None:
    """Measure: sweep kernels over widths and batches, check every answer, write CSV and charts.

    Exits with 0; 1 where a kernel was wrong, crashed or raised; 2 for bad input or a disk that
    can't be written; 130 on Ctrl-C, 143 on SIGTERM, 129 on SIGHUP, with all that was measured on
    disk.
    """
    changes: dict[str, Any] = {
        "kernels": kernel,
        "widths": _integers("widths", widths),
        "batches": _integers("batches", batches),
        "precision": precision,
        "activation": activation,
        "device": device,
        "threads": threads,
        "cache": cache,
        "seed": seed,
    }
    limits: dict[str, Any] = {"budget_s": _duration(budget), "target": target}
    if resume is None:
        code = _start(sweep, changes | limits, out)
    else:
        added = {name: changes.pop(name) for name in ("kernels", "widths", "batches")}
        given = [name for name, value in {**changes, "out": out}.items() if value is not None]
        if given:
            raise BadInput(f"--resume goes on as the run began: leave out {', '.join(given)}")
        code = _go_on(str(resume), added, limits)
    raise typer.Exit(code)


@app.command()
def plot(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="A run's directory, its name, or latest; several are also compared."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Just this chart; may be repeated.")
    ] = None,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    size: Annotated[str, typer.Option(help="slide (16:9) or paper.")] = "slide",
    format: Annotated[  # noqa: A002 - the option's name
        list[str] | None, typer.Option(help="png, svg or pdf; may be repeated. None: png and svg.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to. None: plots/<run>. Of several, a folder a run.")
    ] = None,
) -> None:
    """Draw runs' charts from their files: light slides as PNG and SVG, if nothing else is said."""
    from bench import screen

    folders = list(dict.fromkeys(_find(name) for name in run or ["latest"]))
    for folder in folders:
        _derive(folder)
    outs = [_plots(folder) for folder in folders]
    if out is not None:
        outs = [out / folder.name for folder in folders] if len(folders) > 1 else [out]
    if len(set(outs)) < len(outs):
        raise BadInput("two of these runs have one name: draw them one by one, or rename one")
    screen.paths("chart", _draw(folders, outs, only or [], theme, size, format or ["png", "svg"]))


@app.command()
def gate(
    base: Annotated[str, typer.Option(help="A commit, branch or tag: what is compared with.")],
    head: Annotated[str, typer.Option(help="Another, or worktree: the files as they are.")] = (
        "worktree"
    ),
    sweep: Annotated[str, typer.Option(help="gate, another sweep, or a TOML file.")] = "gate",
    kernel: Annotated[
        list[str] | None, typer.Option(help="Just this one; may be repeated. None: all of them.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="About how long, like 90s or 5m.")] = None,
    slower_than: Annotated[str, typer.Option(help="The slowdown that is asked about.")] = "5%",
    inconclusive: Annotated[str, typer.Option(help="warn: can't tell exits with 0.")] = "fail",
    seed: Annotated[int, typer.Option(help="Of the rounds' order.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="A directory for the rounds. None: results/<time>-gate.")
    ] = None,
) -> None:
    """Compare the kernels of two commits: did one get slower?

    Both sides are measured here and now, in turn on one core, one thread. Exits with 0; 1 where a
    kernel got slower; 2 for bad input, or where a cell can't be measured on both sides; 3 where it
    can't tell.
    """
    from bench import gate as judging
    from bench import gate_report, screen, sides, store

    ratio = _percent(slower_than)
    if inconclusive not in ("warn", "fail"):
        raise BadInput(f"--inconclusive is {inconclusive!r}, should be warn or fail")
    folder = out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-gate"
    if folder.exists():
        raise BadInput(f"{folder} exists: take another --out")
    with sides.both(base, head) as (old, new):
        found = _compare(sweep, kernel or [], (old, new), ratio, _duration(budget), seed)
    store.write_rounds(folder, found.rounds)
    gate_report.show(found, ratio)
    screen.paths("rounds", [folder / "rounds.csv"])
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(gate_report.markdown(found, old, new, ratio))
        for line in gate_report.annotations(found, ratio):
            print(line)
    says = judging.outcome(found.verdicts, found.problem)
    if says == "can't tell" and inconclusive == "warn":
        raise typer.Exit(0)
    raise typer.Exit(gate_report.CODES[says])


@app.command()
def kernels(
    kernel: Annotated[
        list[str] | None, typer.Option(help="Just this one; may be repeated.")
    ] = None,
    device: Annotated[int, typer.Option(help="Which GPU, from 0.")] = 0,
) -> None:
    """Each kernel, whether it runs here, and if not, why."""
    from rich.table import Table
    from rich.text import Text

    from bench import link, visit
    from bench.machine import usable_cores
    from bench.text import plain

    threads = usable_cores()
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("kernel", "here", "what it is, or why not"):
        shown.add_column(heading, overflow="fold")
    known = visit.facts(threads).kernels
    for name in _absolute(kernel or []) or known:
        if name not in known and not Path(name).is_file():
            raise BadInput(f"no kernel {name!r}; known: {', '.join(known)}, or a .py file")
        summary, verdict = visit.describe(name, device, threads)
        here, said, colour = "yes", summary, "green"
        if isinstance(verdict, link.Refused):
            here, said, colour = verdict.status, verdict.reason, "yellow"
        shown.add_row(Text(plain(_stem(name))), Text(here, colour), Text(plain(said)))
    streams.console().print(shown)


def _compare(
    name: str, asked: list[str], both: Any, ratio: float, budget_s: float | None, seed: int
) -> Any:
    """Measure both sides of a sweep's cells."""
    from bench import compare, gate, screen, sweep, visit
    from bench.rounds import Cell

    settled = sweep.read(name)
    shown = screen.Screen(lambda: "")
    known = visit.facts(1).kernels
    for kernel in asked:
        if kernel not in known:
            raise BadInput(f"no kernel {kernel!r}; known: {', '.join(known)}")
    kernels = asked or settled.kernels or known
    return compare.compare(
        [Cell(kernel, case) for case in settled.cases() for kernel in kernels],
        both,
        gate.Spread(),
        ratio,
        limit_s=settled.launch_limit_s,
        budget_s=budget_s or settled.budget_s,
        seed=seed,
        watch=lambda phase, share: shown.line(f"{phase}: {min(share, 1):.0%} of the time used"),
    )


def _start(name: str, changes: dict[str, Any], out: Path | None) -> int:
    """A new run: settle what to measure, make its directory, measure."""
    import msgspec

    from bench import store, sweep, visit
    from bench.machine import usable_cores

    fields = msgspec.to_builtins(sweep.read(name))
    fields |= {field: value for field, value in changes.items() if value is not None}
    asked = _absolute(fields["kernels"])
    _refuse_twins(asked)
    fields["threads"] = sweep.make(fields).threads or usable_cores()
    worker = visit.facts(fields["threads"])
    fields["kernels"] = asked or list(worker.kernels)
    settled = sweep.make(fields)
    folder = out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{Path(name).stem}"
    with visit.Visitor(settled.threads, settled.seed, settled.launch_limit_s) as visitor:
        _load(visitor, asked)
        with store.Run.create(folder, settled) as opened:
            return _measure(opened, settled, visitor, worker, [], [])


def _go_on(name: str, added: dict[str, Any], limits: dict[str, Any]) -> int:
    """A run that was stopped or is to be extended, taken up again on the same machine."""
    import msgspec

    from bench import machine, store, sweep, visit
    from bench.records import Block, Visit

    folder = _find(name)
    opened, settled = store.Run.resume(folder)
    with opened:
        fields = msgspec.to_builtins(settled)
        added["kernels"] = _absolute(added["kernels"] or [])
        for field, more in added.items():
            fields[field] = list(dict.fromkeys([*fields[field], *(more or [])]))
        _refuse_twins(fields["kernels"])
        settled = sweep.make(fields | {k: v for k, v in limits.items() if v is not None})
        worker = visit.facts(settled.threads)
        visits, blocks = store.load(folder, Visit), store.load(folder, Block)
        then = _identity(folder) if visits else {}
        now = machine.identity(machine.facts(worker, settled.threads))
        for what, was in then.items():
            if now[what] != was:
                difference = f"{what} is {now[what]!r} here and was {was!r}"
                raise BadInput(f"can't go on with {folder}: {difference}")
        with visit.Visitor(settled.threads, settled.seed, settled.launch_limit_s) as visitor:
            hashes = _load(visitor, settled.kernels)
            for row in visits:
                if row.kernel_hash and row.kernel_hash != hashes.get(row.kernel):
                    changed = f"kernel {row.kernel} has changed since {folder} began"
                    raise BadInput(f"{changed}: start a new run")
            opened.write_sweep(settled)
            return _measure(opened, settled, visitor, worker, visits, blocks)


def _identity(folder: Path) -> dict[str, str]:
    """What a run was measured on. Raises BadInput where machine.json doesn't say."""
    from bench import machine, store

    try:
        return machine.identity(store.machine(folder))
    except (KeyError, TypeError) as error:
        said = f"{folder}/machine.json doesn't say what the run was measured on"
        raise BadInput(f"{said}: start a new run") from error


def _refuse_twins(kernels: Sequence[str]) -> None:
    stems = [_stem(kernel) for kernel in kernels]
    if twice := [stem for stem in stems if stems.count(stem) > 1]:
        raise BadInput(f"two kernels are called {twice[0]}: rename one, rows go by that name")


def _load(visitor: Any, names: Sequence[str]) -> dict[str, str]:
    """Each kernel's hash. Raises BadInput for one that can't be imported."""
    from bench import link

    hashes = {}
    for name in names:
        loaded = visitor.load(name)
        if isinstance(loaded, link.Refused):
            raise BadInput(f"kernel {_stem(name)}: {loaded.reason}")
        hashes[_stem(name)] = loaded.kernel_hash
    return hashes


def _measure(
    opened: "Run",
    settled: "Sweep",
    visitor: Any,
    worker: Any,
    visits: "list[Visit]",
    blocks: "list[Block]",
) -> int:
    """Machine and ceilings, passes until there is a reason to stop, then table and charts."""
    from bench import estimate, machine, peaks, runner, screen, store, visit
    from bench.records import Block, Visit

    folder = opened.folder
    found = machine.facts(worker, settled.threads)

    def take_ceilings() -> None:
        kept = ROOT / "results" / ".peaks.json"
        ceiling = peaks.of_cpu(settled.precision, settled.threads, found, kept)
        found["peaks"] = asdict(ceiling) if ceiling else None

    def first_answer() -> str:
        _derive(folder)
        return f"every cell is in {folder / 'cells.csv'}"

    opened.write_machine(found)
    shown = screen.Screen(first_answer)
    cells = [
        visit.Cell(kernel, case, settled.device, settled.threads, settled.cache)
        for case in settled.cases()
        for kernel in settled.kernels
    ]
    code = 0
    try:
        take_ceilings()
        opened.write_machine(found)
        shown.begin(found)
        running = runner.Runner(
            cells,
            visitor,
            opened.append,
            budget_s=settled.budget_s,
            target=settled.target,
            launch_limit_s=settled.launch_limit_s,
            seed=settled.seed,
            watch=shown.progress,
        )
        running.restore(visits, blocks)
        found["stopped"] = running.run()
        visitor.respawn()
        shown.note("stopping: ceilings once more, table and charts")
        take_ceilings()  # again: the first reading may have been disturbed, and too low
    except signals.Stop as stop:
        found.setdefault("stopped", stop.word)
        code = stop.code
        shown.note("stopping: table and charts")
    with signals.held():  # a second Ctrl-C may spare the charts, but not the numbers
        visitor.respawn()  # no kernel goes on meanwhile
        visits, blocks = store.load(folder, Visit), store.load(folder, Block)
        rows = estimate.cells(visits, blocks, peaks.ceiling(found))
        trouble = _written(opened, found, rows)
    screen.answer(rows, visits, blocks, found)
    if trouble is not None:
        raise trouble
    screen.paths("numbers", [folder / "cells.csv"])
    screen.paths("chart", _draw([folder], [_plots(folder)]))
    return code or (1 if any(row.status in BAD for row in rows) else 0)


def _written(opened: "Run", found: dict[str, Any], rows: "list[Cell]") -> BadInput | None:
    """Write what follows from the visits -> why not, where it can't be: the answer comes first."""
    from bench import store

    try:
        opened.write_machine(found)
        store.write_cells(opened.folder, rows)
    except BadInput as error:
        return error
    return None


def _derive(folder: Path) -> "list[Cell]":
    """cells.csv anew from visits.csv and blocks.csv, where the run has them."""
    from bench import estimate, peaks, store
    from bench.records import Block, Cell, Visit

    if not (folder / store.FILES[Visit]).is_file():
        return store.load(folder, Cell)
    peak = peaks.ceiling(store.machine(folder))
    rows = estimate.cells(store.load(folder, Visit), store.load(folder, Block), peak)
    store.write_cells(folder, rows)
    return rows


def _draw(folders: Sequence[Path], outs: Sequence[Path], *how: Any) -> list[Path]:
    from bench import charts

    try:
        return charts.draw_all([charts.read(folder) for folder in folders], outs, *how)
    except ValueError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        where = error.filename or outs[0]
        raise BadInput(
            f"{where} can't be written ({error.strerror}): make room or make it writable, then"
            f" python -m bench plot {folders[0]}: what was measured is kept"
        ) from error


def _plots(folder: Path) -> Path:
    """Where a run's charts go: plots/<run> beside results/<run>, else plots/ inside the run."""
    folder = folder.absolute()
    if folder.parent.name == "results":
        return folder.parent.parent / "plots" / folder.name
    return folder / "plots"


def _find(run: str) -> Path:
    """A run's directory, from a path, a name in results/, or `latest`."""
    results = ROOT / "results"
    if run == "latest":
        runs = sorted(path.parent for path in results.glob("*/sweep.toml"))
        if not runs:
            raise BadInput("no run yet: make bench")
        return max(runs, key=lambda path: (path / "sweep.toml").stat().st_mtime)
    for folder in (Path(run), results / run):
        if folder.is_dir():
            return folder
    raise BadInput(f"no run {run!r}: give a run's directory or its name in results/")


def _absolute(kernels: Sequence[str]) -> list[str]:
    """Kernel files by absolute path, because workers may have another working directory."""
    return [str(Path(k).absolute()) if k.endswith(".py") else k for k in kernels]


def _stem(kernel: str) -> str:
    return Path(kernel).stem if kernel.endswith(".py") else kernel


def _integers(name: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"--{name} is {text!r}, should be whole numbers like 16,256,1000") from None


SECONDS = {"s": 1, "m": 60, "h": 3600}


def _duration(text: str | None) -> float | None:
    """From 90, 90s, 5m or 1h to seconds."""
    if text is None:
        return None
    unit = text[-1:] if text[-1:] in SECONDS else ""
    try:
        seconds = float(text.removesuffix(unit)) * SECONDS.get(unit, 1)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise BadInput(f"--budget is {text!r}, should be like 90s, 5m or 1h")
    return seconds


def _percent(text: str) -> float:
    """From 5% or 5 to 0.05."""
    try:
        ratio = float(text.removesuffix("%")) / 100
    except ValueError:
        ratio = 0.0
    if not 0.025 < ratio < 10:
        raise BadInput(f"--slower-than is {text!r}, should be like 5%, and over 2.5%")
    return ratio


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
    sys.exit(code or 0)


def _refuse_names() -> None:
    """Raise BadInput for names that Python, in an ASCII locale, can't open or write down."""
    for name in (*sys.argv, str(ROOT), str(Path.cwd())):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            readable = os.fsencode(name).decode(errors="replace")
            message = f"{readable} can't be read in this locale (ASCII): set PYTHONUTF8=1"
            raise BadInput(message) from error


def _fail(said: str) -> NoReturn:
    from bench.text import plain

    print(f"error: {plain(said)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
