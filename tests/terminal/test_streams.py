"""stdout and stderr whose other end is gone, full or plain."""

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from bench import ROOT
from bench import __main__ as commands
from bench.measure import visit
from bench.terminal import streams
from bench.worker import messages

TEXT = "5 µs ±2% “x”"
SAY = f"from bench.terminal import streams; streams.replace(); import sys; print({TEXT!a}); "


def say(more: str = "", shell: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Print a line on replaced streams, under the shell's redirections."""
    command: Sequence[str] = [sys.executable, "-c", SAY + more]
    if shell:
        command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *command]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_ascii_lacks_is_said_otherwise() -> None:
    for locale in (
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        done = say("print('\\u6f22', file=sys.stderr)", **locale)
        assert (done.stdout, done.returncode) == ("5 us +-2% \\u201cx\\u201d\n", 0)
        assert done.stderr == "\\u6f22\n"


def test_elsewhere_everything_is_said_as_it_is() -> None:
    assert say(PYTHONIOENCODING="utf-8").stdout == f"{TEXT}\n"


@pytest.mark.parametrize(
    ("shell", "lost"),
    [(">/dev/full", True), ("| true", False), (">/dev/null", False)],
)
def test_what_a_command_was_asked_for_is_not_lost_in_silence(shell: str, *, lost: bool) -> None:
    done = say("streams.product('x' * 100_000)", shell)
    assert ("stdout can't be written: No space left on device" in done.stderr) is lost
    assert (done.returncode != 0) is lost


HERE = ["--kernel", "numpy_dot"]


@pytest.mark.parametrize(
    "command",
    [
        ["kernels", *HERE],
        ["doctor", *HERE],
        ["doctor", "--json", *HERE],
        ["predict", "reference"],
        ["report", "reference", "--markdown"],
    ],
)
def test_neither_is_an_answer_that_a_full_disk_does_not_take(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "describe", lambda *_: ("what it is", messages.Loaded("", "")))
    monkeypatch.setattr(sys, "argv", ["bench", *command])
    err = io.StringIO()
    with (
        io.TextIOWrapper(io.BufferedWriter(streams.Lasting("/dev/full", "w"))) as full,
        redirect_stdout(full),
        redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        commands.main()
    assert stop.value.code == 2
    assert err.getvalue() == "error: stdout can't be written: No space left on device\n"


@pytest.mark.parametrize(
    "shell",
    ["| true", ">/dev/full", "2>/dev/full", ">&-", "2>&-", "<&- >&- 2>&-", "</dev/null >&-"],
)
def test_a_stream_that_takes_nothing_does_no_harm(shell: str) -> None:
    more = "print('x' * 100_000); print('done', file=sys.stderr)"
    done = say(more, shell)
    assert done.returncode == 0
    assert done.stderr == ("" if "2>" in shell else "done\n")


def test_a_file_that_is_opened_later_never_becomes_stdout(tmp_path: Path) -> None:
    path = tmp_path / "file"
    say(f"file = open({str(path)!r}, 'w'); import os; os.write(1, b'noise')", "<&- >&- 2>&-")
    assert path.read_text() == ""


def test_streams_that_somebody_has_replaced_are_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = io.StringIO()
    monkeypatch.setattr(sys, "stdout", mine)
    streams.replace()
    assert sys.stdout is mine


def on_a_terminal(**environment: str) -> str:
    """What a bold word and a line of progress are on a terminal."""
    code = (
        "from bench.terminal import streams; streams.replace()\n"
        "from bench.show import progress\n"
        "streams.console().print('[bold]word[/]')\n"
        "shown = progress.Screen(str)\n"
        "shown.clear()"
    )
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment},
            stdout=theirs,
            stderr=theirs,
            check=True,
        )
        os.close(theirs)
        return terminal.read(1000).decode()


def test_no_escape_codes_where_they_are_not_wanted() -> None:
    assert "\x1b[1mword" in on_a_terminal()
    assert on_a_terminal(NO_COLOR="1") == "word\r\n"
    assert on_a_terminal(TERM="dumb") == "word\r\n"


def test_a_pipe_gets_plain_lines_whatever_forces_colours() -> None:
    code = (
        "from bench.terminal import streams; streams.replace()\n"
        "from bench.show import progress\n"
        "streams.console(width=120).print('[bold]' + 'x' * 110)\n"
        "shown = progress.Screen(str)\n"
        "shown.line('a line'); shown.line('at once another'); shown.clear()"
    )
    for variable in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "PY_COLORS"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "", variable: "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout, done.stderr) == ("x" * 110 + "\n", "a line\n")
