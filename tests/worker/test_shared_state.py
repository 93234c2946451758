"""Whatever kernels share with the rest of their process is seen to change, and put back."""

import gc
import os
import random
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from cheats import CHANGES

from bench.worker.shared_state import BROUGHT_BY_IMPORTS, Changed, SharedState


def state() -> list[Any]:
    """All of it, read by other means."""
    return [
        [pool["num_threads"] for pool in threadpoolctl.threadpool_info()],
        random.getstate(),
        str(np.random.get_state()),  # noqa: NPY002
        list(warnings.filters),
        np.geterr(),
        signal.getsignal(signal.SIGUSR2),
        Path.cwd(),
        dict(os.environ),
        gc.isenabled(),
    ]


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_named_and_put_back(what: str) -> None:
    change, words = CHANGES[what]
    with threadpoolctl.threadpool_limits(2):
        surroundings, before = SharedState(), state()
        change()
        assert state() != before
        with pytest.raises(Changed) as caught:
            surroundings.hold("in a test")
        assert str(caught.value) == f"it changed {words} in a test"
        assert state() == before
        surroundings.hold("since")


def test_all_that_changed_is_named() -> None:
    surroundings = SharedState()
    gc.disable()
    random.seed(1)
    found = surroundings.restore()
    assert "Python's random" in found
    assert " and the garbage collection" in found


def test_an_import_may_bring_a_little_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    surroundings = SharedState()
    with warnings.catch_warnings():
        monkeypatch.setenv("ADDED", "42")
        warnings.simplefilter("ignore")
        np.random.random()  # noqa: NPY002 - as importing JAX does
        gc.disable()
        found = surroundings.restore(but=BROUGHT_BY_IMPORTS)
        assert found == "the garbage collection from on to off"
        surroundings.hold("since")  # what was brought is as it should be
        assert os.environ["ADDED"] == "42"


def test_what_is_put_back_within_a_launch_is_no_change() -> None:
    surroundings = SharedState()
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        np.random.default_rng(3).random()
    surroundings.hold("since")
