"""The limit on a worker's memory follows what is free, and any limit that is there already."""

import resource
from pathlib import Path

import pytest

from bench import memory

GIB = 2**30


@pytest.mark.parametrize(
    ("most", "free", "allowed"),
    [
        (resource.RLIM_INFINITY, 8 * GIB, 10 * GIB - memory.RESERVE_BYTES),
        (resource.RLIM_INFINITY, 1, 2 * GIB),  # what it has it keeps
        (3 * GIB, 8 * GIB, 3 * GIB),
    ],
)
def test_a_worker_gets_what_is_free_but_for_the_reserve(
    most: int, free: int, allowed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = []
    status = tmp_path / "status"
    status.write_text(f"Name:\ta: worker\nVmData:\t{2 * GIB // 1024} kB\nThreads:\t1\n")
    monkeypatch.setattr(memory, "STATUS", status)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: limits.append(limit))
    memory.limit(free)
    assert limits == [(resource.RLIMIT_DATA, (allowed, most))]


def test_where_linux_does_not_say_there_is_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("a limit was set"))
    memory.limit(0)
