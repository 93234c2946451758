"""The CPU's ceilings: sizes of what is read, rates on a fake clock, loops that do what they say."""

import re
import time
from collections.abc import Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from bench.data.machine import NUMPYS, WIDENED
from bench.worker import cpu_peaks
from bench.worker.messages import CpuPeaks
from kernels import Unavailable
from kernels._caches import Cache

KIB, MIB = 2**10, 2**20


@pytest.mark.parametrize(
    ("caches", "sizes"),
    [
        # a core's 32 KiB, 1 MiB, and 32 MiB that two share
        (
            [Cache(1, 32 * KIB, 8), Cache(2, MIB, 8), Cache(3, 32 * MIB, 16, 2)],
            {"L1": 24 * KIB, "L2": 128 * KIB, "L3": 4 * MIB},
        ),
        # two threads of a core share its caches
        ([Cache(1, 48 * KIB, 12, 2), Cache(2, 2 * MIB, 16, 2)], {"L1": 18 * KIB, "L2": 96 * KIB}),
        # a core's share of the third is no larger than its second
        (
            [Cache(1, 48 * KIB, 12), Cache(2, 2 * MIB, 16), Cache(3, 60 * MIB, 15, 32)],
            {"L1": 36 * KIB, "L2": 192 * KIB},
        ),
        ([], {}),
    ],
)
def test_a_level_is_read_in_pieces_that_fit_it_and_not_the_one_before(
    caches: Sequence[Cache], sizes: dict[str, int]
) -> None:
    assert dict(cpu_peaks.pieces(caches, 64 * MIB)) == {**sizes, "memory": 64 * MIB}


def test_a_level_that_this_memory_has_no_room_for_is_left_out() -> None:
    caches = [Cache(1, 32 * KIB, 8), Cache(2, MIB, 8)]
    assert cpu_peaks.pieces(caches, 64 * KIB) == [("L1", 24 * KIB), ("memory", 64 * KIB)]


def test_a_cache_that_a_core_has_next_to_nothing_of_is_left_out() -> None:
    caches = [Cache(1, 32 * KIB, 8, 64), Cache(2, MIB, 8)]
    assert cpu_peaks.pieces(caches, MIB) == [("L2", 768 * KIB), ("memory", MIB)]


def test_no_caches_of_a_machine_have_room_for_what_is_called_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 96 cores eight share a third-level cache, so that there are twelve of it."""
    free = SimpleNamespace(available=2**40)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    of_all = [Cache(1, 32 * KIB, 8), Cache(3, 32 * MIB, 16, 8)]
    assert cpu_peaks._memory_bytes(of_all, 96) == 4 * 12 * 32 * MIB
    assert cpu_peaks._memory_bytes(of_all, 1) == cpu_peaks.MEMORY_BYTES
    free.available = MIB
    assert cpu_peaks._memory_bytes(of_all, 96) == MIB // 4


def test_loops_that_may_not_use_the_cpus_vectors_are_no_ceiling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numba = pytest.importorskip("numba")
    instructions = import_module("bench.worker.cpu_instructions")
    monkeypatch.setattr(instructions, "_has", lambda: {"sse2", "avx", "fma"})
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "", raising=False)  # NUMBA_CPU_NAME=generic
    assert cpu_peaks._loops()[0] is None
    assert "NUMBA_CPU_NAME or NUMBA_CPU_FEATURES leaves out fma" in cpu_peaks._loops()[1]
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+sse2,+avx,+fma", raising=False)
    assert cpu_peaks._loops()[0] is not None


class Clock:
    """Goes on when something works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def stamps(*threads: Sequence[float]) -> Any:
    """Nanoseconds at which each thread had done its chunks, from the microseconds of each chunk."""
    return np.cumsum([[1000.0, *(1000 * us for us in chunks)] for chunks in threads], axis=1)


class TestBestMoment:
    """Threads that note the time after each chunk: the most that all did together."""

    def test_it_is_what_all_threads_do_in_a_second(self) -> None:
        rate = cpu_peaks.best_moment(stamps([10] * 100, [20] * 100), 1e-4)
        assert rate == pytest.approx(1 / 10e-6 + 1 / 20e-6)

    def test_a_busy_time_before_and_after_it_makes_no_difference(self) -> None:
        busy, alone = [50.0, 400.0] * 5, [10.0] * 30
        rate = cpu_peaks.best_moment(stamps([*busy, *alone, *busy], [*busy, *alone, *busy]), 1e-4)
        assert rate == pytest.approx(2 / 10e-6)

    def test_threads_that_are_fast_by_turns_are_not_added_up(self) -> None:
        fast, slow = [10.0] * 100, [100.0] * 100
        rate = cpu_peaks.best_moment(stamps([*fast, *slow], [*slow, *fast]), 1e-4)
        assert rate == pytest.approx(1 / 10e-6 + 1 / 100e-6)

    def test_one_short_chunk_is_no_moment(self) -> None:
        rate = cpu_peaks.best_moment(stamps([*[10.0] * 50, 1.0, *[10.0] * 50]), 1e-3)
        assert rate < 1.02 / 10e-6

    def test_threads_that_do_not_meet_say_nothing(self) -> None:
        first, second = stamps([10] * 10)[0], stamps([10] * 10)[0] + 1e6
        assert cpu_peaks.best_moment(np.array([first, second]), 1e-4) == 0.0
        # and those that meet for less than a moment, what they did meanwhile
        second = first + 60e3
        assert cpu_peaks.best_moment(np.array([first, second]), 1e-4) == pytest.approx(2 / 10e-6)


def test_the_shortest_of_many_times_is_the_best() -> None:
    clock = Clock()
    seconds = iter([5.0, 2.0, 4.0])  # until 10 are over

    def work() -> None:
        clock.now += next(seconds)

    assert cpu_peaks.shortest(work, 10, clock) == 2


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_peaks, "SIZES", (32, 64))
    monkeypatch.setattr(cpu_peaks, "MEMORY_BYTES", 2**20)
    monkeypatch.setattr(cpu_peaks, "data_caches", lambda: (Cache(1, 32 * KIB, 8),))
    for name, seconds in (("PRODUCT_S", 0.0), ("LOOP_S", 1e-4), ("CHUNK_S", 1e-5)):
        monkeypatch.setattr(cpu_peaks, name, seconds)


def test_without_numba_the_product_and_the_copy_are_told_and_what_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(kernel: str) -> None:
        raise Unavailable(f"numba is not installed: make setup KERNELS={kernel}")

    small(monkeypatch)
    monkeypatch.setattr(cpu_peaks, "compiler_for", absent)
    seconds = iter([1e-3, 4e-3, 2e-3])  # of two products and a copy
    monkeypatch.setattr(cpu_peaks, "shortest", lambda *_: next(seconds))
    (peaks,) = cpu_peaks.measure("float32", 1)
    assert peaks.product == pytest.approx(2 * 64**3 / 4e-3)
    assert peaks.copy == pytest.approx((2**20 + 4096) / 2e-3, rel=0.01)
    assert (peaks.registers, peaks.levels) == (0.0, {})
    assert peaks.lacking == "numba is not installed: make setup KERNELS=numba_packed"


loops: Any = pytest.importorskip(
    "bench.worker.cpu_loops", reason="needs Numba", exc_type=ImportError
)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_child_prints_positive_rates(
    precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small(monkeypatch)
    cpu_peaks.main(precision, "1")
    first, last = capsys.readouterr().out.splitlines()
    assert msgspec.json.decode(first, type=CpuPeaks).lacking == "the loops' process ended early"
    said = msgspec.json.decode(last, type=CpuPeaks)
    assert list(said.levels) == ["L1", "memory"]
    assert min(said.product, said.copy, said.registers) > 0
    assert min(rate for pair in said.levels.values() for rate in pair) > 0


class SimulatedLoops:
    """In the place of the loops: multiply-adds at a rate for each precision, each time a little
    less.
    """

    rates: ClassVar[dict[str, float]] = {}

    def __init__(self, _loops: object, precision: str, _threads: int, _memory: object) -> None:
        self._rate = self.rates[precision]

    def multiply_adds(self, what: int) -> float:
        self._rate *= 0.9
        return self._rate if what == loops.RAISE else self._rate / 2

    def level(self, _name: str, _size: int) -> tuple[float, float]:
        return 3e9, 4e9


class TestSmallerPrecisions:
    """On simulated CPUs: the fastest of what there is, or nothing and why."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        small(monkeypatch)
        monkeypatch.setattr(cpu_peaks, "_Loops", SimulatedLoops)

    def measured(
        self, monkeypatch: pytest.MonkeyPatch, rates: dict[str, float], own: str
    ) -> CpuPeaks:
        monkeypatch.setattr(SimulatedLoops, "rates", rates)
        monkeypatch.setattr("bench.worker.cpu_instructions.fastest", lambda _: own)
        first, last = cpu_peaks.measure("bfloat16", 1)
        assert (first.product, first.registers) == (last.product, 0.0) == (0.0, 0.0)
        assert list(last.levels) == ["L1", "memory"]
        return last

    def test_the_faster_of_the_cpus_own_instruction_and_float32s_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fast = self.measured(monkeypatch, {"float32": 1e9, "bfloat16": 2e9}, "vdpbf16ps")
        assert (fast.registers, fast.by, fast.lacking) == (1.8e9, "vdpbf16ps", "")
        slow = self.measured(monkeypatch, {"float32": 1e9, "bfloat16": 0.5e9}, "vdpbf16ps")
        assert (slow.registers, slow.by) == (0.9e9, "float32")

    def test_without_an_instruction_it_is_float32s(self, monkeypatch: pytest.MonkeyPatch) -> None:
        said = self.measured(monkeypatch, {"float32": 1e9}, "float32")
        assert (said.registers, said.by) == (0.9e9, "float32")

    def test_where_it_cannot_be_told_the_levels_are_and_why(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(_precision: str) -> str:
            raise Unavailable("this CPU has AMX, whose tiles no loop measures")

        monkeypatch.setattr(SimulatedLoops, "rates", {"float32": 1e9, "bfloat16": 2e9})
        monkeypatch.setattr("bench.worker.cpu_instructions.fastest", unknown)
        *_, last = cpu_peaks.measure("bfloat16", 1)
        assert last.lacking == "this CPU has AMX, whose tiles no loop measures"
        assert (last.registers, last.by, list(last.levels)) == (0.0, "", ["L1", "memory"])


def instruction_here(precision: str) -> str:
    """The CPU's own; empty where this machine has none, or may not use it."""
    try:
        name = import_module("bench.worker.cpu_instructions").fastest(precision)
    except Unavailable:
        return ""
    return "" if name == WIDENED else str(name)


HERE = [p for p in loops.ONE if p in NUMPYS or instruction_here(p)]
"""The precisions that this machine's registers take."""


class TestLoops:
    """The loops leave whole numbers that say how often they did what they are for."""

    @pytest.mark.parametrize("precision", HERE)
    @pytest.mark.parametrize("half", [0, 1])
    def test_every_number_is_raised_as_often_as_there_are_turns(
        self, precision: str, half: int
    ) -> None:
        one, out, nowhere = loops.ONE[precision], loops.results(3), loops.addresses([0, 0, 0])
        loops.compiled(precision)(
            (loops.RAISE, loops.RAISE_HALF)[half], 1001, nowhere, nowhere, 0, 0, one, out, looks(3)
        )
        count = loops.numbers(half, one.itemsize)
        assert count == loops.CHAINS * (loops.HALF if half else loops.VECTOR_BYTES) // one.itemsize
        # in bfloat16 and int8 a sum takes several products a turn
        sums = {"bfloat16": "float32", "int8": "int32"}.get(precision, precision)
        raised = out.view(sums)
        products = np.dtype(sums).itemsize // one.itemsize
        assert (raised[:, : count // products] == 1001 * products).all()
        assert (raised[:, count // products :] == 0).all()

    def test_every_word_of_each_threads_piece_is_read_in_each_turn(self) -> None:
        words = np.arange(2 * loops.UNIT // 8 * 5, dtype=np.int64) ** 2
        memory, out = aligned(words), loops.results(2)
        size = memory.nbytes // 2
        at = loops.addresses([memory.ctypes.data, memory.ctypes.data + size])
        loops.compiled("float32")(loops.READ, 7, at, at, size, 0, np.float32(1), out, looks(2))
        sums = out[:, : loops.UNIT].copy().view(np.int64).sum(axis=1)
        assert sums.tolist() == (7 * memory.reshape(2, -1).sum(axis=1)).tolist()

    def test_every_word_is_read_at_places_far_apart_and_chunk_after_chunk(self) -> None:
        chunk, chunks = loops.UNIT * 3, 4
        words = aligned(np.arange(2 * chunk * chunks // 8, dtype=np.int64) ** 2)
        first = loops.addresses([words.ctypes.data, words.ctypes.data + chunk * chunks])
        second = first + chunk * chunks // loops.PLACES
        out, seen = loops.results(2), looks(2, chunks)
        pieces = words.reshape(2, loops.PLACES, chunks, -1)
        # of one chunk after the other, the last one's sums are left
        for size, step, read in ((chunk * chunks, 0, pieces), (chunk, chunk, pieces[:, :, -1:])):
            loops.compiled("float32")(
                loops.READ_APART, 1, first, second, size, step, np.float32(1), out, seen
            )
            sums = out[:, : loops.UNIT].copy().view(np.int64).sum(axis=1)
            assert sums.tolist() == read.sum(axis=(1, 2, 3)).tolist()

    @pytest.mark.parametrize("way", ["COPY", "COPY_PAST"])
    def test_every_byte_is_copied_chunk_after_chunk_and_none_beside_them(self, way: str) -> None:
        chunk, chunks = 3 * loops.UNIT, 2
        size = chunk * chunks
        source = aligned(np.arange(1, 2 * size // 8 + 1, dtype=np.int64))
        target = aligned(np.zeros(2 * size // 8 + 8, np.int64))
        places = (
            loops.addresses([array.ctypes.data + n * size for n in range(2)])
            for array in (source, target)
        )
        seen, out = looks(2, chunks), loops.results(2)
        before = time.perf_counter_ns()
        loops.compiled("float32")(
            getattr(loops, way), 2, *places, chunk, chunk, np.float32(1), out, seen
        )
        assert target[:-8].tolist() == source.tolist()
        assert not target[-8:].any()
        # and the clock is the one of all other times
        assert before < seen.min()
        assert (np.diff(seen, axis=1) > 0).all()
        assert seen.max() < time.perf_counter_ns()

    def test_multiply_adds_touch_no_memory_and_are_all_there(self) -> None:
        machine_code = loops.compiled("float32").py_func
        signature = loops.compiled("float32").nopython_signatures[0]
        compiled = loops.numba.njit(signature, error_model="numpy")(machine_code)
        (text,) = compiled.inspect_asm().values()
        found = inner_loops(text)
        assert found, "no loop of multiply-adds was found"
        for lines in found:
            adds = [line for line in lines if MULTIPLY_ADD.search(line)]
            assert len(adds) % loops.CHAINS == 0
            assert not [line for line in lines if "(" in line or "[" in line]

    @pytest.mark.parametrize(
        ("precision", "cpu", "width", "chains", "instruction"),
        [
            ("float16", "sapphirerapids", 64, 24, "vfmadd\\d+ph\t%zmm"),
            ("float16", "sapphirerapids", 32, 24, "vfmadd\\d+ph\t%ymm"),
            ("bfloat16", "znver4", 64, 24, "vdpbf16ps\t%zmm"),
            ("bfloat16", "znver4", 32, 24, "vdpbf16ps\t%ymm"),
            ("int8", "cascadelake", 64, 24, "vpdpbusd\t%zmm"),
            ("int8", "alderlake", 32, 12, "vpdpbusd\t%ymm"),
            ("int8", "alderlake", 16, 12, "vpdpbusd\t%xmm"),
        ],
    )
    def test_the_instruction_is_there_for_other_cpus_and_touches_no_memory(
        self,
        precision: str,
        cpu: str,
        width: int,
        chains: int,
        instruction: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(loops, "CHAINS", chains)
        found = inner_loops(machine_code_for(cpu, precision, width))
        assert found, "no loop of multiply-adds was found"
        for lines in found:
            adds = [line for line in lines if re.search(instruction, line)]
            assert adds
            assert len(adds) % chains == 0
            assert not [line for line in lines if "(" in line]

    def test_a_cpu_without_the_instruction_is_found_out(self) -> None:
        assert inner_loops(machine_code_for("skylake-avx512", "float16", 64)) == []

    def test_a_loop_that_touches_memory_is_found_out(self) -> None:
        text = ".L1:\n\tvfmadd231ps (%rax), %zmm0, %zmm1\n\tjne .L1\n"
        assert [line for lines in inner_loops(text) for line in lines if "(" in line]


def machine_code_for(cpu: str, precision: str, width: int) -> str:
    """The loop of multiply-adds, as text, for an x86 CPU that need not be this one."""
    binding, ir = import_module("llvmlite.binding"), loops.ir
    module = ir.Module()
    kind = loops.numba.from_dtype(loops.ONE[precision].dtype)
    arguments = [loops.INT, ir.IntType(kind.bitwidth), loops.INT]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), "raise")
    builder = ir.IRBuilder(function.append_basic_block())
    turns, value, out = function.args
    loops._raise_vectors(builder, kind, width, turns, value, out)
    builder.ret_void()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple("x86_64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu=cpu)
    compiled = binding.parse_assembly(str(module))
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options())
    passes.getModulePassManager().run(compiled, passes)
    return str(machine.emit_assembly(compiled))


MULTIPLY_ADD = re.compile(r"\bv?fn?madd|\bfmla\b|\bmulps\b|\bvdpbf16ps\b|\bvpdpbusd\b")
"""What a multiply-add is called on x86 and on Arm; without the instruction, half of one."""


def inner_loops(text: str) -> list[list[str]]:
    """The lines of each innermost loop that has multiply-adds, from its label to the jump back."""
    found, label, lines = [], "", list[str]()
    for line in text.splitlines():
        if re.match(r"\.?L\w+:", line):
            label, lines = line.partition(":")[0], []
        lines.append(line)
        jump = re.match(r"\s+(j\w+|b\.\w+|cbn?z)\s.*?(\.?L\w+)\s*$", line)
        if jump and jump[2] == label and any(MULTIPLY_ADD.search(each) for each in lines):
            found.append([*lines])  # what follows the jump is no part of it
    return found


def looks(threads: int, chunks: int = 1) -> Any:
    """Room for when each thread looks at the clock."""
    return np.zeros((threads, chunks + 1), np.int64)


def aligned(values: Any) -> Any:
    """The same numbers, from the beginning of a vector on."""
    raw = np.empty(values.nbytes + loops.VECTOR_BYTES, np.uint8)
    start = -raw.ctypes.data % loops.VECTOR_BYTES
    copy = raw[start : start + values.nbytes].view(values.dtype)
    copy[:] = values
    return copy
