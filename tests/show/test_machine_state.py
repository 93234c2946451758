"""What is said of a machine, to a stranger."""

import math
from dataclasses import replace

from bench.show.machine_state import sentence
from bench.stats.adjust import MachineState

BUSY = MachineState(floor_s=5e-5, source="run", busy=0.86, slowed=1.6, longer=1.5)


def test_the_sentence_says_what_the_times_are_given_for() -> None:
    assert sentence(BUSY) == (
        "Something else used this core's hardware 86 % of the time; times are given for the core "
        "alone; as found they were 1.50 times longer."
    )
    assert "alone (known from earlier runs);" in sentence(replace(BUSY, source="earlier"))
    assert "fastest state" in sentence(replace(BUSY, source="fastest"))
    assert "devices' own" in sentence(replace(BUSY, floor_s=math.nan))
