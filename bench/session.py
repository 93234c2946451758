"""A run, from its settled options to its last chart: a new one, or one that goes on."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import ROOT
from bench.data import run_folder
from bench.show import runs
from bench.terminal import signals
from bench.terminal.errors import BadInput

if TYPE_CHECKING:
    from bench.data.machine import Machine
    from bench.data.records import CellRow
    from bench.data.store import Run
    from bench.measure.scheduler import Scheduler
    from bench.measure.visit import Visitor
    from bench.plan.cell import Cell
    from bench.plan.sweep import Sweep
    from bench.show.progress import Screen
    from bench.stats.run_data import RunData
    from bench.worker.messages import Software

PEAKS, SPEED, TUNED = ".peaks.json", ".speed.json", ".tuned.json"
"""What its machines were seen to reach, how fast their cores are, and what suits numba_packed
there: kept between runs."""

VARIABLE = "BENCH_KEPT"
"""Names the folder that they are kept in; without it: the checkout's results/."""

BAD = ("wrong", "impossible", "crashed", "error")
"""A run with a cell of one of these statuses exits with 1 (`failed`)."""


def start(
    name: str,
    changes: dict[str, Any],
    out: Path | None,
    layers: Sequence[str] = (),
    *,
    transposed: bool = False,
    count: bool = False,
    charts: bool = True,
    tune: bool = False,
) -> int:
    """A new run: settle what to measure, make its directory, measure; `count`: instructions, too;
    `tune`: try numba_packed's parameters before.

    `layers`: [LABEL=]FILE[:NAME] of layers with numbers of their own, instead of the sweep's.
    """
    import msgspec

    from bench.data import store
    from bench.measure import visit
    from bench.plan import sweep, weights
    from bench.stats import run_data
    from bench.worker.limits import usable_cores

    own = weights.find_all(layers, transposed=transposed)
    changes["layers"] = [msgspec.to_builtins(found.layer) for found in own] or None
    fields = sweep.changed(sweep.read(name), changes)
    asked = absolute(fields["kernels"])
    _refuse_twins(asked)
    fields["threads"] = sweep.settled(fields).threads or usable_cores()
    software = visit.software(fields["threads"])
    fields["kernels"] = list(sweep.which(asked, software.kernels))
    _refuse_twins(fields["kernels"])
    settled = sweep.settled(fields)
    _refuse_layers(settled)
    notes = [f"{found.said}; measured in {settled.precision}" for found in own]
    notes += _tuned(software, settled.threads, tune=tune)
    stem = "layer" if own else Path(name).stem
    folder = out or ROOT / "results" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{stem}"
    with visit.Visitor(settled.threads, settled.seed, settled.launch_limit_s) as visitor:
        files = [kernel for kernel in settled.kernels if kernel not in software.kernels]
        _load(visitor, files, settled)
        with store.Run.create(folder, settled) as opened:
            empty = run_data.read(folder)
            return _measure(
                opened, settled, visitor, software, empty, notes, count=count, charts=charts
            )


def go_on(
    name: str,
    added: dict[str, Any],
    limits: dict[str, Any],
    *,
    count: bool = False,
    charts: bool = True,
) -> int:
    """A run that was stopped or is to be extended, taken up again on the same machine."""
    from bench.data import store
    from bench.machine import survey, tuning
    from bench.measure import visit
    from bench.plan import sweep
    from bench.stats import run_data

    folder = run_folder.find(name)
    opened, settled = store.Run.resume(folder)
    with opened:
        software = visit.software(settled.threads)
        asked = added["kernels"] and sweep.which(absolute(added["kernels"]), software.kernels)
        added["kernels"] = list(asked or [])
        fields = sweep.extended(settled, {field: more or [] for field, more in added.items()})
        _refuse_twins(fields["kernels"])
        settled = sweep.settled(fields | {k: v for k, v in limits.items() if v is not None})
        _refuse_layers(settled)
        before = run_data.read(folder)
        if before.visits:
            _refuse_another_machine(before, survey.survey(software, settled.threads))
        tuning.tell(before.machine.tuned)  # as it began
        with visit.Visitor(settled.threads, settled.seed, settled.launch_limit_s) as visitor:
            hashes = _load(visitor, settled.kernels, settled)
            for row in before.visits:
                if row.kernel_hash and row.kernel_hash != hashes.get(row.kernel):
                    changed = f"kernel {row.kernel} has changed since {folder} began"
                    raise BadInput(f"{changed}: start a new run")
            opened.write_sweep(settled)
            return _measure(opened, settled, visitor, software, before, count=count, charts=charts)


def _tuned(software: "Software", threads: int, *, tune: bool) -> list[str]:
    """Have numba_packed use what was found best here, now or before -> what is to say of it."""
    from bench.machine import survey, tuning

    if not tune and not kept(TUNED).exists():
        tuning.tell("")
        return []
    fingerprint = survey.survey(software, threads).fingerprint
    if tune:
        return [tuning.tune(fingerprint, threads, kept(TUNED))]
    tuning.tell(tuning.known(fingerprint, threads, kept(TUNED)))
    return []


def _refuse_layers(settled: "Sweep") -> None:
    """Raise BadInput for a layer's file that isn't as it was, or holds what can't be measured."""
    from bench.plan import weights

    for layer in settled.layers:
        if layer.weights is not None:
            weights.refuse_unfit(layer.weights, layer, settled.precision)


def _refuse_another_machine(before: "RunData", machine: "Machine") -> None:
    """Raise BadInput where a run was measured on another machine, or doesn't say on which."""
    from bench.machine import survey

    if not before.machine.fingerprint:
        unknown = f"{before.folder}/machine.json doesn't say what the run was measured on"
        raise BadInput(f"{unknown}: start a new run")
    now, then = survey.identity(machine), survey.identity(before.machine)
    for what in then | now:
        if now.get(what, "") != then.get(what, ""):
            difference = f"{what} is {now.get(what, '')!r} here and was {then.get(what, '')!r}"
            raise BadInput(f"can't resume {before.folder}: {difference}")


def _refuse_twins(kernels: Sequence[str]) -> None:
    from bench.plan.cell import called

    names = [called(kernel) for kernel in kernels]
    if twice := [name for name in names if names.count(name) > 1]:
        remedy = "rename one, because rows are told apart by that name"
        raise BadInput(f"two kernels are called {twice[0]}: {remedy}")


def _load(visitor: "Visitor", names: Sequence[str], settled: "Sweep") -> dict[str, str]:
    """Each kernel's hash. Raises BadInput for one that can't be imported."""
    from bench.plan.cell import called
    from bench.worker import messages

    hashes = {}
    for name in names:
        loaded = visitor.load(name, settled.devices[0])
        if isinstance(loaded, messages.Refused):
            raise BadInput(f"kernel {called(name)}: {loaded.reason}")
        hashes[called(name)] = loaded.kernel_hash
    return hashes


def _devices(visitor: "Visitor", kernel: str, settled: "Sweep") -> tuple[int, ...]:
    """On which of the devices asked for a kernel is measured: the first one alone where it computes
    on the same one, the CPU, whichever it is given.
    """
    first, *others = settled.devices
    if others:
        names = [visitor.device(kernel, index) for index in (first, others[0])]
        if names[0] and names[0] == names[1]:
            return (first,)
    return settled.devices


def _measure(
    opened: "Run",
    settled: "Sweep",
    visitor: "Visitor",
    software: "Software",
    before: "RunData",
    notes: Sequence[str] = (),
    *,
    count: bool = False,
    charts: bool = True,
) -> int:
    """Machine and peaks, passes until there is a reason to stop, then table and charts."""
    from msgspec.structs import replace

    from bench.data import speed_history
    from bench.history import database, keep
    from bench.machine import peak_rates, survey
    from bench.measure import scheduler
    from bench.plan.cell import Cell
    from bench.show import progress

    folder = opened.folder

    def with_peaks(machine: "Machine") -> "Machine":
        peaks = peak_rates.of_cpu(settled.precision, settled.threads, machine, kept(PEAKS))
        return replace(machine, peaks=peaks)

    def first_answer() -> str:
        runs.renew(folder)
        return f"{folder / 'cells.csv'} has a row for every cell"

    machine = survey.survey(software, settled.threads)
    history = speed_history.read(kept(SPEED), machine.fingerprint)
    machine = replace(machine, device_peaks=before.machine.device_peaks, speed_history=history)
    opened.write_machine(machine)
    shown = progress.Screen(first_answer)
    for note in notes:
        shown.note(note)
    code = 0
    passes = None
    try:
        devices = {kernel: _devices(visitor, kernel, settled) for kernel in settled.kernels}
        cells = [
            Cell(
                kernel,
                case,
                device,
                settled.threads,
                settled.cache,
                settled.weights.get(case.layer),
            )
            for case in settled.cases()
            for kernel in settled.kernels
            for device in devices[kernel]
        ]
        machine = with_peaks(machine)
        opened.write_machine(machine)
        shown.begin(machine)
        passes = scheduler.Scheduler(
            cells,
            visitor,
            opened.append,
            budget_s=settled.budget_s,
            target=settled.target,
            launch_limit_s=settled.launch_limit_s,
            seed=settled.seed,
            history=history,
            watch=shown.progress,
        )
        passes.restore(before)
        machine = replace(machine, stopped=passes.run())
        visitor.ask_peaks()
        visitor.respawn()
        shown.note("measured; now the machine's ceilings once more, the table and the charts")
        machine = with_peaks(machine)  # the first reading may have been disturbed, and too low
        if count:
            _count(opened, cells, machine, shown)
    except signals.Stop as stop:
        machine = replace(machine, stopped=machine.stopped or stop.word)
        code = stop.code
        shown.note("stopping: writing the table and the charts")
    try:
        # a second Ctrl-C may spare the charts, but not the numbers
        with signals.held():
            run, trouble = _numbers(opened, machine, visitor, passes)
        progress.answer(run)
        if note := keep.keep(*database.of_run(run)):
            shown.note(note)
        if passes is not None and passes.unvisited > scheduler.MOST_PENDING:
            shown.note(f"{passes.unvisited} cells have no row: the run has not come to them")
        if trouble is not None:
            raise trouble
        _draw(run, charts=charts)
    except signals.Stop:
        shown.note(f"charts are missing: python -m bench plot {opened.folder} draws them")
        raise
    return code or (1 if failed(run.cells) else 0)


def _count(opened: "Run", cells: "Sequence[Cell]", machine: "Machine", shown: "Screen") -> None:
    """Count the instructions of the cells that have a time, as far as there is patience."""
    from bench.count import run
    from bench.data import store
    from bench.data.records import Block, Visit
    from bench.stats import run_data
    from bench.terminal import units

    folder = opened.folder
    measured = run_data.derive(
        folder, machine, store.load(folder, Visit), store.load(folder, Block)
    )
    rows, note = run.count(
        cells,
        measured.cells,
        machine.cpu.vector_flags,
        lambda left_s: shown.line(f"counting instructions; at most {units.seconds(left_s)} left"),
    )
    shown.note(note)
    if rows:
        store.write_counts(folder, rows)


def _numbers(
    opened: "Run", machine: "Machine", visitor: "Visitor", passes: "Scheduler | None"
) -> tuple["RunData", BadInput | None]:
    """Write what follows from the visits -> the run, and why not all could be written: the answer
    comes first.
    """
    from msgspec.structs import replace

    from bench.data import speed_history, store
    from bench.data.records import Block, Visit
    from bench.machine import peak_rates
    from bench.stats import run_data

    visitor.respawn()  # no kernel goes on meanwhile
    if passes is not None:
        opened.append_unvisited(passes.pending())
    measured = {
        device: peak_rates.of_device(device, readings, kept(PEAKS))
        for device, readings in visitor.peaks.items()
    }
    machine = replace(machine, device_peaks=machine.device_peaks | measured)
    visits, blocks = store.load(opened.folder, Visit), store.load(opened.folder, Block)
    run = run_data.derive(opened.folder, machine, visits, blocks)
    speed_history.write(kept(SPEED), machine.fingerprint, run.times.history)
    try:
        opened.write_machine(machine)
        store.write_cells(opened.folder, run.cells)
    except BadInput as error:
        return run, error
    return run, None


def _draw(run: "RunData", *, charts: bool) -> None:
    """The charts and the page, where they are wanted and there is a number to show."""
    from bench.show import page, progress

    progress.paths("numbers", [run.folder / "cells.csv"])
    if charts and any(cell.time_s for cell in run.cells):
        plots = run_folder.plots(run.folder)
        progress.paths("chart", runs.draw([run], [plots]))
        progress.paths("page", runs.page([run], plots / page.NAME))


def kept(name: str) -> Path:
    """Where a file is that is kept between runs."""
    return Path(os.environ.get(VARIABLE) or ROOT / "results") / name


def failed(cells: "Sequence[CellRow]") -> bool:
    """Whether a kernel did what none should, or never answered at all: it timed out in each cell
    that it was tried in.
    """
    timed_out = {row.kernel for row in cells if row.status == "timeout"}
    answered = {row.kernel for row in cells if row.time_s or row.status == "skipped"}
    return any(row.status in BAD for row in cells) or bool(timed_out - answered)


def absolute(kernels: Sequence[str]) -> list[str]:
    """Kernel files by absolute path, because workers may have another working directory."""
    return [str(Path(k).absolute()) if k.endswith(".py") else k for k in kernels]


def refuse_unknown(kernel: str, known: Sequence[str]) -> None:
    """Raise BadInput unless it is one of those known, or a file."""
    if kernel not in known and not Path(kernel).is_file():
        raise BadInput(f"no kernel {kernel!r}; known: {', '.join(known)}, or a .py file")
