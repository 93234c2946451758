"""At how many places one example reads W at a time, and that the answer is the same from each."""

import mmap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels import Layer, _memory, numba_packed
from kernels._caches import Cache

CACHES = (Cache(1, 2**15, 8), Cache(2, 2**20, 8), Cache(3, 2**23, 16, 2))
LARGE, IN_THIRD, NEAR = (np.ones(size, np.uint8) for size in (2**23 + 1, 2**22, 2**21))

AMD, INTEL = "vendor_id\t: AuthenticAMD\n", "processor\t: 0\nvendor_id\t: GenuineIntel\n"


@pytest.fixture
def of_amd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the system says of a CPU of AMD's."""
    monkeypatch.setattr(_memory, "CPU", tmp_path / "cpuinfo")
    _memory.CPU.write_text(AMD)
    return _memory.CPU


def mapped(array: Any, large_kib: int, folder: Path) -> Path:
    """A list of mappings in which that of `array` has so much memory in large pages."""
    first = array.ctypes.data & -mmap.PAGESIZE
    end = first + 2**24
    path = folder / "smaps"
    path.write_text(
        f"{first - 4096:x}-{first:x} rw-p 00000000 00:00 0 \nRss: 4 kB\nAnonHugePages: 4 kB\n"
        f"{first:x}-{end:x} rw-p 00000000 00:00 0 \n"
        f"Size: 16384 kB\nRss: 9000 kB\nAnonHugePages: {large_kib} kB\nVmFlags: rd wr\n"
        f"{end:x}-{end + 4096:x} rw-p 00000000 00:00 0 \nRss: 4 kB\nAnonHugePages: 4 kB\n"
    )
    return path


def test_small_pages_of_memory_are_read_at_four_places(
    of_amd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for small, count in ((True, 4), (False, 1)):
        monkeypatch.setattr(_memory, "in_small_pages", lambda _, small=small: small)
        assert _memory.places(LARGE, CACHES, 2) == _memory.places(IN_THIRD, CACHES, 2) == count
        assert _memory.places(NEAR, CACHES, 2) == 1


def test_intel_reads_at_four_what_its_second_caches_do_not_hold(
    of_amd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_amd.write_text(INTEL)
    monkeypatch.setattr(_memory, "in_small_pages", lambda _: False)
    assert _memory.places(LARGE, CACHES, 2) == _memory.places(IN_THIRD, CACHES, 2) == 4
    assert _memory.places(NEAR, CACHES, 2) == 1
    assert _memory.places(NEAR, CACHES, 1) == 4  # one thread has one such cache


def test_what_was_tuned_decides_but_for_near_caches(of_amd: Path) -> None:
    assert [_memory.places(W, CACHES, 2, 4) for W in (LARGE, IN_THIRD, NEAR)] == [4, 4, 1]
    of_amd.write_text(INTEL)
    assert _memory.places(LARGE, CACHES, 2, 1) == 1


def test_where_nothing_is_known_it_is_one(of_amd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _memory.places(LARGE, (), 2, 4) == 1
    of_amd.unlink()
    monkeypatch.setattr(_memory, "MAPS", of_amd)
    assert _memory.places(LARGE, CACHES, 2) == 1


def test_large_pages_are_those_of_the_arrays_own_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for large, small in ((0, True), (4096, True), (8192, False)):
        monkeypatch.setattr(_memory, "MAPS", mapped(LARGE, large, tmp_path))
        assert _memory.in_small_pages(LARGE) is small
    _memory.MAPS.write_text("00-zz rw-p\nRss: many kB\n")
    assert not _memory.in_small_pages(LARGE)


@pytest.mark.skipif(not _memory.MAPS.exists(), reason="needs Linux's list of mappings")
def test_linux_says_it_of_memory_that_has_no_large_pages() -> None:
    with mmap.mmap(-1, 2**23, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        array = np.frombuffer(memory, np.uint8)
        array[:] = 1
        small = _memory.in_small_pages(array)
        del array
    assert small


@pytest.mark.skipif(
    find_spec("numba") is None, reason="needs numba: make setup KERNELS=numba_packed"
)
@pytest.mark.parametrize("precision", ["float64", "float32", "float16", "bfloat16", "int8"])
def test_one_example_is_the_same_from_four_places(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype = {"float64": np.float64, "float16": np.float16}.get(precision, np.float32)
    monkeypatch.setattr(_memory, "places", lambda *_: 4)
    for n_in in (1, 3, 4, 7, 8, 34):
        W = (np.arange(n_in * 37) * 7 % 11 - 5).reshape(n_in, 37).astype(dtype)
        W[0] = 127  # an int8's scale is 1
        b, A_in = W[:1] * 0 + dtype(2), ((np.arange(n_in)[None] + 2) % 5 - 2).astype(dtype)
        step = numba_packed.prepare(Layer(W, b, precision=precision), 1)
        output = step.fetch(step.launch(step.send(A_in)))
        rounded = A_in.astype(np.float32) @ W.astype(np.float32) + 2
        np.testing.assert_array_equal(output.astype(np.float32), rounded)


@pytest.mark.skipif(
    find_spec("numba") is None, reason="needs numba: make setup KERNELS=numba_packed"
)
def test_it_is_another_order_of_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the places are used at all: a sum in another order is rounded in another way."""
    rng = np.random.default_rng(1)
    W, A_in = (rng.standard_normal(shape, np.float32) for shape in ((999, 64), (1, 999)))
    outputs = []
    for places in (1, 4):
        monkeypatch.setattr(_memory, "places", lambda *_, places=places: places)
        layer = Layer(W, np.zeros((1, 64), np.float32))
        outputs.append(numba_packed.prepare(layer, 1).launch(A_in).copy())
    once, apart = outputs
    assert not np.array_equal(once, apart)
    np.testing.assert_allclose(once, apart, rtol=1e-3, atol=1e-4)
