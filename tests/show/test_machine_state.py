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
    earlier = str(sentence(replace(BUSY, source="earlier")))
    assert "alone (known from earlier runs);" in earlier
    assert str(sentence(replace(BUSY, longer=1.004))).endswith("as found they were the same.")
    assert "fastest state" in str(sentence(replace(BUSY, source="fastest")))


def test_where_no_time_was_adjusted_nothing_is_said() -> None:
    assert sentence(replace(BUSY, floor_s=math.nan)) is None
