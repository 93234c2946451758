"""`merge`: one folder of many runs, and what is to be said of them."""

from collections.abc import Sequence
from pathlib import Path

from bench.data import run_folder
from bench.fleet import alike, merge
from bench.show import progress
from bench.terminal import streams
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
    for standing in sorted(alike.standings(members), key=lambda each: each.member.name):
        name, ratio = standing.member.name, standing.ratio
        if standing.slow:
            _say(f"{name} is slow: its cells take {100 * (ratio - 1):.0f} % longer than its like's")
        if standing.lacking:
            _say(f"{name} lacks {standing.lacking} cells that its like has")
    gone = alike.missing(members, expected)
    for host in gone:
        _say(f"{host} is missing: it has no run here")
    hosts = len({member.host for member in members})
    _say(f"{len(members)} runs of {hosts} hosts, {len(copied)} of them new here")
    progress.paths("folder", [folder])
    return not gone


def _say(line: str) -> None:
    streams.console().print(plain(line), markup=False, soft_wrap=True)
