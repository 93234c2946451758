"""The GPU's matrix product, with bias and activation in one small kernel of our own.

    out = A_in @ W                       cuBLAS, (batch, n_in) @ (n_in, n_units) -> (batch, n_units)
    out = g(out + b)                     one pass over `out`, b (1, n_units) added to every row

`cupy_matmul` calls CuPy once for the bias and again for the activation, and each call is a kernel
that reads all of `out` from the device's memory and writes it back. Here CuPy is given one line of
CUDA C and makes one kernel of it: each number is read once, finished in a register, written once.

What it costs: one line in another language, which is compiled for the card at hand the first time
(some tenths of a second; CuPy keeps the result on disk). In half precision the line adds and
activates in float32 and rounds once, where separate calls round after each.

What it shows: on fast hardware memory is scarcer than arithmetic. The smaller n_in is, the more the
saved pass over memory is worth: the product does 2 n_in operations for each number that it writes,
bias and activation a handful.

Ran on an H100 (kernels/README.md); the line was compiled for cards from sm_70 to sm_120.
"""

from typing import Any

from kernels import Layer, Step, supported
from kernels._cupy import Bus, device_dtype, open_device, product

ACTIVATE = {
    "linear": "v",
    "relu": "v < 0 ? 0 : v",  # in this order NaN stays NaN
    "sigmoid": "(wide)0.5 * tanh((wide)0.5 * v) + (wide)0.5",  # exp(-v) would overflow
    "tanh": "tanh(v)",
}
"""g of a number v, in CUDA C: in `wide`, float64 for a float64 layer and float32 for all others."""


def bias_activation(cupy: Any, activation: str, precision: str) -> Any:
    """A kernel (z, b, y): y = g(z + b), each of one dtype T, b broadcast; y may be z itself.

    Raises Unsupported for an activation that has no line in `ACTIVATE`.
    """
    formula = supported("activation", activation, ACTIVATE)
    wide = "double" if precision == "float64" else "float"
    return cupy.ElementwiseKernel(
        "T z, T b",
        "T y",
        f"const wide v = (wide)z + (wide)b; y = (T)({formula});",
        f"bias_{activation}",
        preamble=f"typedef {wide} wide;",
    )


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
    finish = bias_activation(cupy, layer.activation, layer.precision)

    def launch(A_in: Any) -> Any:
        multiply(A_in, W, out)
        finish(out, b, out)
        return out

    launch(cupy.empty((batch, layer.n_in), dtype))  # CuPy compiles at a first call: here, not later
    gpu.fence(None)
    return Step(launch, send=bus.send, fetch=bus.fetch, device=gpu)
