"""What a fleet was asked to measure: the options of `run`, checked before any host sees them, and
kept in the fleet's folder for `--resume`.

    results/<fleet>/fleet.toml    run: the options; sweep: the text of a sweep file that they name
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from bench import ROOT
from bench.data import store
from bench.plan import sweep
from bench.terminal import options
from bench.terminal.errors import BadInput

FILE = "fleet.toml"

AS_THEY_ARE = ("precision", "activation", "threads", "cache", "seed", "target")
"""Options of `run` that stand in a sweep as they were typed."""

BESIDE_S, COUNTING_S = 300.0, 900.0
"""What a run takes beside its budget at most: set-up, first launches, ceilings; and to count."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each host is to run."""

    run: tuple[str, ...]  # the options, as they were typed
    sweep: str  # of a sweep file: its text, since the hosts may not have it
    budget_s: float
    limit_s: float  # a run that takes longer hangs


def asked(words: Sequence[str], given: Mapping[str, Any], limit_s: float | None) -> Asked:
    """From the words of the options and what `run` understands by them. Raises BadInput."""
    _refuse_kernels(given["kernel"] or ())
    for layer in given["layer"] or ():
        _refuse_relative("layer", layer.rpartition("=")[2])
    name = given["sweep"]
    fields = {
        "kernels": given["kernel"],
        "widths": options.integers("widths", given["widths"]),
        "batches": options.integers("batches", given["batches"]),
        "device": options.devices(given["device"], lambda: 1),
        "budget_s": options.duration(given["budget"]),
        **{option: given[option] for option in AS_THEY_ARE},
    }
    settled = sweep.settled(sweep.changed(sweep.read(name), fields))
    text = "" if name in sweep.named() else Path(name).read_text(encoding="utf-8")
    usual_s = 2 * settled.budget_s + BESIDE_S + (COUNTING_S if given["count"] else 0)
    return Asked(tuple(words), text, settled.budget_s, limit_s or usual_s)


def _refuse_kernels(names: Sequence[str]) -> None:
    known = sorted(path.stem for path in (ROOT / "kernels").glob("[!_.]*.py"))
    for name in names:
        if name.endswith(".py"):
            _refuse_relative("kernel", name)
        elif name not in (*known, sweep.ALL):
            raise BadInput(f"no kernel {name!r}; known: {', '.join(known)}, or a .py file")


def _refuse_relative(option: str, name: str) -> None:
    if not Path(name).is_absolute():
        where = "give its absolute path, at which every host has it"
        raise BadInput(f"--{option} {name} is looked for on each host: {where}")


def write(folder: Path, what: Asked) -> None:
    """Keep it in the fleet's folder, which is new. Raises BadInput where that can't be."""
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} exists: take another --out, or go on with --resume {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        store.replace(folder / FILE, tomli_w.dumps(msgspec.to_builtins(what)))
    except OSError as error:
        why = f"{folder} can't be written ({error.strerror})"
        raise BadInput(f"{why}: make it writable, or take another --out") from error


def read(folder: Path, limit_s: float | None) -> Asked:
    """What was kept, perhaps with another limit. Raises BadInput."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
        what = msgspec.convert(tomllib.loads(text), Asked)
    except OSError as error:
        raise BadInput(f"{folder} is no fleet's folder: it has no {FILE}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise BadInput(f"{folder / FILE} is damaged ({error}): start a new fleet") from error
    return msgspec.structs.replace(what, limit_s=limit_s or what.limit_s)
