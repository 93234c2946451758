"""A line over a Unix socket, and the open files that go with it (SCM_RIGHTS, unix(7))."""

import os
import socket
from collections.abc import Sequence

MOST_FILES = 4
"""No line brings more open files with it."""

CHUNK = 2**16


def send(connection: socket.socket, line: bytes, files: Sequence[int] = ()) -> None:
    """Send a line, which ends in a newline, and descriptors of open files with it."""
    sent = socket.send_fds(connection, [line], files) if files else 0
    connection.sendall(line[sent:])


def receive(connection: socket.socket) -> tuple[bytes, tuple[int, ...]]:
    """The next line and the descriptors that came with it, which are the caller's to close.

    The other side waits for an answer to each line, so nothing follows it. Without the newline
    where the other side hung up; empty where it did so between two lines.
    """
    line, files = bytearray(), []
    while not line.endswith(b"\n"):
        chunk, new, _, _ = socket.recv_fds(connection, CHUNK, MOST_FILES)
        for file in new:  # not for the processes that a kernel may start
            os.set_inheritable(file, False)  # noqa: FBT003 - its signature
        files += new
        if not chunk:
            break
        line += chunk
    return bytes(line), tuple(files)
