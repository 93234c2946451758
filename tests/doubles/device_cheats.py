"""Kernels that cheat on a GPU, each in one way: on the double of CuPy, and in gpu-check on a card.

Each is the `prepare` of a relu layer in float32.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from kernels import Layer, Step
from kernels._cupy import Bus, CudaDevice, open_device, product


class Parts:
    """A layer on a GPU, and the honest way to compute it."""

    def __init__(self, layer: Layer, batch: int, device: int = 0) -> None:
        self.gpu = open_device(device)
        cupy = self.cupy = self.gpu.cupy
        self.W, self.b = (cupy.asarray(a, dtype=a.dtype, order="C") for a in (layer.W, layer.b))
        self.out = cupy.empty((batch, layer.n_units), layer.W.dtype)
        self.bus = Bus(self.gpu, (batch, layer.n_in), layer.precision)
        self.multiply = product(self.gpu, layer.precision)
        self.x = cupy.empty((batch, layer.n_in), layer.W.dtype)
        self.compute(self.x)  # compiles
        self.gpu.fence(None)

    def compute(self, A_in: Any) -> Any:
        self.multiply(A_in, self.W, self.out)
        self.cupy.add(self.out, self.b, out=self.out)
        self.cupy.maximum(self.out, 0, out=self.out)
        return self.out

    def step(self, launch: Callable[[Any], Any], **changes: Any) -> Step:
        given = {"send": self.bus.send, "fetch": self.bus.fetch, "device": self.gpu, **changes}
        return Step(launch, **given)


def honest(layer: Layer, batch: int, device: int = 0) -> Step:
    parts = Parts(layer, batch, device)
    return parts.step(parts.compute)


def on_a_side_stream(layer: Layer, batch: int, device: int = 0, *, in_order: bool = False) -> Step:
    """Works where the device's marks and fence see nothing, and waits in `fetch`; in order: begun
    when the device's own stream has come that far.
    """
    parts = Parts(layer, batch, device)
    side = parts.cupy.cuda.Stream(non_blocking=True)

    def launch(A_in: Any) -> Any:
        if in_order:
            side.wait_event(parts.gpu.mark(None))
        with side:
            return parts.compute(A_in)

    def fetch(out: Any) -> Any:
        side.synchronize()
        return parts.bus.fetch(out)

    return parts.step(launch, fetch=fetch)


on_a_side_stream_in_order = partial(on_a_side_stream, in_order=True)


def empty_graph(layer: Layer, batch: int, device: int = 0) -> Step:
    """Replays a graph that holds nothing, once it has computed an input twice."""
    parts = Parts(layer, batch, device)
    graph = parts.gpu.captured(lambda: None)
    last = SimpleNamespace(A_in=None, launches=0)

    def launch(A_in: Any) -> Any:
        last.launches = last.launches + 1 if last.A_in is A_in else 0
        last.A_in = A_in
        if last.launches > 2:
            graph.launch(parts.gpu.stream)
            return parts.out
        return parts.compute(A_in)

    return parts.step(launch)


def only_an_empty_graph(layer: Layer, batch: int, device: int = 0) -> Step:
    """Replays a graph that holds nothing after its very first launch."""
    parts = Parts(layer, batch, device)
    graph = parts.gpu.captured(lambda: None)
    done: list[bool] = []

    def launch(A_in: Any) -> Any:
        if done:
            graph.launch(parts.gpu.stream)
            return parts.out
        done.append(True)
        return parts.compute(A_in)

    return parts.step(launch)


class Patched:
    """A device that is another one in some of its methods."""

    def __init__(self, gpu: CudaDevice, **methods: Any) -> None:
        self._gpu = gpu
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gpu, name)


def patched_events(layer: Layer, batch: int, device: int = 0) -> Step:
    """Its events tell a tenth of the time."""
    parts = Parts(layer, batch, device)
    tenth = lambda start, stop: parts.gpu.seconds(start, stop) / 10  # noqa: E731
    return parts.step(parts.compute, device=Patched(parts.gpu, seconds=tenth))


def warm_caches(layer: Layer, batch: int, device: int = 0) -> Step:
    """Its device flushes nothing."""
    parts = Parts(layer, batch, device)
    return parts.step(parts.compute, device=Patched(parts.gpu, flush=lambda: None))


def on_another_device(layer: Layer, batch: int, device: int = 0) -> Step:
    """Computes on the second device and shows the first one's clock."""
    first, index = open_device(device), device + 1
    cupy = first.cupy
    second = cupy.cuda.Device(index)
    with second:
        W, b = (cupy.asarray(a, dtype=a.dtype, order="C") for a in (layer.W, layer.b))
        out = cupy.empty((batch, layer.n_units), layer.W.dtype)
        second.synchronize()

    def send(A_in: Any) -> Any:
        with second:
            x = cupy.asarray(A_in, dtype=A_in.dtype, order="C")
            second.synchronize()
        return x

    def launch(A_in: Any) -> Any:
        with second:
            cupy.matmul(A_in, W, out=out)
            cupy.add(out, b, out=out)
            cupy.maximum(out, 0, out=out)
        return out

    def fetch(out: Any) -> Any:
        with second:
            second.synchronize()
            return cupy.asnumpy(out)

    return Step(launch, send=send, fetch=fetch, device=first)


WRONG: dict[str, tuple[Callable[..., Step], str, str, str]] = {
    "on a side stream": (on_a_side_stream, "warm", "wrong", "its marks missed"),
    "a graph, empty from the third launch on": (
        *(empty_graph, "warm", "wrong"),
        "it launched and computed nothing",
    ),
    "a graph, empty from the second launch on": (
        *(only_an_empty_graph, "warm", "wrong"),
        "it answered another input as it had answered the first",
    ),
    "patched events": (patched_events, "warm", "wrong", "its marks missed"),
    "warm caches": (warm_caches, "cold", "wrong", "its device's flush does nothing"),
    "on another device": (on_another_device, "warm", "error", "its output is on CUDA device 1"),
}
"""A kernel, the caches, its status, and what is said of it."""
