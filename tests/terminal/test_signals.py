"""Signals as an exception: raised where they come, or after what must not be done by half."""

import os
import signal

import pytest

from bench.terminal import signals


@pytest.mark.parametrize(
    ("number", "said", "word", "code"),
    [
        (signal.SIGINT, "Ctrl-C", "interrupted", 130),
        (signal.SIGTERM, "SIGTERM", "terminated", 143),
        (signal.SIGHUP, "SIGHUP", "hung up", 129),
    ],
)
def test_a_signal_stops_with_its_word_and_code(
    number: signal.Signals, said: str, word: str, code: int
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(signals.Stop) as stop, signals.raised():
        os.kill(os.getpid(), number)
    assert (str(stop.value), stop.value.word, stop.value.code) == (said, word, code)
    assert signal.getsignal(number) is before


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.raised():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_waits_for_what_must_not_be_done_by_half() -> None:
    done = []
    with signals.raised():
        with pytest.raises(signals.Stop), signals.held():  # noqa: PT012 - all of it is the point
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("all of it")
        with signals.held():
            done.append("and it is forgotten")
    assert done == ["all of it", "and it is forgotten"]
