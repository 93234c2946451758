"""The commands as a user types them, run in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from bench import __main__ as commands


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


def bench(*arguments: str, **environment: str) -> Done:
    """Run a command in this process: the imports are paid once."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["bench", *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            commands.main()
        except SystemExit as stop:
            code = stop.code
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())


def refused(*arguments: str) -> str:
    """What a command says as it refuses: one line on stderr, exit code 2, nothing else."""
    done = bench(*arguments)
    assert (done.code, done.out) == (2, ""), done
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    return line
