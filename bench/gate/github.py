"""What GitHub is told of a comparison, in a step of a workflow, however it ends: the step's
summary, annotations, and the pull request's comment, which an earlier push may have left.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.gate import comment, report
from bench.gate.compare import Comparison
from bench.gate.report import Asked
from bench.terminal import streams
from bench.terminal.errors import BadInput


@contextmanager
def no_verdict(asked: Asked, *, comments: bool) -> Iterator[None]:
    """What ends without a verdict is told as well, and raised again."""
    try:
        yield
    except Exception as error:
        why = str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}"
        _tell(*report.no_verdict(why, asked), comments=comments)
        raise


def tell(comparison: Comparison, asked: Asked, *, comments: bool) -> None:
    """What was found."""
    summary, lines = report.markdown(comparison, asked), report.annotations(comparison, asked)
    _tell(summary, lines, comments=comments)


def _tell(summary: str, annotations: Sequence[str], *, comments: bool) -> None:
    if place := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(place).open("a", encoding="utf-8") as file:
                file.write(summary)
        except OSError as error:  # the verdict stands all the same
            streams.note(f"note: GITHUB_STEP_SUMMARY can't be written: {error.strerror}")
        for line in annotations:
            streams.console().print(line, markup=False, soft_wrap=True, highlight=False)
    if comments:
        _comment(summary)


def _comment(summary: str) -> None:
    """The summary on the pull request, or why not: the verdict stands all the same."""
    try:
        where = comment.write(summary)
    except comment.CantComment as error:
        streams.note(f"note: no comment on the pull request: {error}")
    else:
        streams.console().print(f"comment: {where}", markup=False, soft_wrap=True)
