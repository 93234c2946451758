"""The CPU as a device: its clock, its memory and its caches."""

import ctypes
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import kernels
from kernels import HOST, _host


def test_a_mark_is_the_hosts_clock() -> None:
    start = HOST.mark(None)
    stop = HOST.mark(None)
    assert HOST.seconds(start, stop) == stop - start >= 0


def test_a_device_that_returns_early_only_has_to_say_how_to_wait() -> None:
    waited: list[Any] = []

    class Early(kernels.Host):
        def fence(self, out: Any) -> None:
            waited.append(out)

    Early().mark("the output")
    assert waited == ["the output"]


def test_free_memory_is_between_nothing_and_all() -> None:
    assert 0 < HOST.free_bytes() <= psutil.virtual_memory().total


def test_free_memory_is_found_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert 2**20 < HOST.free_bytes() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("line", "folder", "files", "prefix"),
    [
        ("0::/a/job", "", ("memory.max", "memory.current"), ""),
        (
            "4:cpu,memory:/a/job",
            "memory",
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            "total_",
        ),
    ],
)
def test_a_containers_limit_is_heeded_and_those_above_it(
    line: str, folder: str, files: tuple[str, str], prefix: str, tmp_path: Path
) -> None:
    def group(path: str, limit: str, used: int) -> None:
        (tmp_path / folder / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / path / files[0]).write_text(f"{limit}\n")
        (tmp_path / folder / path / files[1]).write_text(f"{used}\n")
        stat = f"cache 9\n{prefix}active_file 5\n{prefix}inactive_file 10\n"
        (tmp_path / folder / path / "memory.stat").write_text(stat)

    own = tmp_path / "own"
    own.write_text(f"7:blkio:/elsewhere\n{line}\n")
    assert _host._left_by_limits(tmp_path, own) == []
    group("a/job", "max", 300)
    assert _host._left_by_limits(tmp_path, own) == []
    group("a", "1000", 400)
    assert _host._left_by_limits(tmp_path, own) == [615]
    group("a/job", "200", 300)
    assert _host._left_by_limits(tmp_path, own) == [0, 615]
    group("a/job", "9223372036854771712", 300)  # version 1's word for none
    assert _host._left_by_limits(tmp_path, own) == [615]


def test_where_there_are_no_control_groups_nothing_limits(tmp_path: Path) -> None:
    assert _host._left_by_limits(tmp_path, tmp_path / "own") == []


def test_a_flush_writes_more_than_the_last_cache_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_host, "_last_level_cache_bytes", lambda: 2**12)
    monkeypatch.setattr(_host, "_buffers", [])
    HOST.flush()
    (buffer,) = _host._buffers
    assert buffer.nbytes == 2**13
    buffer[:] = 7
    HOST.flush()
    assert not buffer.any()
    assert _host._buffers[0] is buffer


def test_the_last_cache_has_a_size() -> None:
    assert _host._last_level_cache_bytes() >= 2**18


def test_memory_is_handed_back_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    HOST.release()
    monkeypatch.setattr(sys, "platform", "darwin")

    def none(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(ctypes, "CDLL", none)
    HOST.release()
