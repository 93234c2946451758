"""numba_packed without the packing: W is read where it lies, row after row of n_units numbers.

For widths that fill whole tiles: the last tile of others would be read beyond W's end.
"""

import tempfile

import numba
import numpy as np

numba.config.CACHE_DIR = f"{tempfile.gettempdir()}/packed_in_place"  # apart from the real one's

from kernels import Step, Unsupported, _numba_tiles, _tuning, supported  # noqa: E402


def prepare(layer, batch, device=0):
    wide = _numba_tiles.PANELS * _numba_tiles.VECTOR_BYTES // layer.W.itemsize
    if layer.n_units % wide:
        raise Unsupported(f"{layer.n_units} units: not a multiple of {wide}")
    shared = batch * layer.n_in * layer.n_units >= _tuning.DEFAULT.shared
    chosen = _numba_tiles._together if shared else _numba_tiles._alone
    forward = numba.njit(chosen, parallel=shared, cache=True, error_model="numpy")
    W = layer.W.reshape(layer.n_in, -1, wide).swapaxes(0, 1)
    b = layer.b[0]
    out = np.empty((batch, layer.n_units), layer.W.dtype)
    floor, curve = supported("activation", layer.activation, _numba_tiles.FINISH)
    uncopied = np.empty(0, layer.W.dtype)
    lowest = layer.W.dtype.type(floor)
    threads = numba.get_num_threads()

    blocks = (layer.n_in, 1, 0)

    def launch(A_in):
        forward(A_in, uncopied, W, b, lowest, curve, out, blocks, uncopied, threads)
        return out

    launch(np.zeros((batch, layer.n_in), layer.W.dtype))  # compiles it
    return Step(launch)
