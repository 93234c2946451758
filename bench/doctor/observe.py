"""Ask the machine, and set nothing: what `diagnose` then judges."""

import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from msgspec.structs import replace

from bench.count import sources
from bench.doctor import nvml
from bench.doctor.seen import Asked, GpuState, Probe, Seen, Tried
from bench.machine import driver, isolated, peak_rates, survey, wheel
from bench.measure import visit
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.worker import cgroups, environment, messages

VARIABLES = (
    *environment.THREAD_VARIABLES,
    "CUDA_VISIBLE_DEVICES",
    "CUDA_LAUNCH_BLOCKING",
    "CUPY_TF32",
    "NVIDIA_TF32_OVERRIDE",
)
"""Environment variables that change what runs, or how fast."""

PROBE_S = 60.0
"""A GPU that has not multiplied two small matrices by then has hung: a first use loads libraries
and compiles, which takes seconds."""

PCI = Path("/sys/bus/pci/devices")

NVIDIA, DISPLAY = "0x10de", "0x03"
"""A PCI device's vendor, and what its class begins with."""


def observe(asked: Asked, software: messages.Software, threads: int, kept: Path) -> Seen:
    """Everything that is looked at; a few seconds, most of them for trying the kernels.

    `software`: what a worker with so many threads says of itself. `kept`: the file of ceilings that
    were measured here; where it has none of this machine's, they are measured.
    """
    found = driver.ask()
    chosen = [d for d in found.devices if asked.device in (None, d.index)]
    reader = nvml.Nvml()
    cupys = {n: v for n, v in wheel.installed().items() if wheel.CUPY.fullmatch(n)}
    states, probes = [], []
    try:
        for device in chosen:
            probe, state = _examined(device, reader)
            probes.append(probe)
            states += [state] if state is not None else []
    finally:
        reader.close()
    machine = survey.survey(software, threads)
    machine = replace(machine, peaks=peak_rates.known("float32", threads, machine, kept))
    return Seen(
        machine=machine,
        counter=sources.find(machine.cpu.vector_flags),
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ},
        quota=_quota(),
        free_bytes=psutil.virtual_memory().available,
        driver=found,
        choice=wheel.choose(found, platform.machine(), rocm=wheel.ROCM.exists()),
        cards=cards(),
        amd=wheel.ROCM.exists(),
        cupys=cupys,
        nvml=reader.trouble,
        states=tuple(states),
        probes=tuple(probes),
        tried=tuple(_tried_all(asked.kernels or software.kernels, chosen, threads)),
    )


def _examined(device: driver.Device, reader: nvml.Nvml) -> tuple[Probe, GpuState | None]:
    """A device's state before anything of ours ran on it, then under load."""
    state = reader.state(device.bus)
    reasons: set[int] = set()
    command = [sys.executable, "-m", "bench.doctor.probe", str(device.index)]
    ended = isolated.run(command, PROBE_S, watch=lambda: reasons.add(reader.reasons(device.bus)))
    found = probe(device.index, ended)
    return found, nvml.with_reasons(state, reasons) if state is not None else None


def probe(index: int, ended: isolated.Ended) -> Probe:
    """What a probe's process leaves behind: its own words, or how it ended."""
    if ended.code is None:
        return Probe(index, "hung")
    try:
        return Probe(**json.loads(ended.out.strip().rpartition("\n")[2]))
    except (ValueError, TypeError):
        return Probe(index, "ended", text=ended.how)


def _tried_all(
    kernels: Sequence[str], devices: Sequence[driver.Device], threads: int
) -> list[Tried]:
    """Each kernel on the first device, and each that is not the CPU's on the others."""
    indices = [device.index for device in devices] or [0]
    found = []
    for kernel in kernels:
        found.append(_tried(kernel, indices[0], threads))
        if found[-1].device not in ("", "cpu"):
            found += [_tried(kernel, index, threads) for index in indices[1:]]
    return found


def _tried(kernel: str, device: int, threads: int) -> Tried:
    cell = Cell(kernel, Case(4, 3, 2, "float32", "relu"), device, threads, "warm")
    with visit.Visitor(threads, seed=0, limit_s=1.0) as visitor:
        loaded = visitor.load(kernel)
        if isinstance(loaded, messages.Refused):
            return Tried(cell.name, device, "", loaded.status, loaded.reason)
        row, _ = visitor.visit(cell, 1, 1, None)
    return Tried(cell.name, device, row.device, row.status, row.reason)


def cards(root: Path = PCI) -> tuple[str, ...]:
    """PCI addresses of NVIDIA's display and compute cards, whether they have a driver or not."""
    found = []
    for device in sorted(root.glob("*")):
        try:
            vendor, kind = ((device / name).read_text() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor.strip() == NVIDIA and kind.startswith(DISPLAY):
            found.append(device.name)
    return tuple(found)


def _quota() -> float | None:
    """Cores that the container's quota gives, where it is fewer than this process may use."""
    cores = cgroups.quota()
    return cores if cores is not None and cores < len(os.sched_getaffinity(0)) else None


def as_record(seen: Seen) -> dict[str, object]:
    """What of it goes into the JSON: a kernel's visit, a driver's answer, CuPy's distributions."""
    return {
        "driver": driver.record(seen.driver),
        "cupy": seen.cupys,
        "kernels": [dataclasses.asdict(tried) for tried in seen.tried],
    }
