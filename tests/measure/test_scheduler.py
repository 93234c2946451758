"""Which cell next and when to stop, on simulated visits and a clock that only visits move."""

import sys
import tracemalloc
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from made_up_runs import rows_of, run_of
from visits_double import FAST, SLOW, Bench, cells

from bench.data.records import Block, Status, Visit
from bench.data.speed_history import History, Trait
from bench.measure import scheduler
from bench.measure.visit import refusal
from bench.plan.cell import Cell
from bench.stats.measured import of_visit
from bench.stats.times import times


def test_the_first_pass_is_complete_and_goes_from_little_work_to_much() -> None:
    bench = Bench(slow=1e-7, fast=1e-9)
    bench.scheduler(cells(FAST, SLOW, widths=(256, 16, 64))).run()
    first = [cell for number, cell in bench.order if number == 1]
    assert len(first) == 6
    assert [c.case.n_units for c in first] == [16, 16, 64, 64, 256, 256]


def test_later_passes_keep_a_case_together_and_shuffle_the_rest() -> None:
    bench = Bench(noise=0.2, slow=1e-7, fast=1e-9)
    bench.scheduler(cells(SLOW, FAST), target=1e-6, budget_s=10).run()
    passes = [[c for n, c in bench.order if n == number] for number in range(2, 20)]
    assert all(a.case == b.case for p in passes for a, b in zip(p[::2], p[1::2], strict=True))
    assert len({tuple(c.case.n_units for c in p) for p in passes}) > 3
    assert len({p[0].kernel for p in passes}) == 2


def test_quiet_cells_are_done_at_the_second_look() -> None:
    bench = Bench(slow=1e-7, fast=1e-9)
    assert bench.scheduler(cells(SLOW, FAST)).run() == "done"
    assert set(Counter(cell for _, cell in bench.order).values()) == {scheduler.LOOKS[1]}


def test_only_cases_that_need_it_are_visited_on() -> None:
    bench = Bench(noise=0.3, slow=1e-7, fast=1e-9)
    quiet = cells(FAST, widths=(16,))
    noisy = cells(FAST, widths=(256,))

    class Half(Bench):
        def visit(self, cell, number, pass_number, launch_s):  # type: ignore[no-untyped-def]
            self.noise = 0.0 if cell.case.n_units == 16 else 0.3
            return super().visit(cell, number, pass_number, launch_s)

    bench = Half(fast=1e-9)
    assert bench.scheduler(quiet + noisy, budget_s=5, target=0.01).run() == "budget"
    visits = Counter(cell.case.n_units for _, cell in bench.order)
    assert visits[16] == scheduler.LOOKS[1]
    assert visits[256] > 10 * visits[16]


def test_a_case_is_visited_as_often_as_its_interval_is_wide() -> None:
    class Uneven(Bench):
        def visit(self, cell, number, pass_number, launch_s):  # type: ignore[no-untyped-def]
            self.noise = {16: 0.01, 64: 0.1, 256: 0.1}[cell.case.n_units]
            return super().visit(cell, number, pass_number, launch_s)

    bench = Uneven(fast=1e-9)
    assert bench.scheduler(cells(FAST), budget_s=20, target=1e-6).run() == "budget"
    visits = Counter(cell.case.n_units for _, cell in bench.order)
    passes = max(number for number, _ in bench.order)
    assert visits[16] < 0.5 * visits[64]
    assert visits[16] > 0.8 * scheduler.LEAST_SHARE * passes
    assert 0.5 < visits[64] / visits[256] < 2


CELL = cells(FAST, widths=(16,))[0]


class Looking:
    """A scheduler of one cell that is given its visits one by one, and looks after each."""

    def __init__(self, target: float) -> None:
        self.scheduler = Bench().scheduler([CELL], target=target)
        self.standing = self.scheduler._standing[CELL]
        self.number = 0

    def add(self, *seconds: float, waited_s: float = 0.0) -> bool:
        """Whether the cell is done after these visits."""
        for block_s in seconds:
            self.number += 1
            row = refusal(CELL, self.number, self.number, "ok", "")
            row = replace(row, device="cpu", waited_s=waited_s, measured_s=1.0)
            blocks = of_visit([Block(self.number, "time", 1, block_s)])
            self.standing.measured.add(row, blocks)
            self.scheduler._look(self.scheduler._standing)
        return self.standing.done


def test_a_target_is_only_looked_at_on_the_appointed_numbers_of_visits() -> None:
    looking = Looking(target=0.5)
    # two looks have to agree, the sixth visit's and the ninth's
    for _ in range(8):
        assert not looking.add(1.0)
    assert looking.add(1.0)
    # what comes after the ninth visit does not count before the thirteenth
    for _ in range(3):
        assert looking.add(9.0)
    assert not looking.add(9.0)


def test_one_narrow_interval_may_be_chance() -> None:
    looking = Looking(target=0.1)
    assert not looking.add(1.0, 2.0, 1.0, 2.0, 1.0, 2.0)
    done = {n: looking.add(1.5) for n in range(7, 61)}
    half_widths = {}
    for look in scheduler.LOOKS[:7]:
        first = {CELL: looking.standing.measured.first(look)}
        half_widths[look] = times(first).by_cell[CELL].half_width
    narrow = [width <= 0.1 for width in half_widths.values()]
    first_narrow = narrow.index(True)
    assert first_narrow > 0
    assert not done[scheduler.LOOKS[first_narrow]]
    assert done[scheduler.LOOKS[first_narrow + 1]]


def test_visits_that_waited_for_a_core_do_not_bring_a_cell_to_its_target() -> None:
    looking = Looking(target=0.5)
    assert not looking.add(*[1.0] * 8)
    assert not looking.add(*[1.0] * 11, waited_s=0.5)
    assert looking.add(1.0)


def test_a_visit_in_which_the_machine_slept_is_no_datum_and_no_stop() -> None:
    class Sleeping(Bench):
        def visit(self, cell, number, pass_number, launch_s):  # type: ignore[no-untyped-def]
            row, blocks = super().visit(cell, number, pass_number, launch_s)
            return replace(row, suspended_s=9.0 if len(self.order) <= 3 else 0.0), blocks

    bench = Sleeping(fast=1e-9)
    assert bench.scheduler([CELL]).run() == "done"
    assert len(bench.order) == 3 + scheduler.LOOKS[1]


def test_what_is_known_of_the_machine_narrows_the_intervals_looked_at() -> None:
    def half_width(history: History | None) -> float:
        """Of a cell on a machine that is never left alone."""
        bench = Bench(noise=0.05, fast=1e-6)
        running = bench.scheduler([CELL], history=history)
        measured = running._standing[CELL].measured
        for number in range(1, 21):
            slower = 1.3 + 0.4 * (number % 5) / 4
            readings = [5e-5 * slower] * 4
            row = replace(refusal(CELL, number, number, "ok", ""), device="cpu")
            block = Block(number, "time", 1, 1e-3 * slower**0.5, *readings)
            measured.add(row, of_visit([block] * 10))
        running._look(running._standing)
        return running._standing[CELL].half_width

    known = History(5e-5, {FAST: Trait(0.5, 0.01, 0.0)})
    assert half_width(known) != half_width(None)


def test_the_budget_ends_a_run_in_time() -> None:
    bench = Bench(noise=0.5, slow=1e-7, fast=1e-9)
    assert bench.scheduler(cells(SLOW, FAST), budget_s=3.0, target=1e-9).run() == "budget"
    assert 2.8 < bench.now < 3.05  # the last visit began in time


def test_a_cell_over_the_limit_is_skipped_with_the_prediction_as_the_reason() -> None:
    bench = Bench(slow=1e-5, fast=1e-9)
    bench.scheduler(cells(SLOW, FAST, widths=(16, 64, 256, 1024)), limit_s=0.1).run()
    assert bench.statuses()[SLOW, 256] == "skipped"
    assert bench.statuses()[FAST, 1024] == "ok"
    (row,) = [r for r in bench.rows if r.status == "skipped" and r.n_units == 256]
    assert row.reason == "predicted 1.31 s a launch, limit 0.1 s"
    assert row.predicted_s == pytest.approx(1.31, rel=1e-2)
    cell = next(c for c in rows_of(bench.rows, bench.blocks) if c.status == "skipped")
    assert cell.predicted_s == row.predicted_s


def test_a_cell_skipped_for_a_disturbed_visit_gets_its_chance() -> None:
    class Disturbed(Bench):
        def visit(self, cell, number, pass_number, launch_s):  # type: ignore[no-untyped-def]
            self.rates["fast"] = 1e-6 if pass_number == 1 and cell.case.n_units <= 64 else 1e-9
            return super().visit(cell, number, pass_number, launch_s)

    bench = Disturbed(fast=1e-9)
    bench.scheduler(cells(FAST), limit_s=0.02).run()
    assert "skipped" in {row.status for row in bench.rows}
    assert set(bench.statuses().values()) == {"ok"}


@pytest.mark.parametrize("resumed", [False, True])
def test_a_cell_is_not_skipped_for_what_others_waited_for_a_core(resumed: bool) -> None:  # noqa: FBT001
    class Busy(Bench):
        """A machine on which every visit takes four times as long, three of them waiting."""

        def visit(self, cell: Cell, *how: Any) -> tuple[Visit, list[Block]]:
            row, blocks = super().visit(cell, *how)
            return replace(row, measured_s=1.0, waited_s=0.75), blocks

    small, large = cells(FAST, widths=(16, 64)), cells(FAST, widths=(256,))
    limit_s = 4e-9 * large[0].case.flops / 2  # twice what it takes alone
    bench = Busy(fast=4e-9)
    if resumed:
        bench.scheduler(small, budget_s=5).run()
        again = bench.scheduler(small + large, budget_s=5, limit_s=limit_s)
        again.restore(run_of(bench.rows, bench.blocks))
        again.run()
    else:
        bench.scheduler(small + large, budget_s=5, limit_s=limit_s).run()
    assert bench.statuses()[FAST, 256] == "ok"
    assert "skipped" not in {row.status for row in bench.rows}
    bench = Busy(fast=4e-9)  # and one that is too slow by itself still is
    bench.scheduler(small + large, budget_s=5, limit_s=limit_s / 4).run()
    assert bench.statuses()[FAST, 256] == "skipped"


def test_an_unavailable_kernel_is_asked_for_two_layers_and_every_cell_of_it_is_named() -> None:
    bench = Bench(fast=1e-9, gpu=1e-12)
    bench.refuse["gpu"] = "unavailable"
    bench.scheduler(cells(FAST, "gpu")).run()
    assert sum(cell.kernel == "gpu" for _, cell in bench.order) == 2
    assert [bench.statuses()["gpu", w] for w in (16, 64, 256)] == ["unavailable"] * 3


@pytest.mark.parametrize("refused", [16, 64, 256])
def test_a_kernel_that_is_unavailable_in_one_cell_is_measured_in_the_others(refused: int) -> None:
    class OneShape(Bench):
        def visit(self, cell: Cell, *how: Any) -> tuple[Visit, list[Block]]:
            row, blocks = super().visit(cell, *how)
            if cell.case.n_units == refused:
                return replace(row, status="unavailable", reason="this shape"), []
            return row, blocks

    bench = OneShape(fast=1e-9)
    bench.scheduler(cells(FAST), budget_s=5).run()
    for width in (16, 64, 256):
        assert bench.statuses()[FAST, width] == ("unavailable" if width == refused else "ok")


@pytest.mark.parametrize("status", ["wrong", "error", "crashed", "timeout", "unsupported"])
def test_a_cell_in_trouble_is_not_visited_again(status: Status) -> None:
    bench = Bench(fast=1e-9, bad=1e-9)
    bench.refuse["bad"] = status
    assert bench.scheduler(cells(FAST, "bad")).run() == "done"
    assert sum(cell.kernel == "bad" for _, cell in bench.order) == 3
    assert bench.statuses()["bad", 16] == status
    assert bench.statuses()[FAST, 16] == "ok"


def test_workers_are_started_afresh_every_few_passes() -> None:
    bench = Bench(noise=0.5, fast=1e-9)
    bench.scheduler(cells(FAST), budget_s=60, target=1e-9).run()
    gaps = [b - a for a, b in zip(bench.respawned, bench.respawned[1:], strict=False)]
    assert len(gaps) > 3
    passes = [bench.order[visits][0] for visits in bench.respawned if visits < len(bench.order)]
    assert {number % scheduler.RESPAWN for number in passes} == {0}
    assert min(gaps) * 0.02 >= 0.99 * scheduler.RESPAWN_S  # a visit takes a fiftieth of a second


def test_a_run_stopped_before_a_cell_says_so() -> None:
    bench = Bench(slow=1e-4)
    running = bench.scheduler(cells(SLOW, widths=(16, 64, 256)), budget_s=0.1, limit_s=100)
    running.run()
    assert {row.status for row in bench.rows} == {"ok"}  # a sweep may have a million cells
    bench.rows += running.pending()
    assert bench.statuses() == {(SLOW, 16): "ok", (SLOW, 64): "pending", (SLOW, 256): "pending"}


def test_cells_that_are_too_many_to_list_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "MOST_PENDING", 1)
    bench = Bench(slow=1e-4)
    running = bench.scheduler(cells(SLOW, widths=(16, 64, 256)), budget_s=0.1, limit_s=100)
    running.run()
    assert (running.unvisited, running.pending()) == (2, [])


def test_an_interrupted_run_goes_on_as_if_it_had_not_been() -> None:
    bench = Bench(slow=1e-7, fast=1e-9)
    bench.interrupt_at = 20
    with pytest.raises(KeyboardInterrupt):
        bench.scheduler(cells(SLOW, FAST)).run()
    # blocks of a visit whose row was never written: their number must not be given again
    orphan = Block(21, "time", 1, 1e9)
    resumed = Bench(slow=1e-7, fast=1e-9)
    resumed.rows, resumed.blocks = list(bench.rows), [*bench.blocks, orphan]
    again = resumed.scheduler(cells(SLOW, FAST))
    again.restore(run_of(resumed.rows, resumed.blocks))
    assert again.run() == "done"
    numbers = [row.visit for row in resumed.rows]
    assert len(set(numbers)) == len(numbers)
    assert 21 not in numbers
    found = rows_of(resumed.rows, resumed.blocks)
    assert {c.status for c in found} == {"ok"}
    # the interrupted pass was cut in the middle of a case: one kernel has a visit more
    assert {c.visits for c in found} <= {scheduler.LOOKS[1], scheduler.LOOKS[1] + 1}


def test_a_run_that_was_done_stays_done() -> None:
    bench = Bench(noise=0.1, slow=1e-7, fast=1e-9)
    assert bench.scheduler(cells(SLOW, FAST), target=0.1).run() == "done"
    again = Bench(slow=1e-7, fast=1e-9)
    resumed = again.scheduler(cells(SLOW, FAST), target=0.1)
    resumed.restore(run_of(bench.rows, bench.blocks))
    assert resumed.run() == "done"
    assert not again.order


def test_restoring_keeps_what_was_refused_refused() -> None:
    bench = Bench(fast=1e-9, bad=1e-9)
    bench.refuse["bad"] = "error"
    bench.scheduler(cells(FAST, "bad")).run()
    again = Bench(fast=1e-9, bad=1e-9)
    resumed = again.scheduler(cells(FAST, "bad"))
    resumed.restore(run_of(bench.rows, bench.blocks))
    assert resumed.run() == "done"
    assert not again.order


@pytest.mark.parametrize(
    ("status", "visited"),
    [
        ("crashed", True),
        ("timeout", True),
        ("out_of_memory", True),
        ("wrong", False),
        ("error", False),
        ("unavailable", False),
    ],
)
def test_a_resumed_run_gives_what_may_have_been_an_accident_another_chance(
    status: Status,
    visited: bool,  # noqa: FBT001
) -> None:
    bench = Bench(slow=1e-7)
    (cell,) = cells(SLOW, widths=(16,))
    bench.scheduler([cell]).run()
    before = len(bench.order)
    bench.record(refusal(cell, 99, 99, status, "because"), [])
    resumed = bench.scheduler([cell], target=1e-9, budget_s=1.0)
    resumed.restore(run_of(bench.rows, bench.blocks))
    resumed.run()
    assert (len(bench.order) > before) == visited
    assert bench.statuses()[SLOW, 16] == ("ok" if visited else status)


class Long(Bench):
    """A run of many passes that nobody records; it notes what each pass costs."""

    def __init__(self, last: int, **rates: float) -> None:
        super().__init__(noise=0.5, **rates)
        self.last = last
        self.calls: Counter[int] = Counter()  # Python's own, in the harness, by pass
        self.bytes: dict[int, int] = {}  # in use when the pass began
        self.at = 0

    def record(self, visit: Visit, blocks: list[Block]) -> None:
        pass

    def visit(
        self, cell: Cell, number: int, pass_number: int, launch_s: float | None
    ) -> tuple[Visit, list[Block]]:
        self.order.clear()
        if pass_number != self.at:
            self.at = pass_number
            if pass_number in (100, 1000):
                self.calls = Counter({30: self.calls[30]})
                self.bytes[pass_number] = tracemalloc.get_traced_memory()[0]
        if pass_number > self.last:
            raise KeyboardInterrupt
        return super().visit(cell, number, pass_number, launch_s)


def test_an_hour_s_passes_cost_the_same_and_need_no_more_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # two cells that never get there; an hour's two thousand passes in small
    monkeypatch.setattr(scheduler, "LOOKS", (6, 9, 13))
    monkeypatch.setattr(scheduler, "REMEMBERED", 13)
    bench = Long(1000, slow=1e-7, fast=1e-9)
    running = bench.scheduler(cells(SLOW, FAST, widths=(16,)), target=1e-9, budget_s=1e9)
    tracemalloc.start()
    sys.setprofile(lambda frame, event, arg: bench.calls.update([bench.at]))
    try:
        with pytest.raises(KeyboardInterrupt):
            running.run()
    finally:
        sys.setprofile(None)
        tracemalloc.stop()
    # shuffling draws as often as it must
    assert bench.calls[1000] <= 1.1 * bench.calls[30]
    grown = bench.bytes[1000] - bench.bytes[100]
    assert grown < 2 * 900  # not even a byte for each visit
