"""Which instruction multiplies and adds most numbers of half precision, or of 8 bits, on this CPU.

A kernel may use it, so the ceiling has to be its rate. Imports Numba, whose compiler is asked what
the CPU has, and which has to be allowed to use it.
"""

import numba
from llvmlite import binding

from bench.data.machine import WIDENED
from kernels import Unavailable

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


def fastest(precision: str) -> str:
    """The instruction's name, or WIDENED.

    Raises Unavailable, with the reason, where something faster than what can be measured may exist.
    """
    name, features = OWN[precision]
    has = {feature for feature, there in binding.get_host_cpu_features().items() if there}
    if "sse2" not in has:
        raise Unavailable(f"no loop for {precision} is written for this kind of CPU")
    if TILES in has:
        raise Unavailable("this CPU has AMX, whose tiles no loop measures")
    asked = getattr(numba.config, "CPU_FEATURES", None)  # the variable NUMBA_CPU_FEATURES
    allowed = has if asked is None else {word[1:] for word in asked.split(",") if word[:1] == "+"}
    if forbidden := [each for each in (*VECTORS, *features) if each in has - allowed]:
        raise Unavailable(f"NUMBA_CPU_FEATURES leaves out {forbidden[-1]}: unset it")
    return name if has.intersection(features) else WIDENED
