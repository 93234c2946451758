"""Memory that processes share: files without a name, so that none is left behind however they end.

On Linux they are in memory alone (memfd_create(2)), whatever /dev/shm has room for. Where there is
none they lie in the folder for temporary files, and are deleted before anything is written.
"""

import contextlib
import fcntl
import os
import tempfile

from bench.terminal.errors import BadInput

FUTURE_WRITE = 0x10
"""F_SEAL_FUTURE_WRITE, which Python 3.13 is the first to name: from linux/fcntl.h."""


def anonymous(name: str) -> int:
    """A descriptor of an empty file without a name. Raises BadInput where none can be had.

    `name` is what /proc/<pid>/fd calls it.
    """
    with contextlib.suppress(AttributeError, OSError):  # no Linux; or a sandbox that forbids it
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:
        remedy = "set TMPDIR to a folder that can be written to"
        raise BadInput(
            f"no memory to share between processes: {error.strerror}; {remedy}"
        ) from error


def reserve(descriptor: int, size: int) -> None:
    """Make the file so large, all of it there. Raises MemoryError.

    A file that is only said to be so large ends the process that writes where there is no room.
    """
    try:
        os.ftruncate(descriptor, size)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        os.ftruncate(descriptor, 0)
        raise MemoryError(f"no {size / 1e9:.1f} GB to share: {error.strerror}") from error


def seal(descriptor: int) -> None:
    """Nobody can write to the file or cut it off any more, but where it is mapped already.

    Where the system has no such seals, what protects it is that others map it for reading alone.
    """
    shape = getattr(fcntl, "F_SEAL_SHRINK", 0) | getattr(fcntl, "F_SEAL_GROW", 0)
    for seals in (shape, FUTURE_WRITE):
        with contextlib.suppress(AttributeError, OSError):  # a file on disk; an old kernel
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
