"""The layer on a simulated board with memory of its own, for the real command with real workers.

It has two devices, 0 and 1, of 16 MB each. The host does their work in `launch`; the rest is as a
GPU's: a name with a bus id, a state, ceilings. Device 1 is always at its power cap.
"""

import time

import numpy as np

from kernels import DeviceState, Rates, Step, Unavailable

FREE = 2**24


class Board:
    warm_s = 0.01

    def __init__(self, index):
        self.name = f"board:{index} Simulated at 0000:{0x17 + index:02x}:00.0"
        self.index = index

    def mark(self, out):
        return time.perf_counter()

    def seconds(self, start, stop):
        return stop - start

    def fence(self, out):
        pass

    def free_bytes(self):
        return FREE

    def release(self):
        pass

    def flush(self):
        pass

    def state(self):
        return DeviceState(1500.0, 900.0, 61.0, 250.5, ("power cap",) if self.index else ())

    def stated(self, precision):
        return Rates(5e12, 1e12)

    def product(self, n, precision):
        if n > 1024:
            raise MemoryError("no room")
        A, out = np.ones((n, n), precision), np.empty((n, n), precision)
        return Step(lambda _: np.matmul(A, A, out=out), device=self)

    def copy(self, size):
        source, target = np.ones((2, size // 2), np.uint8)
        return Step(lambda _: np.copyto(target, source), device=self)


def prepare(layer, batch, device=0):
    if device > 1:
        raise Unavailable(f"no board {device}: this machine has 2")
    W, b = layer.W.copy(), layer.b.copy()
    return Step(lambda A_in: np.maximum(A_in @ W + b, 0), send=np.copy, device=Board(device))
