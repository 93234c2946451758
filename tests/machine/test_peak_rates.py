"""Ceilings: what the flags give, what a child process measures, and the best of them kept."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from bench.data.machine import Cpu, Level, Machine, Peaks
from bench.machine import peak_rates
from bench.worker.messages import CpuPeaks

MACHINE = Machine(
    fingerprint="abc123",
    cpu=Cpu(vector_flags=("avx2", "fma"), mhz=3000.0, cores_usable=4),
)


@pytest.mark.parametrize(
    ("flags", "precision", "threads", "flop_per_s"),
    [
        # 2 units a core * 16 numbers * 2 operations * 3 GHz * cores
        (["avx2", "fma", "avx512f"], "float32", 1, 192e9),
        (["avx512f", "amx_tile"], "float32", 4, 768e9),
        (["avx512f"], "float64", 4, 384e9),
        (["avx2", "fma"], "float32", 1, 96e9),
        (["avx2", "fma"], "float64", 2, 96e9),
        (["asimd"], "float32", 1, 48e9),
        (["asimd", "sve"], "float32", 1, 96e9),
        # twice and four times as many numbers, where an instruction takes them as they are
        (["avx512f"], "bfloat16", 1, 384e9),
        (["avx2", "fma"], "float16", 1, 192e9),
        (["avx2", "fma"], "int8", 1, 384e9),
        # more threads than cores take turns
        (["avx2", "fma"], "float32", 64, 384e9),
    ],
)
def test_theory_is_flags_times_clock_times_cores(
    flags: list[str], precision: str, threads: int, flop_per_s: float
) -> None:
    cpu = Cpu(vector_flags=tuple(flags), mhz=3000.0, cores_usable=4)
    assert peak_rates.theoretical(precision, threads, cpu) == flop_per_s


@pytest.mark.parametrize(
    ("flags", "mhz"), [([], 3000.0), (["fma"], 3000.0), (["avx2"], None), (["avx2"], 0.0)]
)
def test_theory_of_an_unknown_cpu_is_unknown(flags: list[str], mhz: float | None) -> None:
    cpu = Cpu(vector_flags=tuple(flags), mhz=mhz, cores_usable=4)
    assert peak_rates.theoretical("float32", 4, cpu) is None


def test_the_peak_is_the_larger_of_measured_and_theoretical() -> None:
    assert Peaks("float32", 2e9, 1e9, 3e9).flop_per_s == 3e9
    assert Peaks("float32", 4e9, 1e9, 3e9).flop_per_s == 4e9
    assert Peaks("float32", 2e9, 1e9, None).flop_per_s == 2e9
    assert Peaks("float32", None, None, None).flop_per_s is None


def test_where_registers_are_known_they_or_the_product_are_the_peak_and_not_the_stated() -> None:
    peaks = Peaks("float32", 2e9, 1e9, 9e9, registers_flop_per_s=3e9)
    assert (peaks.ceiling_flop_per_s, peaks.flop_per_s) == (3e9, 3e9)
    # a library with units of its own that Numba's loop doesn't use
    assert structs.replace(peaks, measured_flop_per_s=4e9).flop_per_s == 4e9
    memory = (Level("L1", 9e9, 9e9), Level("memory", 2e9, 3e9))
    assert structs.replace(peaks, levels=memory).memory_bytes_per_s == 3e9
    assert peaks.memory_bytes_per_s == 1e9


class Child:
    """In the place of subprocess.run: says these rates, and remembers how it was asked."""

    def __init__(self) -> None:
        self.rates = [1e9, 2e9]
        self.registers = 0.0
        self.levels: dict[str, tuple[float, float]] = {}
        self.lacking = "Numba is not installed"
        self.by = ""
        self.asked: list[tuple[list[str], dict[str, str]]] = []

    def __call__(
        self, command: list[str], *, env: dict[str, str], check: bool, **_: object
    ) -> subprocess.CompletedProcess[str]:
        assert check, "a child that failed must not be read"
        self.asked.append((command, env))
        product, copy = self.rates
        said = CpuPeaks(product, copy, self.registers, self.levels, self.lacking, self.by)
        text = f"a greeting\n{msgspec.json.encode(said).decode()}\n"
        return subprocess.CompletedProcess(command, 0, text, "")


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    child = Child()
    monkeypatch.setattr(subprocess, "run", child)
    return child


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / ".peaks.json"


def measure(
    kept: Path, precision: str = "float32", threads: int = 4, machine: Machine = MACHINE
) -> list[float | None]:
    found = peak_rates.of_cpu(precision, threads, machine, kept)
    assert found is not None
    return [found.measured_flop_per_s, found.measured_bytes_per_s]


def test_a_child_with_the_workers_threads_measures(child: Child, kept: Path) -> None:
    found = peak_rates.of_cpu("float64", 3, MACHINE, kept)
    assert found == Peaks("float64", 1e9, 2e9, 144e9, lacking="Numba is not installed")
    ((command, environment),) = child.asked
    assert command == [sys.executable, "-m", "bench.worker.cpu_peaks", "float64", "3"]
    assert environment["OPENBLAS_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "3"


def test_the_best_ever_seen_is_kept_each_for_itself(child: Child, kept: Path) -> None:
    assert measure(kept) == [1e9, 2e9]
    child.rates = [3e9, 1e9]  # a neighbour took the memory
    assert measure(kept) == [3e9, 2e9]
    child.rates = [1e9, 5e9]  # and now the arithmetic
    assert measure(kept) == [3e9, 5e9]


def test_where_they_cannot_be_measured_the_best_ever_seen_is_taken(
    child: Child, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(-9, "the ceilings' process")

    monkeypatch.setattr(subprocess, "run", fail)
    assert peak_rates.of_cpu("float32", 4, MACHINE, kept) is None
    monkeypatch.setattr(subprocess, "run", child)
    assert measure(kept) == [1e9, 2e9]
    monkeypatch.setattr(subprocess, "run", fail)
    assert measure(kept) == [1e9, 2e9]


def test_a_child_that_ends_early_has_said_what_it_knew(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = msgspec.json.encode(CpuPeaks(1e9, 2e9, lacking="ended early")).decode()

    def end(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(-4, "the ceilings' process", output=f"{said}\n")

    monkeypatch.setattr(subprocess, "run", end)
    peaks = peak_rates.of_cpu("float32", 4, MACHINE, kept)
    assert peaks is not None
    assert (peaks.measured_flop_per_s, peaks.lacking) == (1e9, "ended early")


@pytest.mark.parametrize(
    "other",
    [
        {"precision": "float64"},
        {"threads": 2},
        {"machine": structs.replace(MACHINE, fingerprint="other")},
    ],
    ids=["precision", "threads", "machine"],
)
def test_the_best_is_that_of_the_same_machine_threads_and_precision(
    other: dict[str, Any], child: Child, kept: Path
) -> None:
    child.rates = [9e9, 9e9]
    measure(kept)
    child.rates = [1e9, 1e9]
    assert measure(kept, **other) == [1e9, 1e9]
    assert measure(kept) == [9e9, 9e9]  # and the first is not forgotten


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"\xff\xfe",
        b'{"abc123 float32 4": null}',
        b'{"abc123 float32 4": [5e9]}',
        b'{"abc123 float32 4": ["fast", "slow"]}',
        b'{"abc123 float32 4": {"flops": 5e9}}',
        b'{"abc123 float32 4": [NaN, NaN]}',
        b'{"abc123 float32 4": [Infinity, Infinity]}',
    ],
)
def test_a_corrupt_file_is_as_good_as_none(content: bytes, child: Child, kept: Path) -> None:
    kept.write_bytes(content)
    assert measure(kept) == [1e9, 2e9]
    child.rates = [0.5e9, 0.5e9]
    assert measure(kept) == [1e9, 2e9]


def test_a_kept_rate_that_no_such_machine_has_is_forgotten(child: Child, kept: Path) -> None:
    name, other = "abc123 float32 4", "another's"
    # arithmetic above what is stated; memory, of which nothing is, far above what is found
    kept.write_text(json.dumps({name: [1e20, 1e20], other: [7.0, 7.0]}))
    assert measure(kept) == [1e9, 2e9]
    assert json.loads(kept.read_text()) == {name: [1e9, 2e9], other: [7.0, 7.0]}


def test_nothing_above_what_the_cpu_can_do_is_believed(child: Child, kept: Path) -> None:
    stated = 384e9
    child.rates = [stated * peak_rates.BOOST * 1.01, 2e9]
    assert peak_rates.of_cpu("float32", 4, MACHINE, kept) is None
    child.rates = [stated * 1.4, 2e9]  # above its base clock
    assert measure(kept) == [stated * 1.4, 2e9]


def test_a_devices_rate_above_what_it_states_is_neither_believed_nor_kept(kept: Path) -> None:
    stated = Peaks("float32", 52e12, 2.9e12, 66.9e12, 3.35e12)
    poisoned = structs.replace(stated, measured_flop_per_s=419e12)
    device = "cuda:0 at 0000:17:00.0"
    alone = peak_rates.of_device(device, [poisoned], kept)
    assert (alone.measured_flop_per_s, alone.flop_per_s) == (None, 66.9e12)
    kept.write_text(json.dumps({f"{device} float32": [419e12, 2.95e12]}))
    healed = peak_rates.of_device(device, [poisoned, stated], kept)
    assert (healed.measured_flop_per_s, healed.measured_bytes_per_s) == (52e12, 2.95e12)
    assert json.loads(kept.read_text()) == {f"{device} float32": [52e12, 2.95e12]}


def test_a_file_that_cannot_be_written_does_no_harm(child: Child, tmp_path: Path) -> None:
    assert measure(tmp_path) == [1e9, 2e9]  # a directory
    assert measure(tmp_path / "nonesuch" / ".peaks.json") == [1e9, 2e9]


def test_a_precision_that_no_cpu_has_has_no_ceiling(child: Child, kept: Path) -> None:
    assert peak_rates.of_cpu("tf32", 4, MACHINE, kept) is None
    assert child.asked == []
    assert not kept.exists()


class TestRegistersAndLevels:
    """What loops that do one thing only reached, kept each for itself as the product is."""

    def test_the_best_of_each_is_kept_and_told_without_numba(
        self, child: Child, kept: Path
    ) -> None:
        child.registers, child.levels = 300e9, {"L1": (4e11, 5e11), "memory": (2e10, 3e10)}
        child.lacking = ""
        peaks = peak_rates.of_cpu("float32", 4, MACHINE, kept)
        child.registers, child.levels = 200e9, {"L1": (1e11, 6e11), "memory": (1e10, 4e10)}
        peaks = peak_rates.of_cpu("float32", 4, MACHINE, kept)
        assert peaks is not None
        assert peaks.registers_flop_per_s == 300e9
        best = (Level("L1", 4e11, 6e11), Level("memory", 2e10, 4e10))
        assert peaks.levels == best
        child.registers, child.levels, child.lacking = 0.0, {}, "no Numba any more"
        assert peak_rates.of_cpu("float32", 4, MACHINE, kept) == peaks
        other = peak_rates.of_cpu("float32", 2, MACHINE, kept)
        assert other is not None
        assert (other.registers_flop_per_s, other.levels) == (None, ())
        assert other.lacking == "no Numba any more"

    def test_a_nearer_level_does_at_least_what_a_farther_one_does(
        self, child: Child, kept: Path
    ) -> None:
        child.levels = {
            "L1": (4e11, 5e11),
            "L2": (1e8, 3e11),
            "L3": (1e11, 1e8),
            "memory": (2e10, 3e10),
        }
        peaks = peak_rates.of_cpu("float32", 4, MACHINE, kept)
        assert peaks is not None
        assert peaks.levels == (
            Level("L1", 4e11, 5e11),
            Level("L2", 1e11, 3e11),
            Level("L3", 1e11, 3e10),
            Level("memory", 2e10, 3e10),
        )

    def test_registers_above_what_the_cpu_can_do_are_not_believed(
        self, child: Child, kept: Path
    ) -> None:
        child.registers = 384e9 * peak_rates.BOOST * 1.01
        peaks = peak_rates.of_cpu("float32", 4, MACHINE, kept)
        assert peaks is not None
        assert peaks.registers_flop_per_s is None

    def test_what_is_known_is_not_measured_again(self, child: Child, kept: Path) -> None:
        child.registers = 3e9
        first = peak_rates.known("float32", 4, MACHINE, kept)
        assert peak_rates.known("float32", 4, MACHINE, kept) == first
        assert len(child.asked) == 1
        assert first is not None
        assert first.registers_flop_per_s == 3e9


class TestSmallerPrecisions:
    """float16, bfloat16 and int8: multiply-adds in registers, of an instruction or of float32."""

    @pytest.fixture(autouse=True)
    def _numpy_has_no_product(self, child: Child) -> None:
        child.rates, child.lacking = [0.0, 2e10], ""
        child.levels = {"L1": (4e11, 5e11), "memory": (2e10, 3e10)}

    def peaks(self, kept: Path, precision: str = "bfloat16") -> Peaks:
        found = peak_rates.of_cpu(precision, 4, MACHINE, kept)
        assert found is not None
        return found

    def test_the_instruction_and_its_rate_are_told(self, child: Child, kept: Path) -> None:
        child.registers, child.by = 7e11, "vdpbf16ps"
        assert self.peaks(kept) == Peaks(
            "bfloat16",
            None,
            2e10,
            768e9,
            registers_flop_per_s=7e11,
            levels=(Level("L1", 4e11, 5e11), Level("memory", 2e10, 3e10)),
            registers_by="vdpbf16ps",
        )
        assert self.peaks(kept).ceiling_flop_per_s == self.peaks(kept).flop_per_s == 7e11

    def test_float32s_multiply_adds_are_a_floor_and_its_memory_is_the_same(
        self, child: Child, kept: Path
    ) -> None:
        child.rates, child.registers = [1e11, 3e10], 3e11
        child.levels = {"L1": (6e11, 6e11)}
        peak_rates.of_cpu("float32", 4, MACHINE, kept)
        child.rates, child.registers, child.by = [0.0, 2e10], 2.9e11, "float32"  # a busy moment
        child.levels = {"memory": (2e10, 3e10)}
        peaks = self.peaks(kept)
        assert (peaks.registers_flop_per_s, peaks.registers_by) == (3e11, "float32")
        assert peaks.theoretical_flop_per_s == 384e9
        assert peaks.levels == (Level("L1", 6e11, 6e11), Level("memory", 2e10, 3e10))
        assert peaks.measured_bytes_per_s == 3e10
        # and float32 has nothing of a smaller precision's arithmetic
        child.registers, child.by = 7e11, "vdpbf16ps"
        assert self.peaks(kept).registers_flop_per_s == 7e11
        full = peak_rates.known("float32", 4, MACHINE, kept)
        assert full is not None
        assert (full.measured_flop_per_s, full.registers_flop_per_s) == (1e11, 3e11)

    def test_what_is_known_of_float32_is_no_ceiling_where_the_fastest_is_not_known(
        self, child: Child, kept: Path
    ) -> None:
        child.rates, child.registers = [1e11, 3e10], 3e11
        peak_rates.of_cpu("float32", 4, MACHINE, kept)
        child.rates, child.registers, child.lacking = [0.0, 2e10], 0.0, "this CPU has AMX"
        peaks = self.peaks(kept)
        assert (peaks.ceiling_flop_per_s, peaks.flop_per_s) == (None, None)
        assert (peaks.lacking, peaks.registers_by, len(peaks.levels)) == ("this CPU has AMX", "", 2)

    def test_a_rate_that_no_instruction_has_is_not_believed(self, child: Child, kept: Path) -> None:
        child.registers, child.by = 2 * 384e9 * peak_rates.BOOST * 1.01, "vdpbf16ps"
        assert self.peaks(kept).registers_flop_per_s is None
        assert self.peaks(kept, "int8").registers_flop_per_s == child.registers
