"""The rules of time and count: every pair of them has an outcome, and records reach each."""

import datetime as dt
import itertools
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bench.count import change, counting, events
from bench.count.change import Change, Level
from bench.count.counting import Counts
from bench.count.sources import Nothing, Source
from bench.data.machine import Comparison as MachineComparison
from bench.data.machine import Machine
from bench.data.records import UNTOLD, Verdict
from bench.gate import accepted, compare, counts, decide, junit, report, witnesses
from bench.gate.checkouts import Side
from bench.gate.report import Asked
from bench.gate.witnesses import COUNTS, RULES, TIMES, Time
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.show.pictures.gate import picture
from bench.show.pictures.parts.picture import Changes

NAME = "numpy_dot 16x16 batch 1"
CELL = Cell("numpy_dot", Case(16, 16, 1, "float32", "relu"))
SPREAD = decide.Spread()
TODAY = dt.date(2026, 1, 1)
VALGRIND = Source("callgrind", "Valgrind 3.19.0")
ASKED = Asked("b" * 40, "h" * 40, 0.05, witness="both")


def by_time(says: Time | None) -> Verdict:
    """A cell's verdict as its rounds would give it."""
    rounds: dict[Time, list[float]] = {
        "slower": [0.2, 0.21] * 20,
        "longer": [0.001, 0.05] * 6,
        "can't tell": [-0.2, 0.2] * 20,
        "faster": [-0.2, -0.21] * 20,
        "not slower": [0.001, -0.001] * 20,
    }
    if says is None:
        return witnesses.unmeasured(NAME, "numpy_dot")
    (verdict,) = decide.verdicts(
        {NAME: rounds[says][:6]}, {NAME: rounds[says]}, {NAME: "numpy_dot"}, SPREAD, 0.05
    )
    return verdict


def by_count(level: Level | None) -> Change | None:
    heads: dict[Level, float] = {"more": 1030, "changed": 1005, "equal": 1000, "fewer": 970}
    return None if level is None else Change(1000, heads[level], 0.001, 2)


@pytest.mark.parametrize(("time", "count"), list(itertools.product(TIMES, COUNTS)))
def test_every_pair_of_witnesses_has_one_outcome_and_is_reached(
    time: Time | None, count: Level | None
) -> None:
    verdict = witnesses.together(by_time(time), by_count(count), "no Valgrind")
    rule = RULES[time, count]
    assert (verdict.says, verdict.by) == (rule.says, rule.by)
    assert verdict.count_says == (count or "")
    assert (verdict.untold in UNTOLD) == (verdict.says == "can't tell")
    assert rule.remark in verdict.remark
    assert ("not counted: no Valgrind" in verdict.remark) == (count is None)


def test_the_table_has_no_pair_too_many() -> None:
    assert set(RULES) == set(itertools.product(TIMES, COUNTS))


def test_what_agrees_is_never_red_and_what_one_surely_sees_is_never_green() -> None:
    for (time, count), rule in RULES.items():
        if time != "slower" and count != "more":
            assert rule.says != "slower"
        if "slower" in (time, "slower" if count == "more" else None):
            assert rule.says in ("slower", "can't tell")


def test_a_count_that_is_unsteady_says_nothing_and_that_is_said() -> None:
    verdict = witnesses.together(by_time("can't tell"), Change(1000, 1020, 0.05, 3))
    assert (verdict.says, verdict.count_says) == ("can't tell", "")
    assert verdict.remark == "not counted: its count is unsteady (within 5.1%)"
    again = witnesses.together(by_time("can't tell"), Change(1000, 1020, 0.001, 1))
    assert "no time to count again" in again.remark


def test_fixed_work_that_moved_is_no_reason_to_doubt_an_equal_count() -> None:
    leaning = by_time("longer")
    moved = decide.untold(leaning, "fixed work moved")
    assert witnesses.together(leaning, by_count("equal")).says == "can't tell"
    assert witnesses.together(moved, by_count("equal")).says == "not slower"


def counted(folder: Path, base: float, head: float, **more: Any) -> compare.Comparison:
    """A comparison of one cell that can't be told by time, with counts of the two sides."""
    comparison = compare.Comparison(
        [], [by_time("can't tell")], "too noisy", [], cells=[CELL], devices={CELL: "cpu"}
    )
    return judged(comparison, {"base": [base], "head": [head]}, **more)


def judged(
    comparison: compare.Comparison,
    instructions: dict[str, list[float]],
    source: Source | Nothing = VALGRIND,
    **facts: dict[str, str],
) -> compare.Comparison:
    """By counts of one process after the other on each side; the last is that of all more."""
    asked: list[int] = []

    def count(cells: Any, places: Any, *_: Any, repeats: int, **__: Any) -> list[Counts]:
        begin = sum(asked)
        asked.append(repeats)
        return [
            Counts(
                {cell: processes(place.name, begin, repeats) for cell in cells},
                {},
                {cell.kernel: facts.get(place.name, {}) for cell in cells},
            )
            for place in places
        ]

    def processes(side: str, begin: int, repeats: int) -> list[events.Counted]:
        known = instructions[side]
        numbers = [known[min(i, len(known) - 1)] for i in range(begin, begin + repeats)]
        return [events.Counted(0, "h", 1, (events.Events(number),)) for number in numbers]

    sides = [Side(name, Path(name), name) for name in ("base", "head")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "count", count)
        return counts.judged(comparison, sides, source)


@pytest.mark.parametrize(
    ("head", "says"), [(1000.0, "not slower"), (1020.0, "slower"), (980.0, "can't tell")]
)
def test_where_times_are_too_noisy_counts_judge(head: float, says: str, tmp_path: Path) -> None:
    found = counted(tmp_path, 1000.0, head)
    (verdict,) = found.verdicts
    assert verdict.says == says
    assert found.problem is None
    assert "by time nothing can be told: too noisy" in found.notes
    assert {row.side for row in found.counts} == {"base", "head"}
    assert {row.instructions for row in found.counts} == {1000.0, head}


@pytest.mark.parametrize(("head", "says"), [(1020.0, "slower"), (1000.0, "not slower")])
def test_counts_of_one_side_that_are_far_apart_are_counted_until_two_agree(
    head: float, says: str
) -> None:
    cell = compare.Comparison([], [by_time("can't tell")], None, [], cells=[CELL])
    found = judged(cell, {"base": [1015.0, 1000.0, 1000.0], "head": [head]})
    (verdict,) = found.verdicts
    assert (verdict.says, verdict.by) == (says, "count")
    assert verdict.count_exact == pytest.approx(change.LEAST_EXACT, rel=0.01)


COINS = [
    Cell("numpy_dot", Case(width, width, batch, "float32", "relu"))
    for width in (16, 64, 128, 256, 512, 1000)
    for batch in (1, 16, 128)
]


def red_by_chance(cells: list[Cell], share: float, gates: int) -> int:
    """Of so many gates on identical code, those with a cell that counts call slower or faster: each
    process takes 6 % more instructions for this share of its cells.
    """
    generator = random.Random(0)

    def count(cells: list[Cell], repeats: int) -> list[Counts]:
        return [
            Counts(
                {
                    cell: [
                        events.Counted(0, "h", 1, (events.Events(1000.0 + 60 * coin),))
                        for coin in [generator.random() < share for _ in range(repeats)]
                    ]
                    for cell in cells
                },
                {},
                {},
            )
            for _ in ("base", "head")
        ]

    def red() -> bool:
        counted = counts._counted(cells, count)  # type: ignore[arg-type]
        changes, _ = counts._told(cells, *counted)
        return any(change.changed for change in changes.values())

    return sum(red() for _ in range(gates))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("cells", [1, 2, 6, 18])
def test_a_kernel_that_chooses_its_way_by_a_coin_is_not_slower_by_count(
    cells: int, share: float
) -> None:
    assert red_by_chance(COINS[:cells], share, 300) <= 6


def test_what_was_counted_is_told_in_every_form(tmp_path: Path) -> None:
    found = counted(tmp_path, 1000.0, 1020.0)
    assert report.sentence(found, 0.05) == "slower: 1 cell by count"
    assert "| slower by count |" in report.markdown(found, ASKED)
    assert "1.02 k, +2.0% ±0.1 |" in report.markdown(found, ASKED)
    assert report.annotations(found, ASKED)[1] == (
        f"::error title=slower::{NAME}: instructions 1.02 k, +2.0%25 ±0.1"
    )
    assert "slower by count: instructions 1.02 k, +2.0% ±0.1" in junit.xml(found, ASKED)
    entry = accepted.Entry(cell=NAME, reason="on purpose", until=dt.date.max, up_to="3%")
    (verdict,) = accepted.apply(found.verdicts, [entry], TODAY).verdicts
    assert verdict.accepted == "on purpose"
    strict = structs.replace(entry, up_to="1%")
    (verdict,) = accepted.apply(found.verdicts, [strict], TODAY).verdicts
    assert verdict.accepted == ""


def test_a_contradiction_is_said_in_words() -> None:
    verdict = witnesses.together(by_time("slower"), by_count("fewer"))
    found = compare.Comparison([], [verdict], None, [])
    assert verdict.untold == "contradiction"
    summary = report.markdown(found, ASKED)
    assert "can't tell: contradiction" in summary
    assert "time and count contradict each other: slower by time, with fewer" in summary
    assert "contradict each other" in junit.xml(found, ASKED)


@pytest.mark.parametrize("what", ["Python", "NumPy", "BLAS"])
def test_a_count_by_another_library_or_cpu_is_never_compared(what: str, tmp_path: Path) -> None:
    found = judged(
        compare.Comparison([], [by_time("can't tell")], None, [], cells=[CELL]),
        {"base": [1000.0], "head": [1500.0]},
        base={what: "1"},
        head={what: "2"},
    )
    (verdict,) = found.verdicts
    assert (verdict.says, verdict.count_says) == ("can't tell", "")
    assert f"counts are not compared: {what} is 2 on the head's side and was 1" in verdict.remark
    assert "no instructions were counted" in found.notes
    assert len(found.counts) == 2  # they are kept all the same


def test_only_the_kernel_whose_processes_differ_is_not_compared() -> None:
    before = Counts({}, {}, {"numpy_dot": {"BLAS": "1"}, "numpy_matmul": {"BLAS": "1"}})
    after = replace(before, facts=before.facts | {"numpy_matmul": {"BLAS": "2"}})
    said = "BLAS is 2 on the head's side and was 1"
    assert counts.differing(before, after) == {"numpy_matmul": said}


def test_without_anything_that_counts_time_goes_on_alone_and_it_is_said_once() -> None:
    before = compare.Comparison([], [by_time("slower")] * 3, None, [], cells=[CELL])
    found = judged(before, {}, Nothing("Valgrind is not installed", "install it"))
    assert found.notes == ("nothing was counted: Valgrind is not installed: install it",)
    assert [verdict.says for verdict in found.verdicts] == ["slower"] * 3
    assert found.counts == ()


def test_a_kernel_on_a_device_of_its_own_is_not_counted() -> None:
    before = compare.Comparison(
        [], [by_time("slower")], None, [], cells=[CELL], devices={CELL: "cuda:0 a card"}
    )
    found = judged(before, {})
    (verdict,) = found.verdicts
    assert verdict.remark == "not counted: it computes on cuda:0 a card"
    assert report.remarks(found) == [
        "numpy_dot (16x16 batch 1): not counted: it computes on cuda:0 a card"
    ]


def test_a_verdict_by_count_alone_has_no_time() -> None:
    verdict = witnesses.together(by_time(None), by_count("more"))
    assert (verdict.says, verdict.by, verdict.change) == ("slower", "count", None)
    assert verdict.size == pytest.approx(0.03)
    found = compare.Comparison([], [verdict], None, [])
    assert report.change(verdict) == report.visible(verdict) == ""
    calm = replace(found, verdicts=[witnesses.together(by_time(None), by_count("equal"))])
    said = report.sentence(calm, 0.05)
    assert said == "no cell takes 1% more instructions: 1 not slower by count"
    none = replace(found, verdicts=[witnesses.together(by_time(None), None, "why")])
    assert report.sentence(none, 0.05) == "can't tell: 1 cell"
    assert none.verdicts[0].untold == "no count"


@pytest.mark.parametrize(
    ("rounds", "cells", "why"),
    [
        ([0.0] * 5, 1, "few rounds"),
        ([-0.2, 0.2] * 3, 1, "few rounds"),
        ([-0.2, 0.2] * 4, 1, "unsteady"),
        ([-0.2, 0.2] * 20, 1, "unsteady"),
        ([0.03, 0.06] * 20, 1, "near the limit"),
        ([0.0, 0.001] * 3, 9, "many cells"),
    ],
)
def test_each_word_for_what_cannot_be_told_is_reached_by_rounds(
    rounds: list[float], cells: int, why: str
) -> None:
    screen = {"this": rounds} | {f"slow {i}": [0.3] * 6 for i in range(cells - 1)}
    first, *_ = decide.verdicts(screen, {}, dict.fromkeys(screen, "k"), SPREAD, 0.05)
    assert (first.says, first.untold) == ("can't tell", why)
    alone, *_ = decide.verdicts({"this": rounds}, {}, {"this": "k"}, SPREAD, 0.05)
    assert (alone.says == "not slower") == (why == "many cells")


def test_the_word_for_few_rounds_goes_by_how_many_cells_share_the_error() -> None:
    """With nine cells eight rounds, however far apart, are no sign of a slowdown."""
    confirm = {f"cell {i}": [0.2 + n / 1e4 for n in range(10)] for i in range(9)}
    for count, why in ((8, "few rounds"), (11, "unsteady")):
        confirm["this"] = [(-1) ** n * 0.2 for n in range(count)]
        verdicts = decide.verdicts(confirm, confirm, dict.fromkeys(confirm, "k"), SPREAD, 0.05)
        assert verdicts[-1].untold == why


def test_few_rounds_that_all_lean_to_slower_are_not_cleared_by_an_equal_count() -> None:
    (verdict,) = decide.verdicts({NAME: [0.001, 0.09] * 3}, {}, {NAME: "k"}, SPREAD, 0.05)
    assert verdict.untold == "few rounds"
    assert witnesses.together(verdict, by_count("equal")).remark == witnesses.LEANING


def test_a_change_within_one_percent_is_not_asked_to_be_exact() -> None:
    assert math.log1p(change.THRESHOLD) > change.LEAST_EXACT * change.FACTOR


def test_the_chart_of_counts_alone_shows_their_changes() -> None:
    machine = Machine(comparison=MachineComparison(head="h", base="b", witness="count"))
    more = witnesses.together(by_time(None), by_count("more"))
    same = replace(witnesses.together(by_time(None), by_count("equal")), cell="another")
    none = replace(witnesses.together(by_time(None), None), cell="third")
    shown = picture([more, same, none], machine)
    assert shown.title == "1 of 3 cells take more instructions: numpy_dot 16x16 batch 1 by 3 %"
    assert isinstance(shown.body, Changes)
    (change,) = shown.body.moved
    assert change.value == pytest.approx(0.03)
    assert change.words == "+3.0 % (+2.9 to +3.1)"
    assert shown.missing == ["third (no count)"]
    both = MachineComparison(head="h", base="b", witness="both")
    untimed = structs.replace(machine, comparison=both)
    assert picture([more, same, none], untimed).title == shown.title
    calm = picture([same], machine)
    assert calm.title == "No cell of 1 takes 1 % more instructions"
    assert "both sides on one core" not in calm.footer


def test_a_change_of_many_times_is_said_in_times() -> None:
    rounds = {NAME: [math.log(58), math.log(60)] * 20}
    (slow,) = decide.verdicts({NAME: [4.0] * 6}, rounds, {NAME: "k"}, SPREAD, 0.05)
    assert report.change(slow) == "59.0x (58.0 to 60.0)"
    more = witnesses.together(by_time(None), Change(1000, 58_000, 0.001, 2))
    assert report.instructions(more) == "58.0 k, 58.0x"
    machine = Machine(comparison=MachineComparison(head="h", base="b", witness="count"))
    shown = picture([more], machine)
    assert shown.title.endswith(": numpy_dot 16x16 batch 1 58.0x")
    assert isinstance(shown.body, Changes)
    assert shown.body.moved[0].words == "58.0x (58.0 to 58.0)"
    assert shown.table == "verdicts.csv"


def test_counts_alone_have_no_columns_of_time_and_stand_below_times() -> None:
    more = witnesses.together(by_time(None), by_count("more"))
    found = compare.Comparison([], [more], None, [])
    assert [column.header for column in report.table([more]).columns] == [
        *("cell", "verdict", "instructions")
    ]
    assert "\n| cell | verdict | instructions |\n| --- | --- | --- |\n" in (
        report.markdown(found, ASKED)
    )
    timed = replace(by_time("slower"), change=0.001)
    assert report.ordered([more, timed]) == [timed, more]
    both = replace(found, verdicts=[more, more, timed, by_time("not slower")])
    assert report.sentence(both, 0.05) == "slower: 1 cell, 2 cells by count, 1 not slower"


def test_the_chart_of_both_names_what_only_the_count_saw() -> None:
    machine = Machine(comparison=MachineComparison(head="h", base="b", witness="both"))
    shown = picture([witnesses.together(by_time("not slower"), by_count("more"))], machine)
    assert isinstance(shown.body, Changes)
    assert shown.body.moved[0].words.endswith("), +3.0 % instructions")
