"""What a launch is predicted to take, and how sure that is."""

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from commands import bench, refused
from decks import AWKWARD, folder_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import ROOT
from bench.plan.case import Case
from bench.stats import prediction, run_data
from bench.stats.cell_visits import case_of
from bench.stats.prediction import LEAST, LEFT_OUT, MOST, fit, fit_with_error, predict, terms
from bench.terminal import units

exact = settings(deadline=None, derandomize=True, database=None, max_examples=60)
sizes = st.integers(1, 5000)
cases = st.builds(Case, sizes, sizes, sizes, st.just("float32"), st.just("relu"))


def square(width: int, batch: int = 1) -> Case:
    return Case(width, width, batch, "float32", "relu")


GRID = [square(width, batch) for width in (16, 64, 256, 1000, 4096) for batch in (1, 16, 1024)]


class TestPredict:
    """What a launch will take, from other cases."""

    @exact
    @given(each=st.lists(st.floats(1e-12, 1e-5) | st.just(0.0), min_size=7, max_size=7), case=cases)
    def test_a_sum_of_its_terms_is_continued(self, each: list[float], case: Case) -> None:
        each[0] += 1e-12
        shapes = [replace(c, n_in=max(c.n_in // 4, 1)) for c in GRID]

        def cost(case: Case) -> float:
            return sum(n * s for n, s in zip(terms(case), each, strict=True))

        model = fit({c: cost(c) for c in (*GRID, *shapes)})
        assert model.seconds(case) == pytest.approx(cost(case), rel=0.05)

    def test_a_single_smaller_case_is_continued_with_its_work(self) -> None:
        growth = square(1000).flops / square(100).flops
        assert predict(square(1000), {square(100): 2.0}) == pytest.approx(2 * growth)

    @exact
    @given(
        numbers=st.lists(st.floats(1e-6, 1e-2), min_size=1, max_size=6),
        times=st.integers(2, 1000),
    )
    def test_time_grows_no_faster_than_work_and_never_shrinks(
        self, numbers: list[float], times: int
    ) -> None:
        model = fit({square(4**i): seconds for i, seconds in enumerate(numbers)})
        costs = [sum(model._costs(square(4096, batch))) for batch in (1, times)]
        assert costs[0] <= costs[1] * (1 + 1e-9)
        assert costs[1] <= costs[0] * times * (1 + 1e-9)

    def test_what_near_cases_took_beyond_the_sum_is_carried_over(self) -> None:
        times = {case: 1e-6 + 1e-11 * case.flops for case in GRID}
        slow = {c: s * (2 if c.n_units >= 1000 else 1) for c, s in times.items()}
        case = square(2048, 16)
        straight = 1e-6 + 1e-11 * case.flops
        predicted = predict(case, slow)
        assert predicted is not None
        assert 1.7 * straight < predicted < 2.4 * straight

    def test_a_measured_case_is_predicted_as_measured(self) -> None:
        measured = {square(10): 1.0, square(100): 2.0, square(1000): 3.0}
        assert predict(square(100), measured) == 2.0

    @pytest.mark.parametrize("measured", [{}, {square(101): 1.0}])
    def test_nothing_is_predicted_without_a_smaller_case(self, measured: dict[Case, float]) -> None:
        assert predict(square(100), measured) is None

    def test_a_case_that_is_larger_on_any_axis_is_not_smaller(self) -> None:
        # less work, but a large batch or another shape costs something else
        measured = {
            replace(square(10), batch=2): 7.0,
            replace(square(10), n_in=101): 8.0,
            replace(square(10), n_units=101): 9.0,
        }
        assert predict(square(100), measured) is None
        assert predict(square(100), measured | {square(5): 1.0}) is not None

    def test_a_batch_is_work_too(self) -> None:
        assert predict(square(100, 64), {square(100): 1.0}) == pytest.approx(64)

    def test_many_cases_are_thinned_out_and_predict_the_same(self) -> None:
        many = {square(width): 1e-6 + 1e-11 * square(width).flops for width in range(1, 5000, 7)}
        model = fit_with_error(many)
        assert (len(model.places), len(model.errors)) == (MOST, LEFT_OUT)
        assert model.seconds(square(3000)) == pytest.approx(1e-6 + 1e-11 * square(3000).flops)


@pytest.mark.parametrize("name", ["reference", "h100"])
def test_the_loop_behind_a_predicted_speed_up_takes_what_the_model_says(name: str) -> None:
    cells = run_data.read(ROOT / "results" / name).cells
    model = prediction.models(cells)["python_loop", "cpu"]
    predicted = [c for c in cells if c.speedup_basis == "predicted" and c.speedup and c.time_s]
    assert len(predicted) > 10
    for cell in predicted:
        assert cell.speedup is not None
        assert cell.time_s is not None
        loop_s = cell.speedup * cell.time_s
        assert model.seconds(case_of(cell)) == pytest.approx(loop_s, rel=0.04)


class TestHowSure:
    """The interval and the error, from cases that are left out."""

    @staticmethod
    def noisy(seed: int, spread: float) -> dict[Case, float]:
        draw = random.Random(seed)
        return {c: (2e-6 + 1e-11 * c.flops) * math.exp(draw.gauss(0, spread)) for c in GRID}

    def test_the_interval_holds_nine_tenths_of_cases_that_it_has_not_seen(self) -> None:
        held, count = 0, 0
        for seed in range(12):
            times = self.noisy(seed, 0.2)
            for case, seconds in times.items():
                others = {c: s for c, s in times.items() if c != case}
                answer = fit_with_error(others).predict(case)
                assert answer.low is not None
                assert answer.high is not None
                held += answer.low <= seconds <= answer.high
                count += 1
        assert held / count > 0.86  # 0.9 less what 180 can differ by

    def test_noise_makes_it_wide(self) -> None:
        quiet, loud = (fit_with_error(self.noisy(1, spread)) for spread in (0.01, 0.5))
        assert quiet.middle_error < 0.05 < loud.middle_error < loud.large_error
        assert quiet.factor is not None
        assert loud.factor is not None
        assert 10 * quiet.factor < loud.factor

    def test_far_away_it_is_wider_and_outside(self) -> None:
        model = fit_with_error(self.noisy(1, 0.2))
        near, far = model.predict(square(500, 4)), model.predict(square(500_000, 4))
        assert (near.inside, far.inside) == (True, False)
        assert near.high is not None
        assert far.high is not None
        assert far.high / far.seconds > 1.3 * near.high / near.seconds

    def test_of_too_few_cases_there_is_none(self) -> None:
        few = dict(list(self.noisy(1, 0.1).items())[: LEAST - 1])
        model = fit_with_error(few)
        assert (model.predict(square(500)).low, model.errors) == (None, ())
        more = dict(list(self.noisy(1, 0.1).items())[:LEAST])
        assert len(fit_with_error(more).errors) == LEAST

    def test_the_parts_are_what_the_time_goes_into(self) -> None:
        flat = fit(dict.fromkeys(GRID, 1e-5)).predict(square(300))
        work = fit({c: 1e-11 * c.flops for c in GRID}).predict(square(300))
        assert flat.parts["overhead"] == pytest.approx(1)
        assert work.parts["arithmetic"] == pytest.approx(1)


class TestTheCommand:
    """`python -m bench predict`."""

    def test_it_says_what_the_model_says(self) -> None:
        done = bench("predict", "reference", "--n-in", "1000", "--n-units", "1000", "--batch", "1")
        assert done.code == 0
        models = prediction.models(run_data.read(ROOT / "results" / "reference").cells)
        for (kernel, _), model in models.items():
            (line,) = (line for line in done.out.splitlines() if kernel in line)
            answer = model.predict(square(1000))
            assert answer.measured is not None
            assert answer.low is not None
            assert answer.high is not None
            for seconds in (answer.seconds, answer.measured, answer.low, answer.high):
                assert units.si(seconds, "s") in line
        assert "outside" not in done.out

    def test_it_says_where_it_extrapolates(self) -> None:
        done = bench("predict", "reference", "--n-in", "100000")
        assert done.out.count("(outside)") == 3
        assert "an extrapolation, which may be far off" in done.out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["no-such-run"], "no run 'no-such-run'"),
            (["reference", "--n-in", "0"], "--n-in is 0, should be from 1 to 1048576"),
            (["reference", "--batch", "2000000"], "--batch is 2000000, should be"),
            (["reference", "--n-units", "many"], "--n-units"),
        ],
    )
    def test_bad_input_is_one_line(self, arguments: list[str], said: str) -> None:
        assert said in refused("predict", *arguments)

    def test_a_run_without_a_number_is_one_line(self, tmp_path: Path) -> None:
        run = folder_of(AWKWARD["every cell skipped"], tmp_path / "run")
        assert "no cell with a time" in refused("predict", str(run))
