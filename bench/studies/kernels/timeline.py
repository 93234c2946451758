"""A GPU's timeline without a GPU: its work takes time, and no core of the host's.

A launch is queued within microseconds; the device then takes 10 us and what the arithmetic takes at
50 TFLOP/s, one launch after the other. So what a visit takes beyond that is the harness's own:
Python, messages, checks. The answer is worked out in `send`, on the host. A simulation: nothing of
it is evidence of a real card's times.
"""

import time

import numpy as np

from kernels import DeviceState, Step

LAUNCH_S = 10e-6
FLOP_PER_S = 50e12
SLOWER = 1.0  # a planted slowdown is another number here


class Timeline:
    """In real time; tells its state, and would need to be warmed up for 0.3 s if it did not."""

    name = "timeline:0 Simulated at 0000:17:00.0"
    warm_s = 0.3

    def __init__(self):
        self._free_at = 0.0

    def queue(self, seconds):
        self._free_at = max(self._free_at, time.perf_counter()) + seconds

    def mark(self, out):
        return max(self._free_at, time.perf_counter())

    def seconds(self, start, stop):
        self._wait(stop)
        return stop - start

    def fence(self, out):
        self._wait(self._free_at)

    def _wait(self, until):
        while time.perf_counter() < until:
            pass

    def free_bytes(self):
        return 2**36

    def release(self):
        pass

    def flush(self):
        self.queue(2e-5)

    def restore(self):
        return ""

    def drain(self, out):
        self.fence(out)

    def spoil(self, out):
        return False  # nothing is written here: the answer is the host's

    def state(self):
        return DeviceState(mhz=1980.0, memory_mhz=2619.0, celsius=37.0, watts=120.0)


DEVICE = Timeline()


def prepare(layer, batch, device=0):
    """The layer on the timeline."""
    work_s = SLOWER * (LAUNCH_S + 2 * layer.W.size * batch / FLOP_PER_S)

    def send(A_in):  # (batch, n_in) -> its answer, (batch, n_units), for `launch` to hand out
        return np.maximum(A_in @ layer.W + layer.b, 0)

    def launch(answer):
        DEVICE.queue(work_s)
        return answer

    return Step(launch, send=send, device=DEVICE)
