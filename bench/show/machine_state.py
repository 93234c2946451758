"""What the machine was like during a run, in a sentence for a stranger."""

import math

from bench.stats.adjust import MachineState


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


def _longer(state: MachineState) -> str:
    times = f"{state.longer:.2f}"
    return "the same" if times == "1.00" else f"{times} times longer"
