"""BLAS called directly: SciPy's gemm, which adds the product to the bias.

    C = alpha A B + beta C        gemm: the general matrix product of every BLAS since 1990

numpy_matmul writes A_in @ W, reads it again to add b, and writes it once more. gemm can start from
what C holds: here each row of C is first set to b, and with beta = 1 the product is added to it.
That saves one reading of the output; only the activation still passes over it.

BLAS comes from Fortran, where columns lie in one piece. An array in C order is, without a copy, its
own transpose in Fortran's order, so the transposed layer is computed: C.T = W.T @ A_in.T. SciPy
silently copies an argument that is in the wrong order; a test makes sure that none is. With one
example the product is a matrix times a vector, for which BLAS has a routine of its own, gemv. It is
called then; the wider the layer, the more it gains.

What it costs: SciPy checks each argument, which takes a microsecond or two. Its wheels bring an
OpenBLAS of their own, beside NumPy's, with threads of its own: one more reason why the number of
threads is set for a whole process.

What it shows: how much of numpy_matmul's time is not the product: the smaller n_in is, the more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import DTYPES, Layer, Step, Unsupported, library
from kernels._activations import in_place

LETTERS = {"float64": "d", "float32": "s"}
"""What the names of BLAS's routines begin with."""


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """All three arrays are kept in C order: (n_in, n_units), (1, n_units), (batch, n_units)."""
    if layer.precision not in LETTERS:
        raise Unsupported(f"precision {layer.precision}: BLAS has float64 and float32")
    blas = library("scipy.linalg.blas", "blas_gemm")
    letter = LETTERS[layer.precision]
    gemm, gemv = getattr(blas, f"{letter}gemm"), getattr(blas, f"{letter}gemv")
    W, b = np.ascontiguousarray(layer.W), layer.b
    out = np.empty((batch, layer.n_units), DTYPES[layer.precision])
    W_T, out_T = W.T, out.T
    g = in_place(np, layer.activation)

    def launch(A_in: NDArray[Any]) -> NDArray[Any]:
        out[:] = b
        gemm(1.0, W_T, A_in.T, beta=1.0, c=out_T, overwrite_c=True)
        g(out)
        return out

    def launch_one(A_in: NDArray[Any]) -> NDArray[Any]:
        out[:] = b
        gemv(1.0, W_T, A_in[0], beta=1.0, y=out[0], overwrite_y=True)
        g(out)
        return out

    return Step(launch if batch > 1 else launch_one, send=np.ascontiguousarray)
