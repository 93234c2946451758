"""What the machine was like during a run, in a sentence for a stranger."""

import math
from collections import Counter

from bench.stats.adjust import MachineState
from bench.stats.cell_visits import Aside

ASIDE: dict[Aside, str] = {
    "waited": "threads waited for a core",
    "clock": "the GPU's clock was lower than it otherwise is under that load",
    "held back": "heat, the hardware or the power supply held the GPU back",
    "shared": "other processes used the GPU",
    "slept": "the machine slept, or its clock was set",
}
"""What visits that don't count were disturbed by, in words."""


def sentence(state: MachineState) -> str | None:
    """What else used the cores, what the times are given for, and how far adjusting moved them;
    None where no time was adjusted.
    """
    if math.isnan(state.floor_s):
        return None
    if state.source == "fastest":
        return (
            "The cores were never left alone during this run, and nothing is known of this machine "
            "from before: times are given for the fastest state that it was in. "
            f"As found they were {_longer(state)}."
        )
    whence = " (known from earlier runs)" if state.source == "earlier" else ""
    return (
        f"Something else used this core's hardware {100 * state.busy:.0f} % of the time; times are "
        f"given for the core alone{whence}; as found they were {_longer(state)}."
    )


def set_aside(visits: Counter[Aside]) -> str:
    """How many visits don't count, and why; empty where all do."""
    if not visits:
        return ""
    total = visits.total()
    number = f"{total} visits do not count" if total > 1 else "1 visit does not count"
    why = "; ".join(f"in {visits[by]} {words}" for by, words in ASIDE.items() if visits[by])
    return f"{number}: {why}."


def _longer(state: MachineState) -> str:
    times = f"{state.longer:.2f}"
    return "the same" if times == "1.00" else f"{times} times longer"
