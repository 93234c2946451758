"""What this machine is, and what a reader of its numbers has to know."""

import hashlib
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench import ROOT
from bench.machine import driver, wheel
from bench.worker.limits import usable_cores
from bench.worker.messages import Software

OVERRIDES = ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "NPY_DISABLE_CPU_FEATURES")
"""Environment variables that make a library run other code than it would choose."""

VECTOR_FLAGS = ("avx2", "fma", "avx512f", "amx_tile", "asimd", "sve")

FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq")

CODE = (".", ":!results", ":!plots")
"""What git has to find unchanged: all but what runs leave behind."""


def facts(worker: Software, threads: int) -> dict[str, Any]:
    """Everything about the machine that goes into machine.json."""
    found = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": worker.python,
        "numpy": worker.numpy,
        "blas": [
            {
                "library": info.get("internal_api"),
                "version": info.get("version"),
                "core_type": info.get("architecture"),
                "threads": info.get("num_threads"),
                "threading": info.get("threading_layer"),
            }
            for info in worker.blas
        ],
        "threads": threads,
        "gpus": driver.record(driver.ask()),
        "gpu_library": wheel.in_use(),
        "commit": _git("rev-parse", "HEAD"),
        "clean": _git("status", "--porcelain", "--", *CODE) == "",
        "load": round(os.getloadavg()[0], 2),
        "overrides": {name: os.environ[name] for name in OVERRIDES if name in os.environ},
    }
    digest = hashlib.sha256(repr(identity(found)).encode()).hexdigest()[:12]
    return {**found, "fingerprint": digest, "warnings": warnings(found)}


def warnings(found: dict[str, Any]) -> list[str]:
    """What makes this machine's numbers mean less than they seem to."""
    return [said for said, _ in troubles(found)]


def troubles(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The same, each with what to do about it."""
    cores, load = found["cpu"]["cores_usable"], found["load"]
    said = [
        (
            f"{name}={value} makes a library run other code than it would choose here",
            f"unset {name}",
        )
        for name, value in found["overrides"].items()
    ]
    if found["threads"] > cores:
        taking_turns = f"{found['threads']} threads on {cores} usable cores: they take turns"
        said.append((taking_turns, f"--threads {cores}"))
    if load > 0.5 * cores:
        busy = f"the machine was busy before the run began: load {load} on {cores} cores"
        said.append((busy, "end what else runs (top shows it), or wait"))
    for blas in found["blas"]:
        has, asked = blas["threads"], found["threads"]
        if has != asked:
            other = f"{blas['library']} runs {has} threads, not the {asked} asked for"
            said.append((other, f"--threads {has}, or a NumPy with another BLAS"))
    if found["cpu"]["governor"] == "powersave":
        governor = "the CPU's governor is powersave: clocks may stay low"
        said.append((governor, "sudo cpupower frequency-set -g performance"))
    if sys.platform != "linux":
        lacking = "not Linux: no affinity, no steal time, no cache sizes are read"
        said.append((lacking, "Linux or WSL, for numbers to rely on"))
    return said


def identity(found: dict[str, Any]) -> dict[str, str]:
    """What has to be the same for two runs' times to be comparable."""
    blas = [f"{b['library']} {b['version']} {b['core_type']}" for b in found["blas"]]
    return {
        "CPU": f"{found['cpu']['model']}, {found['cpu']['cores_usable']} usable cores",
        "memory": str(found["memory_bytes"]),
        "Python": found["python"],
        "NumPy": found["numpy"],
        "BLAS": ", ".join(blas),
        "threads": str(found["threads"]),
        "GPUs": ", ".join(f"{gpu['name']} at {gpu['bus']}" for gpu in found["gpus"]["devices"]),
        "the NVIDIA driver's CUDA": str(found["gpus"].get("driver") or ""),
        "the GPU's library": found.get("gpu_library", ""),
    }


def _cpu() -> dict[str, Any]:
    info = _first_processor()
    frequency = psutil.cpu_freq()
    governor, driver = FREQUENCY / "scaling_governor", FREQUENCY / "scaling_driver"
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "model": info.get("model name") or platform.processor() or platform.machine(),
        "cores_present": os.cpu_count(),
        "cores_usable": usable_cores(),
        "mhz": max(frequency.max, frequency.current) if frequency else None,
        "vector_flags": [flag for flag in VECTOR_FLAGS if flag in flags],
        # under a pstate driver "powersave" is the ordinary governor, and clocks rise all the same
        "governor": None if "pstate" in _line(driver) else _line(governor) or None,
    }


def _line(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""


def _first_processor() -> dict[str, str]:
    """The first paragraph of /proc/cpuinfo; empty where there is none."""
    try:
        paragraph = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in paragraph.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _git(*arguments: str) -> str | None:
    """What git says of this checkout; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
