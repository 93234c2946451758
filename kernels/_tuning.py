"""numba_packed's few parameters: what its model says, or what was found best on a machine.

`bench run --tune` finds it (bench.worker.tune) and hands it to the kernels' processes in the
environment variable VARIABLE, as JSON. Without that variable, or with one that makes no sense, the
defaults hold.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from kernels._memory import PLACES

VARIABLE = "PACKED_TUNED"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What numba_packed decides by; see _blocking for the blocks."""

    blocks: float = 1.0  # how deep: times what _blocking takes out to cost; 0 for none at all
    places: int = 0  # at how many one example reads W at a time, 1 or 4; 0: as _memory says
    # Products (batch * n_in * n_units) from which on the threads share the work: waking them takes
    # a microsecond, in which a core does some hundred thousand.
    shared: int = 2**18
    # Units from which on copying A_in is worth it where its rows meet: that takes as long as some
    # 40 units, and saves at most a tenth of the time of all.
    copied: int = 1024


DEFAULT = Parameters()


def dumps(parameters: Parameters) -> str:
    """As VARIABLE holds it."""
    return json.dumps(asdict(parameters))


def loads(text: str) -> Parameters:
    """The parameters of a text; the defaults for what is none."""
    try:
        values = json.loads(text)
        parameters = Parameters(
            float(values["blocks"]),
            int(values["places"]),
            int(values["shared"]),
            int(values["copied"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return DEFAULT
    sound = (
        0 <= parameters.blocks < 1e6
        and parameters.places in (0, 1, PLACES)
        and parameters.shared >= 0
        and parameters.copied >= 0
    )
    return parameters if sound else DEFAULT


@contextmanager
def used(parameters: Parameters) -> Iterator[None]:
    """These parameters for what is prepared meanwhile in this process."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = dumps(parameters)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


def here() -> Parameters:
    """Those of this process."""
    return loads(os.environ.get(VARIABLE, ""))
