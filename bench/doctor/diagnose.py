"""What was seen -> findings: pure, so that each can be tested on a machine that has none of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.count.sources import Nothing
from bench.doctor.seen import Asked, GpuState, Probe, Seen, Tried
from bench.machine import driver, survey
from bench.machine.driver import ABSENT
from bench.machine.wheel import LOWEST, NEEDED, NEEDED_13, THIRTEEN, TURING
from bench.show import table
from bench.worker import environment

Level = Literal["ok", "advice", "problem"]

SETUP = (
    "make setup, which picks CuPy for this driver (if that changes nothing, make clean before it)"
)

INSTALL = f"install NVIDIA's driver, {NEEDED_13} or newer ({NEEDED} at least, and for cards before"
INSTALL += " compute capability 7.5); in a container: start it with --gpus all"

DRIVER_REMEDIES = {
    34: "the toolkit's stub of the driver was found: take its folder out of LD_LIBRARY_PATH",
    46: "end the program that uses it, or set its compute mode back to default",
    driver.NO_DEVICE: "lspci and dmesg say whether the card is there; a container needs --gpus all",
    802: "start nvidia-fabricmanager (machines with NVSwitch), then ask again",
    803: "reboot: after an update, the driver's library and its kernel module differ;"
    " in a container, remove its own copy of libcuda",
    804: "remove CUDA's compat package: this card can't use it",
}
"""What to do, by the CUresult: CUDA's runtime uses the same numbers for these."""

DMESG = "dmesg (NVRM, Xid) says more; reboot, or reinstall the driver"

INSUFFICIENT_DRIVER = 35
"""cudaErrorInsufficientDriver: also what CUDA's runtime says where there is no driver at all."""

END = "end the program that holds it, or choose another --device"

SIGNS = (
    ("ModuleNotFoundError: ", "CuPy can't be imported", SETUP),
    ("cannot open shared object file", "a CUDA library is missing", SETUP),
    ("DynamicLibNotFoundError: ", "a CUDA library is missing", SETUP),
    ("ImportError: Failure finding", "a CUDA library is missing", SETUP),
    ("CUDA headers", "CUDA's headers are missing", SETUP),
    ("--gpu-architecture", "the compiler doesn't know this card", SETUP),
    ("cudaErrorNoKernelImageForDevice", "CuPy has no code for this card", SETUP),
    ("OutOfMemoryError: ", "its memory is in use", END),
    ("cudaErrorMemoryAllocation", "its memory is in use", END),
    ("WrongAnswer: ", "it computes wrong answers", "don't use it; have it checked"),
)
"""What an error of CuPy says -> what it means, and what to do."""

HELD_BACK = {
    0x2: "a clock rate that someone has set",
    0x4: "its power limit",
    0x8: "its hardware (heat or power)",
    0x20: "heat",
    0x40: "heat, by its hardware",
    0x80: "the power supply",
}
"""NVML's clock event reasons that make a GPU slower than it is. Idle (0x1) is none."""

COOL = "better cooling, or a higher power limit; a run marks the visits in which it happens"

BUSY = 0.1
"""A share of the time in which others compute that is worth a word."""

PROHIBITED, EXCLUSIVE = 2, 3
"""NVML's compute modes in which no process, or one only, may use a GPU."""

GPU_WORDS = re.compile("CUDA|NVIDIA|CuPy")
"""What a kernel's reason names where the GPU is the cause."""

LITTLE_BYTES = 2**30
"""Free memory of the host below which little fits."""


@dataclass(frozen=True, slots=True)
class Finding:
    """About one thing: ok; advice, where it runs but could be better; or a problem, and what to do.

    An ok has no remedy, every other one has.
    """

    subject: str
    level: Level
    words: str
    remedy: str = ""


def diagnose(seen: Seen, asked: Asked) -> list[Finding]:
    """Everything worth saying, from the processor to the kernels."""
    gpu = [*_driver(seen, asked)]
    if (seen.driver.version or LOWEST) >= LOWEST:  # below that, no CuPy is the right one
        gpu += [*_cupy(seen), *_devices(seen)]
    kernels = [_kernel(tried, asked, gpu) for tried in seen.tried]
    if asked.device is None and asked.kernels and all(f.level == "ok" for f in kernels):
        # what was asked for runs: the GPU's troubles are somebody else's
        gpu = [replace(f, level="advice") if f.level == "problem" else f for f in gpu]
    return [*_cpu(seen), _counter(seen), *gpu, *kernels]


def can_run(findings: list[Finding]) -> bool:
    """Whether everything that was asked for can."""
    return all(finding.level != "problem" for finding in findings)


def _cpu(seen: Seen) -> Iterator[Finding]:
    model, *peaks = table.machine(seen.machine)
    yield Finding("CPU", "ok", model)
    for line in peaks:
        yield Finding("ceilings", "ok", line)
    for trouble, remedy in survey.troubles(seen.machine):
        if remedy.removeprefix("unset ") not in seen.environment:  # more is said of those below
            yield Finding("CPU", "advice", trouble, remedy)
    if not seen.machine.blas:
        said = "NumPy's BLAS is not known: its threads can't be counted or set"
        yield Finding("CPU", "advice", said, "a NumPy from PyPI, which has OpenBLAS")
    if seen.quota is not None:
        said = f"this container may use {seen.quota:g} cores: threads pause when that is used up"
        yield Finding(
            "CPU", "advice", said, "raise that limit (docker run --cpus), or use fewer --threads"
        )
    cores = seen.machine.cpu.cores_usable
    for name in environment.THREAD_VARIABLES:
        value = seen.environment.get(name, "")
        if value.isdecimal() and int(value) != cores:
            said = f"{name}={value}: bench run ignores it (see --threads), make suite obeys it"
            yield Finding("CPU", "advice", said, f"unset {name}")
    if seen.free_bytes < LITTLE_BYTES:
        said = f"only {_gb(seen.free_bytes)} of memory are free: large layers will not fit"
        yield Finding("memory", "advice", said, "end the programs that hold it")


def _counter(seen: Seen) -> Finding:
    """What the gate can judge by on this machine: times always, counts where something counts."""
    subject = "counting"
    if isinstance(seen.counter, Nothing):
        said = f"the gate has times only: {seen.counter.reason}"
        remedy = seen.counter.remedy or "python -m bench gate --witness time"
        return Finding(subject, "advice", said, remedy)
    return Finding(subject, "ok", f"instructions can be counted, by {seen.counter.name}")


def _driver(seen: Seen, asked: Asked) -> Iterator[Finding]:
    found, variable = seen.driver, "CUDA_VISIBLE_DEVICES"
    if found.trouble == ABSENT:
        yield _absent(seen, asked)
        return
    if found.version is not None and found.version < LOWEST:
        said = f"the driver is too old: it supports CUDA {found.release}, CuPy needs 12.0 or newer"
        yield Finding("driver", "problem", said, f"driver {NEEDED} or newer")
        return
    if found.trouble:
        hidden = found.status == driver.NO_DEVICE and variable in seen.environment
        remedy = DRIVER_REMEDIES.get(found.status, DMESG)
        said = found.trouble
        if hidden:
            said = f"{variable}={seen.environment[variable]!r} hides every device"
            remedy = f"unset {variable}"
        elif found.status == driver.NO_DEVICE:
            said = f"the driver (CUDA {found.release}) finds no device: {found.trouble}"
        yield Finding("driver", "problem", said, remedy)
        return
    count = "1 device" if len(found.devices) == 1 else f"{len(found.devices)} devices"
    yield Finding("driver", "ok", f"NVIDIA's, supports CUDA {found.release}; {count}")
    if asked.device is not None and asked.device >= len(found.devices):
        said = f"there is no such device: this machine has {count}, counted from 0"
        yield Finding(f"cuda:{asked.device}", "problem", said, "choose another --device")
    if seen.environment.get("CUDA_LAUNCH_BLOCKING", "0") != "0":
        said = "CUDA_LAUNCH_BLOCKING is set: each launch waits until the last one is done"
        yield Finding("driver", "advice", said, "unset CUDA_LAUNCH_BLOCKING")
    for name in ("CUPY_TF32", "NVIDIA_TF32_OVERRIDE"):
        if name in seen.environment:
            said = f"{name}={seen.environment[name]}: TF32 and float32 may be swapped"
            yield Finding("driver", "advice", said, f"unset {name}, and choose by --precision")


def _absent(seen: Seen, asked: Asked) -> Finding:
    """No driver: a problem where there is something that it could drive."""
    if seen.cards:
        said = f"there is an NVIDIA card ({seen.cards[0]}), but no driver (libcuda.so.1)"
        return Finding("driver", "problem", said, INSTALL)
    if seen.amd:
        said = f"{ABSENT}; there is an AMD GPU, which this project does not set up"
        remedy = "CuPy for ROCm 7 is the package cupy-rocm-7-0: this project has not tried it"
    else:
        said, remedy = f"{ABSENT}: only the CPU's kernels can run", INSTALL
    return Finding("driver", "advice" if asked.device is None else "problem", said, remedy)


def _cupy(seen: Seen) -> Iterator[Finding]:
    """Whether CuPy's wheel is there, alone, and the one for this driver and these cards."""
    names = [f"{name} {version}" for name, version in sorted(seen.cupys.items())]
    level: Level = "problem" if seen.driver.devices else "advice"
    if len(names) > 1:
        said = f"{' and '.join(names)} are installed: they overwrite each other's files"
        yield Finding("CuPy", level, said, SETUP)
    elif not names and seen.choice.wheel != "none":
        yield Finding("CuPy", level, "not installed", SETUP)
    elif names and seen.driver.devices:
        (name,) = seen.cupys
        said = unfit(name, seen.driver)
        yield Finding("CuPy", "problem", said, SETUP) if said else Finding("CuPy", "ok", names[0])


def unfit(wheel: str, found: driver.Driver) -> str:
    """Why CuPy's wheel can't work with this driver or one of its devices; "" where it can."""
    if wheel == "cupy-cuda12x":
        return ""
    if wheel != "cupy-cuda13x":
        return f"{wheel} is not a wheel that this project knows"
    if (found.version or 0) < THIRTEEN:
        return f"{wheel} needs driver {NEEDED_13} or newer, this one supports CUDA {found.release}"
    for device in found.devices:
        if device.capability < TURING:
            return f"{wheel} can't compile for {device.name} (compute capability {device.compute})"
    return ""


def _devices(seen: Seen) -> Iterator[Finding]:
    chosen = {device.index: device for device in seen.driver.devices}
    states = {state.bus: state for state in seen.states}
    for probe in seen.probes:
        device = chosen[probe.device]
        subject, state = f"cuda:{probe.device}", states.get(device.bus)
        if probe.outcome == "worked":
            yield Finding(subject, "ok", f"{device.name} at {device.bus} computes and compiles")
        else:
            words, remedy = trouble(probe, seen)
            yield Finding(subject, "problem", words, remedy)
        if state is not None:
            yield from _state(subject, state)
    if seen.probes and seen.nvml:
        said = f"its clocks, temperature and other users can't be read: {seen.nvml}"
        there = "it comes with the driver; a container needs NVIDIA_DRIVER_CAPABILITIES=all"
        yield Finding("NVML", "advice", said, SETUP if "not installed" in seen.nvml else there)


def trouble(probe: Probe, seen: Seen) -> tuple[str, str]:
    """What a probe's failure means, and what to do."""
    if probe.outcome == "hung":
        return "it gave no answer: the driver or the card hangs", DMESG
    if probe.outcome == "ended":
        return f"a small matrix product ended its process: it {probe.text}", DMESG
    said = f"{probe.error}: {probe.text}"
    if probe.status == INSUFFICIENT_DRIVER:
        has = f"CUDA {seen.driver.release}" if seen.driver.version else "not there"
        needs = NEEDED_13 if "cupy-cuda13x" in seen.cupys else NEEDED
        wheel = " and ".join(seen.cupys) or "CuPy"
        meaning = f"the driver ({has}) is too old for {wheel}, which needs {needs}"
        return f"{meaning}: {said}", f"driver {needs} or newer; or {SETUP}"
    if probe.status in DRIVER_REMEDIES:
        return said, DRIVER_REMEDIES[probe.status]
    for sign, meaning, remedy in SIGNS:
        if sign in said:
            return f"{meaning}: {said}", remedy
    return f"it doesn't work: {said}", DMESG


def _state(subject: str, state: GpuState) -> Iterator[Finding]:
    if state.compute_mode == PROHIBITED:
        said = "its compute mode forbids every program"
        yield Finding(subject, "problem", said, "nvidia-smi -c DEFAULT, by its administrator")
    if state.others or (state.busy or 0.0) > BUSY:
        busy = "" if state.busy is None else f", {state.busy:.0%} of the time"
        processes = f"{len(state.others)} other processes" if state.others else "others"
        if len(state.others) == 1:
            processes = f"another process ({state.others[0]})"
        said = f"{processes} used it just before{busy}: times may be longer than usual"
        yield Finding(subject, "advice", said, "wait, end it, or choose another --device")
    if state.compute_mode == EXCLUSIVE and state.others:
        said = "its compute mode allows one process, and another one is using it"
        yield Finding(subject, "problem", said, "wait for that process, or end it")
    free, total = state.free_bytes, state.total_bytes
    if free is not None and total is not None and free < total / 2:
        said = f"only {_gb(free)} of {_gb(total)} are free: large layers will not fit"
        yield Finding(subject, "advice", said, END)
    limit, default = state.power_limit_w, state.power_default_w
    if limit is not None and default is not None and limit < default:
        said = f"its power is capped at {limit:.0f} W (default: {default:.0f} W)"
        yield Finding(
            subject, "advice", said, f"nvidia-smi -pl {default:.0f}, by its administrator"
        )
    if held := [words for bit, words in HELD_BACK.items() if state.reasons & bit]:
        heat = "" if state.temperature_c is None else f" (at {state.temperature_c} °C)"
        said = f"its clocks were held back under load by {', '.join(held)}{heat}"
        yield Finding(subject, "advice", said, COOL)


def _kernel(tried: Tried, asked: Asked, gpu: Sequence[Finding]) -> Finding:
    """One kernel; where the GPU keeps it from running, what stands above says what to do."""
    if tried.status == "ok":
        return Finding(tried.kernel, "ok", f"runs on {tried.device}")
    words = f"{tried.status}: {tried.reason}"
    if tried.status in ("unavailable", "unsupported"):
        level: Level = "problem" if asked.kernels else "advice"
        cause = next((f.subject for f in gpu if f.level != "ok"), None)
        above = cause is not None and GPU_WORDS.search(tried.reason)
        remedy = (
            f"see {cause} above" if above else "fix what the reason names, or leave this kernel out"
        )
        return Finding(tried.kernel, level, words, remedy)
    remedy = "its file or its library is at fault: run it alone, with --kernel, to see more"
    return Finding(tried.kernel, "problem", words, remedy)


def _gb(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
