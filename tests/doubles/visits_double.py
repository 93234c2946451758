"""Visits that take simulated time, on a clock that only visits move."""

import random
from dataclasses import replace

from made_up_runs import rows_of

from bench.data.records import Block, Status, Visit
from bench.data.speed_history import History
from bench.measure import scheduler
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell

SLOW, FAST = "slow", "fast"


class Bench:
    """Visits that take simulated time: `rate` seconds a FLOP for each kernel, and some noise."""

    def __init__(self, noise: float = 0.0, **rates: float) -> None:
        self.now = 0.0
        self.rates = rates
        self.noise = noise
        self.random = random.Random(1)
        self.refuse: dict[str, Status] = {}
        self.interrupt_at: int | None = None
        self.respawned: list[int] = []
        self.order: list[tuple[int, Cell]] = []
        self.rows: list[Visit] = []
        self.blocks: list[Block] = []

    def visit(
        self, cell: Cell, number: int, pass_number: int, launch_s: float | None
    ) -> tuple[Visit, list[Block]]:
        if number == self.interrupt_at:
            raise KeyboardInterrupt
        self.order.append((pass_number, cell))
        row = replace(refusal(cell, number, pass_number, "ok", ""), device="cpu", error=0.5)
        self.now += 0.02
        if status := self.refuse.get(cell.name):
            return replace(row, status=status, reason="because"), []
        seconds = cell.case.flops * self.rates[cell.name]
        seconds *= 1 + self.noise * self.random.uniform(-1, 1)
        self.now += 2 * seconds
        return row, [Block(number, "time", 1, seconds)]

    def respawn(self) -> None:
        self.respawned.append(len(self.order))

    def record(self, visit: Visit, blocks: list[Block]) -> None:
        self.rows.append(visit)
        self.blocks += blocks

    def scheduler(
        self,
        cells: list[Cell],
        budget_s: float = 60.0,
        target: float = 0.02,
        limit_s: float = 1.0,
        history: History | None = None,
    ) -> scheduler.Scheduler:
        return scheduler.Scheduler(
            cells,
            self,
            self.record,
            budget_s=budget_s,
            target=target,
            launch_limit_s=limit_s,
            history=history,
            clock=lambda: self.now,
        )

    def statuses(self) -> dict[tuple[str, int], str]:
        return {(c.kernel, c.n_units): c.status for c in rows_of(self.rows, self.blocks)}


def cells(*kernels: str, widths: tuple[int, ...] = (16, 64, 256)) -> list[Cell]:
    return [
        Cell(kernel, Case(width, width, 1, "float32", "relu"), 0, 2, "warm")
        for width in widths
        for kernel in kernels
    ]
