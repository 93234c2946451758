"""The doctor: each trouble has its words, its remedy and its exit code.

Troubles with CUDA are raised by real CuPy on a stub of the driver where that can be done; what
needs a device behind it, by a stand-in for CuPy.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from commands import Done, bench, refused
from machine_facts import HONEST, WORKER
from msgspec import structs

from bench import ROOT
from bench.count.sources import Nothing
from bench.data.machine import Peaks
from bench.doctor import nvml, observe, show
from bench.doctor.diagnose import Finding, can_run, diagnose, trouble, unfit
from bench.doctor.seen import Asked, GpuState, Probe, Seen, Tried
from bench.machine import driver, isolated, survey, wheel
from bench.machine.driver import Device, Driver
from bench.machine.wheel import Choice
from bench.measure import visit
from bench.worker import cgroups

H100 = Device(0, "NVIDIA H100", "0000:17:00.0", "9.0")
V100 = Device(1, "Tesla V100", "0000:18:00.0", "7.0")
STATE = GpuState(
    bus=H100.bus,
    busy=0.0,
    free_bytes=79 * 10**9,
    total_bytes=80 * 10**9,
    reasons=0x1,
    temperature_c=60,
    power_limit_w=700.0,
    power_default_w=700.0,
    compute_mode=0,
)
CPU_RUNS = Tried("numpy_dot", 0, "cpu", "ok", "")
GPU_RUNS = Tried("cupy_matmul", 0, "cuda:0 NVIDIA H100 at 0000:17:00.0", "ok", "")

LAPTOP = Seen(
    machine=HONEST, environment={}, driver=Driver(trouble=driver.ABSENT), tried=(CPU_RUNS,)
)
GPU_BOX = Seen(
    machine=HONEST,
    environment={},
    driver=Driver(13000, (H100,)),
    choice=Choice("cuda13", ""),
    cards=(H100.bus,),
    cupys={"cupy-cuda13x": "14.2.0"},
    states=(STATE,),
    probes=(Probe(0, "worked"),),
    tried=(CPU_RUNS, GPU_RUNS),
)

pytestmark = pytest.mark.usefixtures("no_peaks")
"""But for the process of test_everything_real_at_once, which measures them."""

real_cupy = pytest.mark.skipif(
    "cupy-cuda13x" not in wheel.installed(), reason="needs cupy-cuda13x (make test installs it)"
)
no_driver = pytest.mark.skipif(
    driver.ask().trouble != driver.ABSENT, reason="needs a machine without an NVIDIA driver"
)


def troubles(seen: Seen, asked: Asked = Asked()) -> list[Finding]:  # noqa: B008 - frozen
    return [finding for finding in diagnose(seen, asked) if finding.level != "ok"]


class TestDiagnose:
    def test_what_the_gate_can_judge_by_is_said(self) -> None:
        (there,) = (f for f in diagnose(LAPTOP, Asked()) if f.subject == "counting")
        assert (there.level, there.words) == ("ok", "instructions can be counted, by a counter")
        for remedy in ("apt install valgrind", ""):
            lacking = replace(LAPTOP, counter=Nothing("there is no Valgrind", remedy))
            (found,) = (f for f in diagnose(lacking, Asked()) if f.subject == "counting")
            assert found.level == "advice"
            assert found.words == "the gate has times only: there is no Valgrind"
            assert found.remedy == (remedy or "python -m bench gate --witness time")

    """From what was seen to what is said, without any machine."""

    def test_a_sound_gpu_box_has_no_trouble(self) -> None:
        found = diagnose(GPU_BOX, Asked())
        assert [(finding.subject, finding.level) for finding in found] == [
            ("CPU", "ok"),
            ("counting", "ok"),
            ("driver", "ok"),
            ("CuPy", "ok"),
            ("cuda:0", "ok"),
            ("numpy_dot", "ok"),
            ("cupy_matmul", "ok"),
        ]
        assert can_run(found)

    def test_the_ceilings_are_told_and_what_lacks_of_them(self) -> None:
        lacking = Peaks("float32", 2e11, 3e10, None, lacking="numba is not installed: make setup")
        seen = replace(LAPTOP, machine=structs.replace(HONEST, peaks=lacking))
        (said,) = [f for f in diagnose(seen, Asked()) if f.subject == "ceilings"]
        assert said.level == "ok"
        assert said.words.endswith("not measured: numba is not installed: make setup")

    def test_a_laptop_can_run_what_it_has_hardware_for(self) -> None:
        (said,) = troubles(LAPTOP)
        assert said.level == "advice"
        assert said.words == "no NVIDIA driver (libcuda.so.1): only the CPU's kernels can run"
        assert "580 or newer (525.60.13 at least" in said.remedy

    @pytest.mark.parametrize(
        ("changes", "subject", "words", "remedy"),
        [
            (
                {"driver": Driver(11040, (H100,))},
                "driver",
                "the driver is too old: it supports CUDA 11.4, CuPy needs 12.0 or newer",
                "driver 525.60.13 or newer",
            ),
            (
                {"driver": Driver(trouble=driver.ABSENT), "probes": ()},
                "driver",
                "there is an NVIDIA card (0000:17:00.0), but no driver (libcuda.so.1)",
                "install NVIDIA's driver",
            ),
            (
                {"driver": Driver(trouble="the NVIDIA driver gave no answer in 60 s")},
                "driver",
                "gave no answer",
                "dmesg",
            ),
            (
                {
                    "driver": Driver(13000, (), 100, "cuInit: CUDA error 100"),
                    "environment": {"CUDA_VISIBLE_DEVICES": ""},
                },
                "driver",
                "CUDA_VISIBLE_DEVICES='' hides every device",
                "unset CUDA_VISIBLE_DEVICES",
            ),
            (
                {"driver": Driver(13000, (), 802, "cuInit: CUDA error 802")},
                "driver",
                "CUDA error 802",
                "nvidia-fabricmanager",
            ),
            (
                {"driver": Driver(13000, (), 34, "cuInit: CUDA error 34")},
                "driver",
                "CUDA error 34",
                "the toolkit's stub of the driver was found",
            ),
            ({"cupys": {}}, "CuPy", "not installed", "make setup"),
            (
                {"cupys": {"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.2.0"}},
                "CuPy",
                "cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0 are installed: they overwrite",
                "make setup",
            ),
            (
                {"cupys": {"cupy-rocm-7-0": "14.2.0"}},
                "CuPy",
                "cupy-rocm-7-0 is not a wheel that this project knows",
                "make setup",
            ),
            ({"probes": (Probe(0, "hung"),)}, "cuda:0", "gave no answer", "dmesg"),
            (
                {"probes": (Probe(0, "ended", text="was killed by SIGSEGV"),)},
                "cuda:0",
                "a small matrix product ended its process: it was killed by SIGSEGV",
                "dmesg",
            ),
            (
                {"states": (replace(STATE, compute_mode=2),)},
                "cuda:0",
                "its compute mode forbids every program",
                "nvidia-smi -c DEFAULT",
            ),
            (
                {"tried": (CPU_RUNS, Tried("mine", 0, "", "crashed", "killed by SIGSEGV"))},
                "mine",
                "crashed: killed by SIGSEGV",
                "--kernel",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_problem_has_its_words_and_a_remedy(
        self, changes: dict[str, Any], subject: str, words: str, remedy: str
    ) -> None:
        if not changes.get("driver", GPU_BOX.driver).devices:  # then none of them can be probed
            changes = {"probes": (), "states": (), **changes}
        found = diagnose(replace(GPU_BOX, **changes), Asked())
        problems = [finding for finding in found if finding.level == "problem"]
        (said,) = [finding for finding in problems if finding.subject == subject]
        assert words in said.words
        assert remedy in said.remedy
        assert not can_run(found)

    @pytest.mark.parametrize(
        ("changes", "words", "remedy"),
        [
            ({"machine": structs.replace(HONEST, load=3.5)}, "busy", "end what else runs"),
            ({"machine": structs.replace(HONEST, blas=())}, "NumPy's BLAS is not known", "PyPI"),
            ({"quota": 1.5}, "may use 1.5 cores", "--cpus"),
            ({"environment": {"OMP_NUM_THREADS": "1"}}, "OMP_NUM_THREADS=1", "unset OMP"),
            ({"environment": {"OPENBLAS_NUM_THREADS": "64"}}, "NUM_THREADS=64", "unset OPENBLAS"),
            ({"environment": {"CUDA_LAUNCH_BLOCKING": "1"}}, "each launch waits", "unset CUDA_"),
            ({"environment": {"CUPY_TF32": "1"}}, "CUPY_TF32=1", "--precision"),
            ({"environment": {"NVIDIA_TF32_OVERRIDE": "0"}}, "OVERRIDE=0", "--precision"),
            ({"free_bytes": 10**9}, "only 1 GB of memory are free", "end the programs"),
            ({"nvml": "nvidia-ml-py is not installed"}, "clocks, temperature", "make setup"),
            ({"nvml": "NVML Shared Library Not Found"}, "Not Found", "NVIDIA_DRIVER_CAPABILITIES"),
            ({"states": (replace(STATE, busy=0.93),)}, "others used it just before, 93 %", "wait"),
            ({"states": (replace(STATE, others=(7,)),)}, "another process (7)", "wait"),
            ({"states": (replace(STATE, others=(7, 8)),)}, "2 other processes", "wait"),
            ({"states": (replace(STATE, free_bytes=10**10),)}, "10 GB of 80 GB are free", "end"),
            (
                {"states": (replace(STATE, power_limit_w=250.0),)},
                "capped at 250 W (default: 700 W",
                "-pl",
            ),
            ({"states": (replace(STATE, reasons=0x4),)}, "by its power limit (at 60 °C)", "cool"),
            ({"states": (replace(STATE, reasons=0x20),)}, "held back under load by heat", "cool"),
            ({"states": (replace(STATE, reasons=0x8),)}, "by its hardware", "cool"),
            ({"states": (replace(STATE, reasons=0x40),)}, "heat, by its hardware", "cool"),
            ({"states": (replace(STATE, reasons=0x80),)}, "the power supply", "cool"),
            (
                {"tried": (Tried("nvmath_fused", 0, "", "unavailable", "no nvmath"),)},
                "unavailable: no nvmath",
                "leave this kernel out",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_could_be_better_is_advice(
        self, changes: dict[str, Any], words: str, remedy: str
    ) -> None:
        seen = replace(GPU_BOX, **changes)
        (said,) = troubles(seen)
        assert said.level == "advice"
        assert words.replace(" %", "%") in said.words.replace(" %", "%")
        assert remedy in said.remedy
        assert can_run(diagnose(seen, Asked()))

    @pytest.mark.parametrize(
        "harmless",
        [
            {"states": (replace(STATE, reasons=0x1),)},  # idle
            {"states": (replace(STATE, busy=None, free_bytes=None, temperature_c=None),)},
            {"states": (replace(STATE, power_limit_w=None),)},
            {"states": ()},
            {"environment": {"OMP_NUM_THREADS": "4"}},  # as many as there are
            {"environment": {"CUDA_LAUNCH_BLOCKING": "0"}},
            {"environment": {"CUDA_VISIBLE_DEVICES": "0"}},
        ],
        ids=str,
    )
    def test_what_is_harmless_is_not_mentioned(self, harmless: dict[str, Any]) -> None:
        assert troubles(replace(GPU_BOX, **harmless)) == []

    def test_an_exclusive_gpu_that_is_taken(self) -> None:
        taken = replace(STATE, compute_mode=3, others=(7,))
        levels = [finding.level for finding in troubles(replace(GPU_BOX, states=(taken,)))]
        assert levels == ["advice", "problem"]
        alone = replace(STATE, compute_mode=3)
        assert troubles(replace(GPU_BOX, states=(alone,))) == []

    def test_an_amd_gpu_is_named_with_its_wheel(self) -> None:
        (said,) = troubles(replace(LAPTOP, amd=True))
        assert said.level == "advice"
        assert "AMD" in said.words
        assert "cupy-rocm-7-0" in said.remedy

    def test_a_kernel_that_was_asked_for_has_to_run(self) -> None:
        no = Tried("cupy_matmul", 0, "", "unavailable", "no NVIDIA driver")
        laptop = replace(LAPTOP, tried=(CPU_RUNS, no))
        assert can_run(diagnose(laptop, Asked()))
        assert not can_run(diagnose(replace(laptop, tried=(no,)), Asked(("cupy_matmul",))))

    def test_a_kernel_that_waits_for_the_gpu_points_at_its_trouble(self) -> None:
        no = Tried("cupy_matmul", 0, "", "unavailable", "no NVIDIA driver on this machine")
        assert troubles(replace(LAPTOP, tried=(no,)))[-1].remedy == "see driver above"
        assert troubles(replace(GPU_BOX, tried=(no,), cupys={}))[-1].remedy == "see CuPy above"
        other = replace(no, reason="jax is not installed")
        assert troubles(replace(LAPTOP, tried=(other,)))[-1].remedy.startswith(
            "fix what the reason"
        )

    def test_a_gpu_that_nobody_asked_for_stops_nobody(self) -> None:
        broken = replace(GPU_BOX, probes=(Probe(0, "hung"),), tried=(CPU_RUNS,))
        assert not can_run(diagnose(broken, Asked()))
        assert can_run(diagnose(broken, Asked(("numpy_dot",))))
        assert not can_run(diagnose(broken, Asked(("numpy_dot",), device=0)))

    def test_a_device_that_was_asked_for_has_to_be_there(self) -> None:
        assert not can_run(diagnose(LAPTOP, Asked(device=0)))
        assert can_run(diagnose(GPU_BOX, Asked(device=0)))
        found = diagnose(GPU_BOX, Asked(device=3))
        (said,) = [finding for finding in found if finding.subject == "cuda:3"]
        assert said.words == "there is no such device: this machine has 1 device, counted from 0"
        assert not can_run(found)

    def test_two_cupys_without_a_gpu_are_no_problem(self) -> None:
        both = {"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.2.0"}
        assert can_run(diagnose(replace(LAPTOP, cupys=both), Asked()))

    def test_several_devices_are_told_apart(self) -> None:
        two = replace(
            GPU_BOX,
            driver=Driver(13000, (H100, V100)),
            cupys={"cupy-cuda12x": "14.2.0"},
            probes=(Probe(0, "worked"), Probe(1, "hung")),
            states=(STATE, replace(STATE, bus=V100.bus, busy=0.5)),
        )
        said = [(f.subject, f.level) for f in diagnose(two, Asked()) if "cuda:" in f.subject]
        assert said == [("cuda:0", "ok"), ("cuda:1", "problem"), ("cuda:1", "advice")]

    def test_whatever_is_wrong_has_a_remedy_and_what_is_right_has_none(self) -> None:
        for seen in (LAPTOP, GPU_BOX, replace(GPU_BOX, cupys={}, quota=1.0, free_bytes=1)):
            for finding in diagnose(seen, Asked(device=5)):
                assert (finding.remedy == "") == (finding.level == "ok"), finding


class TestUnfit:
    """The wheel that is installed, against the driver and the cards."""

    @pytest.mark.parametrize(
        ("name", "version", "devices", "words"),
        [
            ("cupy-cuda13x", 13000, (H100,), ""),
            ("cupy-cuda12x", 12080, (H100,), ""),
            ("cupy-cuda12x", 13000, (H100, V100), ""),
            (
                "cupy-cuda13x",
                12080,
                (H100,),
                "needs driver 580 or newer, this one supports CUDA 12.8",
            ),
            ("cupy-cuda13x", 13000, (H100, V100), "can't compile for Tesla V100"),
            ("cupy-cuda11x", 13000, (H100,), "is not a wheel that this project knows"),
        ],
    )
    def test_each(self, name: str, version: int, devices: Any, words: str) -> None:
        said = unfit(name, Driver(version, devices))
        assert words in said
        assert bool(words) == bool(said)


class TestTrouble:
    """What CuPy raises, in its own words -> what it means."""

    @pytest.mark.parametrize(
        ("error", "status", "text", "meaning", "remedy"),
        [
            ("ModuleNotFoundError", None, "No module named 'cupy'", "imported", "make setup"),
            (
                "ImportError",
                None,
                "libcublas.so.13: cannot open shared object file: No such file or directory",
                "a CUDA library is missing",
                "make setup",
            ),
            (
                "DynamicLibNotFoundError",
                None,
                'Failure finding "libnvrtc.so.13"',
                "a CUDA library is missing",
                "make setup",
            ),
            (
                "RuntimeError",
                None,
                "Failed to find CUDA headers. Please install the CUDA Toolkit",
                "CUDA's headers are missing",
                "make setup",
            ),
            (
                "CompileException",
                None,
                "nvrtc: error: invalid value for --gpu-architecture (-arch)",
                "the compiler doesn't know this card",
                "make setup",
            ),
            (
                "CUDARuntimeError",
                209,
                "cudaErrorNoKernelImageForDevice: x",
                "no code",
                "make setup",
            ),
            ("OutOfMemoryError", None, "Out of memory allocating", "memory is in use", "end the"),
            ("CUDARuntimeError", 2, "cudaErrorMemoryAllocation: x", "memory is in use", "end the"),
            ("CUDARuntimeError", 46, "cudaErrorDevicesUnavailable", "Unavailable", "compute mode"),
            ("WrongAnswer", None, "0.0 to 63.0 in place of 63", "wrong answers", "don't use it"),
            ("CUBLASError", 14, "CUBLAS_STATUS_INTERNAL_ERROR", "doesn't work", "dmesg"),
        ],
    )
    def test_each(
        self, error: str, status: int | None, text: str, meaning: str, remedy: str
    ) -> None:
        words, remedies = trouble(Probe(0, "raised", error, status, text), GPU_BOX)
        assert meaning in words
        assert text in words
        assert remedy in remedies


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor without its workers: one kernel, which runs on the CPU."""
    monkeypatch.setattr(visit, "software", lambda threads: WORKER)
    monkeypatch.setattr(survey, "survey", lambda software, threads: HONEST)
    monkeypatch.setattr(observe, "_tried_all", lambda *_: [CPU_RUNS])
    monkeypatch.setattr(observe, "cards", lambda: ())


def doctor(*arguments: str) -> tuple[Done, dict[str, Finding]]:
    """The command -> how it ended, and its troubles by subject (the last one of each)."""
    done = bench("doctor", "--json", *arguments)
    said = [Finding(**finding) for finding in json.loads(done.out)["findings"]]
    return done, {finding.subject: finding for finding in said if finding.level != "ok"}


@pytest.mark.usefixtures("quick")
class TestOnAStubDriver:
    """The command, and real CuPy, on a driver that isn't one: each row of GPU.md's table."""

    @no_driver
    def test_no_driver(self) -> None:
        done, said = doctor()
        assert done.code == 0
        assert said["driver"].words.startswith("no NVIDIA driver (libcuda.so.1)")
        done, said = doctor("--device", "0")
        assert done.code == 1
        assert said["driver"].level == "problem"

    @real_cupy
    @pytest.mark.usefixtures("stub_driver")
    def test_the_wheel_for_cuda_13_on_a_driver_for_12_8(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUB_VERSION", "12080")
        done, said = doctor()
        assert done.code == 1
        assert (
            "cupy-cuda13x needs driver 580 or newer, this one supports CUDA 12.8"
            in said["CuPy"].words
        )
        assert "make setup" in said["CuPy"].remedy
        words = said["cuda:0"].words
        assert words.startswith(
            "the driver (CUDA 12.8) is too old for cupy-cuda13x, which needs 580: CUDARuntimeError:"
            " cudaErrorInsufficientDriver"
        )

    @pytest.mark.usefixtures("stub_driver")
    def test_a_driver_without_a_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_DEVICES", "0")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        done, said = doctor()
        assert done.code == 1
        assert said["driver"].words == (
            "the driver (CUDA 13.0) finds no device: cuInit: CUDA error 100, CUDA_ERROR_NO_DEVICE"
        )
        assert "lspci" in said["driver"].remedy

    @pytest.mark.usefixtures("stub_driver")
    def test_a_driver_that_does_not_match(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_FAILS", "cuInit=803")
        done, said = doctor()
        assert done.code == 1
        assert "CUDA error 803, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" in said["driver"].words
        assert said["driver"].remedy.startswith("reboot")

    @pytest.mark.usefixtures("stub_driver")
    def test_a_driver_that_is_too_old_for_any_wheel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_VERSION", "11040")
        done, said = doctor()
        assert done.code == 1
        assert "it supports CUDA 11.4" in said["driver"].words
        assert said["driver"].remedy == "driver 525.60.13 or newer"
        assert not {"CuPy", "cuda:0"} & set(said)  # no other CuPy would help

    @real_cupy
    @pytest.mark.usefixtures("stub_driver")
    def test_a_broken_device(self) -> None:
        done, said = doctor()
        assert done.code == 1
        assert "it doesn't work: CUDARuntimeError: cudaErrorUnknown" in said["cuda:0"].words
        done, said = doctor("--kernel", "numpy_matmul")
        assert done.code == 0
        assert said["cuda:0"].level == "advice"

    @pytest.mark.parametrize(
        ("call", "words"), [("STUB_CRASHES", "was killed by SIGSEGV"), ("STUB_HANGS", "no answer")]
    )
    @pytest.mark.usefixtures("stub_driver")
    def test_a_driver_that_crashes_or_hangs(
        self, call: str, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(call, "cuInit")
        ask = driver.ask
        monkeypatch.setattr(driver, "ask", lambda: ask(0.5))
        done, said = doctor()
        assert done.code == 1
        assert words in said["driver"].words

    @pytest.mark.usefixtures("stub_driver")
    def test_one_device_of_several(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_DEVICES", "2")
        done, said = doctor("--device", "1")
        assert done.code == 1
        assert "cuda:1" in said
        assert "cuda:0" not in said
        done, said = doctor("--device", "2")
        assert done.code == 1
        assert (
            said["cuda:2"].words
            == "there is no such device: this machine has 2 devices, counted from 0"
        )


@real_cupy
class TestWhatRealCupyRaises:
    """CuPy's own errors, raised in a process of its own, and what the doctor makes of them."""

    @pytest.mark.parametrize(
        ("settings", "status", "words", "remedy"),
        [
            ({"STUB_DEVICES": "0"}, 100, "cudaErrorNoDevice", "lspci"),
            ({"STUB_FAILS": "cuInit=803"}, 803, "cudaErrorSystemDriverMismatch", "reboot"),
        ],
    )
    @pytest.mark.usefixtures("stub_driver")
    def test_on_a_stub_driver(
        self,
        settings: dict[str, str],
        status: int,
        words: str,
        remedy: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        probe = _probe()
        assert (probe.outcome, probe.error, probe.status) == ("raised", "CUDARuntimeError", status)
        said, remedies = trouble(probe, replace(GPU_BOX, driver=Driver(12080, (H100,))))
        assert words in said
        assert remedy in remedies

    @no_driver
    def test_without_a_driver(self) -> None:
        probe = _probe()
        assert probe.status == 35
        assert (
            "the driver (not there) is too old"
            in trouble(probe, replace(GPU_BOX, driver=Driver()))[0]
        )

    @pytest.mark.parametrize(
        ("library", "code"),
        [
            ("nvidia-cublas", "from cupy_backends.cuda.libs import cublas; cublas.create()"),
            ("nvidia-cuda-nvrtc", "from cupy_backends.cuda.libs import nvrtc; nvrtc.getVersion()"),
        ],
    )
    def test_without_a_library(self, library: str, code: str) -> None:
        if library in wheel.installed():
            pytest.skip(f"needs an environment without {library}")
        code = (
            f"try:\n    {code}\nexcept Exception as error:\n"
            "    import json\n"
            "    name, text = type(error).__name__, ' '.join(str(error).split())\n"
            "    probe = dict(device=0, outcome='raised', error=name, text=text)\n"
            "    print(json.dumps(probe))\n"
        )
        probe = observe.probe(0, isolated.run([sys.executable, "-c", code], 60))
        assert trouble(probe, GPU_BOX)[0].startswith("a CUDA library is missing: "), probe


def _probe() -> Probe:
    command = [sys.executable, "-m", "bench.doctor.probe", "0"]
    return observe.probe(0, isolated.run(command, 60))


CUPY = '''
"""Stands in for CuPy, in NumPy."""
import contextlib, os, signal, sys, time
import numpy
from numpy import *

def asnumpy(array):
    return array

class cuda:
    @staticmethod
    def Device(index):
        {trouble}
        return contextlib.nullcontext()
    @staticmethod
    def get_current_stream():
        class stream:
            synchronize = staticmethod(lambda: None)
        return stream
'''


class TestProbe:
    """A process of its own has the GPU compute, and whatever becomes of it is an answer."""

    @pytest.fixture
    def probed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        def run(trouble: str) -> Probe:
            (tmp_path / "cupy.py").write_text(CUPY.format(trouble=trouble))
            monkeypatch.setenv("PYTHONPATH", str(tmp_path))
            monkeypatch.setattr(observe, "PROBE_S", 1.0 if "sleep" in trouble else 60.0)
            found, state = observe._examined(H100, nvml.Nvml())
            assert state is None
            return found

        return run

    def test_one_that_works(self, probed: Any) -> None:
        assert probed("pass") == Probe(0, "worked")

    def test_one_that_computes_wrong_answers(self, probed: Any) -> None:
        found = probed("globals().update(maximum=numpy.minimum)")
        assert (found.outcome, found.error) == ("raised", "WrongAnswer")
        assert "wrong answers" in trouble(found, GPU_BOX)[0]

    def test_one_that_crashes(self, probed: Any) -> None:
        found = probed("os.kill(os.getpid(), signal.SIGSEGV)")
        assert found == Probe(0, "ended", text="was killed by SIGSEGV")

    def test_one_that_exits(self, probed: Any) -> None:
        found = probed("os._exit(3)")
        assert found == Probe(0, "ended", text="ended with exit code 3: nothing said")

    def test_one_that_hangs(self, probed: Any) -> None:
        assert probed("time.sleep(60)") == Probe(0, "hung")

    def test_one_that_has_no_memory_left(self, probed: Any) -> None:
        found = probed("raise MemoryError('Out of memory')")
        assert (found.outcome, found.error, found.text) == (
            "raised",
            "MemoryError",
            "Out of memory",
        )


class TestNvml:
    """pynvml on a stub of NVML."""

    @pytest.fixture
    def ask(self, stub_driver: Path) -> Any:
        if "nvidia-ml-py" not in wheel.installed():
            pytest.skip("needs nvidia-ml-py (make test installs it)")
        code = (
            "import json, dataclasses\n"
            "from bench.doctor import nvml\n"
            "reader = nvml.Nvml()\n"
            "state = reader.state('0000:17:00.0')\n"
            "print(json.dumps([reader.trouble, state and dataclasses.asdict(state),\n"
            "    reader.reasons('0000:17:00.0')]))\n"
            "reader.close()\n"
        )

        def run() -> tuple[str, GpuState | None, int]:
            ended = isolated.run([sys.executable, "-c", code], 20)
            assert ended.code == 0, ended
            said, state, reasons = json.loads(ended.out)
            return (
                said,
                GpuState(**state | {"others": tuple(state["others"])}) if state else None,
                reasons,
            )

        return run

    def test_all_that_is_asked(self, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_BUSY", "40")
        monkeypatch.setenv("STUB_PIDS", "1,22,333")
        monkeypatch.setenv("STUB_FREE_GB", "12")
        monkeypatch.setenv("STUB_REASONS", "0x44")
        monkeypatch.setenv("STUB_WATTS", "250")
        monkeypatch.setenv("STUB_MODE", "3")
        assert ask() == (
            "",
            GpuState(
                bus="0000:17:00.0",
                busy=0.4,
                others=(1, 22, 333),
                free_bytes=12 * 10**9,
                total_bytes=80 * 10**9,
                reasons=0,
                temperature_c=71,
                power_limit_w=250.0,
                power_default_w=700.0,
                compute_mode=3,
            ),
            0x44,
        )

    @pytest.mark.parametrize(
        ("function", "field"),
        [
            ("nvmlDeviceGetUtilizationRates", "busy"),
            ("nvmlDeviceGetTemperature", "temperature_c"),
            ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
            ("nvmlDeviceGetComputeMode", "compute_mode"),
        ],
    )
    def test_what_a_gpu_does_not_tell_is_unknown(
        self, function: str, field: str, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUB_LACKS", function)
        _, state, _ = ask()
        assert getattr(state, field) is None

    def test_an_older_driver_has_the_reasons_by_another_name(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUB_LACKS", "nvmlDeviceGetCurrentClocksEventReasons")
        monkeypatch.setenv("STUB_REASONS", "0x20")
        assert ask()[2] == 0x20

    def test_a_device_that_it_does_not_know(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUB_BUS", "0000:99:00.0")
        assert ask() == ("", None, 0)

    def test_one_that_fails(self, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUB_LACKS", "nvmlInitWithFlags")
        assert ask() == ("Not Supported", None, 0)

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        reader = nvml.Nvml()
        assert reader.trouble == "nvidia-ml-py is not installed"
        assert reader.state(H100.bus) is None
        assert reader.reasons(H100.bus) == 0

    def test_reasons_seen_at_any_moment_count(self) -> None:
        assert nvml.with_reasons(STATE, [0x4, 0x0, 0x20]).reasons == 0x25

    def test_nothing_is_ever_set(self) -> None:
        source = (ROOT / "bench" / "doctor" / "nvml.py").read_text()
        assert re.findall(r"nvml(?!Init|Shutdown|DeviceGet)[A-Z]\w*", source) == []


class TestObserve:
    """What is asked of this machine."""

    def test_cards_are_found_without_a_driver(self, tmp_path: Path) -> None:
        for name, vendor, kind in (
            ("0000:17:00.0", "0x10de", "0x030200"),
            ("0000:17:00.1", "0x10de", "0x040300"),  # its sound
            ("0000:00:02.0", "0x8086", "0x030000"),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / "vendor").write_text(f"{vendor}\n")
            (tmp_path / name / "class").write_text(f"{kind}\n")
        (tmp_path / "0000:ff:00.0").mkdir()
        assert observe.cards(tmp_path) == ("0000:17:00.0",)
        assert observe.cards(tmp_path / "none") == ()

    @pytest.mark.parametrize(("quota", "cores"), [(None, None), (1.5, 1.5), (16.0, None)])
    def test_a_quota(
        self, quota: float | None, cores: float | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cgroups, "quota", lambda: quota)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
        assert observe._quota() == cores

    def test_a_gpus_kernel_is_tried_on_each_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def tried(kernel: str, device: int, threads: int) -> Tried:
            name = "cpu" if kernel == "numpy_dot" else f"cuda:{device}"
            return Tried(kernel, device, name, "ok", "")

        monkeypatch.setattr(observe, "_tried", tried)
        found = observe._tried_all(("numpy_dot", "cupy_matmul"), (H100, V100), 1)
        assert [(t.kernel, t.device_index) for t in found] == [
            ("numpy_dot", 0),
            ("cupy_matmul", 0),
            ("cupy_matmul", 1),
        ]

    def test_a_kernel_is_tried_in_a_worker(self, tmp_path: Path) -> None:
        assert observe._tried("numpy_matmul", 0, 1) == Tried("numpy_matmul", 0, "cpu", "ok", "")
        bad = tmp_path / "bad.py"
        bad.write_text("1 / 0\n")
        assert observe._tried(str(bad), 0, 1).status == "error"


class TestCommand:
    """What a user types and sees."""

    @no_driver
    def test_it_says_what_runs_here_and_what_does_not(self) -> None:
        done = bench("doctor", "--kernel", "numpy_dot", "--kernel", "cupy_matmul")
        assert done.code == 1
        assert re.search(r"numpy_dot +ok +runs on cpu", done.out)
        assert re.search(r"cupy_matmul +problem +unavailable: no NVIDIA driver", done.out)
        assert "-> install NVIDIA's driver" in done.out
        assert "1 problem: not everything that was asked for can run" in done.out
        assert done.err == ""

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--kernel", "nosuch"], "no kernel 'nosuch'; known: "),
            (["--kernel", "/nowhere/mine.py"], "no kernel '/nowhere/mine.py'"),
            (["--device", "-1"], "--device is -1, should be 0 or more"),
            (["--device", "first"], "--device"),
        ],
    )
    def test_bad_input(self, arguments: list[str], words: str) -> None:
        assert words in refused("doctor", *arguments)

    @pytest.mark.usefixtures("quick", "stub_driver")
    def test_the_json_has_its_documented_fields(self) -> None:
        found = json.loads(bench("doctor", "--json").out)
        assert set(found) == {"version", "ok", "findings", "kernels", "driver", "cupy"}
        assert found["version"] == show.VERSION == 1
        assert found["ok"] is False
        assert set(found["findings"][0]) == {"subject", "level", "words", "remedy"}
        assert set(found["kernels"][0]) == {"kernel", "device_index", "device", "status", "reason"}
        assert found["driver"]["devices"][0]["name"] == "Stub GPU"
        assert show.__doc__ is not None
        for field in {*found, *found["findings"][0], *found["kernels"][0]}:
            assert f"`{field}`" in show.__doc__

    def test_its_screen_holds_what_came_from_outside(self) -> None:
        from bench.terminal import streams

        shown = show.as_table([Finding("mine\x1b[2J", "problem", "[bold]x", "y\nz")])
        console = streams.console(width=100)
        with console.capture() as capture:
            console.print(shown)
        assert "\x1b[2J" not in capture.get()
        assert "[bold]x" in capture.get()

    def test_it_concludes(self) -> None:
        ok, advice = Finding("x", "ok", ""), Finding("x", "advice", "", "y")
        problem = Finding("x", "problem", "", "y")
        assert show.conclusion([ok]) == "everything that was asked for can run"
        assert show.conclusion([advice]).endswith("; 1 thing could be better")
        assert show.conclusion([problem, problem]).startswith("2 problems: ")

    def test_everything_real_at_once(self, stub_driver: Path) -> None:
        """No part replaced: the command, its workers, real CuPy, pynvml, on the stubs."""
        picked = ["--kernel", "numpy_matmul", "--kernel", "cupy_matmul"]
        command = [sys.executable, "-m", "bench", "doctor", "--json", *picked]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done
        found = json.loads(done.stdout)
        statuses = {tried["kernel"]: tried["status"] for tried in found["kernels"]}
        assert statuses["numpy_matmul"] == "ok"
        assert statuses["cupy_matmul"] == "unavailable"
        assert any(f["subject"] == "cuda:0" and f["level"] == "problem" for f in found["findings"])


KNOWS_CUPY = {
    "bench/machine/wheel.py": "chooses it",
    "bench/machine/packages.py": "installs it",
    "bench/machine/__init__.py": "says that the wheel is chosen there",
    "bench/machine/variables.py": "records its variables",
    "bench/doctor/": "says what is wrong with it",
    "bench/studies/clocks.py": "hands its arrays to other clocks",
}
"""The machine's facts name NVIDIA's driver only."""

KERNEL_NAMES = re.compile(r"cupy_\w+|CuPy's \w+", re.IGNORECASE)
"""A kernel's file name, in an order or beside a colour, and its label in a chart: names of rows, by
which nothing is measured otherwise.
"""

NAMES_KERNELS = ("bench/show/table.py", "bench/show/pictures/", "bench/studies/")


def test_nothing_in_the_harness_names_cupy_but_the_doctor_and_what_sets_it_up() -> None:
    guilty = []
    for path in sorted((ROOT / "bench").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(tuple(KNOWS_CUPY)):
            continue
        text = path.read_text(encoding="utf-8")
        if name.startswith(NAMES_KERNELS):
            text = KERNEL_NAMES.sub("", text)
        guilty += [name] if re.search("cupy", text, re.IGNORECASE) else []
    assert guilty == []


@pytest.mark.parametrize(
    "name",
    [
        "measure/scheduler",
        "stats/estimate",
        "worker/timing",
        "worker/cheat_checks",
        "worker/device_checks",
        "judge/check",
        "judge/inputs",
    ],
)
def test_what_runs_and_times_cannot_tell_which_kernel_is_a_gpus(name: str) -> None:
    source = (ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8")
    assert re.findall(r"cupy|cuda|nvidia|nvml", source, re.IGNORECASE) == []


def test_the_distribution_that_these_tests_need_is_the_one_they_ask_for() -> None:
    """`real_cupy` must not skip where CuPy is there under another name."""
    here = [d for d in wheel.installed() if wheel.CUPY.fullmatch(d)]
    assert here in ([], ["cupy-cuda13x"]) or metadata.version(here[0])
