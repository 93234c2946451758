"""What a run shows: notes and progress on stderr while it measures, the answer on stdout."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data.machine import Machine
from bench.measure.scheduler import Progress
from bench.show import table
from bench.stats.run_data import RunData
from bench.terminal import streams, units
from bench.terminal.text import plain

WIDTH = 120
"""Columns of the table where there is no terminal."""

STOPPED = {
    "done": "every cell has reached its target, or can get no closer",
    "budget": "the budget is spent (--resume with a new --budget continues)",
    "interrupted": "Ctrl-C (--resume continues)",
    "terminated": "SIGTERM (--resume continues)",
    "hung up": "SIGHUP, the terminal is gone (--resume continues)",
}


class Screen:
    """Progress is drawn between visits only, so that nothing else runs while a kernel is timed.

    A terminal's line is written over; a log gets a new one every ten seconds. After the first pass
    `first_answer` is called once: what it returns is shown with the time that it took.
    """

    def __init__(self, first_answer: Callable[[], str]) -> None:
        self._errors = streams.console(stderr=True)
        # without colours there is no going back on a line either: TERM=dumb, NO_COLOR
        self._live = self._errors.is_terminal and self._errors.color_system is not None
        self._first_answer: Callable[[], str] | None = first_answer
        self._every_s = 0.5 if self._live else 10.0
        self._began = time.monotonic()
        self._drawn = self._began - self._every_s

    def note(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        self._errors.print(plain(text), markup=False, soft_wrap=True)

    def begin(self, machine: Machine) -> None:
        """What is about to be measured on, and what that makes of the numbers."""
        for line in table.machine(machine):
            self.note(line)
        for warning in machine.warnings:
            self.note(f"note: {warning}")
        self._began = time.monotonic()

    def progress(self, progress: Progress) -> None:
        """Where the run is, at most every so often."""
        now = time.monotonic()
        if progress.pass_number > 1 and self._first_answer is not None:
            answer, self._first_answer = self._first_answer(), None
            self.note(f"a first answer after {units.seconds(now - self._began)}: {answer}")
        case = progress.cell.case
        self.line(
            f"pass {progress.pass_number}, cell {progress.visited + 1} of {progress.cells}:"
            f" {progress.cell.name} {case.layer or f'{case.n_units} wide'}, batch {case.batch};"
            f" at most {units.seconds(progress.left_s)} left"
        )

    def line(self, text: str) -> None:
        """A line of progress, at most every so often."""
        now = time.monotonic()
        if now - self._drawn < self._every_s:
            return
        self._drawn = now
        line = plain(text)
        if self._live:
            self._errors.file.write(f"\r\x1b[2K{line[: self._errors.width - 1]}")
            self._errors.file.flush()
        else:
            self.note(line)

    def clear(self) -> None:
        """Leave the terminal's line empty."""
        if self._live:
            self._errors.file.write("\r\x1b[2K")
            self._errors.file.flush()


def answer(run: RunData) -> None:
    """The table, why cells have no number, the headline sentence, why the run stopped."""
    console = streams.console(width=WIDTH)
    for part in table.tables(run.cells, console.width):
        console.print(part)
    console.print(table.caption(run.cells), markup=False, soft_wrap=True, style="dim")
    for line in table.reasons(run.cells):
        console.print(line, markup=False, soft_wrap=True)
    if warning := table.caution(run.cells):
        console.print(warning, markup=False, soft_wrap=True)
    if sentence := table.headline(run):
        console.print(f"\n{sentence}", style="bold", markup=False, soft_wrap=True)
    if state := table.state(run):
        console.print(f"\n{state}", markup=False, soft_wrap=True)
    for line in (*table.device_peaks(run.machine), *table.throttling(run.visits)):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"stopped: {STOPPED[run.machine.stopped]}", markup=False, soft_wrap=True)


def paths(kind: str, files: Sequence[Path]) -> None:
    """Where files are, as they can be opened from the working directory."""
    console = streams.console()
    for path in files:
        console.print(f"{kind + ':':8} {plain(str(_short(path)))}", markup=False, soft_wrap=True)


def _short(path: Path) -> Path:
    """Relative to the working directory, where the path lies in it."""
    try:
        return path.absolute().relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the working directory is gone
        return path
