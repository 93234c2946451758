"""A comparison of two sides: from git to verdicts. Processes are real, times are not judged."""

import errno
import math
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from kernel_sides import a_side

from bench import ROOT
from bench.data.records import Phase, Round
from bench.gate import checkouts, command, compare, decide, junit, report, rounds
from bench.gate.checkouts import Side
from bench.gate.rounds import CantMeasure
from bench.measure.device_memory import DeviceMemory
from bench.measure.judge_process import JudgeProcess
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal.errors import BadInput

SPREAD = decide.Spread()
KERNEL_OF = {"at once": "k", "later": "k"}
ASKED = report.Asked("b" * 40, "h" * 40, 0.05)
KERNEL = '''"""A layer."""
import numpy as np

from kernels import Step{more}


def prepare(layer, batch, device=0):
    {body}
    return Step(lambda A_in: np.maximum(A_in @ layer.W + layer.b, 0))
'''


def cell(kernel: str = "numpy_matmul", width: int = 16) -> Cell:
    return Cell(kernel, Case(width, width, 2, "float32", "relu"))


def committed(folder: Path) -> None:
    """A repository of what is in the folder."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["commit", "-q", "--allow-empty", "-m", "all"],
    ):
        subprocess.run([*git, *arguments], check=True)


def swapped(base: Side, head: Side) -> list[Side]:
    return [replace(head, name="base"), replace(base, name="head")]


def kernel(body: str = "", more: str = "") -> str:
    return KERNEL.format(body=body or "pass", more=more)


class TestSides:
    """Each side's kernels, from git."""

    def test_both_are_there_and_then_gone(self) -> None:
        with checkouts.both("HEAD", "worktree") as (base, head):
            for side in (base, head):
                assert (side.folder / "kernels" / "numpy_matmul.py").is_file()
            assert len(base.commit) == 40
            assert head.commit == "worktree"
            assert len(str(base.folder)) == len(str(head.folder))
        assert not base.folder.exists()

    def test_the_clock_and_the_contract_are_this_checkouts_on_both(self, tmp_path: Path) -> None:
        ours = ROOT / "kernels"
        clock = (ours / "_host.py").read_text().replace("stop - start", "0.8 * (stop - start)")
        head = a_side(tmp_path, "head", _host=clock, numpy_dot=kernel())
        checkouts.measured_as_here(head)
        theirs = head.folder / "kernels"
        for name in checkouts.MEASURES:
            assert (theirs / name).read_text() == (ours / name).read_text()
        assert (theirs / "numpy_dot.py").read_text() == kernel()
        assert (theirs / "_activations.py").is_file()

    def test_but_not_where_the_contract_is_another(self, tmp_path: Path) -> None:
        other = (
            (ROOT / "kernels" / "__init__.py").read_text().replace("CONTRACT = 1", "CONTRACT = 2")
        )
        head = a_side(tmp_path, "head", __init__=other)
        checkouts.measured_as_here(head)
        assert (head.folder / "kernels" / "__init__.py").read_text() == other

    def test_they_are_gone_after_an_error_too(self) -> None:
        with pytest.raises(KeyboardInterrupt), checkouts.both("HEAD", "HEAD") as (base, _):
            raise KeyboardInterrupt
        assert not base.folder.exists()

    def test_a_commit_that_is_not_there_is_named_with_the_remedy(self) -> None:
        with pytest.raises(BadInput, match="--base: no commit 'nowhere' here: fetch the history"):
            checkouts.both("nowhere", "HEAD").__enter__()

    def test_a_commit_without_kernels_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed(tmp_path)
        monkeypatch.setattr("bench.machine.git.ROOT", tmp_path)
        with pytest.raises(BadInput, match="--head: 'HEAD' has no directory kernels/"):
            checkouts._side("head", tmp_path, "HEAD")

    @pytest.mark.skipif(
        not checkouts.SAFELY, reason="needs Python 3.11.4, which refuses such links"
    )
    def test_a_link_that_leads_out_of_the_side_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "kernels").mkdir()
        (tmp_path / "kernels" / "out.py").symlink_to("/etc/hostname")
        committed(tmp_path)
        monkeypatch.setattr("bench.machine.git.ROOT", tmp_path)
        there = tmp_path / "there"
        there.mkdir()
        with pytest.raises(BadInput, match=r"--head: 'HEAD' has files that can't be unpacked"):
            checkouts._side("head", there, "HEAD")

    def test_what_is_no_checkout_is_not_a_missing_commit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bench.machine.git.ROOT", tmp_path)
        with pytest.raises(BadInput, match="git can't read this checkout"):
            checkouts._side("head", tmp_path, "HEAD")


JUDGE = JudgeProcess(1, rounds.SEED)


@pytest.fixture(scope="module", autouse=True)
def _judge() -> Iterator[None]:
    yield
    JUDGE.end()


class TestLocked:
    """Each side's own environment, from its own lock."""

    def test_like_locks_share_an_environment_and_others_do_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base, head = a_side(tmp_path, "base"), a_side(tmp_path, "head")
        for side, text in ((base, "# one\n"), (head, "# another\n")):
            (side.folder / "locks").mkdir()
            (side.folder / checkouts.LOCK).write_text(text)
        told: list[str] = []
        both = checkouts.locked((base, head), told.append)
        assert len({sys.executable, *(side.python for side in both)}) == 3
        assert told == [
            f"making the {name}'s environment from its locks/bench.txt" for name in ("base", "head")
        ]
        (head.folder / checkouts.LOCK).write_text("# one\n")
        with monkeypatch.context() as patch:  # making them takes seconds
            patch.setattr(checkouts, "_environment", lambda side, _: f"{side.name}'s")
            assert {side.python for side in checkouts.locked((base, head), print)} == {"base's"}
        # the packages that the empty locks lack
        monkeypatch.setenv("PYTHONPATH", sysconfig.get_path("purelib"))
        assert [reply.contract for reply in compare.software(both)] == [1, 1]
        monkeypatch.delenv("PYTHONPATH")
        with pytest.raises(BadInput, match=r"the base's side can't start: .*No module named"):
            compare.software(both)

    def test_a_lock_that_cannot_be_installed_is_never_green(self, tmp_path: Path) -> None:
        base = a_side(tmp_path, "base")
        with pytest.raises(BadInput, match=r"'base' has no locks/bench.txt: take --env shared"):
            checkouts.locked((base, base), print)
        (base.folder / "locks").mkdir()
        (base.folder / checkouts.LOCK).write_text("no-hash==1\n")
        with pytest.raises(
            BadInput, match=r"the base's environment can't be made: .* can't be compared"
        ):
            checkouts.locked((base, base), print)

    @pytest.mark.parametrize(
        ("lines", "reason"),
        [
            (
                [
                    "ERROR: THESE PACKAGES DO NOT MATCH. If you have updated",
                    "    numpy==2.3.1 from https://example.org/numpy.whl:",
                    "        Expected sha256 0000",
                    "             Got        afed2ce4",
                ],
                "THESE PACKAGES DO NOT MATCH: numpy==2.3.1 from https://example.org/numpy.whl",
            ),
            (
                [
                    "ERROR: Could not find a version that satisfies the requirement a==9 (from: 1)",
                    "ERROR: No matching distribution found for a==9",
                ],
                "No matching distribution found for a==9",
            ),
            (
                [
                    "error: metadata-generation-failed",
                    "",
                    "Encountered error while generating package metadata.",
                    "╰─> old-package",
                    "",
                    "hint: See above for details.",
                ],
                "metadata-generation-failed: old-package",
            ),
            (["Traceback", "OSError: no space"], "OSError: no space"),
            ([], "no reason given"),
        ],
    )
    def test_the_reason_of_pip_names_the_package(self, lines: list[str], reason: str) -> None:
        assert checkouts._reason(lines) == reason


class TestMeasurable:
    """What can be compared at all."""

    def test_what_neither_side_can_run_is_left_out(self, tmp_path: Path) -> None:
        absent = kernel('raise Unavailable("no such library")', ", Unavailable")
        both = [a_side(tmp_path, name, lib=absent) for name in ("base", "head")]
        good, left_out = compare.measurable([cell("lib"), cell()], both, 1.0, JUDGE)
        assert good == [cell()]
        assert [(one.status, one.reason) for one in left_out] == [
            ("unavailable", "no such library")
        ]

    def test_what_is_too_slow_for_the_base_is_left_out_with_all_that_is_larger(
        self, tmp_path: Path
    ) -> None:
        both = [a_side(tmp_path, name) for name in ("base", "head")]
        cells = [cell("python_loop", width) for width in (8, 200, 300)]
        good, left_out = compare.measurable(cells, both, 1e-3, JUDGE)
        assert good[0] == cells[0]
        assert [one.cell for one in left_out] == cells[1:]
        assert {one.status for one in left_out} == {"skipped"}

    def test_narrower_cells_stand_in_for_those_that_are_too_slow(self) -> None:
        cells = [cell("python_loop", width) for width in (16, 32, 256, 512)]
        instead = compare.narrower(cells[1:], cells)
        assert [one.case.n_units for one in instead] == [8, 128, 64]
        assert {one.case.n_in == one.case.n_units for one in instead} == {True}
        assert {one.case.batch for one in instead} == {2}
        tiny = [cell("python_loop", 4), Cell("k", Case(64, 32, 1, "float32", "relu"))]
        assert compare.narrower(tiny, tiny) == []

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "error on the head's side"),
            (kernel('raise ValueError("broken")'), "error on the head's side: ValueError"),
            (kernel("import os; os._exit(7)"), "crashed on the head's side"),
            (kernel().replace("+ layer.b", ""), "wrong on the head's side"),
        ],
    )
    def test_a_cell_that_is_missing_on_one_side_is_never_green(
        self, tmp_path: Path, text: str, words: str
    ) -> None:
        base, head = a_side(tmp_path, "base"), a_side(tmp_path, "head", numpy_matmul=text)
        with pytest.raises(BadInput, match=words) as said:
            compare.measurable([cell()], [base, head], 1.0, JUDGE)
        assert "can't be compared" in str(said.value)

    def test_a_head_that_is_over_the_limit_is_measured_all_the_same(self, tmp_path: Path) -> None:
        slow = kernel("import time; time.sleep(0)").replace("A_in @", "slowly(A_in) @")
        slow += "\n\ndef slowly(A_in):\n    import time\n    time.sleep(0.03)\n    return A_in\n"
        base, head = a_side(tmp_path, "base"), a_side(tmp_path, "head", numpy_matmul=slow)
        assert compare.measurable([cell()], [base, head], 0.02, JUDGE) == ([cell()], [])
        with pytest.raises(
            BadInput, match=r"skipped on the base's side: a launch takes over 0.02 s"
        ):
            compare.measurable([cell()], swapped(base, head), 0.02, JUDGE)

    def test_a_kernel_that_is_new_is_left_out_and_one_that_is_gone_is_not(
        self, tmp_path: Path
    ) -> None:
        base, head = a_side(tmp_path, "base"), a_side(tmp_path, "head", newcomer=kernel())
        good, left_out = compare.measurable([cell(), cell("newcomer")], [base, head], 1.0, JUDGE)
        assert good == [cell()]
        assert "unavailable on the base's side: the kernel is new" in str(left_out[0])
        with pytest.raises(BadInput, match=r"the head has no kernel newcomer"):
            compare.measurable([cell(), cell("newcomer")], swapped(base, head), 1.0, JUDGE)

    def test_another_contract_is_refused(self, tmp_path: Path) -> None:
        base, head = a_side(tmp_path, "base"), a_side(tmp_path, "head")
        contract = head.folder / "kernels" / "__init__.py"
        contract.write_text(contract.read_text().replace("CONTRACT = 1", "CONTRACT = 2"))
        with pytest.raises(BadInput, match=r"different kernel contracts \(base 1, head 2\)"):
            compare.measurable([cell()], [base, head], 1.0, JUDGE)

    def test_a_comparison_of_nothing_is_refused(self, tmp_path: Path) -> None:
        both = [a_side(tmp_path, name) for name in ("base", "head")]
        with pytest.raises(BadInput, match="no cell can be measured: none was asked for"):
            compare.measurable([], both, 1.0, JUDGE)


class TestRounds:
    """What a round measures."""

    def test_a_round_has_a_row_a_cell_from_both_sides(self, tmp_path: Path) -> None:
        both = [a_side(tmp_path, name) for name in ("base", "head")]
        cells = [cell(), cell("numpy_dot")]
        rows = rounds.measure(3, "screen", cells, both, random.Random(1), DeviceMemory(), JUDGE)
        assert {row.cell for row in rows} == {one.label for one in cells}
        for row in rows:
            assert (row.round_number, row.phase) == (3, "screen")
            assert row.base_s > 0
            assert row.head_s > 0
            assert rounds.LEAST_PAIRS <= row.pairs <= rounds.PAIRS

    def test_each_arm_runs_its_own_sides_kernels(self, tmp_path: Path) -> None:
        base = a_side(tmp_path, "base")
        head = a_side(tmp_path, "head", numpy_dot=kernel('raise ValueError("the head\'s")'))
        with pytest.raises(CantMeasure, match="error on the head's side: ValueError: the head's"):
            rounds.measure(
                *(1, "screen", [cell("numpy_dot")], [base, head]),
                *(random.Random(1), DeviceMemory(), JUDGE),
            )

    def test_a_disturbed_pair_counts_like_the_others_whichever_side_it_hit(self) -> None:
        steady = [(1.0, 1.0)] * 9
        noisy = {"base": [*steady, (9.0, 1.5)], "head": [*steady, (1.0, 1.0)]}
        mirrored = {"base": noisy["head"], "head": noisy["base"]}
        for found in (noisy, mirrored):
            row = rounds.row(1, "screen", cell(), found)
            assert (row.pairs, row.log_ratio, row.control_log_ratio) == (10, 0.0, 0.0)

    def test_a_round_of_a_slower_head_is_above_nothing(self) -> None:
        found = {"base": [(1.0, 1.0), (1.1, 2.0)] * 4, "head": [(1.2, 1.0), (1.32, 2.0)] * 4}
        row = rounds.row(1, "screen", cell(), found)
        assert row.log_ratio == pytest.approx(math.log(1.2))
        assert row.control_log_ratio == 0.0


def made(
    ratios: Sequence[float], phase: Phase, name: str = "a", control: float = 0.0
) -> list[Round]:
    row = Round(0, phase, name, "numpy_dot", 1.0, 1.0, 0.0, control, 16)
    return [replace(row, round_number=i, log_ratio=r) for i, r in enumerate(ratios, start=1)]


class TestJudge:
    """From rows to what people read."""

    def test_a_slowdown_is_red_in_every_form(self) -> None:
        rows = [*made([0.2] * 10, "screen"), *made([0.2, 0.21] * 10, "confirm")]
        rows += made([0.0, 0.001] * 5, "screen", "b")
        found = compare.conclude(rows, SPREAD, 0.05)
        assert [v.says for v in found.verdicts] == ["slower", "not slower"]
        assert report.sentence(found, 0.05) == "slower: 1 cell, 1 not slower"
        summary = report.markdown(found, ASKED)
        assert "| a | slower | +22.8% (" in summary
        assert "| b |" not in summary
        lines = report.annotations(found, ASKED)
        assert lines[0] == "::error title=gate::slower: 1 cell, 1 not slower"
        assert lines[1].startswith("::error title=slower::a: +22.8%25 (")
        assert command.CODES[decide.outcome(found.verdicts, found.problem)] == 1

    def test_a_first_look_spares_the_rest_of_the_rounds(self) -> None:
        at_once, later = [0.1] * 16, [0.020, 0.029, 0.016, 0.022] * 10
        confirm = {"at once": at_once, "later": later}
        assert decide.decided({c: d[:16] for c, d in confirm.items()}, KERNEL_OF, SPREAD, 0.05) == {
            "at once"
        }
        rows = [row for name in confirm for row in made([0.1] * 10, "screen", name)]
        rows += [row for name, d in confirm.items() for row in made(d, "confirm", name)]
        assert [v.says for v in compare.conclude(rows, SPREAD, 0.05).verdicts] == ["slower"] * 2

    def test_sides_with_other_packages_are_judged_though_the_control_moved(self) -> None:
        rows = [*made([0.2] * 10, "screen", control=0.1), *made([0.2] * 20, "confirm", control=0.1)]
        found = compare.conclude(rows, SPREAD, 0.05, alike=False)
        assert [v.says for v in found.verdicts] == ["slower"]
        assert found.problem is None
        shaky = [replace(row, control_log_ratio=(-1) ** i / 9) for i, row in enumerate(rows)]
        assert compare.conclude(shaky, SPREAD, 0.05, alike=False).problem is not None

    def test_an_accepted_slowdown_is_told_but_not_red(self) -> None:
        rows = [*made([0.2] * 10, "screen"), *made([0.2, 0.21] * 10, "confirm")]
        found = compare.conclude(rows, SPREAD, 0.05)
        verdicts = [replace(verdict, accepted="on purpose") for verdict in found.verdicts]
        found = replace(found, verdicts=verdicts, notes=("a note",))
        assert (
            report.sentence(found, 0.05)
            == "no cell is 5% slower but accepted ones: 1 slower (accepted)"
        )
        summary = report.markdown(found, ASKED)
        assert "| a | slower (accepted) | +22.8% (" in summary
        assert "- a: accepted: on purpose\n- a note\n" in summary
        assert len(report.annotations(found, ASKED)) == 1

    def test_a_control_that_moved_leaves_what_moved_far_more(self) -> None:
        rows = [*made([0.2] * 10, "screen", control=0.01)]
        rows += [*made([0.2, 0.21] * 10, "confirm", control=0.01)]
        rows += [*made([0.0] * 10, "screen", "same", 0.01)]
        found = compare.conclude(rows, SPREAD, 0.05)
        assert {v.cell: v.says for v in found.verdicts} == {"a": "slower", "same": "can't tell"}
        assert found.problem is None
        (note,) = found.notes
        assert note.startswith(
            "fixed work that is the same on both sides moved by +1.0%: a cell is slower only if"
        )

    def test_a_control_that_moved_takes_every_other_verdict_away(self) -> None:
        rows = [*made([0.2] * 10, "screen", control=0.1), *made([0.2] * 20, "confirm", control=0.1)]
        found = compare.conclude(rows, SPREAD, 0.05)
        assert found.problem is not None
        said = report.sentence(found, 0.05)
        assert said.startswith(
            "can't tell: fixed work that is the same on both sides moved by +10.5%"
        )
        (line,) = report.annotations(found, ASKED)  # no cell is red in it
        assert line.startswith("::warning title=gate::")

    def test_a_ci_system_sees_a_test_case_a_cell(self) -> None:
        rows = [row for name in ("slow", "meant") for row in made([0.2] * 10, "screen", name)]
        rows += [row for name in ("slow", "meant") for row in made([0.2] * 20, "confirm", name)]
        rows += [*made([0.0] * 10, "screen", "same"), *made([0.4, -0.4] * 5, "screen", "shaky")]
        left_out = [CantMeasure(cell(), "base", "skipped", "a\x00b")]
        found = compare.conclude(rows, SPREAD, 0.05, left_out)
        verdicts = [
            replace(verdict, accepted="on <purpose>" if verdict.cell == "meant" else "")
            for verdict in found.verdicts
        ]
        for problem, failed in ((None, ["slow"]), ("too noisy", [])):
            told = replace(found, verdicts=verdicts, problem=problem)
            suite = ET.fromstring(junit.xml(told, ASKED))[0]  # noqa: S314 - our own
            cases = {case.get("name"): case for case in suite.iter("testcase")}
            skipped = set(cases) if problem else {cell().label, "shaky"}
            assert set(cases) == {"slow", "meant", "same", "shaky", cell().label}
            assert [n for n, c in cases.items() if c.find("failure") is not None] == failed
            assert {n for n, c in cases.items() if c.find("skipped") is not None} == skipped
            counts = [suite.get(name) for name in ("tests", "failures", "skipped")]
            assert counts == ["5", str(len(failed)), str(len(skipped))]

    def test_a_kernels_name_breaks_no_file(self) -> None:
        name = "\x1b[31m<&>\udc80@octocat $x$"
        rows = [
            replace(row, kernel=name, cell=f"{name} 16x16 batch 1")
            for phase in ("screen", "confirm")
            for row in made([0.3] * 20, phase, "a")
        ]
        found = compare.conclude(rows, SPREAD, 0.05)
        (case,) = ET.fromstring(junit.xml(found, ASKED))[0].iter("testcase")  # noqa: S314 - our own
        assert case.get("classname") == "gate.\ufffd[31m<&>\ufffd@octocat $x$"
        assert "\\@\u2060octocat \\$x\\$ 16x16" in report.markdown(found, ASKED)
        assert all("\x1b" not in line for line in report.annotations(found, ASKED))

    def test_annotations_stay_within_what_github_shows(self) -> None:
        rows = [row for i in range(30) for row in made([0.3] * 20, "screen", f"cell {i}")]
        rows += [row for i in range(30) for row in made([0.3] * 20, "confirm", f"cell {i}")]
        found = compare.conclude(rows, SPREAD, 0.05)
        assert len(report.annotations(found, ASKED)) == report.MOST_ANNOTATIONS

    def test_what_markdown_would_take_for_marks_is_shown_as_it_is(self) -> None:
        rows = [*made([0.3] * 20, "screen", "a|b_*c"), *made([0.3] * 20, "confirm", "a|b_*c")]
        found = compare.conclude(rows, SPREAD, 0.05)
        assert "| a\\|b\\_\\*c | slower" in report.markdown(found, ASKED)

    def test_a_line_of_several_is_one_annotation(self) -> None:
        assert report._escaped("50%\nmore") == "50%25%0Amore"


class TestTemporaryFolder:
    """Where the sides are put."""

    def test_a_full_one_is_one_line_that_names_it_and_the_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        for place in ("shutil.copytree", "tarfile.TarFile.extractall", "tempfile.mkdtemp"):
            with monkeypatch.context() as patch:
                patch.setattr(place, full)
                with pytest.raises(BadInput, match=r"No space left .*set TMPDIR to another"):
                    checkouts.both("HEAD", "worktree").__enter__()
        assert not list(tmp_path.iterdir())

    def test_what_cannot_be_copied_is_told_by_its_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "kernels").mkdir()
        os.mkfifo(tmp_path / "kernels" / "pipe.py")
        monkeypatch.setattr(checkouts, "ROOT", tmp_path)
        with pytest.raises(BadInput, match=r"can't be put into .*pipe.py. is a named pipe"):
            checkouts.both("worktree", "worktree").__enter__()

    def test_one_that_nothing_may_run_from_has_no_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = a_side(tmp_path, "base")
        (base.folder / "locks").mkdir()
        (base.folder / checkouts.LOCK).write_text("")
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
        with pytest.raises(BadInput, match=r"is mounted noexec: .* set TMPDIR, or --env shared"):
            checkouts.locked((base, base), print)

    def test_hidden_files_of_the_worktree_are_left_where_they_are(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "kernels").mkdir()
        (tmp_path / "kernels" / "mine.py").touch()
        (tmp_path / "kernels" / "._mine.py").touch()
        (tmp_path / "kernels" / ".#mine.py").symlink_to("me@host.4711:1732570000")
        monkeypatch.setattr(checkouts, "ROOT", tmp_path)
        with checkouts.both("worktree", "worktree") as (base, _):
            assert [path.name for path in (base.folder / "kernels").iterdir()] == ["mine.py"]
