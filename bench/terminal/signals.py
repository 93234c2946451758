"""Signals that end a program, Ctrl-C among them, as an exception that can be held back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
"""What machine.json says of a run that such a signal ended."""


class Stop(BaseException):
    """A signal asks the program to end. Not an Exception, so that nobody takes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
        self.word = WORDS[signal.Signals(number)]
        self.code = 128 + number  # what shells say of a program that a signal ended


class _Ears:
    """What to do on a signal: stop at once, or as soon as it is no longer held back."""

    holding = False
    heard: int | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        if self.holding:
            self.heard = number
        else:
            raise Stop(number)


_ears = _Ears()


@contextmanager
def raised() -> Iterator[None]:
    """Inside, the signals raise Stop, but for those that the caller had ignored (nohup)."""
    before = {number: signal.getsignal(number) for number in WORDS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _ears.hear)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Inside, a signal waits: for what must not be done by half."""
    _ears.holding = True
    try:
        yield
    finally:
        _ears.holding = False
        if (number := _ears.heard) is not None:
            _ears.heard = None
            raise Stop(number)
