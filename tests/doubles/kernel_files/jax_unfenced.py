"""jax_dense with its fence forgotten, as so often: the times would be those of the calls."""

from dataclasses import replace

import kernels


def prepare(layer, batch, device=0):
    step = kernels.load("jax_dense").prepare(layer, batch, device)
    return replace(step, device=kernels.HOST)
