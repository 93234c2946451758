"""What a launch is predicted to take."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan.case import Case
from bench.stats.prediction import predict

exact = settings(deadline=None, derandomize=True, database=None, max_examples=60)
times = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=40)


def square(width: int) -> Case:
    return Case(width, width, 1, "float32", "relu")


class TestPredict:
    """What a launch will take, from smaller cases."""

    @exact
    @given(
        power=st.floats(0, 1),
        factor=st.floats(1e-12, 1e-3),
        widths=st.lists(st.integers(16, 64), min_size=1, max_size=4),
    )
    def test_a_power_law_is_continued_exactly(
        self, power: float, factor: float, widths: list[int]
    ) -> None:
        measured = {square(w): factor * square(w).flops ** power for w in (4, *widths, 512)}
        for wanted in (512, 1000, 8192):
            case = square(wanted)
            assert predict(case, measured) == pytest.approx(factor * case.flops**power)

    def test_time_is_never_predicted_to_grow_faster_than_the_work(self) -> None:
        measured = {square(100): 1.0, square(1000): 1e6}
        growth = square(2000).flops / square(1000).flops
        assert predict(square(2000), measured) == pytest.approx(1e6 * growth)

    def test_time_is_never_predicted_to_shrink(self) -> None:
        measured = {square(100): 5.0, square(1000): 4.0}
        assert predict(square(2000), measured) == 4.0

    def test_a_single_smaller_case_is_continued_with_its_work(self) -> None:
        growth = square(1000).flops / square(100).flops
        assert predict(square(1000), {square(100): 2.0}) == pytest.approx(2 * growth)

    def test_cases_of_nearly_the_same_work_give_no_power(self) -> None:
        # noise between 100 and 101 would become any power at all
        measured = {square(100): 2.0, square(101): 1.9}
        growth = square(1000).flops / square(101).flops
        assert predict(square(1000), measured) == pytest.approx(1.9 * growth)

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
        growth = square(100).flops / square(5).flops
        assert predict(square(100), measured | {square(5): 1.0}) == pytest.approx(growth)

    def test_a_batch_is_work_too(self) -> None:
        measured = {square(100): 1.0}
        batched = replace(square(100), batch=64)
        assert predict(batched, measured) == pytest.approx(64)
