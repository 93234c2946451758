"""What a comparison found, for people: a table, a summary for a pull request, annotations."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from rich import box
from rich.table import Table
from rich.text import Text

from bench.data.records import Says, Verdict
from bench.gate import decide
from bench.gate.compare import Comparison
from bench.terminal import streams
from bench.terminal.text import markdown as escaped
from bench.terminal.text import plain


@dataclass(frozen=True, slots=True)
class Asked:
    """What was compared, and what for."""

    base: str  # a commit, or worktree
    head: str
    slower_than: float
    locked: bool = False

    def words(self) -> str:
        """The comparison and its conditions in a line."""
        env = "each with its own lock's packages" if self.locked else "both with the same packages"
        return f"{self.head[:12]} against {self.base[:12]}, {env}, one thread, one core"


ORDER: tuple[str, ...] = get_args(Says)
STYLES = {"slower": "bold red", "can't tell": "yellow", "faster": "green", "not slower": ""}

MOST_ANNOTATIONS = 10
"""GitHub shows ten annotations of a kind and step; the first here is the total."""


def ordered(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The worst first, and the largest change first among equals."""
    return sorted(verdicts, key=lambda v: (ORDER.index(v.says), -v.change, v.cell))


def said(verdict: Verdict) -> str:
    """The verdict, and whether it was accepted on purpose."""
    return f"{verdict.says} (accepted)" if verdict.accepted else verdict.says


def change(verdict: Verdict) -> str:
    """The change with its interval, or how few rounds there were: "+5.1% (+4.2 to +6.0)"."""
    if verdict.change_low is None or verdict.change_high is None:
        return f"({verdict.rounds} rounds: too few)"
    low, high = 100 * verdict.change_low, 100 * verdict.change_high
    # z: what rounds to nothing has no minus
    return f"{100 * verdict.change:+z.1f}% ({low:+z.1f} to {high:+z.1f})"


def visible(verdict: Verdict) -> str:
    """The smallest slowdown that these rounds could have shown."""
    seen = verdict.visible
    return "none" if seen is None or seen > 10 else f"{100 * seen:.1f}%"


def show(comparison: Comparison, asked: Asked) -> None:
    """The table, what was left out, and the outcome, on stdout."""
    console = streams.console(width=120)
    console.print(table(comparison.verdicts))
    console.print(plain(asked.words()), markup=False, soft_wrap=True, style="dim")
    for why in (*left_out(comparison), *comparison.notes):
        console.print(plain(why), markup=False, soft_wrap=True)
    said = plain(sentence(comparison, asked.slower_than))
    console.print(said, style="bold", markup=False, soft_wrap=True)


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
    for heading in ("cell", "verdict", "change", "detectable from", "rounds"):
        shown.add_column(heading, justify="left" if heading in ("cell", "verdict") else "right")
    for verdict in ordered(verdicts):
        shown.add_row(
            Text(verdict.cell),
            Text(said(verdict), style="" if verdict.accepted else STYLES[verdict.says]),
            change(verdict),
            visible(verdict),
            str(verdict.rounds),
        )
    return shown


def sentence(comparison: Comparison, slower_than: float) -> str:
    """The whole comparison in a line."""
    says = decide.outcome(comparison.verdicts, comparison.problem)
    words = Counter(said(v) for v in ordered(comparison.verdicts))
    tally = ", ".join(f"{n} {word}" for word, n in words.items())
    match says:
        case "slower":
            return f"slower: {tally}"
        case "can't tell":
            why = comparison.problem or f"{tally} (a longer --budget gives more rounds)"
            return f"can't tell: {why}"
        case _:
            but = " but accepted ones" if any(v.accepted for v in comparison.verdicts) else ""
            return f"no cell is {100 * slower_than:g}% slower{but}: {tally}"


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
        lines += [
            "| cell | verdict | change (95 %) | detectable from | rounds |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {escaped(v.cell)} | {said(v)} | {change(v)} | {visible(v)} | {v.rounds} |"
            for v in listed
        ]
    lines += [f"- {escaped(v.cell)}: accepted: {escaped(v.accepted)}" for v in listed if v.accepted]
    lines += [f"- {escaped(why)}" for why in (*left_out(comparison), *comparison.notes)]
    return "\n".join(lines) + "\n"


def annotations(comparison: Comparison, asked: Asked) -> list[str]:
    """GitHub's workflow commands: the total, then the worst cells."""
    red = comparison.verdicts if comparison.problem is None else []
    slower = [v for v in ordered(red) if v.says == "slower" and not v.accepted]
    level = {"slower": "error", "can't tell": "warning"}.get(
        decide.outcome(comparison.verdicts, comparison.problem), "notice"
    )
    lines = [f"::{level} title=gate::{_escaped(sentence(comparison, asked.slower_than))}"]
    lines += [f"::error title=slower::{_escaped(f'{v.cell}: {change(v)}')}" for v in slower]
    return lines[:MOST_ANNOTATIONS]


def _escaped(text: str) -> str:
    """As workflow commands want it (GitHub, "Workflow commands", escaping of data)."""
    return "%0A".join(map(plain, text.replace("%", "%25").splitlines()))
