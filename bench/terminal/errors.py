"""What the user gave and can't be used, and what a failing system asks of the user."""

import errno


class BadInput(Exception):
    """Something that the user gave can't be used: one line that names it and the remedy."""


OPEN_FILES = "raise the limit on open files (ulimit -n)"
PROCESSES = "raise the limit on processes and threads (ulimit -u, or the container's pids limit)"

LONGEST = 400
"""Characters of a path that are shown."""

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of your quota",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f)",
    errno.EIO: "see to the disk",
    errno.ESTALE: "see to the disk",
    errno.ENOTCONN: "see to the disk",
    errno.ETIMEDOUT: "see to the disk",
    errno.EMFILE: OPEN_FILES,
    errno.ENFILE: OPEN_FILES,
    errno.EAGAIN: PROCESSES,
    errno.ENOMEM: "end other programs, or ask for less",
    errno.ENAMETOOLONG: "take a shorter name",
    errno.ELOOP: "see where its links lead",
    errno.EACCES: "make it accessible",
    errno.EPERM: "make it accessible",
    errno.EROFS: "make it writable",
    errno.EISDIR: "move it away",
}
"""What to do about an error of the operating system that is none of the program."""

WRITABLE = REMEDIES | {
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOENT: "put it back",
    errno.ENOTDIR: "put it back",
}
"""The same, of what is to be written."""


def of_system(error: OSError) -> str | None:
    """Such an error in one line; None where the program is at fault."""
    remedy = REMEDIES.get(error.errno or 0)
    if str(error.filename).startswith(("/proc/", "/sys/")):
        remedy = "this needs Linux's own file systems: mount them"
    if remedy is None:
        return None
    if not error.filename:
        return f"{error.strerror}: {remedy}"
    return f"{shown(error.filename)} can't be used ({error.strerror}): {remedy}"


def shown(path: object) -> str:
    """A path, its middle left out where nobody would read it."""
    name = str(path)
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[-LONGEST // 2 :]}"
