"""stdout and stderr, whatever is at their other end: nobody any more, a full disk, ASCII.

What a run is about is in its files. So it goes on where `head` has read enough, where the terminal
was closed, where the disk that a log lies on is full; what can't be written there is dropped.
"""

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from bench.terminal.errors import BadInput
from bench.terminal.text import plain

if TYPE_CHECKING:
    from rich.console import Console

PLAIN = {"±": "+-", "µ": "u", "…": "..."}
"""How to say in ASCII what the table says."""


class Lasting(io.FileIO):
    """A file that is written to for as long as it can be."""

    lost: OSError | None = None  # why something was not written; nobody who reads is no reason

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError as why:
            if not isinstance(why, BrokenPipeError):
                self.lost = why
            return memoryview(data).nbytes
        return written


def replace() -> None:
    """Put lasting streams in the place of Python's own, and /dev/null where there is none."""
    codecs.register_error("plain", _plain)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: without this, the next file to be opened would be our stdout
            os.open(os.devnull, os.O_RDWR)
        stream = getattr(sys, name)
        if descriptor == 0 or stream is not getattr(sys, f"__{name}__"):
            continue  # somebody else's already
        encoding = stream.encoding if stream is not None else "utf-8"
        lasting = io.BufferedWriter(Lasting(descriptor, "w", closefd=False))
        text = io.TextIOWrapper(lasting, encoding, errors="plain", line_buffering=True)
        setattr(sys, name, text)


def product(text: str = "") -> None:
    """Write what a command was asked for to stdout, or make sure of what was printed there.
    Raises BadInput where it can't be written.
    """
    sys.stdout.write(text)
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, Lasting) and raw.lost is not None:
        raise BadInput(f"stdout can't be written: {raw.lost.strerror}")


def note(text: str) -> None:
    """Say something on stderr beside what a command was asked for."""
    console(stderr=True).print(plain(text), markup=False, soft_wrap=True)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What can't be encoded, in ASCII."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    said = (PLAIN.get(letter, ascii(letter)[1:-1]) for letter in letters)
    return "".join(said), error.end


def console(*, stderr: bool = False, width: int | None = None) -> "Console":
    """A console of Rich on one of the streams, without any escape codes under NO_COLOR, and in a
    file or a pipe, where FORCE_COLOR would have Rich take it for a terminal.
    """
    from rich.console import Console

    colour: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    stream = sys.stderr if stderr else sys.stdout
    made = Console(
        stderr=stderr, highlight=False, color_system=colour, force_terminal=stream.isatty()
    )
    if width and not made.is_terminal:
        made.width = width
    return made
