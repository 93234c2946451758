"""Which instruction is the ceiling's: on CPUs that are simulated by what LLVM says of them."""

from typing import Any

import pytest

from bench.data.machine import WIDENED
from kernels import Unavailable

instructions: Any = pytest.importorskip(
    "bench.worker.cpu_instructions", reason="needs Numba", exc_type=ImportError
)

AVX2 = "sse2 avx avx2 fma f16c"
AVX512 = f"{AVX2} avx512f avx512vl"
numba: Any = pytest.importorskip("numba")

CPUS = {
    "Haswell, Zen 3": (AVX2, WIDENED, WIDENED, WIDENED),
    "Skylake-X": (AVX512, WIDENED, WIDENED, WIDENED),
    "Cascade Lake": (f"{AVX512} avx512vnni", WIDENED, WIDENED, "vpdpbusd"),
    "Zen 4": (f"{AVX512} avx512vnni avx512bf16", WIDENED, "vdpbf16ps", "vpdpbusd"),
    "Alder Lake": (f"{AVX2} avxvnni", WIDENED, WIDENED, "vpdpbusd"),
    "none yet": (f"{AVX512} avx512fp16", "vfmadd213ph", WIDENED, WIDENED),
}
"""Features, and the instruction in float16, bfloat16 and int8."""


class Cpu:
    """The CPU as LLVM sees it, and what Numba is told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set = monkeypatch.setattr

    def has(self, features: str, *, allowed: str | None = None) -> None:
        known = {**dict.fromkeys(features.split(), True), "amx-fp16": False}
        self._set(instructions.binding, "get_host_cpu_features", lambda: known)
        self._set(numba.config, "CPU_FEATURES", allowed, raising=False)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Cpu:
    return Cpu(monkeypatch)


def test_llvm_knows_the_names_of_the_features() -> None:
    """A name that it doesn't know would never be found, and the ceiling be too low."""
    known = instructions.binding.get_host_cpu_features()
    if "sse2" in known:
        own = {feature for _, features in instructions.OWN.values() for feature in features}
        assert own | {*instructions.VECTORS, instructions.TILES} <= known.keys()
    else:
        with pytest.raises(Unavailable, match="this kind of CPU"):
            instructions.fastest("int8")


@pytest.mark.parametrize("name", CPUS)
def test_it_is_the_cpus_own_where_there_is_one_and_else_float32s(name: str, cpu: Cpu) -> None:
    features, *expected = CPUS[name]
    cpu.has(features)
    assert [instructions.fastest(precision) for precision in instructions.OWN] == expected


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "int8"])
@pytest.mark.parametrize(
    ("features", "why"),
    [
        # a float16 or int8 that is split into bfloat16 numbers may use the tiles, too
        (f"{AVX512} avx512vnni avx512bf16 avx512fp16 amx-tile amx-bf16", "AMX"),
        ("neon fp-armv8 dotprod", "this kind of CPU"),
    ],
)
def test_where_something_faster_may_exist_there_is_none(
    precision: str, features: str, why: str, cpu: Cpu
) -> None:
    cpu.has(features)
    with pytest.raises(Unavailable, match=why):
        instructions.fastest(precision)


def test_what_numba_is_told_to_leave_out_is_no_ceiling_of_the_cpu(cpu: Cpu) -> None:
    zen4 = CPUS["Zen 4"][0]
    every = "+" + zen4.replace(" ", ",+")
    cpu.has(zen4, allowed=every.replace("+avx512bf16", "-avx512bf16"))
    assert instructions.fastest("int8") == "vpdpbusd"
    with pytest.raises(Unavailable, match="NUMBA_CPU_FEATURES leaves out avx512bf16: unset it"):
        instructions.fastest("bfloat16")
    cpu.has(AVX512, allowed="+avx,+avx2,+fma")  # nor are float32's half as long vectors
    with pytest.raises(Unavailable, match="leaves out avx512f"):
        instructions.fastest("bfloat16")
    cpu.has(AVX2, allowed="")  # NUMBA_CPU_NAME=generic
    with pytest.raises(Unavailable, match="leaves out fma"):
        instructions.fastest("int8")
    with pytest.raises(Unavailable, match="NUMBA_CPU_NAME or NUMBA_CPU_FEATURES leaves out fma"):
        instructions.check_vectors()
    cpu.has(AVX2, allowed="+sse2,+avx,+avx2,+fma")  # f16c does nothing in float32
    instructions.check_vectors()


def test_what_numba_is_told_and_the_cpu_lacks_is_not_used(cpu: Cpu) -> None:
    cpu.has(AVX2, allowed="+avx,+avx2,+fma,+avx512fp16")
    assert instructions.fastest("float16") == WIDENED
