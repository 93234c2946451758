"""Which hosts of a fleet are slow among their like, and which cells and hosts are missing."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.data.machine import Machine
from bench.data.records import CellRow
from bench.fleet.merge import Member

FEWEST = 3
"""Hosts of a kind, from which on one can be told from the others."""

LEAST = 0.05
"""A host is slow where its cells take at least so much longer than its like's."""

FAR, TO_SD = 3.0, 1.4826
"""And so many standard deviations, reckoned from the median deviation of the hosts."""

KEY = ("kernel", "n_in", "n_units", "batch", "precision", "activation", "layer", "threads", "cache")


@dataclass(frozen=True, slots=True)
class Standing:
    """A run among the runs of its like."""

    member: Member
    ratio: float  # its cells' times over the middle ones of its like: 1.1 is 10 % slower
    slow: bool
    lacking: int  # cells that most of its like have a time of and it has none


def standings(members: Sequence[Member]) -> Iterator[Standing]:
    """Of each run how it stands among those on the same hardware."""
    kinds: dict[object, list[Member]] = {}
    for member in members:
        kinds.setdefault(_kind(member.run.machine), []).append(member)
    for like in kinds.values():
        yield from _standings(like)


def missing(members: Sequence[Member], expected: Sequence[str]) -> list[str]:
    """The hosts that should have a run and have none."""
    there = {member.host for member in members}
    return [host for host in dict.fromkeys(expected) if host not in there]


def _kind(machine: Machine) -> object:
    gpus = tuple(gpu.name for gpu in machine.gpus.devices)
    return machine.cpu.model, machine.cpu.cores_usable, gpus


def _standings(like: Sequence[Member]) -> Iterator[Standing]:
    times = [{_cell(row): row.time_s for row in member.run.cells if row.time_s} for member in like]
    middle = {
        cell: median(its[cell] for its in times if cell in its)
        for cell in {cell for its in times for cell in its}
    }
    common = {cell for cell in middle if sum(cell in its for its in times) > len(like) / 2}
    logs = [
        median([math.log(its[cell] / middle[cell]) for cell in common & its.keys()] or [0.0])
        for its in times
    ]
    center = median(logs)
    spread = TO_SD * median(abs(log - center) for log in logs)
    hosts = len({member.host for member in like})
    limit = math.log1p(LEAST) if hosts >= FEWEST else math.inf
    for member, its, log in zip(like, times, logs, strict=True):
        away = log - center
        slow = away > max(limit, FAR * spread)
        yield Standing(member, math.exp(away), slow, len(common - its.keys()))


def _cell(row: CellRow) -> tuple[object, ...]:
    """A cell, by what is the same on each host: of its device the kind, not the place."""
    device = row.device.split(" at ")[0]
    return (*(getattr(row, name) for name in KEY), device)
