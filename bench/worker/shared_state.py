"""What a kernel shares with all else in its process, and what of it a kernel has changed.

A kernel that changes one of these makes the next visit, or the harness itself, another one than the
row says: fewer BLAS threads, another error handling, a handler that swallows a signal.

All of it takes about 0.1 ms to read. Only finding the libraries that have threads takes longer,
which is why `SharedState` keeps them until it is told that there may be new ones.

A device's library has switches of its own (a current stream, an arithmetic, a limit of memory):
those the device itself reads and puts back (`kernels.Streamed`).
"""

import gc
import os
import random
import signal
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import threadpoolctl

from bench.worker.streams import is_streamed

NUMPY_STATE = "state of NumPy's random numbers"

BROUGHT_BY_IMPORTS = frozenset({"warnings filters", "environment", NUMPY_STATE})
"""What importing a library may change: many add a filter for their own warnings or a variable, and
importing JAX draws a random number."""

_SIGNALS = sorted(signal.valid_signals())


class Changed(Exception):
    """A kernel changed something that isn't its own: says what."""


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing that kernels share: how to read it, to put it back, and to say what changed."""

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], object]
    difference: Callable[[Any, Any], str] = lambda old, new: ""


class SharedState:
    """All that kernels share, as it should be: it is read once, and then compared with."""

    def __init__(self) -> None:
        self._libraries: list[Any] = []
        self._devices: list[Any] = []
        self._aspects = (
            Aspect("BLAS threads", self._threads, self._set_threads, _numbers),
            Aspect("state of Python's random numbers", random.getstate, random.setstate),
            Aspect(NUMPY_STATE, _numpy_state, np.random.set_state),
            Aspect("warnings filters", lambda: list(warnings.filters), _set_filters),
            Aspect("NumPy error handling", np.geterr, lambda old: np.seterr(**old), _keys),
            Aspect("signal handlers", _handlers, _set_handlers, _keys),
            Aspect("working directory", os.getcwd, os.chdir, _from_to),
            Aspect("environment", lambda: dict(os.environ), _set_environment, _keys),
            Aspect("garbage collection", gc.isenabled, _set_collection, _on_off),
        )
        self.accept()

    def watch(self, device: object) -> None:
        """From now on the device's own state is held as well, where it has any to hold."""
        if is_streamed(device) and device not in self._devices:
            self._devices.append(device)

    def accept(self) -> None:
        """From now on it should be as it is now. Looks for libraries that have threads, too."""
        self._libraries = threadpoolctl.ThreadpoolController().lib_controllers
        self._should_be = {aspect.name: aspect.read() for aspect in self._aspects}

    def restore(self, but: frozenset[str] = frozenset()) -> str:
        """Put back what has changed -> what that was, in words; empty where nothing has.

        What is named in `but` may be another from now on.
        """
        found = []
        for aspect in self._aspects:
            old, new = self._should_be[aspect.name], aspect.read()
            if old == new:
                continue
            if aspect.name in but:
                self._should_be[aspect.name] = new
                continue
            found.append(f"the {aspect.name}{aspect.difference(old, new)}")
            aspect.put_back(old)
        found += filter(None, [device.restore() for device in self._devices])
        return " and ".join(found)

    def hold(self, when: str, but: frozenset[str] = frozenset()) -> None:
        """Raise Changed where something has changed, after putting it back."""
        if changed := self.restore(but):
            raise Changed(f"it changed {changed} {when}")

    def _threads(self) -> dict[str, int]:
        return {library.filepath: library.num_threads for library in self._libraries}

    def _set_threads(self, old: Mapping[str, int]) -> None:
        for library in self._libraries:
            library.set_num_threads(old[library.filepath])


def _numpy_state() -> tuple[Any, ...]:
    """A form of it that can be compared: the generator's own is an array."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global one is meant
    return (name, tuple(np.asarray(keys).tolist()), *rest)


def _set_filters(old: list[Any]) -> None:
    # a new list, then emptied: that also makes Python forget which warnings it has shown
    warnings.filters = []
    warnings.resetwarnings()
    warnings.filters = old


def _handlers() -> dict[str, Any]:
    return {getattr(s, "name", str(s)): signal.getsignal(s) for s in _SIGNALS}


def _set_handlers(old: Mapping[str, Any]) -> None:
    for number in _SIGNALS:
        handler = old[getattr(number, "name", str(number))]
        # None: one that wasn't set from Python, and can't be
        if handler is not None and handler != signal.getsignal(number):
            signal.signal(number, handler)


def _set_environment(old: Mapping[str, str]) -> None:
    for name in os.environ.keys() - old.keys():
        del os.environ[name]
    os.environ.update(old)


def _set_collection(on: bool) -> None:  # noqa: FBT001 - what gc.isenabled() has said
    if on:
        gc.enable()
    else:
        gc.disable()


def _from_to(old: object, new: object) -> str:
    return f" from {old} to {new}"


def _on_off(old: bool, new: bool) -> str:  # noqa: FBT001 - what gc.isenabled() has said
    return f" from {'on' if old else 'off'} to {'on' if new else 'off'}"


def _numbers(old: Mapping[str, int], new: Mapping[str, int]) -> str:
    """Like " from 2 to 1": once, where several libraries' numbers changed alike."""
    changed = (_from_to(old[name], new[name]) for name in old if old[name] != new[name])
    return ",".join(dict.fromkeys(changed))


def _keys(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Like " (SIGINT, SIGTERM)": the names alone, for a value may be a secret."""
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    return f" ({', '.join(changed)})"
