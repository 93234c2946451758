"""Numbers for people say what was measured, within their three digits."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.terminal import units

exact = settings(deadline=None, derandomize=True, database=None, max_examples=100)

FACTORS = {"p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0}
FACTORS |= {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.3456e-6, "12.3 µs"),
        (1e-3, "1.00 ms"),
        (999.4e-6, "999 µs"),
        (999.6e-6, "1.00 ms"),  # never "1000 µs"
        (0.1, "100 ms"),
        (1.0, "1.00 s"),
        (59.96, "60.0 s"),
        (2345.0, "2.34 ks"),
        (5e-10, "500 ps"),
        (0, "0 s"),
        (1e-15, "0.00100 ps"),
        (-2.5e-6, "-2.50 µs"),
    ],
)
def test_si_has_a_prefix_and_three_digits(value: float, text: str) -> None:
    assert units.si(value, "s") == text


def test_si_takes_other_units_and_digits() -> None:
    assert units.si(1.234e12, "FLOP/s") == "1.23 TFLOP/s"
    assert units.si(5.0e18, "FLOP/s") == "5,000 PFLOP/s"
    assert units.si(3.14159e9, "B/s", digits=2) == "3.1 GB/s"


@exact
@given(st.floats(1e-12, 1e18))
def test_si_parses_back_within_its_digits(value: float) -> None:
    found = re.fullmatch(r"([\d,.]+) ([pnµmkMGTP]?)s", units.si(value, "s"))
    assert found is not None
    assert float(found[1].replace(",", "")) * FACTORS[found[2]] == pytest.approx(value, rel=0.0051)


@exact
@given(st.floats(1e-12, 9.99e17))
def test_si_shows_between_one_and_a_thousand(value: float) -> None:
    shown = float(units.si(value, "s").split()[0])
    assert 1 <= shown < 1000
    assert len(units.si(value, "s").split()[0].replace(".", "")) == 3


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1948.7, "1,950x"),
        (12345678, "12,300,000x"),
        (25.04, "25.0x"),
        (1.0, "1.00x"),
        (0.98, "0.980x"),
    ],
)
def test_times_has_three_digits(ratio: float, text: str) -> None:
    assert units.times(ratio) == text
    assert units.number(ratio) == text.removesuffix("x")


@exact
@given(st.floats(1e-3, 1e9))
def test_times_parses_back_within_its_digits(ratio: float) -> None:
    text = units.times(ratio)
    assert float(text.removesuffix("x").replace(",", "")) == pytest.approx(ratio, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8.4, "8 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.9, "60 min 00 s"),
        (0, "0 s"),
        (-3, "0 s"),  # a budget that is overdrawn
    ],
)
def test_seconds_of_a_progress_line(value: float, text: str) -> None:
    assert units.seconds(value) == text


@exact
@given(st.floats(0, 1e6))
def test_seconds_parse_back_within_half_a_second(value: float) -> None:
    found = re.fullmatch(r"(?:(\d+) min )?(\d+) s", units.seconds(value))
    assert found is not None
    assert 60 * int(found[1] or 0) + int(found[2]) == pytest.approx(value, abs=0.5001)
    assert int(found[2]) < 60
