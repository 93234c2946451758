"""The same with its fence forgotten, as so often: the times would be those of the calls."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp

from kernels import Step


def prepare(layer, batch, device=0):
    W, b = jnp.asarray(layer.W), jnp.asarray(layer.b)
    launch = jax.jit(lambda A_in: jnp.maximum(A_in @ W + b, 0))
    return Step(launch, send=jnp.asarray)
