"""A comparison of two commits: every cell's change with its interval, and what was asked about."""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from bench.data.machine import Comparison, Machine
from bench.data.records import Verdict
from bench.show.pictures.parts import words
from bench.show.pictures.parts.picture import Change, Changes, Dot, Nothing, Picture
from bench.terminal import units
from bench.terminal.text import plain

MANY = 9.0
"""From ten times as long on, per cents say less than times."""

MORE = 0.01
"""From so many more instructions on a count says that a cell is slower."""


def picture(verdicts: Sequence[Verdict], machine: Machine) -> Picture:
    """A row a cell that moved or can't be told; the cells that are not slower, a row a kernel.

    `machine` is that of machine.json, with its comparison.
    """
    asked = machine.comparison or Comparison()
    if not any(verdict.rounds for verdict in verdicts) and any(v.count_says for v in verdicts):
        asked = structs.replace(asked, witness="count")  # there was no time for times
    what = "Change of a launch's time with its 95 % interval"
    if asked.witness == "count":
        verdicts = [_by_count(verdict) for verdict in verdicts]
        what = "Change of a launch's instructions, and how exact it is"
    known = [v for v in verdicts if v.change_low is not None]
    return Picture(
        title(verdicts, asked),
        [what, _conditions(asked)],
        _body(known, asked.slower_than if asked.witness != "count" else MORE)
        if known
        else Nothing("no cell has a change that is known"),
        [f"{v.cell} ({_missing(v)})" for v in verdicts if v.change_low is None],
        _footer(verdicts, machine),
        table="verdicts.csv",
    )


def _by_count(verdict: Verdict) -> Verdict:
    """The verdict with the change of its count in the place of the time's."""
    if verdict.count_change is None:
        return verdict
    exact = verdict.count_exact or 0.0
    low, high = verdict.count_change - exact, verdict.count_change + exact
    return replace(verdict, change=verdict.count_change, change_low=low, change_high=high)


def _body(known: Sequence[Verdict], margin: float) -> Changes:
    moved = [verdict for verdict in known if verdict.says != "not slower"]
    calm = dict[str, list[Dot]]()
    for verdict in sorted(known, key=lambda verdict: verdict.kernel):
        if verdict.says == "not slower":
            dot = Dot(verdict.cell, verdict.change or 0.0, *_interval(verdict))
            calm.setdefault(verdict.kernel, []).append(dot)
    moved.sort(key=lambda verdict: -(verdict.change or 0.0))
    return Changes([_change(verdict) for verdict in moved], calm, margin)


def _missing(verdict: Verdict) -> str:
    return "too few rounds" if verdict.rounds else verdict.untold or "no time"


def _interval(verdict: Verdict) -> tuple[float, float]:
    return verdict.change_low or 0.0, verdict.change_high or 0.0


def _change(verdict: Verdict) -> Change:
    low, high = _interval(verdict)
    interval = f"({100 * low:+z.1f} to {100 * high:+z.1f})"
    change = verdict.change or 0.0
    counted = ""
    if verdict.by == "count" and verdict.count_change not in (None, verdict.change):
        counted = f", {100 * verdict.size:+z.1f} % instructions"
    accepted = ", accepted" * bool(verdict.accepted)
    by = f"{100 * change:+z.1f} % {interval}"
    if change >= MANY:
        by = f"{units.times(1 + change)} ({units.number(1 + low)} to {units.number(1 + high)})"
    text = f"{by}{counted}{accepted}"
    return Change(verdict.cell, verdict.says, change, low, high, bool(verdict.accepted), text)


def title(verdicts: Sequence[Verdict], asked: Comparison) -> str:
    """What was found, in a line."""
    if asked.problem:
        return plain(f"Can't tell: {asked.problem}")
    red = [verdict for verdict in verdicts if verdict.says == "slower" and not verdict.accepted]
    if red:
        worst = max(red, key=lambda verdict: verdict.size)
        did = "take more instructions" if asked.witness == "count" else "got slower"
        count = f"{len(red)} of {len(verdicts)} cells {did}"
        by = f"by {100 * worst.size:.0f} %" if worst.size < MANY else units.times(1 + worst.size)
        return f"{count}: {words.name_of(worst.cell)} {by}"
    unknown = sum(verdict.says == "can't tell" for verdict in verdicts)
    if unknown:
        return f"{unknown} of {len(verdicts)} cells can't be told"
    if asked.witness == "count":
        return f"No cell of {len(verdicts)} takes {100 * MORE:g} % more instructions"
    return f"No cell of {len(verdicts)} is {100 * asked.slower_than:g} % slower"


def _conditions(asked: Comparison) -> str:
    if not asked.head:
        return ""
    env = ", each on its own lock's packages" if asked.locked else ""
    return plain(f"{asked.head[:12]} against {asked.base[:12]}{env}")


def _footer(verdicts: Sequence[Verdict], machine: Machine) -> str:
    rounds = [verdict.rounds for verdict in verdicts if verdict.rounds]
    parts = [
        machine.cpu.model,
        f"1 thread{', both sides on one core' * bool(rounds)}",
        machine.started[:10],
        words.from_to(rounds, "round a cell", "rounds a cell"),
    ]
    return plain(" · ".join(part for part in parts if part))
