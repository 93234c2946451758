"""What a failing system says of itself: one line with the cause, and no talk of a bug."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import bench, refused

from bench import ROOT, session
from bench.terminal import errors


@pytest.mark.parametrize("number", errors.REMEDIES)
def test_the_systems_trouble_is_one_line_with_a_remedy(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/mnt/there")

    monkeypatch.setattr(session, "start", fail)
    why, remedy = os.strerror(number), errors.REMEDIES[number]
    assert refused("run") == f"error: /mnt/there can't be used ({why}): {remedy}"


def test_a_file_that_the_program_alone_knows_of_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "mine")

    monkeypatch.setattr(session, "start", fail)
    done = bench("run")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("error: this is a bug in the program")


def test_what_has_no_name_is_told_by_its_cause() -> None:
    said = errors.of_system(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
    assert said == f"Resource temporarily unavailable: {errors.PROCESSES}"


LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["plot", LONG],
        ["report", LONG],
        ["run", "--resume", LONG],
        ["run", "--sweep", LONG],
        ["run", "--kernel", f"{LONG}.py"],
        ["run", "--layer", f"{LONG}.npz"],
        ["run", "--sweep", "quick", "--out", f"results/{LONG}"],
        ["run", "--sweep", "quick", "--out", "deep/" * 2000],
        ["kernels", "--kernel", f"{LONG}.py"],
        ["doctor", "--kernel", f"{LONG}.py"],
        ["gate", "--base", "HEAD", "--out", f"results/{LONG}"],
        ["plot", "reference", "--only", "speedup", "--format", "svg", "--out", f"results/{LONG}"],
        ["report", "reference", "--markdown", "--out", f"results/{LONG}/table.md"],
    ],
)
def test_names_that_no_file_can_have_are_refused_in_a_readable_line(arguments: list[str]) -> None:
    line = refused(*arguments)
    assert "bug" not in line
    assert len(line) < 900


def test_a_name_that_is_no_text_is_refused_with_the_true_cause(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    line = refused("run", "--out", name)
    assert line == f"error: {tmp_path}/caf\ufffd is a name that is not in UTF-8: rename it"


def test_a_working_directory_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert refused("plot").endswith("the working directory is gone: change to one that is there")


BEGUN_BADLY = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])
"""


def test_what_a_parent_has_ignored_or_blocked_hides_no_end_of_a_process(tmp_path: Path) -> None:
    kernel = tmp_path / "dies.py"
    text = "import os\ndef prepare(layer, batch, device=0):\n    os.kill(os.getpid(), 11)\n"
    kernel.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", BEGUN_BADLY, "kernels", "--kernel", str(kernel)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "killed by SIGSEGV" in done.stdout


def test_what_a_parent_has_blocked_is_let_through() -> None:
    code = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))\n"
        "from bench import __main__\n"
        "__main__._begin()\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.environ['OPENBLAS_NUM_THREADS'])"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b"set() 1\n"
