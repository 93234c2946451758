"""One kernel that does what the batch asks for: every way to misbehave that the tests need."""

import os
import threading
import time

import numpy as np

from kernels import Step, Unavailable, Unsupported

CRASH, EXIT, HANG, RAISE, PRINT, SPIN, MEMORY, PREPARE, ABSENT, NOT_THIS, LATE_WRONG = range(1, 12)


def prepare(layer, batch, device=0):  # noqa: C901
    if batch == PREPARE:
        raise RuntimeError("can't prepare\nthis")
    if batch == ABSENT:
        raise Unavailable("no such library")
    if batch == NOT_THIS:
        raise Unsupported("relu")
    calls = []

    def launch(A_in):
        calls.append(1)
        if batch == CRASH:
            os.abort()
        if batch == EXIT:
            print("a last word", flush=True)
            os._exit(3)
        if batch == HANG:
            time.sleep(3600)
        if batch == RAISE:
            raise ZeroDivisionError("no\nluck")
        if batch == MEMORY:
            raise MemoryError
        if batch == PRINT:
            print("noise on stdout", flush=True)
        z = np.maximum(A_in @ layer.W + layer.b, 0)
        return z + 1 if batch == LATE_WRONG and len(calls) > 20 else z

    return Step(launch, close=spin_on if batch == SPIN else nothing)


def nothing():
    pass


def spin_on():
    threading.Thread(target=spin, args=(time.perf_counter() + 0.6,), daemon=True).start()


def spin(until):
    while time.perf_counter() < until:
        pass
