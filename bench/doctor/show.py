"""Findings as one screen, or as JSON for machines.

The JSON is one object: `version` (1; a field that changes its meaning changes this), `ok` (true
where the exit code is 0), `findings` (each with `subject`, `level`: ok, advice or problem, `words`,
`remedy`), `kernels` (each with `kernel`, `device_index`, `device`, `status`, `reason`, as in
visits.csv), `driver` (as `gpus` in machine.json) and `cupy` (distribution -> version). More fields
may come; words may change.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.doctor.diagnose import Finding, can_run
from bench.terminal import needs
from bench.terminal.text import plain

if TYPE_CHECKING:
    from rich.table import Table

VERSION = 1

COLOURS = {"ok": "green", "advice": "yellow", "problem": "bold red"}


def packages() -> list[Finding]:
    """A finding for each package that is not there; NVML's is found beside the driver."""
    return [
        Finding(
            needs.KNOWN[name][0],
            "problem" if name in needs.NEEDED else "advice",
            needs.words(name),
            needs.remedy([name]),
        )
        for name in needs.lacking(name for name in needs.KNOWN if name != "pynvml")
    ]


def as_json(findings: Sequence[Finding], record: dict[str, Any]) -> str:
    said = {
        "version": VERSION,
        "ok": can_run(list(findings)),
        "findings": [asdict(finding) for finding in findings],
        **record,
    }
    return json.dumps(said, indent=1)


def as_table(findings: Sequence[Finding]) -> "Table":
    """A line a finding, and one for what to do about it."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        shown.add_column(overflow="fold")
    for finding in findings:
        level = Text(finding.level, COLOURS[finding.level])
        shown.add_row(Text(plain(finding.subject)), level, Text(plain(finding.words)))
        if finding.remedy:
            shown.add_row("", "", Text(f"-> {plain(finding.remedy)}", "dim"))
    return shown


def conclusion(findings: Sequence[Finding]) -> str:
    problems = sum(finding.level == "problem" for finding in findings)
    advice = sum(finding.level == "advice" for finding in findings)
    if problems:
        return f"{_count(problems, 'problem')}: not everything that was asked for can run"
    more = f"; {_count(advice, 'thing')} could be better" if advice else ""
    return f"everything that was asked for can run{more}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
