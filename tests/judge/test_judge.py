"""The judge: what it lends, what it keeps, and what it says of outputs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kernels
from bench.ipc import arrays, memory, outputs
from bench.ipc.arrays import INPUTS
from bench.ipc.outputs import INPUT_OF, LABELS, Label, Wrong
from bench.judge import answers, inputs
from bench.judge.judge import Judge, Lent
from bench.plan import weights
from bench.plan.case import Case
from bench.terminal.errors import BadInput
from kernels._int8 import quantised

CASE = Case(24, 20, 16, "float32", "relu")


@pytest.fixture
def judge() -> Iterator[Judge]:
    judge = Judge(0)
    yield judge
    judge.close()


@pytest.fixture
def file() -> Iterator[int]:
    file = memory.anonymous("outputs")
    yield file
    os.close(file)


def forward(shared: arrays.Shared, A_in: NDArray[Any]) -> NDArray[Any]:
    out: NDArray[Any] = np.maximum(A_in @ shared.W + shared.b, 0)
    return out


def right(judge: Judge, case: Case = CASE) -> dict[Label, NDArray[Any]]:
    """An honest kernel's outputs."""
    shared = judge.shared(case)
    return {label: forward(shared, shared.input(INPUT_OF[label])) for label in LABELS}


def checked(judge: Judge, file: int, given: dict[Label, NDArray[Any]], case: Case = CASE) -> Any:
    for label, output in given.items():
        outputs.write(file, label, output)
    return judge.check(case, None, list(given), file)


def test_right_outputs_pass_with_their_largest_error(judge: Judge, file: int) -> None:
    assert 0 < checked(judge, file, right(judge)) < 1
    assert checked(judge, file, {}) is None


@pytest.mark.parametrize("label", LABELS)
def test_a_wrong_output_is_named_by_what_it_shows(judge: Judge, file: int, label: Label) -> None:
    given = right(judge)
    given[label] = given[label] + 1
    with pytest.raises(Wrong, match="^for another input, row " if label == "other" else "^row "):
        checked(judge, file, given)


@pytest.mark.parametrize(("label", "taken"), [("last", "first"), ("other", "last")])
def test_an_answer_to_another_input_is_named(
    judge: Judge, file: int, label: Label, taken: Label
) -> None:
    given = right(judge)
    given[label] = given[taken]
    with pytest.raises(Wrong, match="it answered another input as it had answered the first"):
        checked(judge, file, given)


def test_an_output_that_was_not_handed_over_is_wrong(judge: Judge, file: int) -> None:
    checked(judge, file, {"first": right(judge)["first"]})
    with pytest.raises(Wrong, match="its last output was not handed over"):
        judge.check(CASE, None, ["first", "last"], file)


def test_inputs_are_no_multiples_of_each_other_and_new_in_each_run(judge: Judge) -> None:
    shared = judge.shared(CASE)
    plain, strong, loud = (shared.input(name) for name in INPUTS)
    for one, other in ((plain, strong), (plain, loud), (strong, loud)):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.3
    other_run = Judge(0)
    again = other_run.shared(CASE)
    np.testing.assert_array_equal(again.W, shared.W)  # the same layer, however
    assert not np.isin(again.inputs, shared.inputs).any()
    other_run.close()


@pytest.mark.parametrize("precision", kernels.DTYPES)
def test_each_input_is_as_large_as_it_should_be(judge: Judge, precision: str) -> None:
    shared = judge.shared(Case(200, 50, 60, precision, "sigmoid"))
    loud = 2048 if precision == "float64" else 256
    for name, factor in zip(INPUTS, (1, 16, loud), strict=True):
        assert shared.input(name).std(dtype=np.float64) == pytest.approx(factor, rel=0.02)


def test_shared_arrays_cannot_be_written_to(judge: Judge) -> None:
    shared = judge.shared(CASE)
    for array in (shared.W, shared.b, shared.inputs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_case_is_drawn_and_worked_out_once(
    judge: Judge, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = judge.draw(CASE)
    monkeypatch.setattr(answers, "work_out", lambda *_: pytest.fail("again"))
    monkeypatch.setattr(inputs, "draw_input", lambda *_: pytest.fail("again"))
    assert judge.draw(CASE) == files
    checked(judge, file, right(judge))


def test_batches_of_one_layer_share_it(judge: Judge) -> None:
    other = Case(24, 20, 3, "float32", "relu")
    assert judge.draw(CASE)[0] == judge.draw(other)[0]
    assert judge.draw(CASE)[1] != judge.draw(other)[1]


def test_no_more_is_kept_than_may_be_and_never_less_than_the_case_at_hand(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.draw(CASE)
    one_case = sum(entry.bytes for entry in judge._kept.values())
    monkeypatch.setattr("bench.judge.judge.KEEP_BYTES", 3 * one_case)
    for number in range(9):
        judge.draw(Case(24, 20, 16, "float32", "relu", f"layer {number}"))
    assert sum(isinstance(entry, Lent) for entry in judge._kept.values()) <= 4
    monkeypatch.setattr("bench.judge.judge.KEEP_BYTES", 0)
    judge.draw(CASE)
    assert len(judge._kept) == 2


def test_what_has_no_room_is_not_drawn_and_gives_room_up(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.draw(CASE)
    monkeypatch.setattr(kernels.Host, "free_bytes", lambda self: 2**30)
    monkeypatch.setattr(memory, "reserve", lambda *_: pytest.fail("it was drawn"))
    with pytest.raises(MemoryError, match=r"needs about \d+\.\d GB, 1\.1 GB are free on cpu"):
        judge.draw(Case(65536, 65536, 1, "float32", "relu"))
    assert not judge._kept


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_layer_whose_answers_tell_nothing_is_refused(
    judge: Judge, tmp_path: Path, activation: str
) -> None:
    np.savez(tmp_path / "a.npz", W=np.eye(6, dtype="f4"), b=np.full(6, -3e38, "f4"))
    own = weights.find(str(tmp_path / "a.npz")).layer.weights
    with pytest.raises(BadInput, match=f"its {activation} is flat .* no answer can be checked"):
        judge.draw(Case(6, 6, 4, "float32", activation), own)


def test_a_layer_whose_bias_hides_its_sums_is_checked_by_a_louder_input(
    judge: Judge, file: int, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", W=np.eye(6, dtype="f4"), b=np.full(6, -1e4, "f4"))
    own = weights.find(str(tmp_path / "a.npz")).layer.weights
    case = Case(6, 6, 40, "float32", "relu")
    shared = judge.shared(case, own)
    assert not forward(shared, shared.input("plain")).any()
    for label in LABELS:
        outputs.write(file, label, np.zeros((40, 6), np.float32))
    assert judge.check(case, own, ["first", "last"], file) == 0.0
    with pytest.raises(Wrong):
        judge.check(case, own, ["other"], file)


def test_the_smallest_case_has_an_answer_that_tells_something(file: int) -> None:
    for _ in range(30):
        judge = Judge(0)
        case = Case(1, 1, 1, "float32", "relu")
        zeros = {label: np.zeros((1, 1), np.float32) for label in LABELS}
        with pytest.raises(Wrong):
            checked(judge, file, zeros, case)
        judge.close()


def test_a_square_and_a_files_layer_of_its_shape_do_not_share_their_numbers(
    judge: Judge, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", W=np.eye(4))
    own = weights.find(str(tmp_path / "a.npz")).layer.weights
    case = Case(4, 4, 2, "float32", "linear")
    np.testing.assert_array_equal(judge.shared(case, own).W, np.eye(4))
    assert not np.array_equal(judge.shared(case).W, np.eye(4))
    np.savez(tmp_path / "a.npz", W=-np.eye(4))
    np.testing.assert_array_equal(judge.shared(case, own).W, np.eye(4))  # kept
    fresh = Judge(0)
    with pytest.raises(BadInput, match="has changed since this run began: start a new run"):
        fresh.draw(case, own)
    fresh.close()


def test_an_own_layer_is_rounded_to_8_bits(judge: Judge, tmp_path: Path) -> None:
    W = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    W[:, 4] = 0  # pruned
    np.savez(tmp_path / "a.npz", W=W, b=np.full(6, 1 / 3))
    own = weights.find(str(tmp_path / "a.npz")).layer.weights
    shared = judge.shared(Case(40, 6, 2, "int8", "linear"), own)
    q, scale = quantised(shared.W)
    np.testing.assert_array_equal(q * scale, shared.W)
    assert (np.abs(shared.W - W) <= scale * (0.5 + 127 * 2.0**-9)).all()
    assert (shared.b == np.float32(1 / 3)).all()


def test_an_own_layer_is_rounded_to_bfloat16(judge: Judge, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", W=np.full((3, 2), 1 + 2**-9 + 2**-20), b=np.full(2, 2**-9 + 1))
    own = weights.find(str(tmp_path / "a.npz")).layer.weights
    shared = judge.shared(Case(3, 2, 2, "bfloat16", "linear"), own)
    assert (shared.W == 1).all()
    assert (shared.b == 1).all()
