"""Where a kernel's work is done is found out whatever the library, and without an accusation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernels
from bench.plan.case import Case
from bench.worker import placement
from kernels import Layer, Step, Unsupported

CASE = Case(64, 64, 1, "float32", "relu")


class Work:
    """A kernel that counts time: a tick for each product and each number that is moved.

    `in_send` and `in_fetch` are the shares of the products that are done there.
    """

    def __init__(self, in_send: float = 0.0, in_fetch: float = 0.0, overhead: float = 0.0) -> None:
        self.now = 0.0
        self.in_send, self.in_fetch, self.overhead = in_send, in_fetch, overhead
        self.set_up = 0

    def clock(self) -> float:
        return self.now

    def prepare(self, layer: Layer, batch: int) -> Step:
        self.set_up += 1
        products = batch * layer.n_in * layer.n_units

        def send(A_in: Any) -> Any:
            self.now += 1e-9 * (self.in_send * products + A_in.size) + self.overhead
            return A_in

        def launch(A_in: Any) -> Any:
            self.now += 1e-9 * (1 - self.in_send - self.in_fetch) * products + self.overhead
            return A_in

        def fetch(A_in: Any) -> Any:
            self.now += 1e-9 * (self.in_fetch * products + batch * layer.n_units) + self.overhead
            return A_in

        return Step(launch, send=send, fetch=fetch)

    def share(self, where: str) -> float:
        share = placement.share(where, self.prepare, CASE, 1e-6, self.clock)
        assert share is not None
        return share


@pytest.mark.parametrize("where", ["send", "fetch"])
@pytest.mark.parametrize("overhead", [0.0, 3e-6, 1e-3])
def test_work_that_is_not_done_in_launch_shows(where: str, overhead: float) -> None:
    assert Work(**{f"in_{where}": 1.0}, overhead=overhead).share(where) > 0.9
    assert Work(**{f"in_{where}": 0.4}, overhead=overhead).share(where) > placement.SHARE


@pytest.mark.parametrize("where", ["send", "fetch"])
@pytest.mark.parametrize("overhead", [0.0, 3e-6, 1e-3])
def test_an_honest_kernel_does_none_there(where: str, overhead: float) -> None:
    assert Work(overhead=overhead).share(where) == pytest.approx(0.0, abs=0.01)


def test_where_the_work_does_not_show_nothing_is_said() -> None:
    work = Work(in_fetch=1.0, overhead=10.0)
    assert placement.share("fetch", work.prepare, CASE, 1e-6, work.clock) is None


def test_what_cannot_be_set_up_for_another_layer_is_not_judged() -> None:
    def prepare(layer: Layer, batch: int) -> Step:
        raise Unsupported("this shape")

    assert placement.share("fetch", prepare, CASE, 1e-6, lambda: 0.0) is None


def test_a_slow_kernel_is_tried_with_little_and_a_quick_one_is_set_up_once_less() -> None:
    work = Work(overhead=3e-6)
    placement.share("fetch", work.prepare, CASE, 1.0, work.clock)
    slow = work.set_up
    placement.share("fetch", work.prepare, CASE, 1e-6, work.clock)
    assert (slow, work.set_up - slow) == (2, 2)


@pytest.mark.parametrize("name", ["python_loop", "numba_loop", "numpy_matmul", "jax_dense"])
def test_the_kernels_here_do_their_work_in_launch(name: str) -> None:
    import time

    try:
        prepare: Callable[..., Step] = kernels.load(name).prepare
        for where in ("fetch", "send"):
            case = Case(1, 1, 1, "float32", "relu")
            share = placement.share(where, prepare, case, 1e-5, time.perf_counter)
            assert share is None or share < placement.SHARE
    except kernels.Unavailable as reason:
        pytest.skip(str(reason))


def test_a_lazy_numpy_kernel_does_it_in_fetch() -> None:
    import time

    def prepare(layer: Layer, batch: int) -> Step:
        def fetch(A_in: Any) -> Any:
            return np.maximum(A_in @ layer.W + layer.b, 0)

        return Step(lambda A_in: A_in, send=np.copy, fetch=fetch)

    share = placement.share("fetch", prepare, CASE, 1e-7, time.perf_counter)
    assert share is not None
    assert share > 0.5
