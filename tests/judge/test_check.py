"""Every way of being wrong is caught, and honest arithmetic is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.ipc.arrays import Arrays
from bench.ipc.outputs import Wrong
from bench.judge import answers, inputs
from bench.judge.check import check
from bench.plan.case import Case
from kernels._int8 import quantised

ACTIVATIONS = ("linear", "relu", "sigmoid", "tanh")
LARGE = Case(n_in=1024, n_units=96, batch=12, precision="float32", activation="linear")

exact = settings(deadline=None, derandomize=True, database=None, max_examples=25)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
sizes = st.integers(1, 60)

Floating = type[np.floating[Any]]


def activate(z: NDArray[Any], activation: str) -> NDArray[Any]:
    """Apply g in z's own precision, as a kernel would."""
    half = z.dtype.type(0.5)
    forms: dict[str, Callable[[], NDArray[Any]]] = {
        "linear": lambda: z,
        "relu": lambda: np.maximum(z, 0),
        "tanh": lambda: np.tanh(z),
        "sigmoid": lambda: half * np.tanh(half * z) + half,
    }
    return forms[activation]()


def honest(arrays: Arrays, activation: str) -> NDArray[Any]:
    """The layer in the arrays' own precision; float16 sums in float32, as GPUs do."""
    sums = np.result_type(arrays.W.dtype, np.float32)
    z = np.matmul(arrays.A_in, arrays.W, dtype=sums).astype(arrays.W.dtype) + arrays.b
    return activate(z, activation)


def judge(output: NDArray[Any], case: Case, arrays: Arrays, dtype: Floating = np.float32) -> float:
    return check(output, case, dtype, answers.expected(arrays))


def said(output: NDArray[Any], case: Case, arrays: Arrays, dtype: Floating = np.float32) -> str:
    """What a wrong output is told."""
    with pytest.raises(Wrong) as caught:
        judge(output, case, arrays, dtype)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def drawn(case: Case) -> Arrays:
    return inputs.draw(case, 0, np.float32)


@every_activation
@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float64", np.float64), ("float32", np.float32), ("float16", np.float16)],
)
@exact
@given(n_in=sizes, n_units=sizes, batch=sizes, seed=st.integers(0, 9))
def test_honest_arithmetic_passes_with_an_error_below_one(
    activation: str, precision: str, dtype: Floating, n_in: int, n_units: int, batch: int, seed: int
) -> None:
    case = Case(n_in, n_units, batch, precision, activation)
    arrays = inputs.draw(case, seed, dtype)
    assert 0 <= judge(honest(arrays, activation), case, arrays, dtype) < 1


@every_activation
@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float64", np.float64), ("float32", np.float32), ("float16", np.float16)],
)
@exact
@given(n_in=sizes, n_units=sizes, batch=sizes, seed=st.integers(0, 9))
def test_honest_arithmetic_passes_for_the_other_input_too(
    activation: str, precision: str, dtype: Floating, n_in: int, n_units: int, batch: int, seed: int
) -> None:
    case = Case(n_in, n_units, batch, precision, activation)
    arrays = inputs.draw(case, seed, dtype)
    other = replace(arrays, A_in=arrays.A_in * dtype(inputs.STRONG))
    assert 0 <= judge(honest(other, activation), case, other, dtype) < 1.5


@every_activation
def test_a_large_layer_passes_with_room_to_spare(activation: str) -> None:
    case = replace(LARGE, activation=activation)
    assert judge(honest(drawn(case), activation), case, drawn(case)) < 0.3


@every_activation
def test_more_exact_arithmetic_than_asked_passes(activation: str) -> None:
    case = replace(LARGE, activation=activation)
    z = drawn(case).A_in.astype(np.float64) @ drawn(case).W + drawn(case).b
    assert judge(activate(z, activation).astype(np.float32), case, drawn(case)) < 1


@every_activation
def test_the_error_is_that_before_activation(activation: str) -> None:
    # z is off by the same everywhere; a flat g would hide most of it
    off = 1e-14
    case = replace(LARGE, activation=activation, precision="float64")
    arrays = inputs.draw(case, 0, np.float64)
    (part,) = answers.expected(arrays)
    sums = part.deviation.mean() * case.n_in**0.5 * 2.0**-53
    error = judge(activate(part.z + off, activation), case, arrays, np.float64)
    assert 0.7 < error / (off / sums) < 1  # below 1: room for the rounding of g itself


def test_summing_in_another_order_passes() -> None:
    arrays = drawn(LARGE)
    z = np.zeros((LARGE.batch, LARGE.n_units), np.float32)
    for a, w in zip(arrays.A_in.T, arrays.W, strict=True):
        z += np.outer(a, w)
    assert judge(z + arrays.b, LARGE, arrays) < 1


def rounded(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """To a mantissa of so many bits."""
    spare = 23 - bits
    upper = (values.view(np.uint32) + np.uint32(1 << (spare - 1))) >> np.uint32(spare)
    return (upper << np.uint32(spare)).view(np.float32)


@every_activation
def test_tf32_inputs_are_caught_where_float32_was_asked(activation: str) -> None:
    case = replace(LARGE, activation=activation)
    arrays = drawn(case)
    tf32 = replace(arrays, A_in=rounded(arrays.A_in, 10), W=rounded(arrays.W, 10))
    message = said(honest(tf32, activation), case, arrays)
    assert "times what float32 rounding gives" in message


@every_activation
def test_tf32_inputs_pass_where_tf32_was_asked(activation: str) -> None:
    case = replace(LARGE, activation=activation, precision="tf32")
    arrays = drawn(case)
    tf32 = replace(arrays, A_in=rounded(arrays.A_in, 10), W=rounded(arrays.W, 10))
    assert judge(honest(tf32, activation), case, arrays) < 1


@every_activation
@pytest.mark.parametrize("only", ["A_in", "W"])
def test_float16_inputs_are_caught_even_if_only_one_array_is_rounded(
    activation: str, only: str
) -> None:
    case = replace(LARGE, activation=activation)
    arrays = drawn(case)
    half = getattr(arrays, only).astype(np.float16).astype(np.float32)
    said(honest(replace(arrays, **{only: half}), activation), case, arrays)


@every_activation
def test_bfloat16_passes_where_bfloat16_was_asked(activation: str) -> None:
    case = replace(LARGE, activation=activation, precision="bfloat16")
    arrays = drawn(case)  # already rounded to what bfloat16 has
    assert judge(rounded(honest(arrays, activation), 7), case, arrays) < 1


@every_activation
def test_bfloat16_inputs_are_caught_where_tf32_was_asked(activation: str) -> None:
    case = replace(LARGE, activation=activation, precision="tf32")
    arrays = drawn(case)
    bfloat16 = replace(arrays, A_in=rounded(arrays.A_in, 7), W=rounded(arrays.W, 7))
    said(honest(bfloat16, activation), case, arrays)


@every_activation
def test_float32_arithmetic_is_caught_where_float64_was_asked(activation: str) -> None:
    case = replace(LARGE, activation=activation, precision="float64")
    arrays = inputs.draw(case, 0, np.float64)
    single = Arrays(*(a.astype(np.float32) for a in (arrays.A_in, arrays.W, arrays.b)))
    output = honest(single, activation).astype(np.float64)
    said(output, case, arrays, np.float64)


@every_activation
def test_weights_of_8_bits_are_judged_as_sharply_as_float32(activation: str) -> None:
    case = replace(LARGE, activation=activation, precision="int8")
    arrays = drawn(case)  # what 8 bits have
    assert judge(honest(arrays, activation), case, arrays) < 1
    half = replace(arrays, A_in=rounded(arrays.A_in, 10))
    said(honest(half, activation), case, arrays)


@every_activation
def test_a_wrong_scale_or_a_whole_number_off_by_one_is_caught(activation: str) -> None:
    case = replace(LARGE, activation=activation, precision="int8")
    arrays = drawn(case)
    q, scale = quantised(arrays.W)
    np.testing.assert_array_equal(q * scale, arrays.W)
    off = np.ones_like(scale)
    off[5] = 1.001
    said(honest(replace(arrays, W=q * (scale * off)), activation), case, arrays)
    fewer = np.rint(arrays.W / (2 * scale)) * (2 * scale)  # 7 bits of the 8
    said(honest(replace(arrays, W=fewer), activation), case, arrays)
    numbers = q.astype(np.float32)
    numbers[3, 5] += 1
    said(honest(replace(arrays, W=numbers * scale), activation), case, arrays)


def test_sums_kept_in_float16_are_caught() -> None:
    case = replace(LARGE, precision="float16")
    arrays = inputs.draw(case, 0, np.float16)
    z = np.zeros((case.batch, case.n_units), np.float16)
    for a, w in zip(arrays.A_in.T, arrays.W, strict=True):
        z += np.outer(a, w)
    said(z + arrays.b, case, arrays, np.float16)


SMALL = Case(n_in=40, n_units=7, batch=5, precision="float32", activation="relu")


def correct(case: Case = SMALL) -> NDArray[Any]:
    return honest(drawn(case), case.activation)


@every_activation
@exact
@given(row=st.integers(0, 4), unit=st.integers(0, 6), off=st.sampled_from([1e-2, -1e-2, 1.0, 1e30]))
def test_one_wrong_number_is_caught_and_named(
    activation: str, row: int, unit: int, off: float
) -> None:
    case = replace(SMALL, activation=activation)
    output = correct(case)
    output[row, unit] += np.float32(off)
    message = said(output, case, drawn(case))
    assert message.startswith(f"row {row}, unit {unit} is {output[row, unit]:.6g}, should be ")
    assert message.endswith("(1 of 35 checked numbers are wrong)")


def test_the_worst_number_is_the_one_named() -> None:
    output = correct()
    output[1, 2] += 0.5
    output[3, 4] += 5
    message = said(output, SMALL, drawn(SMALL))
    assert message.startswith("row 3, unit 4 ")
    assert "(2 of 35 " in message


@every_activation
@pytest.mark.parametrize("where", [np.s_[:, 3], np.s_[-1, :], np.s_[:, -1], np.s_[0, :]])
def test_one_unit_one_row_or_one_column_that_was_not_computed_is_caught(
    activation: str, where: Any
) -> None:
    case = replace(SMALL, activation=activation)
    output = correct(case)
    output[where] = activate(np.float32(0) * output, activation)[where] + np.float32(0.25)
    said(output, case, drawn(case))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_never_passes(value: float) -> None:
    output = correct()
    output[2, 3] = value
    assert said(output, SMALL, drawn(SMALL)) == f"row 2, unit 3 is {value}"


@pytest.mark.parametrize(
    "output",
    [
        correct()[:, :-1],
        correct()[:-1],
        correct()[0],
        correct()[np.newaxis],
        correct().T,
        correct().astype(np.float64),
        correct().astype(np.float16),
        correct().astype(">f4"),
        correct().tolist(),
        None,
        3.0,
    ],
    ids=lambda output: f"{getattr(output, 'dtype', '')}{np.shape(output)}{type(output).__name__}",
)
def test_another_shape_or_type_is_refused_with_what_was_needed(output: Any) -> None:
    assert said(output, SMALL, drawn(SMALL)).endswith("float32 (5, 7)")


@every_activation
def test_a_missing_bias_is_caught(activation: str) -> None:
    case = replace(SMALL, activation=activation)
    arrays = drawn(case)
    without = replace(arrays, b=np.zeros_like(arrays.b))
    said(honest(without, activation), case, arrays)


@every_activation
@pytest.mark.parametrize("taken", ACTIVATIONS)
def test_another_activation_is_caught(activation: str, taken: str) -> None:
    case = replace(SMALL, activation=activation)
    output = honest(drawn(case), taken)
    if taken == activation:
        judge(output, case, drawn(case))
    else:
        said(output, case, drawn(case))


@every_activation
@pytest.mark.parametrize("flip", [np.s_[::-1, :], np.s_[:, ::-1]], ids=["examples", "inputs"])
def test_a_reversed_input_is_caught(activation: str, flip: Any) -> None:
    case = replace(SMALL, activation=activation)
    arrays = drawn(case)
    said(honest(replace(arrays, A_in=arrays.A_in[flip]), activation), case, arrays)


def test_a_transposed_square_layer_is_caught() -> None:
    case = replace(SMALL, n_in=7)
    arrays = drawn(case)
    said(honest(replace(arrays, W=arrays.W.T), "relu"), case, arrays)
    square = replace(case, batch=7)
    said(correct(square).T, square, drawn(square))


def test_an_answer_to_another_input_is_caught() -> None:
    said(honest(inputs.draw(SMALL, 1, np.float32), "relu"), SMALL, drawn(SMALL))


@pytest.mark.usefixtures("sampled")
class TestSampled:
    """A large case, of which only some rows and columns are checked."""

    case = Case(n_in=40, n_units=50, batch=60, precision="float32", activation="tanh")

    @pytest.fixture
    def sampled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answers, "FULL_CHECK", 0)

    def test_an_honest_output_passes(self) -> None:
        assert judge(correct(self.case), self.case, drawn(self.case)) < 1

    @pytest.mark.parametrize("row", [0, 59])
    def test_a_wrong_first_or_last_row_is_caught_wherever_in_it(self, row: int) -> None:
        for unit in range(50):
            output = correct(self.case)
            output[row, unit] += 1
            assert said(output, self.case, drawn(self.case)).startswith(f"row {row}, unit {unit} ")

    @pytest.mark.parametrize("unit", [0, 49])
    def test_a_wrong_first_or_last_unit_is_caught_wherever_in_it(self, unit: int) -> None:
        for row in range(60):
            output = correct(self.case)
            output[row, unit] += 1
            assert said(output, self.case, drawn(self.case)).startswith(f"row {row}, unit {unit} ")

    def test_a_wrong_sampled_row_is_named_by_its_own_number(self) -> None:
        rows, columns = parts = answers.expected(drawn(self.case))
        row, unit = int(rows.index[0][-2]), int(columns.index[1][-2])
        for where in ((row, 17), (23, unit)):
            output = correct(self.case)
            output[where] += 1
            with pytest.raises(Wrong, match="^row {}, unit {} is ".format(*where)):
                check(output, self.case, np.float32, parts)

    def test_a_wrong_number_anywhere_is_named_by_its_place(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(answers, "COMPARED", 0)
        *_, points = parts = answers.expected(drawn(self.case))
        where = int(points.index[0][7]), int(points.index[1][7])
        output = correct(self.case)
        output[where] += 1
        with pytest.raises(Wrong, match="^row {}, unit {} is ".format(*where)):
            check(output, self.case, np.float32, parts[-1:])

    def test_nan_is_caught_in_no_sample_too(self) -> None:
        rows, columns = answers.expected(drawn(self.case))
        row = min(set(range(60)) - set(rows.index[0].tolist()))
        unit = min(set(range(50)) - set(columns.index[1].tolist()))
        output = correct(self.case)
        output[row, unit] = np.nan
        assert said(output, self.case, drawn(self.case)) == f"row {row}, unit {unit} is nan"

    def test_a_lower_precision_is_caught(self) -> None:
        arrays = drawn(self.case)
        tf32 = replace(arrays, A_in=rounded(arrays.A_in, 10), W=rounded(arrays.W, 10))
        said(honest(tf32, "tanh"), self.case, arrays)
