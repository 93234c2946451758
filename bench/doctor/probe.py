"""Have a GPU compute through CuPy, for `observe`: `python -m bench.doctor.probe INDEX`.

A product (cuBLAS) and an elementwise operation (NVRTC and its headers), because counting devices
proves neither; then half a second of load, for the clocks to show what holds them back. Prints a
Probe as JSON. It runs in a process of its own, so that a crash or a hang is a finding as well.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from bench.doctor.seen import Probe

LOAD_S = 0.5

WIDTH = 2048
"""Of the products that make the load: large enough to keep any GPU busy."""


class WrongAnswer(Exception):
    """The device computed something else."""


def probe(index: int) -> Probe:
    """What came of it; whatever CuPy raises is an answer."""
    try:
        import cupy

        with cupy.cuda.Device(index):
            _compute(cupy)
            _load(cupy)
    except Exception as error:  # noqa: BLE001 - every error is a finding
        status = getattr(error, "status", None)
        text = " ".join(str(error).split())
        return Probe(index, "raised", type(error).__name__, status, text)
    return Probe(index, "worked")


def _compute(cupy: Any) -> None:
    """Raise WrongAnswer unless maximum(ones @ ones - 1, 0) is 63 everywhere, for 64 by 64 ones."""
    ones = cupy.ones((64, 64), "float32")
    answer = cupy.asnumpy(cupy.maximum(ones @ ones - 1, 0))
    if not (answer == 63).all():
        raise WrongAnswer(f"{answer.min()} to {answer.max()} in place of 63")


def _load(cupy: Any) -> None:
    ones = cupy.ones((WIDTH, WIDTH), "float32")
    out = cupy.empty_like(ones)
    ends = time.monotonic() + LOAD_S
    while time.monotonic() < ends:
        cupy.matmul(ones, ones, out=out)
        cupy.cuda.get_current_stream().synchronize()


if __name__ == "__main__":
    print(json.dumps(asdict(probe(int(sys.argv[1])))))  # noqa: T201
