"""The layer in MLX, Apple's array library: written as NumPy is, and computed when somebody looks.

    addmm(b, A_in, W) then g

MLX is lazy. An operation makes a node of a graph and returns; `mx.eval(out)` computes what that
output needs, on the GPU of Apple silicon and on the CPU elsewhere. A loop of a hundred launches
whose last output is looked at computes one of them: 1000 units and one example then seem to take
5 us in place of 516 (two Zen 4 cores). So this kernel's device has a fence that evaluates the
output, and does not say that it is eager: each launch is fenced.

What it costs: some 15 us a launch on a CPU to build the graph, hand it to the thread of MLX's
stream and wait for it. The bias goes into the product; the activation is one more pass. MLX's
wheel for Linux brings the BLAS that netlib wrote as a reference, which is as slow as it is plain
and uses one thread.

What it shows: a lazy library, and what a benchmark would believe of it that looks at one output.

W and b become MLX's own arrays; memory is shared with the GPU, so sending is a copy within it. A
GPU of Apple's has no float64. What runs on a GPU is written from MLX 0.32's documentation and
**has not run**; on a CPU it has (Linux, x86_64).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Host, Layer, Step, Unsupported, library, supported


class Evaluates(Host):
    """Where MLX computes: a fence is an evaluation. Host's marks fence first."""

    def __init__(self, mlx: Any) -> None:
        self._evaluate = mlx.eval
        if (device := mlx.default_device()) != mlx.Device(mlx.cpu, 0):
            self.name = f"mlx {device}"
            self.warm_s = 0.3

    def fence(self, out: Any) -> None:
        if out is not None:
            self._evaluate(out)


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W (n_in, n_units) and b (1, n_units) become MLX's own arrays, in the layer's precision."""
    if layer.precision not in ("float64", "float32", "float16", "bfloat16"):
        raise Unsupported(f"precision {layer.precision}: MLX has none")
    library("mlx", "mlx_dense")
    mlx: Any = library("mlx.core", "mlx_dense")
    where = Evaluates(mlx)
    if layer.precision == "float64" and where.name != Host.name:
        raise Unsupported("precision float64: MLX has it on a CPU only")
    dtype = getattr(mlx, layer.precision)
    carried = getattr(mlx, np.dtype(DTYPES[layer.precision]).name)

    def half_tanh(z: Any) -> Any:
        return 0.5 * mlx.tanh(0.5 * z) + 0.5

    activations = {
        "linear": lambda z: z,
        "relu": lambda z: mlx.maximum(z, 0),
        # MLX works its own out in single precision
        "sigmoid": half_tanh if layer.precision == "float64" else mlx.sigmoid,
        "tanh": mlx.tanh,
    }
    g = supported("activation", layer.activation, activations)

    def send(array: NDArray[Any]) -> Any:
        x = mlx.array(array, dtype=dtype)
        mlx.eval(x)
        return x

    W, b = send(layer.W), send(layer.b)
    addmm = mlx.addmm

    def launch(A_in: Any) -> Any:
        return g(addmm(b, A_in, W))

    def fetch(out: Any) -> NDArray[Any]:
        return np.array(out.astype(carried))

    return Step(launch, send=send, fetch=fetch, device=where)
