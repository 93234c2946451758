"""Outputs on their way to the judge."""

import os

import numpy as np
import pytest

from bench.ipc import memory, outputs
from bench.ipc.outputs import LABELS, Wrong


def test_each_output_has_its_place_and_any_layout_arrives() -> None:
    file = memory.anonymous("outputs")
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    for number, label in enumerate(LABELS):
        outputs.write(file, label, np.asfortranarray(values) + number)
    for number, label in enumerate(LABELS):
        arrived = outputs.read(file, label, (3, 4), np.float32)
        np.testing.assert_array_equal(arrived, values + number, strict=True)
    os.ftruncate(file, 4)  # a kernel that cuts it off harms nobody else
    with pytest.raises(Wrong, match="its first output was not handed over"):
        outputs.read(file, "first", (3, 4), np.float32)
    os.close(file)


class Late(np.ndarray):
    """Might compute when it is looked at."""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (np.zeros((3, 4), np.float32).view(Late), "a plain numpy.ndarray of float32"),
        (np.ma.masked_less(np.zeros((3, 4), np.float32), 1), "a MaskedArray"),
        (np.zeros((3, 4), np.float32).view(Late), "Late of float32 (3, 4)"),
        ([[0.0] * 4] * 3, "a list, should be"),
        (np.zeros((3, 4), ">f4"), "the output is >f4 (3, 4), should be float32 (3, 4)"),
        (np.zeros((4, 3), np.float32), "the output is float32 (4, 3), should be float32 (3, 4)"),
    ],
)
def test_what_is_no_plain_array_of_the_right_kind_is_wrong(output: object, said: str) -> None:
    with pytest.raises(Wrong) as caught:
        outputs.refuse_unfit(output, (3, 4), np.float32)
    assert said in str(caught.value)
    assert str(caught.value).endswith("float32 (3, 4)")
