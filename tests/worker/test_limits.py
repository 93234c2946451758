"""What a process may take: cores by affinity and quota, memory by what is free."""

import os
import resource
from pathlib import Path

import pytest

from bench.worker import cgroups, limits

GIB = 2**30


@pytest.mark.parametrize(
    ("most", "free", "allowed"),
    [
        (resource.RLIM_INFINITY, 8 * GIB, 10 * GIB - limits.RESERVE_BYTES),
        (resource.RLIM_INFINITY, 1, 2 * GIB),  # what it has it keeps
        (3 * GIB, 8 * GIB, 3 * GIB),
    ],
)
def test_a_worker_gets_what_is_free_but_for_the_reserve(
    most: int, free: int, allowed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to = []
    status = tmp_path / "status"
    status.write_text(f"Name:\ta: worker\nVmData:\t{2 * GIB // 1024} kB\nThreads:\t1\n")
    monkeypatch.setattr(limits, "STATUS", status)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: set_to.append(limit))
    limits.limit(free)
    assert set_to == [(resource.RLIMIT_DATA, (allowed, most))]


def test_where_linux_does_not_say_there_is_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STATUS", tmp_path / "status")
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("a limit was set"))
    limits.limit(0)


class TestUsableCores:
    """Affinity and a container's quota both count."""

    @pytest.fixture(autouse=True)
    def eight_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
        monkeypatch.setattr(cgroups, "quota", lambda: None)

    def test_without_a_quota_it_is_the_affinity(self) -> None:
        assert limits.usable_cores() == 8

    @pytest.mark.parametrize(
        ("quota", "cores"),
        [
            (2.0, 2),
            (1.5, 2),  # a core and a half is kept busy by two threads
            (0.5, 1),
            (16.0, 8),
        ],
    )
    def test_a_quota_is_a_number_of_cores(
        self, quota: float, cores: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cgroups, "quota", lambda: quota)
        assert limits.usable_cores() == cores

    def test_without_affinity_it_is_what_the_system_counts(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "sched_getaffinity")
        monkeypatch.setattr(os, "cpu_count", lambda: 6)
        assert limits.usable_cores() == 6
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert limits.usable_cores() == 1
