"""The fused layer without its launch: nvmath's call, captured once in a CUDA graph, and replayed.

    out = relu(A_in @ W + b)      (batch, n_in), (n_in, n_units), (n_units,) -> (batch, n_units)

A launch is work for the host: Python calls nvmath, nvmath checks its arguments, cuBLASLt picks the
kernel and the driver writes a command for the GPU. With one example that takes longer than the
layer does. A graph is that command, kept: the stream is told to record instead of to work, the call
is made once, and from then on one short call of the driver sends what was recorded. The arithmetic
is that of `nvmath_fused`, kernel for kernel.

What it costs: input and output have to stay where they were when the graph was captured (`send`
always writes into the same array), and another shape needs another graph. CuPy's own products
refuse to be captured (cuBLAS is not supported during a capture in CuPy 14), cuBLASLt's don't.

What it shows: with a single example the launch, not the arithmetic, is what a GPU's time goes to.
Measured on an H100 in float32, with the same call and graph but beside this harness: 2.9 us instead
of 19 at 64 units, 5.3 us instead of 19 at 1000 units (a CPU took 23), and 14.6 us instead of 22 at
1000 units and 128 examples; the host spent 1.3 us on each replay.

This file ran on a double only, not on a GPU yet. A first form of it, inside the harness on an H200,
ended with CUDA_ERROR_INVALID_VALUE; why, as far as nvmath's source tells, is said in `prepare`.
"""

from dataclasses import replace
from typing import Any

from kernels import Layer, Step, nvmath_fused
from kernels._cupy import open_device


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """As `nvmath_fused`, whose first launch is captured on the device's own stream.

    nvmath records an event with each call and, when the call is freed, has a stream wait for the
    last one. An event that was recorded during a capture is part of the graph and can't be waited
    for outside of it: the driver says that the value is invalid. So one ordinary launch follows.
    """
    gpu = open_device(device)
    step = nvmath_fused.prepare(layer, batch, device)
    try:
        out = step.launch(None)  # allocates what no capture may allocate
        gpu.fence(out)
        graph = gpu.captured(lambda: step.launch(None))
        step.launch(None)
        gpu.fence(out)
    except BaseException:
        step.close()
        raise

    def launch(A_in: Any) -> Any:  # always where `send` put it
        graph.launch(gpu.stream)
        return out

    return replace(step, launch=launch)
