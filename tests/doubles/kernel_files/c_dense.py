"""The layer in C, compiled here and called through ctypes: one pass over W for each example.

An extension in one file, to copy from. `prepare` compiles the source below with the machine's own C
compiler (CC, or cc) the first time and keeps the library in a cache folder, under a hash of all
that makes it: source, flags, compiler. What it costs: the compiler's third of a second, once and
outside the clock; and ctypes' microsecond in every launch. What it shows: the compiler turns the
innermost loop, over units side by side in memory, into vector instructions, so it runs at the speed
at which one core reads W; a large W has left the cache when the next example needs it again, and
there a blocked product (BLAS) leaves this behind.

The source stands here and not in a file beside this one because a kernel's hash is that of its own
file: a changed source is then another kernel, whose times are not mixed with the old one's.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from kernels import Step, Unavailable, Unsupported

SOURCE = r"""
#include <math.h>
#include <stddef.h>

static double linear(double z) { return z; }
static double relu(double z) { return z > 0 ? z : 0; }
static double sigmoid(double z) { return 1 / (1 + exp(-z)); }

/* out (batch, n_units) = g(A (batch, n_in) @ W (n_in, n_units) + b (n_units)), all in C order */
#define LAYER(NAME, REAL, G)                                                                     \
void NAME(const REAL *restrict A, const REAL *restrict W, const REAL *restrict b,                \
          REAL *restrict out, size_t batch, size_t n_in, size_t n_units)                         \
{                                                                                                \
    for (size_t example = 0; example < batch; example++, A += n_in, out += n_units) {            \
        for (size_t unit = 0; unit < n_units; unit++) out[unit] = b[unit];                       \
        for (size_t input = 0; input < n_in; input++) {                                          \
            const REAL a = A[input], *row = W + input * n_units;                                 \
            for (size_t unit = 0; unit < n_units; unit++) out[unit] += a * row[unit];            \
        }                                                                                        \
        for (size_t unit = 0; unit < n_units; unit++) out[unit] = (REAL)G(out[unit]);            \
    }                                                                                            \
}

#define LAYERS(G) LAYER(G##_float32, float, G) LAYER(G##_float64, double, G)
LAYERS(linear)
LAYERS(relu)
LAYERS(sigmoid)
LAYERS(tanh)
"""

FLAGS = ("-O3", "-march=native", "-std=c99", "-fPIC", "-shared")  # -lm goes behind the source
ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")
CTYPES = {"float32": ctypes.c_float, "float64": ctypes.c_double}


def prepare(layer, batch, device=0):
    if layer.precision not in CTYPES:
        raise Unsupported(f"precision {layer.precision}: it has float32 and float64")
    if layer.activation not in ACTIVATIONS:
        raise Unsupported(f"activation {layer.activation}: it has {', '.join(ACTIVATIONS)}")
    number = ctypes.POINTER(CTYPES[layer.precision])
    function = getattr(library(), f"{layer.activation}_{layer.precision}")
    function.argtypes = [number] * 4 + [ctypes.c_size_t] * 3
    function.restype = None

    # C sees addresses only: contiguous arrays, which this closure keeps alive
    W, b = np.ascontiguousarray(layer.W), np.ascontiguousarray(layer.b)
    out = np.empty((batch, layer.n_units), W.dtype)
    address_W, address_b, address_out = (array.ctypes.data_as(number) for array in (W, b, out))

    def send(A_in):  # (batch, n_in) -> the array, kept alive, and its address
        A_in = np.ascontiguousarray(A_in)
        return A_in, A_in.ctypes.data_as(number)

    def launch(x):  # -> (batch, n_units), the same buffer every time
        function(x[1], address_W, address_b, address_out, batch, layer.n_in, layer.n_units)
        return out

    return Step(launch, send=send, fetch=np.copy)


def library() -> ctypes.CDLL:
    """The compiled source. Raises Unavailable where there is no compiler, or it can't do this."""
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None:
        raise Unavailable(f"no C compiler {compiler[0]!r} here: install gcc or clang, or set CC")
    made_of = repr((SOURCE, FLAGS, compiler, os.uname()))
    name = f"c_dense-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    folder = cache_folder()
    if not (folder / name).is_file():
        with tempfile.TemporaryDirectory(dir=folder) as half:  # several workers may compile at once
            source, made = Path(half, "c_dense.c"), Path(half, name)
            source.write_text(SOURCE)
            command = [*compiler, *FLAGS, str(source), "-lm", "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
                raise Unavailable(f"{compiler[0]} can't compile it: {last}")
            made.replace(folder / name)
    return ctypes.CDLL(str(folder / name))


def cache_folder() -> Path:
    """Where compiled libraries are kept; a folder for this process alone if none can be written."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home, "dense-layer-bench")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="dense-layer-bench-"))
    return folder
