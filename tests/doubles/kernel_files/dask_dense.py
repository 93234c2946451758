"""The layer in dask, as its tutorial would write it: launch plans the work, np.asarray does it."""

import dask.array
import numpy as np

from kernels import Step


def prepare(layer, batch, device=0):
    def whole(array):
        return dask.array.from_array(array, chunks=array.shape)

    W, b = whole(layer.W), whole(layer.b)

    def launch(A_in):
        return dask.array.maximum(A_in @ W + b, 0)

    def fetch(out):
        return np.asarray(out.compute(scheduler="synchronous"))

    return Step(launch, send=lambda A_in: whole(A_in.copy()), fetch=fetch)
