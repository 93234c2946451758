"""Slowdowns accepted on purpose: what an entry takes the red from, and what is said of the rest."""

import datetime as dt
from pathlib import Path

import pytest

from bench.data.records import Says, Verdict
from bench.gate import accepted, decide
from bench.gate.accepted import Entry
from bench.terminal.errors import BadInput

TODAY = dt.date(2027, 1, 31)
GOOD = 'cell = "numpy_dot *"\nreason = "exact now"\nuntil = 2027-01-31\n'


def verdict(cell: str = "numpy_dot 16x16 batch 1", says: Says = "slower") -> Verdict:
    return Verdict(cell, cell.split(maxsplit=1)[0], says, 0.08, 0.07, 0.09, 0.04, 30)


def entry(cell: str = "numpy_dot *", days: int = 0, up_to: str = "") -> Entry:
    return Entry(cell=cell, reason="exact now", until=TODAY + dt.timedelta(days), up_to=up_to)


def file(folder: Path, text: str) -> Path:
    path = folder / "accepted.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_entry_takes_the_red_away_until_its_last_day() -> None:
    done = accepted.apply([verdict()], [entry()], TODAY)
    assert (done.verdicts[0].accepted, done.notes) == ("exact now", [])
    assert decide.outcome(done.verdicts, None) == "not slower"
    late = accepted.apply([verdict()], [entry(days=-1)], TODAY)
    assert decide.outcome(late.verdicts, None) == "slower"
    assert late.notes == [
        "accepted.toml: 'numpy_dot *' expired on 2027-01-30: remove it, or accept it anew"
    ]


def test_other_cells_stay_red() -> None:
    done = accepted.apply([verdict(), verdict("python_loop 16x16 batch 1")], [entry()], TODAY)
    assert [v.accepted for v in done.verdicts] == ["exact now", ""]
    assert decide.outcome(done.verdicts, None) == "slower"


def test_a_larger_slowdown_than_was_accepted_stays_red() -> None:
    for up_to, says in (("9%", "not slower"), ("7%", "slower")):
        done = accepted.apply([verdict()], [entry(up_to=up_to)], TODAY)
        assert decide.outcome(done.verdicts, None) == says


def test_only_a_slowdown_is_accepted() -> None:
    for says in ("faster", "not slower"):
        done = accepted.apply([verdict(says=says)], [entry()], TODAY)
        assert done.verdicts == [verdict(says=says)]
        assert done.notes == ["accepted.toml: 'numpy_dot *' wasn't needed: remove it"]


def test_an_entry_for_no_cell_is_named() -> None:
    done = accepted.apply([verdict()], [entry(), entry("numpy_dit *")], TODAY)
    assert done.notes == ["accepted.toml: 'numpy_dit *' names no cell that was compared here"]


def test_a_run_that_could_not_be_judged_says_nothing_of_what_is_needed() -> None:
    calm = [verdict(says="not slower")]
    assert accepted.apply(calm, [entry()], TODAY).notes
    assert not accepted.apply(calm, [entry()], TODAY, judged=False).notes
    assert accepted.apply(calm, [entry(days=-1)], TODAY, judged=False).notes


def test_a_file_is_read_and_its_absence_is_no_entry(tmp_path: Path) -> None:
    path = file(tmp_path, f'[[accepted]]\n{GOOD}up_to = "10%"\n')
    assert accepted.read(path) == (entry(up_to="10%"),)
    assert accepted.read(tmp_path / "none.toml") == ()


def test_the_projects_own_file_can_be_read() -> None:
    accepted.read()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[accepted", "accepted.toml: "),
        (f"[[acepted]]\n{GOOD}", "unknown field `acepted`"),
        (f"[[accepted]]\n{GOOD}until_when = 3\n", "unknown field `until_when`"),
        (f"[[accepted]]\n{GOOD}up_to = 'much'\n", "up_to is 'much', should be like 5%"),
        (f"[[accepted]]\n{GOOD.replace('exact now', ' ')}", "'numpy_dot *' gives no reason"),
        (f"[[accepted]]\n{GOOD.replace('2027-01-31', '3')}", "`accepted[0].until`"),
        ('[[accepted]]\ncell = "a"\nreason = "b"\n', "missing required field `until`"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput) as said:
        accepted.read(file(tmp_path, text))
    assert words in str(said.value)
    assert "\n" not in str(said.value)


def test_a_slowdown_over_the_limit_is_no_reason_to_remove_the_entry() -> None:
    done = accepted.apply([verdict()], [entry(up_to="7%")], TODAY)
    said = "accepts up to 7%, and numpy_dot 16x16 batch 1 is 8.0% slower"
    assert done.notes == [f"accepted.toml: 'numpy_dot *' {said}"]


def test_an_entry_stays_while_it_cannot_be_told() -> None:
    assert accepted.apply([verdict(says="can't tell")], [entry()], TODAY).notes == []


def test_the_mark_that_windows_editors_begin_a_file_with_is_no_mistake(tmp_path: Path) -> None:
    path = file(tmp_path, f"[[accepted]]\n{GOOD}")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [entry.cell for entry in accepted.read(path)] == ["numpy_dot *"]
    path.write_bytes(path.read_bytes()[3:].decode().encode("utf-16"))
    with pytest.raises(BadInput, match=r"looks like UTF-16\): save it as UTF-8"):
        accepted.read(path)
