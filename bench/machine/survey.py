"""What this machine is, and what a reader of its numbers has to know."""

import hashlib
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
from msgspec.structs import replace

from bench.data.machine import Blas, Cpu, Gpus, Machine
from bench.machine import driver, tuning, variables, wheel
from bench.machine.git import git
from bench.terminal import text
from bench.worker.limits import usable_cores
from bench.worker.messages import Software

VECTOR_FLAGS = ("avx2", "fma", "avx512f", "amx_tile", "asimd", "sve")

FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq")

CONTAINER = re.compile(r"[0-9a-f]{12}")
"""The name that Docker and Podman give to a container."""

CODE = (".", ":!results", ":!plots")
"""What git has to find unchanged: all but what runs leave behind."""


def survey(software: Software, threads: int) -> Machine:
    """The machine as it is now; its peak rates are measured later."""
    commit = _commit()
    packages = wheel.installed()
    machine = Machine(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=_cpu(),
        memory_bytes=psutil.virtual_memory().total,
        os=f"{platform.system()} {platform.release().partition('-')[0]}",
        python=software.python,
        numpy=software.numpy,
        blas=tuple(
            Blas(
                library=info.get("internal_api"),
                version=info.get("version"),
                core_type=info.get("architecture"),
                threads=info.get("num_threads"),
                threading=info.get("threading_layer"),
            )
            for info in software.blas
        ),
        threads=threads,
        gpus=msgspec.convert(driver.record(driver.ask()), Gpus),
        gpu_library=wheel.in_use(packages),
        commit=commit,
        clean=commit is not None and _git("status", "--porcelain", "--", *CODE) == "",
        load=round(os.getloadavg()[0], 2),
        overrides=variables.changing(os.environ),
        tuned=os.environ.get(tuning.VARIABLE, ""),
        host=called(os.environ.get("BENCH_HOST"), platform.node()),
        packages=packages,
    )
    digest = hashlib.sha256(repr(identity(machine)).encode()).hexdigest()[:12]
    return replace(machine, fingerprint=digest, warnings=tuple(warnings(machine)))


def warnings(machine: Machine) -> list[str]:
    """What makes this machine's numbers mean less than they seem to."""
    return [trouble for trouble, _ in troubles(machine)]


def troubles(machine: Machine) -> list[tuple[str, str]]:
    """The same, each with what to do about it."""
    cores, threads, load = machine.cpu.cores_usable, machine.threads, machine.load
    pairs = [
        (
            f"{name}={value} may make a library run other code than it would choose here",
            f"unset {name}",
        )
        for name, value in machine.overrides.items()
    ]
    if threads > cores:
        taking_turns = f"{threads} threads on {cores} usable cores: they take turns"
        pairs.append((taking_turns, f"--threads {cores}"))
    if load > 0.5 * cores:
        busy = f"the machine was busy before the run began: load {load} on {cores} cores"
        pairs.append((busy, "end what else runs (top shows it), or wait"))
    for blas in machine.blas:
        if blas.threads != threads:
            other = f"{blas.library} runs {blas.threads} threads, not the {threads} asked for"
            pairs.append((other, f"--threads {blas.threads}, or a NumPy with another BLAS"))
    if machine.cpu.governor == "powersave":
        governor = "the CPU's governor is powersave: clocks may stay low"
        pairs.append((governor, "sudo cpupower frequency-set -g performance"))
    if sys.platform != "linux":
        lacking = "not Linux: no affinity, no steal time, no cache sizes are read"
        pairs.append((lacking, "Linux or WSL, for numbers to rely on"))
    return pairs


def identity(machine: Machine) -> dict[str, str]:
    """What has to be the same for two runs' times to be comparable."""
    gpus = machine.gpus
    facts = {
        "CPU": f"{machine.cpu.model}, {machine.cpu.cores_usable} usable cores",
        "memory": str(machine.memory_bytes),
        "Python": machine.python,
        "NumPy": machine.numpy,
        "BLAS": ", ".join(f"{b.library} {b.version} {b.core_type}" for b in machine.blas),
        "threads": str(machine.threads),
        "GPUs": ", ".join(f"{gpu.name} at {gpu.bus}" for gpu in gpus.devices),
        "the NVIDIA driver's CUDA": str(gpus.driver or ""),
        "the GPU's library": machine.gpu_library,
    }
    if machine.overrides:
        pairs = (f"{name}={value}" for name, value in machine.overrides.items())
        facts["the environment"] = ", ".join(pairs)
    return facts


def called(said: str | None, name: str) -> str:
    """What BENCH_HOST says, or a hash of the machine's name: a run that is shown around doesn't
    tell it. Nothing of a container, whose name is drawn anew each time.
    """
    if said is not None:
        return text.short(said)
    return "" if CONTAINER.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()[:8]


def _cpu() -> Cpu:
    info = _first_processor()
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, ValueError):  # a virtual machine without some files
        frequency = None
    governor, driver = FREQUENCY / "scaling_governor", FREQUENCY / "scaling_driver"
    flags = info.get("flags", info.get("Features", "")).split()
    return Cpu(
        model=info.get("model name") or platform.processor() or platform.machine(),
        cores_present=os.cpu_count(),
        cores_usable=usable_cores(),
        mhz=max(frequency.max, frequency.current) if frequency else None,
        vector_flags=tuple(flag for flag in VECTOR_FLAGS if flag in flags),
        # under a pstate driver "powersave" is the ordinary governor, and clocks rise all the same
        governor=None if "pstate" in _line(driver) else _line(governor) or None,
    )


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _first_processor() -> dict[str, str]:
    """The first paragraph of /proc/cpuinfo; empty where there is none."""
    try:
        paragraph = Path("/proc/cpuinfo").read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in paragraph.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _commit() -> str | None:
    """The checkout's; None where the repository around this folder is another's, such as a home's,
    and doesn't hold it.
    """
    held = _git("cat-file", "-e", "HEAD:./bench/__init__.py") is not None
    return _git("rev-parse", "HEAD") if held else None


def _git(*arguments: str) -> str | None:
    """What git says of this checkout; None where there is no git or no repository."""
    try:
        answer = git(*arguments, timeout_s=20)
    except OSError:
        return None
    return answer.text if answer else None
