"""One folder of many runs, whoever launched them: each run once, in a folder named by its host.

    results/<fleet>/<host>-<run>/    a run as it came
                    fleet.csv        a row a run: its host, devices, driver, commit; for people

A run is known by its host, its machine and its first visit, so a copy, or the same run when it had
fewer visits, is the same run: the one with the most visits is kept. So neither the order of the
runs matters nor how often one is merged.
"""

import csv
import io
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import run_folder, store
from bench.history import database, machines
from bench.stats import run_data
from bench.stats.run_data import RunData
from bench.terminal import text
from bench.terminal.errors import BadInput

KEPT = ("sweep.toml", "machine.json", *store.FILES.values())
"""The files of a run."""

TABLE = "fleet.csv"
COLUMNS = ("run", "host", "machine", "cpu", "gpus", "driver_cuda", "commit", "started", "visits")


@dataclass(frozen=True, slots=True)
class Member:
    """A run of a fleet."""

    run: RunData
    key: str

    @property
    def host(self) -> str:
        """Its host's name, or what tells its machine."""
        return self.run.machine.host or machines.key(self.run.machine)

    @property
    def name(self) -> str:
        """Of its folder in the fleet's."""
        return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', self.host).lstrip('.') or 'host'}-{self.key[:8]}"

    @property
    def extent(self) -> tuple[int, str, str]:
        """Of two states of one run the one with more visits is the larger."""
        return len(self.run.visits), repr(self.run.visits[-1:]), repr(self.run.cells)


def read(folders: Iterable[Path]) -> list[Member]:
    """The runs in these folders, each of which holds a run or several. Raises BadInput."""
    members = []
    for folder in folders:
        for each in run_folder.runs(folder):
            if run_folder.compared(each):
                raise BadInput(f"{each} compares two commits: only runs can be merged")
            run = run_data.read(each)
            kept, _ = database.of_run(run)
            members.append(Member(run, kept.key))
    return members


def chosen(members: Iterable[Member]) -> dict[str, Member]:
    """Each run once, by its key, in the order of their names."""
    found: dict[str, Member] = {}
    for member in members:
        before = found.get(member.key)
        if before is None or member.extent > before.extent:
            found[member.key] = member
    return dict(sorted(found.items(), key=lambda pair: pair[1].name))


def write(members: Sequence[Member], folder: Path) -> list[Path]:
    """Copy the runs into the fleet's folder, those that are not there yet or have grown -> the
    copies. Raises BadInput where that can't be.
    """
    copied = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for member in members:
            target = folder / member.name
            if member.run.folder.resolve() != target.resolve():
                _copy(member.run.folder, target)
                copied.append(target)
        store.replace(folder / TABLE, table(members))
    except OSError as error:
        why = f"{error.filename or folder} can't be written ({error.strerror})"
        raise BadInput(f"{why}: make room, or take another --out; merging again goes on") from error
    return copied


def _copy(source: Path, target: Path) -> None:
    """Under its own name it is whole."""
    half = target.with_name(f".{target.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    for name in KEPT:
        if (source / name).is_file():
            shutil.copyfile(source / name, half / name)
    if target.exists():
        shutil.rmtree(target)
    half.rename(target)


def table(members: Sequence[Member]) -> str:
    """A row a run, as fleet.csv has it."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    columns = (
        "run",
        "host",
        "machine",
        "cpu",
        "gpus",
        "driver_cuda",
        "commit",
        "started",
        "visits",
    )
    writer.writerow(columns)
    for member in members:
        machine = member.run.machine
        gpus = "; ".join(f"{gpu.name} {gpu.uuid or gpu.bus}" for gpu in machine.gpus.devices)
        row = [
            *(member.name, member.host, machines.key(machine), machine.cpu.model, gpus),
            *(machine.gpus.driver or "", machine.commit or "", machine.started),
        ]
        writer.writerow([*map(text.guarded, map(text.plain, row)), len(member.run.visits)])
    return lines.getvalue()
