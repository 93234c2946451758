"""What time and count say of a cell -> one verdict: a table, and nothing else.

A time is what a user feels; it is blurred by all that else happens on the machine. A count of
instructions is exact, and knows nothing of caches, of memory and of what an instruction costs. So a
surely longer time is believed whatever the count says, but for one that says the opposite; and a
count is believed where the time can't tell, and where the time asks about more than the count saw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

from bench.count.change import Change, Level
from bench.data.records import Says, Untold, Verdict, Witness

ELSEWHERE = "with as many instructions: it is caches, memory, or what an instruction costs"
OPPOSITE = "time and count contradict each other: slower by time, with fewer instructions"
MIRRORED = "time and count contradict each other: faster by time, with more instructions"
LEANING = "as many instructions, but its time leans to slower, as caches or memory make it"
CHEAP = "more instructions, which took no time that can be seen"
HOPEFUL = "fewer instructions, but its time can't be told"


class Rule(NamedTuple):
    """What a pair of witnesses comes to."""

    says: Says
    by: Witness = ""
    remark: str = ""
    untold: Untold | None = None  # None: the time's own reason, where it can't be told


Time = Literal["slower", "longer", "can't tell", "faster", "not slower"]
"""What the time alone says; `longer`: it can't be told, and all of its interval is above nothing. A
count may not clear that: it can't see the caches."""

TIMES: tuple[Time | None, ...] = (*get_args(Time), None)
COUNTS: tuple[Level | None, ...] = (*get_args(Level), None)

AGAINST = Rule("can't tell", "", OPPOSITE, "contradiction")
AGAINST_TOO = Rule("can't tell", "", MIRRORED, "contradiction")

RULES: Mapping[tuple[Time | None, Level | None], Rule] = {
    ("slower", "more"): Rule("slower", "both"),
    ("slower", "changed"): Rule("slower", "time"),
    ("slower", "equal"): Rule("slower", "time", ELSEWHERE),
    ("slower", "fewer"): AGAINST,
    ("slower", None): Rule("slower", "time"),
    ("longer", "more"): Rule("slower", "count"),
    ("longer", "changed"): Rule("can't tell"),
    ("longer", "equal"): Rule("can't tell", "", LEANING),
    ("longer", "fewer"): Rule("can't tell", "", HOPEFUL),
    ("longer", None): Rule("can't tell"),
    ("can't tell", "more"): Rule("slower", "count"),
    ("can't tell", "changed"): Rule("can't tell"),
    ("can't tell", "equal"): Rule("not slower", "count"),
    ("can't tell", "fewer"): Rule("can't tell", "", HOPEFUL),
    ("can't tell", None): Rule("can't tell"),
    ("faster", "more"): AGAINST_TOO,
    ("faster", "changed"): Rule("faster", "time"),
    ("faster", "equal"): Rule("faster", "time", ELSEWHERE),
    ("faster", "fewer"): Rule("faster", "both"),
    ("faster", None): Rule("faster", "time"),
    ("not slower", "more"): Rule("slower", "count", CHEAP),
    ("not slower", "changed"): Rule("not slower", "time"),
    ("not slower", "equal"): Rule("not slower", "both"),
    ("not slower", "fewer"): Rule("not slower", "time"),
    ("not slower", None): Rule("not slower", "time"),
    (None, "more"): Rule("slower", "count"),
    (None, "changed"): Rule("not slower", "count"),
    (None, "equal"): Rule("not slower", "count"),
    (None, "fewer"): Rule("faster", "count"),
    (None, None): Rule("can't tell", "", "", "no count"),
}
"""By what the time says (None: it was not asked) and what the count says (None: there is none)."""

NO_COUNT = "no count"
NAMES = {"more": "more", "changed": "a little changed", "equal": "equal", "fewer": "fewer"}
NAMES_OF_TIMES = {"longer": "can't tell, but surely longer", None: "(not measured)"}

OF_THE_ROUNDS = ("few rounds", "near the limit", "unsteady", "many cells", "no time")
"""Reasons that leave what the rounds say of a cell as it is: fixed work that moved doesn't."""


def together(verdict: Verdict, change: Change | None, why_not: str = "") -> Verdict:
    """The verdict of a cell by its time, or of one without (`time_says` empty), with its count.

    `why_not`: why it has no count, if so.
    """
    level = change.level() if change is not None else None
    if change is not None and level is None:
        why_not = f"its count is unsteady (within {100 * math.expm1(change.exact):.1f}%)"
        if not change.steady:
            why_not = (
                "its kernel's counts differ from process to process, or there was no time to see"
            )
        elif change.doubtful:
            why_not = "the sides' counts differ, and there was no time to count again"
    rule = RULES[_time(verdict), level]
    remarks = [rule.remark, f"not counted: {why_not}" if level is None and why_not else ""]
    untold = "" if rule.says != "can't tell" else rule.untold or verdict.untold
    if change is not None:
        verdict = replace(
            verdict,
            base_instructions=change.base,
            head_instructions=change.head,
            count_change=math.expm1(change.log_ratio),
            count_exact=math.expm1(change.exact),
        )
    return replace(
        verdict,
        says=rule.says,
        by=rule.by,
        count_says=level or "",
        untold=untold,
        remark="; ".join(filter(None, remarks)),
    )


def _time(verdict: Verdict) -> Time | None:
    """What the time says, as the rules' table has it."""
    surely_longer = (verdict.change_low or 0.0) > 0 and verdict.untold in OF_THE_ROUNDS
    if verdict.time_says == "can't tell" and surely_longer:
        return "longer"
    return next((says for says in TIMES if says == verdict.time_says), None)


def unmeasured(cell: str, kernel: str) -> Verdict:
    """A cell whose time was not asked for."""
    return Verdict(cell, kernel, "can't tell", None, None, None, None, 0)


def table() -> str:
    """The rules in Markdown: a row for what the time says, a column for what the count says."""
    heads = [NAMES[level] if level else NO_COUNT for level in COUNTS]
    lines = [f"| time | {' | '.join(heads)} |", "| --- |" + " --- |" * len(COUNTS)]
    for says in TIMES:
        cells = [_named(RULES[says, level]) for level in COUNTS]
        lines.append(f"| {NAMES_OF_TIMES.get(says, says)} | {' | '.join(cells)} |")
    remarks = dict.fromkeys(rule.remark for rule in RULES.values() if rule.remark)
    notes = [f"{number}. {remark}" for number, remark in enumerate(remarks, start=1)]
    return "\n".join([*lines, "", *notes]) + "\n"


def _named(rule: Rule) -> str:
    by = {"both": "time and count", "": ""}.get(rule.by, rule.by)
    remarks = list(dict.fromkeys(other.remark for other in RULES.values() if other.remark))
    mark = f" ({remarks.index(rule.remark) + 1})" if rule.remark else ""
    return f"{rule.says}{f', by {by}' if by else ''}{mark}"


def counted(verdicts: Sequence[Verdict]) -> bool:
    """Whether any cell has a count to judge by."""
    return any(verdict.count_says for verdict in verdicts)
