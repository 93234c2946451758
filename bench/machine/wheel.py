"""Which of CuPy's wheels this machine's driver and GPUs need, and what .venv lacks of it.

bench.machine.packages asks each time that `make` measures, and does what has to be done. Like
bench.machine.driver this needs the standard library alone. Nothing here imports CuPy.
"""

import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench import ROOT
from bench.machine.driver import ABSENT, Driver, ask, release

LOCKS = ROOT / "locks"

WORDS = ("auto", "none", "cuda12", "cuda13")

MEGABYTES = {"cuda12": 810, "cuda13": 580}
"""About what has to be downloaded: the locked wheels for x86_64, from an empty cache."""

LOWEST, NEEDED = 12000, "525.60.13"
"""The oldest driver for CUDA 12: as CUDA's number, and as NVIDIA's own."""

THIRTEEN, NEEDED_13 = 13000, "580"
"""The same for CUDA 13."""

TURING = (7, 5)
"""The oldest compute capability that CUDA 13 compiles for: NVRTC 13 rejects sm_70."""

NAME = r"^([A-Za-z0-9._-]+)(?===)"
"""How a package's line in a lock file begins."""

MACHINES = ("x86_64", "aarch64")

ROCM = Path("/dev/kfd")
"""There where AMD's driver is."""

CUPY = re.compile(r"cupy(-cuda\w+|-rocm[\w-]+)?")
"""CuPy's distributions. All of them hold the same files: a second one overwrites the first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """none, cuda12 or cuda13, and why, in words that can stand in one line."""

    wheel: str
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done to .venv."""

    wheel: str  # to install from its lock: cuda12, cuda13; or none
    spare: tuple[str, ...]  # packages to remove first


def choose(found: Driver, machine: str = "x86_64", *, rocm: bool = False) -> Choice:
    """The wheel for what the driver says. A GPU whose driver is too old has none."""
    if found.version is None:
        amd = (
            f"{ABSENT}; an AMD GPU is here, and CuPy's wheel for ROCm (cupy-rocm-7-0) is not set up"
        )
        return Choice("none", amd if rocm and found.trouble == ABSENT else found.trouble)
    told = f"the driver has CUDA {release(found.version)}"
    if found.version < LOWEST:
        return Choice("none", f"{told}: driver {NEEDED} or newer is needed")
    if not found.devices:
        return Choice("none", found.trouble)
    if machine not in MACHINES:
        return Choice("none", f"CuPy has no wheel for {machine}: {' and '.join(MACHINES)} only")
    names = ", ".join(
        dict.fromkeys(f"{device.name} ({device.compute})" for device in found.devices)
    )
    old = [device for device in found.devices if device.capability < TURING]
    if old:
        return Choice("cuda12", f"{names}; CUDA 13 is for compute capability 7.5 and newer")
    if found.version < THIRTEEN:
        return Choice("cuda12", f"{names}; {told}, and CUDA 13 needs {NEEDED_13}")
    return Choice("cuda13", f"{names}; {told}")


def locked(text: str) -> dict[str, str]:
    """A lock file's packages -> the version. One that has several versions is left out: which it is
    depends on Python, and the environment had it before (NumPy).
    """
    pinned = re.findall(NAME + r"==([^\s;\\]+)", text, re.MULTILINE)
    names = [name for name, _ in pinned]
    return {name: version for name, version in pinned if names.count(name) == 1}


def needed(wheel: str, locks: Mapping[str, str]) -> dict[str, str]:
    """What only the wheel's lock brings: package -> version. `locks`: those of `read_locks`."""
    if wheel == "none":
        return {}
    base = locked(locks["bench"])
    return {name: v for name, v in locked(locks[wheel]).items() if name not in base}


def todo(wheel: str, installed: Mapping[str, str], locks: Mapping[str, str]) -> Change | None:
    """What .venv lacks, and what has to go; None if all is as it should be.

    Every other CuPy has to go, and with it the libraries that came for it, which would only take
    room. Libraries that the tests use stay.
    """
    wanted = needed(wheel, locks)
    others = {name for other in ("cuda12", "cuda13") for name in needed(other, locks)}
    # PyTorch needs the same libraries, in the same versions
    used = locks["test"] + (locks.get("torch", "") if "torch" in installed else "")
    spare = others - set(re.findall(NAME, used, re.MULTILINE))
    strange = [n for n in installed if n not in wanted and CUPY.fullmatch(n)]
    useless = [n for n in installed if n not in wanted and n in spare and n not in strange]
    there = all(installed.get(name) == version for name, version in wanted.items())
    if there and not strange and (wanted or not useless):
        return None
    return Change(wheel, tuple(sorted(strange + useless)))


def beside(installed: Mapping[str, str], lock: str) -> list[str]:
    """Installed CuPys that a lock file has another one for."""
    wanted = [name for name in locked(lock) if CUPY.fullmatch(name)]
    return sorted(n for n in installed if wanted and CUPY.fullmatch(n) and n not in wanted)


def installed() -> dict[str, str]:
    """The environment's packages, by the name that lock files use -> version."""
    found = ((each.metadata["Name"], each.version) for each in metadata.distributions())
    names = sorted(
        (re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found if name
    )
    return dict(names)


def in_use(packages: Mapping[str, str]) -> str:
    """Of these packages CuPy, with its version; empty where there is none."""
    found = sorted(packages.items())
    return ", ".join(f"{name} {version}" for name, version in found if CUPY.fullmatch(name))


def read_locks() -> dict[str, str]:
    names = ("bench", "test", "cuda12", "cuda13", "torch")
    return {name: (LOCKS / f"{name}.txt").read_text() for name in names}


def line(choice: Choice, change: Change | None) -> str:
    """What is said before anything is done."""
    said = f"GPU: {choice.wheel}; {choice.why}"
    if change is None:
        return said
    gone = ", ".join(name for name in change.spare if CUPY.fullmatch(name))
    if choice.wheel == "none":
        return f"{said}: removing {gone or 'the rest of CuPy'} and its CUDA libraries from .venv"
    size = f"about {MEGABYTES[choice.wheel]} MB to download"
    instead = f", in place of {gone}" if gone else ""
    return f"{said}: adding cupy-{choice.wheel}x and its CUDA libraries to .venv, {size}{instead}"


def plan(word: str) -> tuple[Choice, Change | None]:
    """What one of WORDS means on this machine, and what has to be done for it.

    Raises ValueError for a wheel that CuPy doesn't have for this machine.
    """
    machine = platform.machine()
    if word == "auto":
        choice = choose(ask(), machine, rocm=ROCM.exists())
    elif word != "none" and (sys.platform != "linux" or machine not in MACHINES):
        raise ValueError(f"GPU={word}: CuPy has wheels for Linux on {' and '.join(MACHINES)} only")
    else:
        choice = Choice(word, "as told")
    # where no GPU is found, a CuPy that is here already does no harm
    idle = word == "auto" and choice.wheel == "none"
    return choice, None if idle else todo(choice.wheel, installed(), read_locks())
