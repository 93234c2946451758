"""PyTorch's layer without its launches: captured once in a CUDA graph, and replayed.

    addmm(b, A_in, W) then g in place        the work of `torch_linear`, kernel for kernel

`torch_linear` dispatches two operations for each launch, and the GPU waits for that where the layer
is small. A graph is what they sent to the GPU, kept: one short call sends it again.

What it costs: input and output stay where they were when the graph was captured (`send` always
writes into the same array), and another shape needs another graph.

What it shows: what `nvmath_graph` shows, in the framework that most networks run in. Measured on an
H100 in float32 with one example, beside this harness and with another script: 4.4 us at 64 units,
7.3 us at 1000. This file ran on a double only (tests/kernels/test_torch.py), not on a GPU yet.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from kernels import Layer, Step, Unavailable, library, torch_linear


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """As `torch_linear`, whose second launch is captured on the device's own stream."""
    torch = library("torch", "torch_graph")
    if not torch.cuda.is_available():
        raise Unavailable("a CUDA graph needs a GPU, and PyTorch sees none here")
    step = torch_linear.prepare(layer, batch, device)
    gpu: Any = step.device
    x = step.send(np.zeros((batch, layer.n_in), layer.W.dtype))
    gpu.fence(step.launch(x))  # chooses algorithms and allocates what no capture may allocate
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=gpu.stream):
        out = step.launch(x)

    def send(A_in: Any) -> Any:
        return x.copy_(step.send(A_in))

    def launch(A_in: Any) -> Any:  # always x
        graph.replay()
        return out

    return replace(step, send=send, launch=launch)
