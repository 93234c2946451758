"""Which instruction multiplies and adds most numbers of half precision, or of 8 bits, on this CPU.

A kernel may use it, so the ceiling has to be its rate. Imports Numba, whose compiler is asked what
the CPU has, and which has to be allowed to use it.
"""

from collections.abc import Sequence

from llvmlite import binding

from bench.data.machine import WIDENED
from kernels import Unavailable
from kernels._numba import allowed_features

OWN = {
    "float16": ("vfmadd213ph", ("avx512fp16",)),
    "bfloat16": ("vdpbf16ps", ("avx512bf16",)),
    "int8": ("vpdpbusd", ("avx512vnni", "avxvnni")),
}
"""By precision the instruction, and which of LLVM's names of features say that a CPU has it."""

VECTORS = ("avx", "fma", "avx512f")
"""Without one of these that the CPU has, the loops in float32 are slower than need be, too."""

TILES = "amx-tile"
"""Intel's AMX: a product of two tiles at a time. It takes a permission of the system's, and with
bfloat16 numbers it outruns all that is here, even where float16 or int8 has to be split for it."""


def check_vectors() -> None:
    """Raises Unavailable where Numba may not use the vectors that the CPU has: what its loops do
    would be no ceiling.
    """
    _check(VECTORS)


def fastest(precision: str) -> str:
    """The instruction's name, or WIDENED.

    Raises Unavailable, with the reason, where something faster than what can be measured may exist.
    """
    name, features = OWN[precision]
    has = _has()
    if "sse2" not in has:
        raise Unavailable(f"no loop for {precision} is written for this kind of CPU")
    if TILES in has:
        raise Unavailable("this CPU has AMX, whose tiles no loop measures")
    _check((*VECTORS, *features))
    return name if has.intersection(features) else WIDENED


def _has() -> set[str]:
    return {feature for feature, there in binding.get_host_cpu_features().items() if there}


def _check(features: Sequence[str]) -> None:
    forbidden = _has() - allowed_features()
    if left_out := [each for each in features if each in forbidden]:
        said = f"NUMBA_CPU_NAME or NUMBA_CPU_FEATURES leaves out {left_out[-1]}"
        raise Unavailable(f"{said}: unset it")
