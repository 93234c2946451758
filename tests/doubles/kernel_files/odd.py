"""One kernel that hands over the oddest values, by batch: see ODD."""

import math
from fractions import Fraction

import numpy as np

from kernels import DeviceState, Host, Rates, Step, Unavailable


class Silent(Exception):
    """Has no words."""

    def __str__(self):
        raise ValueError("no words")


def device(**members):
    """A CPU that is like any other but for these."""
    return type("Odd", (Host,), members)()


def clock(convert, after=0):
    """A device whose readings are converted, from the call numbered `after` on every third."""
    calls = []

    def seconds(self, start, stop):
        calls.append(1)
        at_it = not after or (len(calls) > after and len(calls) % 3 == 0)
        return convert(stop - start) if at_it else stop - start

    return device(seconds=seconds)


def state(**values):
    """A device that reports a state."""
    known = {"mhz": 1.0, "memory_mhz": 1.0, "celsius": 1.0, "watts": 1.0} | values
    return device(name="odd:0", state=lambda self: DeviceState(**known))


def rated(flop_per_s, bytes_per_s):
    """A device that can be asked for its rates, and states these."""

    def product(self, n, precision):
        A = np.ones((n, n), precision)
        return Step(lambda x: A @ A)

    return device(
        name="npu:0",
        stated=lambda self, precision: Rates(flop_per_s, bytes_per_s),
        product=product,
        copy=lambda self, size: Step(lambda x: np.ones(size // 2**8, np.uint8).copy()),
    )


def raising(error):
    """A launch that raises."""

    def launch(A_in):
        raise error

    return launch


def endless():
    return endless()


def recursion(A_in):
    endless()


LAUNCHES = {
    "silent": raising(Silent()),
    "surrogate": raising(ValueError("a\udcffb")),
    "long": raising(ValueError("y" * 20_000_000)),
    "log": raising(RuntimeError("x.cu(12): error: no such thing;\n" * 6500)),
    "escapes": raising(ValueError("\x1b[31mred\x1b]0;title\x07\u202e<b>|`x`")),
    "formula": raising(ValueError('=HYPERLINK("http://x","y")')),
    "interrupt": raising(KeyboardInterrupt()),
    "generator_exit": raising(GeneratorExit()),
    "system_exit": raising(SystemExit(None)),
    "stop": raising(StopIteration()),
    "group": raising(ExceptionGroup("many", [ValueError("a"), TypeError("b")])),
    "recursion": recursion,
    "unavailable": raising(Unavailable("z" * 200_000)),
    "silently_unavailable": raising(Unavailable),
    "not_callable": 3,
}
STEPS = {"no_step": None, "step_class": Step, "a_function": raising(ValueError())}
DEVICES = {
    "float32_seconds": lambda: clock(np.float32),
    "float64_seconds": lambda: clock(np.float64),
    "array_seconds": lambda: clock(lambda s: np.array([s])),
    "fraction_seconds": lambda: clock(Fraction),
    "no_seconds": lambda: clock(lambda s: None),
    "nan_seconds": lambda: clock(lambda s: math.nan),
    "infinite_seconds": lambda: clock(lambda s: math.inf),
    "huge_seconds": lambda: clock(lambda s: 1e300),
    "tiny_seconds": lambda: clock(lambda s: 1e-13, after=10),
    "zero_seconds": lambda: clock(lambda s: 0.0, after=10),
    "negative_seconds": lambda: clock(lambda s: -1e-7, after=10),
    "bytes_name": lambda: device(name=b"cpu"),
    "none_name": lambda: device(name=None),
    "empty_name": lambda: device(name=""),
    "int_name": lambda: device(name=7),
    "long_name": lambda: device(name="n" * 200_000),
    "control_name": lambda: device(name="=1+1|<script>\x1b[31m`x`\n\udc80"),
    "nan_warm": lambda: device(warm_s=math.nan),
    "endless_warm": lambda: device(warm_s=1e9),
    "float64_state": lambda: state(mhz=np.float64(1500)),
    "nan_state": lambda: state(mhz=math.nan, celsius=-math.inf),
    "huge_state": lambda: state(watts=1e300, throttled=("\udc80" * 9, "; ", "")),
    "no_state": lambda: device(state=lambda self: "asleep"),
    "zero_rates": lambda: rated(0.0, math.nan),
}
DEVICES["no_device"] = lambda: None
DEVICES["bare_device"] = object
ODD = ["honest", "zero_rates", *LAUNCHES, *STEPS, *(n for n in DEVICES if n != "zero_rates")]
"""The first is that of batch 1; a device is asked for its rates at batch 2."""


def prepare(layer, batch, device=0):
    name = ODD[batch - 1]
    if name in STEPS:
        return STEPS[name]

    def launch(A_in):
        return np.maximum(A_in @ layer.W + layer.b, 0)

    step = Step(LAUNCHES.get(name, launch))
    return Step(step.launch, device=DEVICES[name]()) if name in DEVICES else step
