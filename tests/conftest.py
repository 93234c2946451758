"""A machine with a GPU that isn't there: fixtures of the tests that run on a double of CuPy."""

import ctypes
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from cupy_double import Machine

from kernels import _cupy

load_library = ctypes.CDLL


def library(name: str | None, *arguments: Any, **options: Any) -> Any:
    """ctypes.CDLL on a machine with NVIDIA's driver."""
    if name == "libcuda.so.1":
        return object()
    return load_library(name, *arguments, **options)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An NVIDIA driver is there."""
    monkeypatch.setattr(ctypes, "CDLL", library)
    _cupy.open_device.cache_clear()
    yield
    _cupy.open_device.cache_clear()


@pytest.fixture
def machine(driver: None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a GPU, and CuPy and nvmath."""
    machine = Machine()
    for name, module in machine.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return machine
