"""Lines and open files over a socket."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from bench.ipc import lines, memory


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_line_brings_its_files(ends: tuple[socket.socket, socket.socket]) -> None:
    files = [memory.anonymous(name) for name in ("a", "b")]
    for number, file in enumerate(files):
        os.pwrite(file, bytes([number]), 0)
    lines.send(ends[0], b"two\n", files)
    line, came = lines.receive(ends[1])
    assert line == b"two\n"
    assert [os.pread(file, 1, 0) for file in came] == [b"\0", b"\1"]
    assert not any(os.get_inheritable(file) for file in came)
    for file in (*files, *came):
        os.close(file)


def test_a_long_line_comes_whole(ends: tuple[socket.socket, socket.socket]) -> None:
    long = b"x" * 2**20 + b"\n"
    file = memory.anonymous("a")
    sender = threading.Thread(target=lines.send, args=(ends[0], long, [file]))
    sender.start()
    line, came = lines.receive(ends[1])
    sender.join()
    assert line == long
    assert len(came) == 1
    os.close(came[0])
    os.close(file)


def test_the_other_sides_end_is_an_empty_line(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].sendall(b"cut")
    ends[0].close()
    assert lines.receive(ends[1]) == (b"cut", ())
    assert lines.receive(ends[1]) == (b"", ())
