"""The layer in JAX over all devices of a machine: each holds some columns of W, all get the output.

    on each device    z = A_in @ W[:, its columns] + b[:, its columns];  A_out = g(z)
    then              all_gather: every device ends with all columns of A_out

A layer too large for one GPU's memory is split over the GPUs of a box. Split by columns, each
device needs all of A_in and nothing of the others' weights; what travels is the output, and that is
gathered inside the launch, so that the next layer could begin. JAX's name for it is shard_map: the
function is written for one device's block, and a collective stands where devices talk.

What it costs: each device waits for the slowest, and the gathering moves batch * n_units numbers to
every device, however many there are. With one example there is little to gain: a launch on four
devices starts four, and the gathering alone takes longer than a small product. A width that the
number of devices does not divide is filled up with columns of zeros, which are computed and cut
off again.

What it shows: how far more devices make one layer faster, and where waiting and gathering take over
(`bench.studies.scaling` draws it).

On a CPU there is one device unless XLA is told to make more of the host's cores,

    XLA_FLAGS=--xla_force_host_platform_device_count=4

which is how this kernel is tested without GPUs: the same program, its collectives in shared memory.
XLA has a thread for each of them at least, so give the run as many (`--threads 4`): one that keeps
more cores busy than it has threads is refused. There a launch waits for its end, because two that
overlap can wait for each other for ever: each takes threads that the other's gathering needs
(jaxlib 0.10 ends the process after 40 s). On GPUs, which need JAX's own package for them, launches
follow each other in the devices' streams; that is written from JAX's documentation and **has not
run**.
"""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Host, Layer, Step, Unavailable, Unsupported, library, supported

FLUSHED_BYTES = 2**28
"""More than a GPU's caches hold."""


class Devices(Host):
    """All devices that JAX computes on. An output is there when every device has its copy."""

    eager = True  # XLA computes whatever was launched, in order

    def __init__(self, jax: Any, everywhere: Any) -> None:
        self._sweep: Any = None
        first, *_ = devices = jax.devices()
        if first.platform == "cpu":
            return  # Host's name: cores, caches and ceilings are the CPU's, as the threads are
        self.name = f"{len(devices)} x {first.device_kind} by JAX"
        self.warm_s = 0.3
        fill = jax.jit(
            lambda: jax.numpy.zeros(FLUSHED_BYTES, "uint8"),
            out_shardings=everywhere,
        )
        self._sweep = lambda: fill().block_until_ready()

    def fence(self, out: Any) -> None:
        if out is not None:
            out.block_until_ready()

    def flush(self) -> None:
        super().flush()
        if self._sweep is not None:
            self._sweep()


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W (n_in, n_units) is put on the devices a block of columns at a time, filled up with zeros;
    compiled here, for the shape (batch, n_in). `device` is ignored: all are used.
    """
    if layer.precision not in ("float64", "float32", "float16", "bfloat16"):
        raise Unsupported(f"precision {layer.precision}: not among those of XLA's CPU")
    # other kernels' processes use the same GPU, of which JAX would take three quarters at once
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax = library("jax", "jax_sharded")
    if jax.config.jax_disable_jit:
        raise Unavailable("JAX_DISABLE_JIT is set: nothing would be compiled: unset it")
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003 - its way
    jnp, P = jax.numpy, jax.sharding.PartitionSpec
    dtype, sums = jnp.dtype(layer.precision), jnp.promote_types(layer.precision, "float32")
    activations = {
        "linear": lambda z: z,
        "relu": lambda z: jnp.maximum(z, 0),
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
    }
    g = supported("activation", layer.activation, activations)

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("units",))
    everywhere = jax.sharding.NamedSharding(mesh, P())
    by_column = jax.sharding.NamedSharding(mesh, P(None, "units"))
    width = -(-layer.n_units // mesh.size) * mesh.size

    def split(array: NDArray[Any]) -> Any:
        def block(index: tuple[slice, slice]) -> NDArray[Any]:
            columns = range(width)[index[1]]
            there = array[:, columns.start : columns.stop]
            return np.pad(there, ((0, 0), (0, len(columns) - there.shape[1]))).astype(dtype)

        return jax.make_array_from_callback((len(array), width), by_column, block)

    def own_columns(A_in: Any, W: Any, b: Any) -> Any:
        z = jnp.matmul(A_in, W, precision="highest", preferred_element_type=sums)
        A_out = g(z + b.astype(sums)).astype(dtype)
        return jax.lax.all_gather(A_out, "units", axis=1, tiled=True)

    on_each = jax.shard_map(
        own_columns,
        mesh=mesh,
        in_specs=(P(), P(None, "units"), P(None, "units")),
        out_specs=P(),
        check_vma=False,  # it can't see that what was gathered is the same everywhere
    )
    forward = jax.jit(lambda *arrays: on_each(*arrays)[:, : layer.n_units])
    W, b = split(layer.W), split(layer.b)
    where = Devices(jax, everywhere)

    def send(array: NDArray[Any]) -> Any:
        return jax.device_put(np.asarray(array, dtype), everywhere).block_until_ready()

    def launch(A_in: Any) -> Any:
        return forward(A_in, W, b)

    def launch_and_wait(A_in: Any) -> Any:
        return forward(A_in, W, b).block_until_ready()

    launch_and_wait(send(np.zeros((batch, layer.n_in))))

    def fetch(out: Any) -> NDArray[Any]:
        return np.asarray(out).astype(DTYPES[layer.precision], copy=False)

    on_cpu = where.name == Host.name
    return Step(launch_and_wait if on_cpu else launch, send=send, fetch=fetch, device=where)
