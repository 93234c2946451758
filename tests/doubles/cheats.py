"""Kernels that cheat or err, each in one way, and some that look like it and are honest.

Each is the `prepare` of a relu layer. Those that are about time work on the simulated device, whose
clock is exact.
"""

import gc
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl
from devices import HostClock, SimulatedDevice, UnfencedDevice
from numpy.typing import NDArray

from kernels import Layer, Step

Prepare = Callable[..., Step]
Array = NDArray[Any]


def forward(layer: Layer, A_in: Array) -> Array:
    """The honest step."""
    A_out: Array = np.maximum(A_in @ layer.W + layer.b, 0)
    return A_out


def numpy(change: Callable[[Layer, Array], Any] = forward) -> Prepare:
    """A kernel on the CPU that does `change` instead of the honest step."""

    def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
        return Step(lambda A_in: change(layer, A_in))

    return prepare


# --- returns before the work is done


def lazy(layer: Layer, batch: int, device: int = 0) -> Step:
    """Leaves the work to `fetch`, which is no part of a launch."""
    return Step(lambda A_in: A_in, send=np.copy, fetch=lambda A_in: forward(layer, A_in))


def lazy_array(layer: Layer, batch: int, device: int = 0) -> Step:
    """An output that is computed when NumPy asks for its numbers."""

    class Later:
        def __init__(self, A_in: Array) -> None:
            self.A_in = A_in

        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return forward(layer, self.A_in)

    return Step(lambda A_in: Later(A_in.copy()))


def in_send(layer: Layer, batch: int, device: int = 0) -> Step:
    """Multiplies before the clock runs; its launch adds the bias."""

    def launch(product: Array) -> Any:
        return np.maximum(product + layer.b, 0)

    return Step(launch, send=lambda A_in: A_in @ layer.W)


def in_a_thread(layer: Layer, batch: int, device: int = 0) -> Step:
    """Works in a thread that nothing waits for; it gets going once the launch has returned."""
    go = threading.Event()

    def work(A_in: Array, out: Array) -> None:
        go.wait(1.0)
        out[...] = forward(layer, A_in)

    def launch(A_in: Array) -> Array:
        out = np.full((batch, layer.n_units), np.nan, A_in.dtype)
        threading.Thread(target=work, args=(A_in, out), daemon=True).start()
        return out

    return Step(launch, close=go.set)


class EarlyMarks(SimulatedDevice):
    """Marks lie on another queue than the work, as an event on the wrong stream does."""

    def mark(self, out: Any) -> int:
        return self.clock.ticks


class ShortSeconds(SimulatedDevice):
    """Takes milliseconds for seconds, or the like."""

    def seconds(self, start: int, stop: int) -> float:
        return super().seconds(start, stop) / 10


class WaitingFetch(UnfencedDevice):
    """Doesn't wait in its fence but where the result is read."""

    def read(self, out: Any) -> Array:
        SimulatedDevice.fence(self, out)
        return super().read(out)


# --- remembers answers, returns old buffers


def by_address(layer: Layer, batch: int, device: int = 0) -> Step:
    """Knows an input by the object that it is."""
    seen: dict[int, Array] = {}

    def launch(A_in: Array) -> Array:
        if id(A_in) not in seen:
            seen[id(A_in)] = forward(layer, A_in)
        return seen[id(A_in)]

    return Step(launch)


def only_once(layer: Layer, batch: int, device: int = 0) -> Step:
    """Computes at the first launch only, whatever comes."""
    first: list[Array] = []

    def launch(A_in: Array) -> Array:
        if not first:
            first.append(forward(layer, A_in))
        return first[0]

    return Step(launch, send=np.copy)


def one_behind(layer: Layer, batch: int, device: int = 0) -> Step:
    """Two buffers, and returns the other one: the answer to the launch before."""
    buffers: list[Array] = []

    def launch(A_in: Array) -> Array:
        buffers.append(forward(layer, A_in))
        return buffers.pop(0) if len(buffers) > 1 else buffers[0]

    return Step(launch)


def kept_for_good() -> Prepare:
    """Keeps its first answer from visit to visit."""
    kept: list[Array] = []

    def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
        def launch(A_in: Array) -> Array:
            if not kept:
                kept.append(forward(layer, A_in))
            return kept[0]

        return Step(launch)

    return prepare


class Remembering:
    """A kernel on the simulated device that looks its answer up where it can.

    `key` is what it knows an input by, `keeps` how many it remembers; with `buffer` all inputs are
    sent to one place.
    """

    def __init__(
        self, key: Callable[[Array], Any], *, keeps: int = 100, buffer: bool = False
    ) -> None:
        self.device = SimulatedDevice(HostClock(), 0, 3_000)
        self._key = key
        self._keeps = keeps
        self._buffer = buffer

    def prepare(self, layer: Layer, batch: int, device: int = 0) -> Step:
        seen: dict[Any, Array] = {}
        buffer = np.empty((batch, layer.n_in), layer.W.dtype)

        def send(A_in: Array) -> Array:
            if not self._buffer:
                return np.copy(A_in)
            buffer[...] = A_in
            return buffer

        def launch(A_in: Array) -> Any:
            key = self._key(A_in)
            self.device.work_ticks = 20_000 if key in seen else 500_000
            if key not in seen:
                if len(seen) == self._keeps:
                    seen.clear()
                seen[key] = forward(layer, A_in)
            return self.device.launch(seen[key])

        return Step(launch, send=send, fetch=self.device.read, device=self.device)


# --- writes where it may only read


def in_place(layer: Layer, A_in: Array) -> Array:
    """Puts its answer into its input, which a square layer lets it do."""
    A_in[...] = forward(layer, A_in)
    return A_in


def folds_the_bias(layer: Layer, A_in: Array) -> Array:
    out = forward(layer, A_in)
    layer.b[...] = -0.0  # as if it had gone into W
    return out


def nudges_a_weight(layer: Layer, A_in: Array) -> Array:
    out = forward(layer, A_in)
    layer.W[-1, -1] = np.nextafter(layer.W[-1, -1], 1)  # by one bit, within rounding
    return out


# --- computes in a lower precision than asked


def half(layer: Layer, A_in: Array) -> Any:
    low = A_in.astype(np.float16).astype(A_in.dtype)
    return np.maximum(low @ layer.W.astype(np.float16).astype(A_in.dtype) + layer.b, 0)


def cut(values: Array, bits: int) -> Any:
    """To a mantissa of so many bits, by cutting the rest off, as some hardware does."""
    single = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (single & np.uint32(2**32 - 2 ** (23 - bits))).view(np.float32)


def tf32(layer: Layer, A_in: Array) -> Any:
    return np.maximum(cut(A_in, 10) @ cut(layer.W, 10) + layer.b, 0)


def bfloat16_sigmoid(layer: Layer, A_in: Array) -> Any:
    z = cut(A_in, 7) @ cut(layer.W, 7) + layer.b.astype(np.float32)
    return (0.5 * np.tanh(0.5 * z) + 0.5).astype(layer.W.dtype)


def float16_sigmoid(layer: Layer, A_in: Array) -> Any:
    """Honest where float16 is asked: sums in float32, all else in float16."""
    sums = np.matmul(A_in, layer.W, dtype=np.float32).astype(np.float16) + layer.b
    return np.float16(0.5) * np.tanh(np.float16(0.5) * sums) + np.float16(0.5)


def single(layer: Layer, A_in: Array) -> Any:
    out = A_in.astype(np.float32) @ layer.W.astype(np.float32) + layer.b
    return np.maximum(out, 0)


# --- wrong, here and there or later


def wrong_at(where: Any, value: float | None = None) -> Prepare:
    """Right but for some numbers, which are off by one, or are `value`."""

    def change(layer: Layer, A_in: Array) -> Array:
        out = forward(layer, A_in)
        out[where] = out[where] + 1 if value is None else value
        return out

    return numpy(change)


def late(layer: Layer, batch: int, device: int = 0) -> Step:
    """Right at the first launch, and wrong later."""
    launches: list[int] = []

    def launch(A_in: Array) -> Array:
        launches.append(1)
        return forward(layer, A_in) + (len(launches) > 1)

    return Step(launch)


WRONG: dict[str, tuple[Prepare, str]] = {
    "lazy": (lazy, "its fetch does"),
    "lazy array": (lazy_array, "its fetch does"),
    "in send": (in_send, "its send does"),
    "in a thread": (in_a_thread, "row 0, unit 0 is nan"),
    "by address": (by_address, "it answered another input as it had answered the first"),
    "only once": (only_once, "it answered another input as it had answered the first"),
    "one behind": (one_behind, "it answered another input as it had answered the first"),
    "kept for good": (kept_for_good(), "it answered another input as it had answered the first"),
    "in place": (numpy(in_place), "it wrote into A_in, which it may only read"),
    "folds the bias": (numpy(folds_the_bias), "it wrote into b, which it may only read"),
    "nudges a weight": (numpy(nudges_a_weight), "it wrote into W, which it may only read"),
    "last row": (wrong_at(np.s_[-1, :]), "row 15, unit "),
    "last column": (wrong_at(np.s_[:, -1]), "unit 23 is "),
    "one unit": (wrong_at(np.s_[:, 5]), "unit 5 is "),
    "nan": (wrong_at(np.s_[3, 4], np.nan), "row 3, unit 4 is nan"),
    "infinity": (wrong_at(np.s_[3, 4], np.inf), "row 3, unit 4 is inf"),
    "shape": (numpy(lambda layer, A_in: forward(layer, A_in)[:, :-1]), "the output is float32 (16"),
    "dtype": (
        numpy(lambda layer, A_in: forward(layer, A_in).astype(np.float64)),
        "the output is float64 (16, 24), should be float32 (16, 24)",
    ),
    "late": (late, "should be"),
}
"""On a float32 relu layer of 24 inputs and 24 units and 16 examples; what is said of each."""


CHANGES: dict[str, tuple[Callable[[], Any], str]] = {
    "BLAS threads": (
        lambda: threadpoolctl.threadpool_limits(1),
        "the BLAS threads from 2 to 1",
    ),
    "random": (random.random, "the state of Python's random numbers"),
    "NumPy's random": (
        np.random.random,
        "the state of NumPy's random numbers",
    ),
    "warnings": (lambda: warnings.simplefilter("ignore"), "the warnings filters"),
    "errors": (lambda: np.seterr(over="raise"), "the NumPy error handling (over)"),
    "signals": (
        lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
        "the signal handlers (SIGUSR2)",
    ),
    "directory": (lambda: os.chdir("/"), f"the working directory from {os.getcwd()} to /"),  # noqa: PTH109
    "a variable": (lambda: os.environ.update(ADDED="42"), "the environment (ADDED)"),
    "no variable": (lambda: os.environ.pop("PATH", None), "the environment (PATH)"),
    "collection": (gc.disable, "the garbage collection from on to off"),
}
"""Ways to change what is not a kernel's own, and what is said of each."""
