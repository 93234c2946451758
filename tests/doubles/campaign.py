"""What `make test` leaves to `make test-all`: the same properties, tried far more often."""

import os
from typing import Any

import pytest

campaign = pytest.mark.campaign


def often(few: int, many: int) -> list[Any]:
    """For `parametrize`: a few tries always, many in a campaign."""
    return [few, pytest.param(many, marks=campaign)]


def examples(few: int, many: int) -> int:
    """For hypothesis, whose number of examples is no parameter: CAMPAIGN=1 asks for many."""
    return many if os.environ.get("CAMPAIGN") else few
