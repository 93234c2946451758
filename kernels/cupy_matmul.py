"""The same matrix product on a GPU, by CuPy: A_in @ W by cuBLAS, then b, then g.

    (batch, n_in) @ (n_in, n_units) -> (batch, n_units), all of it resident on the device

The product is cut into thousands of tiles that run at once. That is what the hardware is for, and
also what it needs: one example gives most of it nothing to do, a batch keeps it busy.

What it costs: a launch is queued by the host in about ten microseconds a call (product, bias,
activation: three calls), so a small layer takes as long as a medium one. Input and output have to
cross the bus, which is measured beside the launch, not in it (`send_s`, `fetch_s`).

What it shows: the step from a fast CPU product to a GPU's is as large as the step before it, as
soon as the batch is.

Written from CuPy 14's source and GPU facts; it has not run on a GPU yet (see CONTRIBUTING.md).
"""

from typing import Any

from kernels import DTYPES, Layer, Step, Unsupported
from kernels._activations import in_place
from kernels._cupy import open_device


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W, b and the output buffer, (batch, n_units), are put on the device once."""
    if layer.precision not in ("float64", "float32", "float16"):
        raise Unsupported(f"precision {layer.precision}")
    gpu = open_device(device)
    cupy = gpu.cupy
    W = cupy.asarray(layer.W, order="C")
    b = cupy.asarray(layer.b)
    out = cupy.empty((batch, layer.n_units), DTYPES[layer.precision])
    g = in_place(cupy, layer.activation)
    gpu.fence(None)

    def launch(A_in: Any) -> Any:
        cupy.matmul(A_in, W, out=out)
        cupy.add(out, b, out=out)
        g(out)
        return out

    return Step(launch, send=cupy.asarray, fetch=cupy.asnumpy, device=gpu)
