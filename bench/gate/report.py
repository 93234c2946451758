"""What a comparison found, for people: a table, a summary for a pull request, annotations."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from rich import box
from rich.table import Table
from rich.text import Text

from bench.count.change import THRESHOLD
from bench.data.records import Says, Verdict
from bench.gate import decide, witnesses
from bench.gate.compare import Comparison
from bench.terminal import streams, units
from bench.terminal.text import markdown as escaped
from bench.terminal.text import plain


@dataclass(frozen=True, slots=True)
class Asked:
    """What was compared, and what for."""

    base: str  # a commit, or worktree
    head: str
    slower_than: float
    locked: bool = False
    witness: str = "time"  # or count, or both

    def words(self) -> str:
        """The comparison and its conditions in a line."""
        env = "each with its own lock's packages" if self.locked else "both with the same packages"
        core = ", one core" if self.witness != "count" else ""
        return f"{self.head[:12]} against {self.base[:12]}, {env}, one thread{core}"


ORDER: tuple[str, ...] = get_args(Says)
STYLES = {"slower": "bold red", "can't tell": "yellow", "faster": "green", "not slower": ""}

MANY = 9.0
"""From ten times as long on, per cents say less than times."""

MOST_ANNOTATIONS = 10
"""GitHub shows ten annotations of a kind and step; the first here is the total."""


def ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The worst first; among equals those by time first, and the largest change of those."""
    return sorted(verdicts, key=lambda v: (ORDER.index(v.says), v.by == "count", -v.size, v.cell))


def said(verdict: Verdict) -> str:
    """The verdict, what it rests on if not on time alone, and whether it was accepted on purpose:
    "slower by count (accepted)".
    """
    by = {"count": " by count", "both": " by time and count"}.get(verdict.by, "")
    return f"{verdict.says}{by}{' (accepted)' if verdict.accepted else ''}"


def why(verdict: Verdict) -> str:
    """What a verdict rests on, or why there is none: "+5.1% (+4.2 to +6.0)"."""
    parts = [verdict.untold, "" if verdict.by == "count" else change(verdict)]
    if verdict.by in ("count", "both") or verdict.untold == "contradiction":
        parts.append(f"instructions {instructions(verdict)}")
    return ", ".join([*filter(None, parts)]) + (f"; {verdict.remark}" if verdict.remark else "")


def instructions(verdict: Verdict) -> str:
    """Instructions of one launch at the head, and their change as exactly as it is known:
    "1.02 M, +2.0% ±0.1", or "58 M, 58.1x".
    """
    if verdict.head_instructions is None or verdict.count_change is None:
        return ""
    by = f"{100 * verdict.count_change:+z.1f}% ±{100 * (verdict.count_exact or 0.0):.1f}"
    if verdict.count_change >= MANY:
        by = units.times(1 + verdict.count_change)
    return f"{units.si(verdict.head_instructions)}, {by}"


def change(verdict: Verdict) -> str:
    """The change with its interval, or how few rounds there were: "+5.1% (+4.2 to +6.0)"; nothing
    where no time was measured.
    """
    if verdict.change is None:
        return ""
    if verdict.change_low is None or verdict.change_high is None:
        return f"({verdict.rounds} rounds: too few)"
    if verdict.change >= MANY:
        ends = [units.number(1 + end) for end in (verdict.change_low, verdict.change_high)]
        return f"{units.times(1 + verdict.change)} ({' to '.join(ends)})"
    low, high = 100 * verdict.change_low, 100 * verdict.change_high
    # z: what rounds to nothing has no minus
    return f"{100 * verdict.change:+z.1f}% ({low:+z.1f} to {high:+z.1f})"


def visible(verdict: Verdict) -> str:
    """The smallest slowdown that these rounds could have shown."""
    seen = verdict.visible
    if verdict.change is None:
        return ""
    return "none" if seen is None or seen > 10 else f"{100 * seen:.1f}%"


def show(comparison: Comparison, asked: Asked) -> None:
    """The table, what was left out, and the outcome, on stdout."""
    console = streams.console(width=150 if witnesses.counted(comparison.verdicts) else 120)
    console.print(table(comparison.verdicts))
    console.print(plain(asked.words()), markup=False, soft_wrap=True, style="dim")
    for line in (*remarks(comparison), *left_out(comparison), *comparison.notes):
        console.print(plain(line), markup=False, soft_wrap=True)
    said = plain(sentence(comparison, asked.slower_than))
    console.print(said, style="bold", markup=False, soft_wrap=True)


def remarks(comparison: Comparison) -> list[str]:
    """A line for each remark and kernel, with the cells that it is about."""
    alike: dict[tuple[str, str], list[str]] = {}
    for verdict in ordered(comparison.verdicts):
        if verdict.remark:
            name = verdict.cell.removeprefix(f"{verdict.kernel} ")
            alike.setdefault((verdict.remark, verdict.kernel), []).append(name)
    return [f"{kernel} ({_counted(names)}): {remark}" for (remark, kernel), names in alike.items()]


def left_out(comparison: Comparison) -> list[str]:
    """A line for each kernel and reason."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in comparison.left_out:
        key = one.cell.kernel, one.status, one.reason
        alike.setdefault(key, []).append(one.cell.label.removeprefix(f"{one.cell.kernel} "))
    return [
        f"left out: {kernel} ({_counted(names)}): {status}: {reason}"
        for (kernel, status, reason), names in alike.items()
    ]


def _counted(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} cells"


def table(verdicts: Sequence[Verdict]) -> Table:
    """A row a cell."""
    shown = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = _columns(verdicts)
    for heading in ("cell", "verdict", *columns):
        shown.add_column(heading, justify="left" if heading in ("cell", "verdict") else "right")
    for verdict in ordered(verdicts):
        style = "" if verdict.accepted else STYLES[verdict.says]
        numbers = (tell(verdict) for tell in columns.values())
        shown.add_row(Text(verdict.cell), Text(_verdict(verdict), style=style), *numbers)
    return shown


def _columns(verdicts: Sequence[Verdict]) -> dict[str, Callable[[Verdict], str]]:
    """The numbers that there are: of times, of counts, or of both."""
    columns: dict[str, Callable[[Verdict], str]] = {}
    if any(v.rounds for v in verdicts):
        columns |= {"change (95 %)": change, "detectable from": visible}
        columns |= {"rounds": lambda verdict: str(verdict.rounds or "")}
    return columns | ({"instructions": instructions} if witnesses.counted(verdicts) else {})


def _verdict(verdict: Verdict) -> str:
    return said(verdict) + (f": {verdict.untold}" if verdict.untold else "")


def sentence(comparison: Comparison, slower_than: float) -> str:
    """The whole comparison in a line."""
    says = decide.outcome(comparison.verdicts, comparison.problem)
    words = Counter(said(v) for v in ordered(comparison.verdicts))
    tally = ", ".join(f"{n} {word}" for word, n in words.items())
    rest = ", ".join(f"{n} {_after(says, word, n)}" for word, n in words.items())
    match says:
        case "slower":
            return f"slower: {rest}"
        case "can't tell":
            timed = any(v.rounds for v in comparison.verdicts)
            more = " (a longer --budget gives more rounds)" if timed else ""
            return f"can't tell: {comparison.problem or rest + more}"
        case _:
            but = " but accepted ones" if any(v.accepted for v in comparison.verdicts) else ""
            if any(v.change is not None for v in comparison.verdicts):
                return f"no cell is {100 * slower_than:g}% slower{but}: {tally}"
            return f"no cell takes {100 * THRESHOLD:g}% more instructions{but}: {tally}"


def _after(says: str, word: str, n: int) -> str:
    """A verdict in a tally that follows "slower: ": "cells by count" for "slower by count"."""
    if word != says and not word.startswith(f"{says} "):
        return word
    return ("cell" if n == 1 else "cells") + word.removeprefix(says)


def markdown(comparison: Comparison, asked: Asked) -> str:
    """A summary for a pull request: all but the cells that are not slower, which are counted."""
    lines = [
        f"### Gate: {escaped(sentence(comparison, asked.slower_than))}",
        "",
        f"{escaped(asked.words())}.",
        "",
    ]
    listed = [v for v in ordered(comparison.verdicts) if v.says != "not slower"]
    if listed:
        columns = _columns(comparison.verdicts)
        rows = [["cell", "verdict", *columns], ["---"] * (2 + len(columns))]
        rows += [
            [escaped(v.cell), _verdict(v), *(tell(v) for tell in columns.values())] for v in listed
        ]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += [f"- {escaped(v.cell)}: accepted: {escaped(v.accepted)}" for v in listed if v.accepted]
    said_too = (*remarks(comparison), *left_out(comparison), *comparison.notes)
    lines += [f"- {escaped(line)}" for line in said_too]
    return "\n".join(lines) + "\n"


def annotations(comparison: Comparison, asked: Asked) -> list[str]:
    """GitHub's workflow commands: the total, then the worst cells."""
    red = comparison.verdicts if comparison.problem is None else []
    slower = [v for v in ordered(red) if v.says == "slower" and not v.accepted]
    level = {"slower": "error", "can't tell": "warning"}.get(
        decide.outcome(comparison.verdicts, comparison.problem), "notice"
    )
    lines = [f"::{level} title=gate::{_escaped(sentence(comparison, asked.slower_than))}"]
    lines += [f"::error title=slower::{_escaped(f'{v.cell}: {why(v)}')}" for v in slower]
    return lines[:MOST_ANNOTATIONS]


def no_verdict(why: str, asked: Asked) -> tuple[str, list[str]]:
    """A summary for a pull request and an annotation, where nothing was judged."""
    sides = f"{asked.head[:40]} against {asked.base[:40]}"
    summary = f"### Gate: no verdict: {escaped(why)}\n\n{escaped(sides)}.\n"
    return summary, [f"::error title=gate::{_escaped(f'no verdict: {why}')}"]


def _escaped(text: str) -> str:
    """As workflow commands want it (GitHub, "Workflow commands", escaping of data)."""
    return "%0A".join(map(plain, text.replace("%", "%25").splitlines()))
