"""What was found best for numba_packed on a machine, kept by its fingerprint and threads.

`bench run --tune` tries (`bench.worker.tune`, a minute, in a process of its own with the workers'
threads); later runs on the same machine use what is kept. Workers are told by an environment
variable, which `survey` puts into machine.json.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench.terminal.errors import BadInput
from bench.worker import environment
from bench.worker.messages import Tuned

VARIABLE = "PACKED_TUNED"
"""As kernels._tuning has it."""

SECONDS = 60.0


def tell(text: str) -> None:
    """Have the workers that are started from now on use these parameters; "": the defaults."""
    os.environ.pop(VARIABLE, None)
    if text:
        os.environ[VARIABLE] = text


def known(fingerprint: str, threads: int, kept: Path) -> str:
    """What the file `kept` has for this machine, as VARIABLE holds it; "" where it has nothing."""
    tuned = _read(kept).get(_key(fingerprint, threads))
    if tuned is None or not _sound(tuned.parameters):
        return ""
    return json.dumps(tuned.parameters)


def _sound(parameters: Mapping[str, float]) -> bool:
    """Whether numba_packed would take them. For those of another version, or that were changed by
    hand, it takes its defaults, and nobody should say that it was tuned.
    """
    known = parameters.keys() == {"blocks", "places", "shared", "copied"}
    return known and parameters["places"] in (0, 1, 4) and min(parameters.values()) >= 0


def tune(fingerprint: str, threads: int, kept: Path) -> str:
    """Try, keep what is best, and say what that is. Raises BadInput where it can't be tried."""
    command = [sys.executable, "-m", "bench.worker.tune", str(SECONDS)]
    done = subprocess.run(
        command, env=environment.environment(threads), capture_output=True, text=True, check=False
    )
    try:
        tuned = msgspec.json.decode(done.stdout.splitlines()[-1], type=Tuned)
    except (IndexError, msgspec.DecodeError):
        *_, why = done.stderr.splitlines() or [f"it ended with status {done.returncode}"]
        raise BadInput(f"--tune: numba_packed can't be tried here: {why}") from None
    every = {**_read(kept), _key(fingerprint, threads): tuned}
    # a checkout that can't be written has it for this run alone
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(msgspec.json.format(msgspec.json.encode(every)).decode())
    tell(json.dumps(tuned.parameters))
    return said(tuned)


def said(tuned: Tuned) -> str:
    """In a sentence."""
    changes = [
        f"{_in_words(name, tuned.parameters[name])} (at most {ratio:.2f} of the default's time)"
        for name, ratio in tuned.gains.items()
    ]
    return f"numba_packed was tuned: {', '.join(changes) or 'the defaults are best here'}"


def _in_words(name: str, value: float) -> str:
    """What a parameter of kernels._tuning asks for."""
    never = value > 2**32
    return {
        "blocks": f"blocks as if the output cost {value:g} times as much" if value else "no blocks",
        "places": f"W read at {value:g} {'place' if value == 1 else 'places'} at a time",
        "shared": "one thread" if never else f"threads from {value:,.0f} products on",
        "copied": "no copy of A_in" if never else f"a copy of A_in from {value:,.0f} units on",
    }[name]


def _key(fingerprint: str, threads: int) -> str:
    return f"{fingerprint} {threads}"


def _read(path: Path) -> dict[str, Tuned]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Tuned])
    except (OSError, ValueError, RecursionError):
        return {}
