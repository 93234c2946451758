"""What this machine can count instructions with, or why it can't.

The CPU's own counters come first: they cost nothing and know every instruction. A virtual machine
often has none. Then Valgrind, which simulates a CPU and takes a hundred times as long.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from bench.count import callgrind, perf

LEAST = (3, 18)
"""Valgrind's version at least: older ones fail on what today's libraries are built with."""

ASK_S = 20.0

PLAIN = {
    "x86_64": {"OPENBLAS_CORETYPE": "Haswell", "NUMBA_CPU_NAME": "haswell"},
    "aarch64": {"OPENBLAS_CORETYPE": "ARMV8", "NUMBA_CPU_NAME": "generic"},
}
"""What libraries are told under Valgrind, which knows AVX2 and no AVX-512, and no SVE: else they
might ask the CPU itself, and die. Only where it has as much."""

NEEDED = {"x86_64": {"avx2", "fma"}, "aarch64": {"asimd"}}

INSTALL = "install it (Debian, Ubuntu: sudo apt install valgrind)"


@dataclass(frozen=True, slots=True)
class Source:
    """What counts, how it is started, and what the libraries are told."""

    kind: str  # "callgrind" or "perf", as a task names it
    name: str  # for people, like "Valgrind 3.19.0 (BLAS as for Haswell)"
    command: tuple[str, ...] = ()  # before Python's own, without the options
    environment: tuple[tuple[str, str], ...] = ()

    def starting(self, folder: str, *, simulate: bool = False) -> list[str]:
        """The command before Python's own, for a process whose files go into the folder."""
        if not self.command:
            return []
        more = ["--cache-sim=yes", "--branch-sim=yes"] if simulate else []
        return [
            *self.command,
            "--tool=callgrind",
            "--instr-atstart=no",
            "--child-silent-after-fork=yes",
            f"--callgrind-out-file={folder}/{callgrind.PROFILE}.%p",
            f"--log-file={folder}/valgrind.%p.log",
            *more,
        ]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing counts here."""

    reason: str
    remedy: str


def find(flags: Mapping[str, object] | tuple[str, ...] = ()) -> Source | Nothing:
    """What counts here. `flags`: the CPU's, as machine.json has them."""
    try:
        perf.Perf().close()
    except perf.NoCounters as error:
        return _valgrind(set(flags), str(error))
    return Source("perf", "the CPU's own counters")


def _valgrind(flags: set[str], lacking: str) -> Source | Nothing:
    path = shutil.which("valgrind")
    if path is None:
        return Nothing(f"{lacking}, and Valgrind is not installed", INSTALL)
    machine = platform.machine()
    if machine not in callgrind.CODE or sys.platform != "linux":
        return Nothing(f"{lacking}, and Valgrind can't be asked to count on {machine}", "")
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=ASK_S
        )
        said = (done.stdout or done.stderr).strip()
    except OSError as error:
        why = error.strerror or str(error)
        return Nothing(f"{lacking}, and {path} can't be started ({why})", INSTALL)
    except subprocess.TimeoutExpired:
        return Nothing(f"{lacking}, and valgrind --version gave no answer", INSTALL)
    version = re.search(r"valgrind-(\d+)\.(\d+)(?:\.\d+)?", said)
    if version is None:
        return Nothing(f"{lacking}, and valgrind --version says {said[:60]!r}", INSTALL)
    number = version[0].removeprefix("valgrind-")
    if (int(version[1]), int(version[2])) < LEAST:
        needed = ".".join(map(str, LEAST))
        old = f"Valgrind {number} is too old: {needed} or newer is needed"
        return Nothing(f"{lacking}, and {old}", f"a newer one: {INSTALL}")
    told = PLAIN[machine] if flags >= NEEDED[machine] else {}
    told = {name: os.environ.get(name) or value for name, value in told.items()}
    core = f" (BLAS as for {told['OPENBLAS_CORETYPE']})" if told else ""
    return Source("callgrind", f"Valgrind {number}{core}", (path,), tuple(told.items()))
