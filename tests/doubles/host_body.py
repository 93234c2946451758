"""The body of an ElementwiseKernel, the very text, compiled by the host's C++ compiler and run.

What CUDA offers and C++ on a CPU doesn't, a few lines stand in for: `tanh` of a float is a float,
and bfloat16 is a type. float16 is the compiler's own.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

CXX = os.environ.get("CXX", "c++")

TYPES = {"float64": "double", "float32": "float", "float16": "_Float16", "bfloat16": "bfloat16"}

PRELUDE = """
#include <cstring>
extern "C" { double tanh(double); float tanhf(float); }
static inline float tanh(float x) { return tanhf(x); }
struct bfloat16 {  // the upper half of a float32, rounded to the nearest, as on the device
  unsigned short bits;
  explicit bfloat16(float x) {
    unsigned u; memcpy(&u, &x, 4);
    bits = x == x ? (u + 0x7fff + ((u >> 16) & 1)) >> 16 : 0x7fc0;
  }
  operator float() const { unsigned u = bits << 16; float x; memcpy(&x, &u, 4); return x; }
};
"""


def run(
    in_params: str,
    out_params: str,
    operation: str,
    preamble: str,
    inputs: list[NDArray[Any]],
    out: NDArray[Any],
) -> None:
    """The body for each element of `out`; inputs are broadcast to it and may share its memory."""
    names = tuple(parameter.split()[1] for parameter in (*in_params.split(","), out_params))
    function = compiled(names, operation, preamble, TYPES[out.dtype.name])
    assert out.flags.c_contiguous
    spread = [
        given if given is out else np.ascontiguousarray(np.broadcast_to(given, out.shape))
        for given in inputs
    ]
    function(*(ctypes.c_void_p(array.ctypes.data) for array in (*spread, out)), out.size)


@functools.cache
def compiled(names: tuple[str, ...], operation: str, preamble: str, kind: str) -> Any:
    """A C function (pointers, count). Skips the test where there is no C++ compiler."""
    if shutil.which(CXX) is None:
        pytest.skip(f"needs a C++ compiler ({CXX}) to run the body of a GPU kernel on the CPU")
    *inputs, output = names
    parameters = ", ".join([f"const T *p_{n}" for n in inputs] + [f"T *p_{output}", "long count"])
    bound = "".join(f"const T &{n} = p_{n}[i]; " for n in inputs) + f"T &{output} = p_{output}[i];"
    source = (
        f"{PRELUDE}\ntypedef {kind} T;\n{preamble}\n"
        f'extern "C" void body({parameters})\n'
        f"{{ for (long i = 0; i < count; i++) {{ {bound}\n{operation} }} }}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "body.cpp")
        path.write_text(source, encoding="utf-8")
        library = path.with_suffix(".so")
        done = subprocess.run(
            [CXX, "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-o", library, path],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SyntaxError(done.stderr)
        function = ctypes.CDLL(str(library)).body
    function.restype = None
    function.argtypes = [ctypes.c_void_p] * len(names) + [ctypes.c_long]
    return function
