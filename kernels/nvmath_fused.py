"""The whole layer as one call of cuBLASLt: product, bias and relu in a single GPU kernel.

    out = relu(A_in @ W + b)      (batch, n_in), (n_in, n_units), (n_units,) -> (batch, n_units)

cuBLASLt can add the bias to each tile of the product, and cut it off below zero, while the tile is
still in registers: nothing passes over the output again. Which of its algorithms is the fastest for
this shape is found out once, by trying them (autotuning).

It stores matrices by columns, as Fortran does, and its bias belongs to the *rows* of its result. A
(batch, n_units) array in C order is, read by columns, its own transpose, (n_units, batch); so the
call is made for the transposes, out.T = W.T @ A_in.T, and row j of that is unit j, which gets b[j].
Made the other way round it would add b to the examples, and where batch equals n_units no shape
would be wrong, only the numbers.

What it costs: planning and tuning take tenths of a second for each shape. The fastest algorithm is
kept for as long as the process lives, so that the next set-up of the same shape tries no others. A
plan is tied to the address of its input, so `send` always writes into the same array. cuBLASLt's
epilogues (what it does to a tile after the product) have relu and GELU only, and none for float64.

What it shows: how far a library goes for the commonest layer there is, and what fusing is worth
beside `cupy_fused`, which still passes over the output once.

Needs nvmath-python. Written from the source of its version 1.0; it has not run on a GPU yet (see
CONTRIBUTING.md).
"""

import random
from typing import Any

from kernels import Layer, Step, Unavailable, Unsupported, supported
from kernels._cupy import Bus, device_dtype, open_device

EPILOG = {"linear": "BIAS", "relu": "RELU_BIAS"}

TRIALS = 3
"""Timed runs of each of up to eight algorithms. After every run nvmath copies as many zeros from
the host as the L2 cache holds, so more runs would take longer than a visit does."""


def prepare(layer: Layer, batch: int, device: int = 0) -> Step:
    """W, b, the input and the output, (batch, n_units), get their places; the call is tuned."""
    epilog_name = supported("activation", layer.activation, EPILOG)
    if layer.precision == "float64":
        raise Unsupported("precision float64: cuBLASLt has no bias epilogue for it")
    gpu = open_device(device)
    dtype = device_dtype(gpu, layer.precision)
    try:
        from nvmath.linalg import ComputeType
        from nvmath.linalg.advanced import Matmul, MatmulEpilog
    except (ImportError, RuntimeError) as error:  # a missing CUDA library is either
        raise Unavailable(_trouble(error)) from error
    cupy, stream = gpu.cupy, gpu.stream
    W = cupy.asarray(layer.W, dtype=dtype, order="C")
    b = cupy.asarray(layer.b[0], dtype=dtype)
    x = cupy.empty((batch, layer.n_in), dtype)
    out = cupy.empty((batch, layer.n_units), dtype)
    bus = Bus(gpu, (batch, layer.n_in), layer.precision)
    options: dict[str, Any] = {"inplace": True}  # into `out`: no allocation in a launch
    if layer.precision == "tf32":
        options["compute_type"] = ComputeType.COMPUTE_32F_FAST_TF32
    call = Matmul(W.T, x.T, c=out.T, beta=0.0, options=options, stream=stream)
    shuffled = random.getstate()  # autotuning draws from Python's own random numbers
    try:
        epilog = getattr(MatmulEpilog, epilog_name)
        known = gpu.kept(key := (*layer.W.shape, batch, layer.precision, layer.activation))
        inputs = {"bias": b}
        call.plan(algorithms=known, epilog=epilog, epilog_inputs=inputs, stream=stream)
        if known is None:
            call.autotune(iterations=TRIALS, stream=stream)
            gpu.keep(key, call.algorithms[:1])
        gpu.fence(None)
    except BaseException:
        call.free()
        raise
    finally:
        random.setstate(shuffled)

    def send(A_in: Any) -> Any:
        return bus.send_into(x, A_in)

    def launch(A_in: Any) -> Any:  # always x
        call.execute(stream=stream)
        return out

    return Step(launch, send=send, fetch=bus.fetch, device=gpu, close=call.free)


def _trouble(error: ImportError | RuntimeError) -> str:
    if getattr(error, "name", "") != "nvmath":
        return f"nvmath can't be imported: {error}"
    return (
        "nvmath-python is not installed: .venv/bin/python -m pip install nvmath-python "
        "(with CuPy for CUDA 12: nvmath-python 'cuda-bindings<13')"
    )
