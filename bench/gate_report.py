"""What a comparison found, for people: a table, a summary for a pull request, annotations."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from bench import gate, streams
from bench.compare import Found
from bench.sides import Side
from bench.text import plain

ORDER: tuple[gate.Says, ...] = ("slower", "can't tell", "faster", "not slower")
STYLES = {"slower": "bold red", "can't tell": "yellow", "faster": "green", "not slower": ""}

MOST_ANNOTATIONS = 10
"""GitHub shows ten annotations of a kind and step; the first here is the total."""

CODES = {"slower": 1, "can't tell": 3, "not slower": 0, "faster": 0}


def ordered(verdicts: Sequence[gate.Verdict]) -> list[gate.Verdict]:
    """The worst first, and the largest change first among equals."""
    return sorted(verdicts, key=lambda v: (ORDER.index(v.says), -v.change, v.cell))


def change(verdict: gate.Verdict) -> str:
    """The change with its interval, or how few rounds there were: "+5.1% (+4.2 to +6.0)"."""
    if verdict.rounds < 6:
        return f"({verdict.rounds} rounds: too few)"
    low, high = 100 * verdict.low, 100 * verdict.high
    return f"{100 * verdict.change:+.1f}% ({low:+.1f} to {high:+.1f})"


def visible(verdict: gate.Verdict) -> str:
    """The smallest slowdown that these rounds could have shown."""
    return f"{100 * verdict.visible:.1f}%" if verdict.visible < 10 else "none"


def show(found: Found, slower_than: float) -> None:
    """The table, what was left out, and the outcome, on stdout."""
    console = streams.console(width=120)
    console.print(table(found.verdicts))
    for why in left_out(found):
        console.print(plain(why), markup=False, soft_wrap=True)
    said = plain(sentence(found, slower_than))
    console.print(said, style="bold", markup=False, soft_wrap=True)


def left_out(found: Found) -> list[str]:
    """A line for each kernel and reason."""
    alike = Counter((one.cell.kernel, one.status, one.reason) for one in found.left_out)
    return [
        f"left out: {kernel} ({'1 cell' if n == 1 else f'{n} cells'}): {status}: {reason}"
        for (kernel, status, reason), n in alike.items()
    ]


def table(verdicts: Sequence[gate.Verdict]) -> Table:
    """A row a cell."""
    shown = Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("cell", "verdict", "change", "could have seen", "rounds"):
        shown.add_column(heading, justify="left" if heading in ("cell", "verdict") else "right")
    for verdict in ordered(verdicts):
        shown.add_row(
            Text(verdict.cell),
            Text(verdict.says, style=STYLES[verdict.says]),
            change(verdict),
            visible(verdict),
            str(verdict.rounds),
        )
    return shown


def sentence(found: Found, slower_than: float) -> str:
    """The whole comparison in a line."""
    says = gate.outcome(found.verdicts, found.problem)
    count = {word: sum(v.says == word for v in found.verdicts) for word in ORDER}
    tally = ", ".join(f"{n} {word}" for word, n in count.items() if n)
    match says:
        case "slower":
            return f"slower: {tally}"
        case "can't tell":
            return f"can't tell: {found.problem or tally} (--budget for more rounds)"
        case _:
            return f"no cell is {100 * slower_than:g}% slower: {tally}"


def markdown(found: Found, base: Side, head: Side, slower_than: float) -> str:
    """A summary for a pull request: all but the cells that are not slower, which are counted."""
    lines = [
        f"### Gate: {_plain(sentence(found, slower_than))}",
        "",
        f"`{head.commit[:12]}` against `{base.commit[:12]}`, one thread, both on one core.",
        "",
    ]
    listed = [v for v in ordered(found.verdicts) if v.says != "not slower"]
    if listed:
        lines += [
            "| cell | verdict | change (95 %) | could have seen | rounds |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {_plain(v.cell)} | {v.says} | {change(v)} | {visible(v)} | {v.rounds} |"
            for v in listed
        ]
    lines += [f"- {_plain(why)}" for why in left_out(found)]
    return "\n".join(lines) + "\n"


def annotations(found: Found, slower_than: float) -> list[str]:
    """GitHub's workflow commands: the total, then the worst cells."""
    slower = [v for v in ordered(found.verdicts) if v.says == "slower"]
    level = {"slower": "error", "can't tell": "warning"}.get(
        gate.outcome(found.verdicts, found.problem), "notice"
    )
    lines = [f"::{level} title=gate::{_escaped(sentence(found, slower_than))}"]
    lines += [f"::error title=slower::{_escaped(f'{v.cell}: {change(v)}')}" for v in slower]
    return lines[:MOST_ANNOTATIONS]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for mark in "\\`*_[]<>|~":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """As workflow commands want it (GitHub, "Workflow commands", escaping of data)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
