"""The study of bytes a weight: its rows, its chart, and what it says of them."""

import csv
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from awkward import SHEETS
from pictures import faults, said

from bench import studies
from bench.show.charts import pen
from bench.studies import bytes_a_weight
from bench.studies.bytes_a_weight import PRECISIONS, Row

SIZES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
ROWS = [
    Row(
        precision=precision,
        width=width,
        weight_bytes=SIZES[precision] * width**2,
        rounds=9,
        left_out=1,
        us=us,
        us_low=us * 0.98,
        us_high=us * 1.03,
        gb_per_s=50.0,
        faster=4 / SIZES[precision],
        faster_low=3.9 / SIZES[precision],
        faster_high=4.1 / SIZES[precision],
    )
    for width in (512, 1024, 2048, 4096, 8192)
    for precision in PRECISIONS
    if (us := 5 + SIZES[precision] * width**2 / 50e3)
]


@pytest.mark.parametrize("sheet", SHEETS, ids=str)
def test_the_chart_has_a_line_a_precision_and_can_be_read(sheet: object) -> None:
    figure = pen.draw(bytes_a_weight.picture(ROWS, "CPU"), sheet)  # type: ignore[arg-type]
    text = said(figure)
    for words in ("4 bytes: float32", "2 bytes: float16", "2 bytes: bfloat16", "1 byte: int8"):
        assert words in text
    assert "One example, 8192 units: float16 2.0x, int8 4.0x as fast as float32" in text
    assert faults(figure) == []


def test_the_title_claims_nothing_that_is_not_clear() -> None:
    unclear = [replace(row, faster_low=0.99) for row in ROWS]
    assert bytes_a_weight.title(unclear) == "Time of one example by bytes a weight"


def test_rounds_in_which_the_machine_changed_are_no_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(studies, "RESULTS", tmp_path)
    monkeypatch.setattr(bytes_a_weight, "PICTURES", tmp_path / "plots")
    monkeypatch.setattr(bytes_a_weight, "WIDTHS", (32,))
    blocks = count()

    def block(cell: object, loops: int) -> float:
        """Of six rounds of five blocks, the second ends on a slower machine."""
        # before the rounds one of each was timed, to know how many launches fill a block
        turn, place = divmod(next(blocks) - len(PRECISIONS), len(PRECISIONS) + 1)
        return 8e-6 / (1, 2, 2, 4, 1)[place] * (1.5 if (turn, place) == (1, 4) else 1)

    monkeypatch.setattr(bytes_a_weight, "block", block)
    bytes_a_weight.of_widths(0.0)
    assert "4.00 x (4.00 to 4.00); 4 rounds, 1 left out" in capsys.readouterr().out
    with (tmp_path / "bytes_a_weight.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["precision"], row["weight_bytes"], row["us"]) for row in rows] == [
        ("float32", "4096", "8"),
        ("float16", "2048", "4"),
        ("bfloat16", "2048", "4"),
        ("int8", "1024", "2"),
    ]
    for name in ("bytes_a_weight.png", "bytes_a_weight-dark.png"):
        assert (tmp_path / "plots" / name).stat().st_size > 1000
