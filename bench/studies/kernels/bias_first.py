"""Each sum begun with the bias, as a C loop begins it: all that is added rounds beside the bias."""

import numpy as np

from kernels import Step, Unsupported


def prepare(layer, batch, device=0):
    if layer.precision not in ("float32", "float64"):
        raise Unsupported(f"precision {layer.precision}: this kernel has float32, float64")
    if layer.activation not in ("linear", "relu"):
        raise Unsupported(f"activation {layer.activation}: this kernel has linear, relu")

    def launch(A_in):
        z = np.repeat(layer.b, len(A_in), axis=0)
        for i in range(layer.n_in):
            z += A_in[:, i : i + 1] * layer.W[i]
        return np.maximum(z, 0) if layer.activation == "relu" else z

    return Step(launch)
