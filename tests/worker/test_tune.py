"""Tuning numba_packed, on a clock that says how long each candidate takes."""

import time
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from bench.worker import tune
from bench.worker.messages import Tuned
from kernels._tuning import Parameters

Shape = tuple[int, int, int]


class Bench:
    """Launches that take as long as `seconds` says of their parameters; the machine gets slower
    and faster meanwhile.
    """

    def __init__(
        self,
        seconds: Callable[[Parameters, Shape], float],
        waits: Callable[[Parameters, Shape], float] = lambda *_: 0.0,
    ) -> None:
        self.now, self.launches, self.waited = 0.0, 0, 0.0
        self._seconds, self._waits = seconds, waits

    def prepare(self, parameters: Parameters, shape: Shape) -> tune.Launch:
        def launch() -> None:
            self.launches += 1
            slower = 3 if self.launches % 1000 < 300 else 1
            waits = self._waits(parameters, shape)
            self.now += slower * self._seconds(parameters, shape) + waits
            self.waited += waits

        return launch

    def tuned(self, seconds: float = 4.0) -> Tuned:
        return tune.tune(seconds, self.prepare, lambda: self.now, lambda: self.waited)


def test_where_nothing_is_better_the_defaults_stay() -> None:
    found = Bench(lambda *_: 1e-4).tuned()
    assert found == Tuned({"blocks": 1.0, "places": 0, "shared": 2**18, "copied": 1024})


def test_a_gain_that_chance_may_bring_is_none() -> None:
    assert Bench(lambda p, _: 0.985e-4 if p.places == 4 else 1e-4).tuned().gains == {}


def test_what_is_faster_in_the_mean_over_its_shapes_is_taken() -> None:
    def seconds(parameters: Parameters, shape: Shape) -> float:
        asked = 0.8 if parameters.places == 4 and shape[2] == 1 else 1.0
        blocks = {0.0: 1.5, 1 / 32: 1.2, 0.25: 0.9, 1.0: 1.0, 4.0: 0.8 if shape[0] == 1000 else 1.1}
        return 1e-4 * asked * blocks[parameters.blocks]

    found = Bench(seconds).tuned(20.0)
    assert found.parameters == {"blocks": 0.25, "places": 4, "shared": 2**18, "copied": 1024}
    assert found.gains == pytest.approx({"places": 0.8, "blocks": 0.9})


def test_what_a_busy_machine_says_in_a_few_turns_is_chance() -> None:
    draws = np.random.default_rng(1)
    found = Bench(lambda *_: float(draws.exponential(1.0))).tuned(1.0)
    assert found.gains == {}


def test_what_waits_for_a_core_says_nothing() -> None:
    """As a layer that is copied does where another program has a core: once more in each launch."""

    def waits(parameters: Parameters, _: Shape) -> float:
        return 0.0 if parameters.copied > 2**32 else 0.008

    assert Bench(lambda *_: 1e-4, waits).tuned().gains == {}
    told = Bench(lambda p, _: 0.9e-4 if p.copied > 2**32 else 1e-4).tuned()
    assert told.gains == pytest.approx({"copied": 0.9})


def test_turns_without_a_wait_are_enough() -> None:
    turns = iter(range(10**9))

    def waits(*_: object) -> float:
        return 0.008 if next(turns) % 400 == 0 else 0.0

    told = Bench(lambda p, _: 0.9e-4 if p.places == 1 else 1e-4, waits).tuned(60.0)
    assert told.gains == pytest.approx({"places": 0.9})


def test_the_next_question_is_asked_with_the_answer_before() -> None:
    def seconds(parameters: Parameters, _: Shape) -> float:
        return 1e-4 if parameters.places != 4 else 0.5e-4 if parameters.blocks == 1 else 0.7e-4

    assert Bench(seconds).tuned().parameters["blocks"] == 1.0


def test_a_minute_is_a_minute_and_slow_launches_get_a_few_turns() -> None:
    bench = Bench(lambda *_: 1e-3)
    bench.tuned(30.0)
    assert 20 < bench.now < 60
    slow = Bench(lambda *_: 1.0)
    slow.tuned(1.0)
    assert slow.launches >= tune.LEAST_TURNS * sum(len(q.shapes) for q in tune.QUESTIONS)


def test_every_candidate_is_a_layer_that_is_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("numba", reason="needs numba: make setup KERNELS=numba_packed")
    small = [
        tune.Question(question.name, question.candidates, [(64, 40, batch) for batch in (1, 16)])
        for question in tune.QUESTIONS
    ]
    for question in small:
        for value in question.candidates:
            output = tune.packed(question.having(Parameters(), value), (64, 40, 16))()
            np.testing.assert_array_equal(output, np.full((16, 40), 65, np.float32))
    monkeypatch.setattr(tune, "QUESTIONS", small)
    monkeypatch.setattr(tune.tune, "__defaults__", (time.perf_counter, lambda: None, small))
    tune.main("0.01")
    assert msgspec.json.decode(capsys.readouterr().out, type=Tuned).parameters
