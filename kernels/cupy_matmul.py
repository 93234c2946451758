"""The same matrix product on a GPU, by CuPy: A_in @ W by cuBLAS, then b, then g.

    (batch, n_in) @ (n_in, n_units) -> (batch, n_units), all of it resident on the device

The product is cut into thousands of tiles that run at once. That is what the hardware is for, and
also what it needs: one example gives most of it nothing to do, a batch keeps it busy.

What it costs: a launch is queued by the host in about ten microseconds a call (product, bias,
activation: three calls), so a small layer takes as long as a medium one. Bias and activation each
read and write the whole output once more (`cupy_fused` does both at once). Input and output have to
cross the bus, which is measured beside the launch, not in it (`send_s`, `fetch_s`).

What it shows: with a large batch, the step from a CPU's fast product to a GPU's is as large as the
step before it, from one product a unit to a single one.

tf32 and bfloat16 need an NVIDIA card of compute capability 8.0 or newer; bfloat16 also ml_dtypes.
Ran on an H100 (kernels/README.md).
"""

from typing import Any

from kernels import Layer, Step
from kernels._activations import in_place
from kernels._cupy import Bus, device_dtype, open_device, product


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W, b and the output buffer, (batch, n_units), are put on the device once."""
    gpu = open_device(device)
    dtype = device_dtype(gpu, layer.precision)
    cupy = gpu.cupy
    W = cupy.asarray(layer.W, dtype=dtype, order="C")
    b = cupy.asarray(layer.b, dtype=dtype)
    out = cupy.empty((batch, layer.n_units), dtype)
    bus = Bus(gpu, (batch, layer.n_in), layer.precision)
    multiply = product(gpu, layer.precision)
    g = in_place(cupy, layer.activation)

    def launch(A_in: Any) -> Any:
        multiply(A_in, W, out)
        cupy.add(out, b, out=out)
        g(out)
        return out

    launch(cupy.empty((batch, layer.n_in), dtype))  # CuPy compiles at a first call: here, not later
    gpu.fence(None)
    return Step(launch, send=bus.send, fetch=bus.fetch, device=gpu)
