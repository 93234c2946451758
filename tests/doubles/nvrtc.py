"""NVIDIA's run-time compiler, called as CuPy calls it: its generator, its headers, its options.

CuPy's own compile function asks the device what it is. Its parts don't, but have no public names:
tests that use them are pinned to CuPy 14.
"""

import ctypes
import functools
import site
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NDARRAY, INDEXER = 1, 2  # cupy._core._kernel's kinds of arguments


class CompileError(Exception):
    """What the compiler has to say."""


def source(kernel: Any, dtype: np.dtype[Any], ndim: int) -> str:
    """The CUDA source that CuPy makes of an ElementwiseKernel (z, b, y), each of `ndim` axes.

    With one axis b is as long as the others; with two it is one row, seen as many times.
    """
    import cupy
    from cupy._core import _carray, _kernel

    _, _, types = kernel._decide_params_type((dtype, dtype), (dtype,))
    in_order, index_32_bits = True, True
    whole, row = (
        _kernel._ArgInfo(NDARRAY, cupy.ndarray, dtype, ndim, contiguous, index_32_bits)
        for contiguous in (in_order, ndim == 1)
    )
    index = _kernel._ArgInfo(INDEXER, _carray.Indexer, None, ndim, in_order, index_32_bits)
    text: str = _kernel._get_elementwise_kernel_code(
        (whole, row, whole, index),
        types,
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
    )
    return text


@functools.cache
def options(major: int) -> tuple[str, ...]:
    """CuPy's options, with the CUDA headers of that version; `-arch` is not among them."""
    from cupy._core import core

    folder = "cu13" if major == 13 else "cuda_runtime"
    found = [Path(s, "nvidia", folder, "include") for s in site.getsitepackages()]
    headers = [path for path in found if (path / "cuda_fp16.h").exists()]
    if not headers:
        pytest.skip(f"needs the headers of CUDA {major}: make test installs them on Linux x86_64")
    given = core.assemble_cupy_compiler_options(())
    theirs = given[-1]  # the headers that CuPy found, of its own version
    assert theirs.startswith("-I")
    return (
        *given[:-1],
        f"-I{headers[0]}",
        "-ftz=true",
        "--device-as-default-execution-space",
    )


@functools.cache
def library(major: int) -> ctypes.CDLL:
    folder = "cu13" if major == 13 else "cuda_nvrtc"
    for packages in site.getsitepackages():
        path = Path(packages, "nvidia", folder, "lib", f"libnvrtc.so.{major}")
        if path.exists():
            return ctypes.CDLL(str(path))
    pytest.skip(f"needs NVRTC {major}: make test installs it on Linux x86_64")


def compiled(text: str, arch: int, major: int) -> bytes:
    """Machine code (cubin) for one architecture. Raises CompileError with the compiler's log."""
    from cupy._core import core

    nvrtc = library(major)
    headers = "".join(f"#include <{name}>\n" for name in core._cupy_header_list)
    flags = [o.encode() for o in (*options(major), f"-arch=sm_{arch}")]
    program = ctypes.c_void_p()
    full = (headers + text).encode()
    assert not nvrtc.nvrtcCreateProgram(ctypes.byref(program), full, b"k.cu", 0, None, None)
    try:
        failed = nvrtc.nvrtcCompileProgram(
            program, len(flags), (ctypes.c_char_p * len(flags))(*flags)
        )
        if failed:
            raise CompileError(output(nvrtc, "nvrtcGetProgramLog", program).decode())
        return output(nvrtc, "nvrtcGetCUBIN", program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def output(nvrtc: ctypes.CDLL, function: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    assert not nvrtc[f"{function}Size"](program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    assert not nvrtc[function](program, text)
    return text.raw
