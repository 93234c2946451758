"""The layer in JAX on the CPU: written as mathematics, compiled by XLA, computed in the background.

    jit(A_in, W, b -> g(A_in @ W + b))

XLA sees the whole layer at once. It may fuse bias and activation into one pass over the output,
where NumPy takes two, and it keeps the result of compiling for the shapes at hand.

What it costs: a launch returns as soon as the work is queued, and the work is done by XLA's own
threads. A clock that is stopped when the call returns measures the queueing: for 1500 inputs, units
and examples that is 0.05 ms instead of 55 ms. So this kernel has a device whose fence waits for
the output; XLA computes one launch after the other, so when the last is done, all are. Queueing
takes some microseconds, arrays can't be changed, and each launch makes a new output.

What it shows: what a compiler makes of the layer when it sees all of it, and what a benchmark
without a fence would believe.

W and b are arguments, not constants of the function: XLA would copy constants into the program and
take long over it. Sums are kept in float32 for float16 and bfloat16, and the result is rounded
once, after the activation. JAX computes in float64 only where that is switched on; it is, and the
types of all arrays are given. A GPU that JAX may know of is left alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Host, Layer, Step, Unavailable, Unsupported, library, supported


class Waits(Host):
    """The CPU, where outputs have to be waited for. Host's marks fence first, so they wait too."""

    eager = True  # XLA computes whatever was launched

    def fence(self, out: Any) -> None:
        if out is not None:
            out.block_until_ready()


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """Compiled here, for the shape (batch, n_in); W and b become JAX's own arrays."""
    if layer.precision not in ("float64", "float32", "float16", "bfloat16"):
        raise Unsupported(f"precision {layer.precision}: XLA has none for the CPU")
    jax = library("jax", "jax_dense")
    if jax.config.jax_disable_jit:
        raise Unavailable("JAX_DISABLE_JIT is set: nothing would be compiled: unset it")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003 - its way
    jnp = jax.numpy
    dtype, sums = jnp.dtype(layer.precision), jnp.promote_types(layer.precision, "float32")
    activations = {
        "linear": lambda z: z,
        "relu": lambda z: jnp.maximum(z, 0),
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
    }
    g = supported("activation", layer.activation, activations)

    def whole_layer(A_in: Any, W: Any, b: Any) -> Any:
        z = jnp.matmul(A_in, W, precision="highest", preferred_element_type=sums)
        return g(z + b.astype(sums)).astype(dtype)

    def send(array: NDArray[Any]) -> Any:
        return jnp.asarray(array, dtype)

    forward = jax.jit(whole_layer)
    W, b = send(layer.W), send(layer.b)

    def launch(A_in: Any) -> Any:
        return forward(A_in, W, b)

    launch(jnp.zeros((batch, layer.n_in), dtype)).block_until_ready()

    def fetch(out: Any) -> NDArray[Any]:
        return np.asarray(out).astype(DTYPES[layer.precision], copy=False)

    return Step(launch, send=send, fetch=fetch, device=Waits())
