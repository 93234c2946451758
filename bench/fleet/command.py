"""`merge` and `fleet`: one folder of many runs, and what is to be said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.data import run_folder
from bench.fleet import alike, asked, merge
from bench.fleet.asked import Asked
from bench.fleet.hosts import Host
from bench.fleet.merge import Member
from bench.show import progress
from bench.terminal import signals, streams
from bench.terminal.errors import BadInput
from bench.terminal.text import plain


def run(names: Sequence[str], folder: Path, expected: Sequence[str]) -> bool:
    """Merge runs into a folder, new or not -> whether no host is missing. Raises BadInput."""
    folders = [run_folder.find(name) for name in names]
    there = merge.read([folder]) if folder.is_dir() and any(folder.iterdir()) else []
    given = merge.read(folders)
    members = list(merge.chosen([*there, *given]).values())
    copied = merge.write(members, folder)
    kept = [member.run.folder.resolve() for member in members]
    for member in given:
        if member.run.folder.resolve() not in kept:
            _say(f"{member.run.folder}: left out: {member.name} is the same run")
    _compare(members)
    gone = alike.missing(members, expected)
    for host in gone:
        _say(f"{host} is missing: it has no run here")
    hosts = len({member.host for member in members})
    _say(f"{len(members)} runs of {hosts} hosts, {len(copied)} of them new here")
    progress.paths("folder", [folder])
    return not gone


@dataclass(frozen=True, slots=True)
class Where:
    """The cluster of a fleet, and the patience with it."""

    scheduler: str | None
    hosts: int
    wait_s: float
    checkout: str


def fleet(what: Asked, where: Where, folder: Path, *, resume: bool) -> int:
    """Run a fleet into a folder, or go on with one -> its exit code. Raises BadInput."""
    from bench.fleet.cluster import Cluster, Lost
    from bench.fleet.run import Fleet

    shown = progress.Screen(lambda: "")
    hosts = Fleet(what, folder, shown.note, where.checkout, where.hosts, where.wait_s)
    if resume:
        hosts.resume()
    else:
        asked.write(folder, what)
    try:
        hosts.run(partial(Cluster, where.scheduler), shown.line)
    except Lost as lost:
        remedy = "start one (dask scheduler), or leave out --scheduler"
        raise BadInput(f"{lost}: {remedy}; then go on with --resume {folder}") from lost
    except signals.Stop:
        shown.clear()
        _say(f"what came back is kept: python -m bench fleet --resume {folder} goes on")
        raise
    shown.clear()
    _compare(hosts.members)
    complete = _told(hosts.hosts, where.hosts, folder)
    progress.paths("folder", [folder])
    return 0 if complete and not any(hosts.codes) else 1


def _told(hosts: Sequence[Host], expected: int, folder: Path) -> bool:
    """Say which hosts have no run -> whether all have one."""
    without = [host for host in hosts if host.status != "back"]
    for host in without:
        _say(f"{host.called} has no run: {host.reason or 'no worker of it was there'}")
    many = max(len(hosts), expected)
    there = len(hosts) - len(without)
    _say(f"{there} of {many} hosts have a run")
    if there < many:
        _say(f"python -m bench fleet --resume {folder} goes on with the others")
    return there == many


def _compare(members: Sequence[Member]) -> None:
    for standing in sorted(alike.standings(members), key=lambda each: each.member.name):
        name, ratio = standing.member.name, standing.ratio
        if standing.slow:
            _say(f"{name} is slow: its cells take {100 * (ratio - 1):.0f} % longer than its like's")
        if standing.lacking:
            _say(f"{name} lacks {standing.lacking} cells that its like has")


def _say(line: str) -> None:
    streams.console().print(plain(line), markup=False, soft_wrap=True)
