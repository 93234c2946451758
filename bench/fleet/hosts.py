"""A host of the fleet: its row in the table, and what can be decided of it without asking anybody.

results/<fleet>/hosts.csv    a row a host: whether its run is back, and if not, why
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bench.terminal import text
from bench.terminal.errors import BadInput

TABLE = "hosts.csv"
COLUMNS = ("host", "status", "tries", "run", "reason")

TRIES = 3
"""How often a host is tried."""

PAUSE_S = 10.0
"""How long a host that failed is left alone: a disk may be cleared, a worker started anew."""

Status = Literal["waiting", "running", "back", "failed"]


@dataclass(frozen=True, slots=True)
class Host:
    """A host, and how far its run is."""

    name: str  # as machine.json has it
    called: str  # as people know it
    status: Status = "waiting"
    tries: int = 0
    run: str = ""  # the folder of its run
    reason: str = ""  # why there is none yet
    not_before_s: float = 0.0  # when it may be tried again, on the monotonic clock
    failed_at: Mapping[str, int] = field(default_factory=dict)  # how often, by worker


def begun(host: Host) -> Host:
    """A try begins."""
    return replace(host, status="running", tries=host.tries + 1)


def failed(host: Host, worker: str, reason: str, now_s: float) -> Host:
    """A try has failed: there is another, later, unless it was the last."""
    return replace(
        host,
        status="waiting" if host.tries < TRIES else "failed",
        reason=text.short(reason),
        not_before_s=now_s + PAUSE_S,
        failed_at={**host.failed_at, worker: host.failed_at.get(worker, 0) + 1},
    )


def next_worker(host: Host, workers: Iterable[str], taken: Iterable[str]) -> str | None:
    """Which of its workers gets the run: where it failed least; of those one that a fleet has
    chosen before, so that two fleets take turns.
    """
    chosen = set(taken)
    return min(
        workers,
        key=lambda worker: (host.failed_at.get(worker, 0), worker not in chosen, worker),
        default=None,
    )


def identity(said: str | None, node: str, boot: str) -> str:
    """What the workers of one host have in common: the name that they were given, else the start
    of their machine, which its containers share.
    """
    return said if said is not None else boot or node


def unnamed(identity: str) -> str:
    """What a host is called that has no lasting name, as containers have none."""
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def table(hosts: Iterable[Host]) -> str:
    """All of hosts.csv."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    for host in hosts:
        row = (host.name, host.status, str(host.tries), host.run, host.reason)
        writer.writerow([text.guarded(text.plain(value)) for value in row])
    return lines.getvalue()


def read(folder: Path) -> list[Host]:
    """The hosts of a fleet that is resumed, each to be tried anew unless its run is there.
    Raises BadInput.
    """
    path = folder / TABLE
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [[text.unguarded(value) for value in row] for row in csv.reader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(
            f"{path} can't be read ({error}): remove it, the runs tell the rest"
        ) from error
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise BadInput(f"{path} is no table of hosts: remove it, the runs tell the rest")
    return [Host(name, name, reason=reason) for name, _, _, _, reason in rows[1:]]
