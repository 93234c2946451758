"""What the system says of the caches, and what is made of it where it says nonsense."""

import os
from pathlib import Path

import pytest

from kernels._caches import Cache, data_caches

XEON = (
    ("Data", 1, "48K", 12),
    ("Instruction", 1, "32K", 8),
    ("Unified", 2, "1280K", 20),
    ("Unified", 3, "49152K", 12),
)
NAMES = ("type", "level", "size", "ways_of_associativity")


def written(folder: Path, caches: tuple[tuple[str, int, str, int], ...], cores: str) -> Path:
    for number, cache in enumerate(caches):
        index = folder / f"cpu{min(os.sched_getaffinity(0))}" / "cache" / f"index{number}"
        index.mkdir(parents=True)
        (index / "shared_cpu_list").write_text(f"{cores}\n")
        for name, value in zip(NAMES, cache, strict=True):
            (index / name).write_text(f"{value}\n")
    return folder


def test_the_caches_for_data_are_told_the_nearest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 9})
    caches = data_caches(written(tmp_path, XEON, "0-1,4-7,9"))
    kib = 1024
    assert caches == (
        Cache(1, 48 * kib, 12, 3), Cache(2, 1280 * kib, 20, 3), Cache(3, 49152 * kib, 12, 3)
    )  # fmt: skip
    assert [cache.sets for cache in caches] == [64, 1024, 65536]
    assert caches[0].share == 16 * kib


@pytest.mark.parametrize(
    ("name", "text"),
    [("size", "big"), ("size", "0K"), ("level", ""), ("shared_cpu_list", "?"), ("type", None)],
)
def test_a_cache_that_is_not_described_is_left_out(
    name: str, text: str | None, tmp_path: Path
) -> None:
    folder = written(tmp_path, XEON[:1], "0")
    (index,) = folder.glob("*/*/index0")
    (index / name).unlink()
    if text is not None:
        (index / name).write_text(text)
    assert data_caches(folder) == ()
    assert data_caches(tmp_path / "nonesuch") == ()


def test_they_are_those_of_a_core_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core 0 is another's; 8 and 72 are one core's two threads."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {8, 72, 9, 73})
    written(tmp_path, XEON, "8,72")
    assert [cache.cores for cache in data_caches(tmp_path)] == [2, 2, 2]
    monkeypatch.delattr("os.sched_getaffinity")  # as on macOS
    assert data_caches(tmp_path) == ()
