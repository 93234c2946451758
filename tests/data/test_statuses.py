"""Every status and reason that the program can produce is written and read back."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from asked import AtOnce
from made_up_runs import run_of
from visits_double import SLOW, Bench, cells

from bench.data import store
from bench.data.machine import Machine, Peaks
from bench.data.records import STATUSES, Block, CellRow, Visit
from bench.measure import scheduler, visit, worker_process
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.plan.sweep import Sweep
from bench.show import runs, table
from bench.terminal.text import plain
from bench.worker import messages
from bench.worker.server import Server

KERNELS = {
    "ok": "return Step(lambda x: x @ layer.W + layer.b)",
    "unavailable": "raise Unavailable('=no GPU\\nat all, \"said\" the driver; make setup')",
    "unsupported": "raise Unsupported('-tanh')",
    "out_of_memory": "raise MemoryError",
    "cuda_memory": "raise RuntimeError('CUDA out of memory: 2 GB, tried')",
    "error": "raise ValueError('\\x1b[31mpredicted 1 s a launch\\x00')",
    "import_error": "import no_such_module_anywhere",
    "changed": "np.seterr(all='raise'); return Step(lambda x: x)",
    "wrong": "return Step(lambda x: 0 * (x @ layer.W))",
    "nan": "return Step(lambda x: np.nan * (x @ layer.W))",
    "slow": "return Step(lambda x: x @ layer.W + layer.b)",
    "crashed": "return Step(lambda x: x @ layer.W + layer.b)",
    "timeout": "return Step(lambda x: x @ layer.W + layer.b)",
}
STATUS_OF = {
    "cuda_memory": "out_of_memory",
    "import_error": "error",
    "changed": "error",
    "nan": "wrong",
    "slow": "skipped",
}
IMPORTS = "import numpy as np\nfrom kernels import Step, Unavailable, Unsupported\n\n\n"
LOST = {
    "crashed": 'the worker died: killed by SIGKILL; it last printed: =1+1,\t"x"',
    "timeout": "no answer to measure in 20 s",
}


class InProcess(AtOnce):
    """In the place of a worker's process: the worker's own answers, or its death."""

    def __init__(self, threads: int) -> None:
        self._server = Server(threads)

    def call(
        self, request: messages.Request, timeout_s: float, files: tuple[int, int, int] | None = None
    ) -> messages.Reply:
        name = Path(getattr(request, "kernel", "")).stem
        if isinstance(request, messages.Open) and name in ("crashed", "timeout"):
            raise worker_process.WorkerLost(name, LOST[name])  # type: ignore[arg-type]
        if isinstance(request, messages.Open):
            request = msgspec.structs.replace(request, files=files)
        return self._server.answer(request)

    def left_busy(self) -> bool:
        return False

    def kill(self) -> bytes:
        return b""


def visited(folder: Path) -> list[tuple[Visit, list[Block]]]:
    """A visit to each of the kernels."""
    pairs = []
    for number, (name, body) in enumerate(KERNELS.items(), 1):
        path = folder / f"{name}.py"
        path.write_text(f"{IMPORTS}def prepare(layer, batch, device=0):\n    {body}\n")
        limit_s = 1e-12 if name == "slow" else 10.0
        with visit.Visitor(1, seed=0, limit_s=limit_s) as visitor:
            cell = Cell(str(path), Case(6, 5, 4, "float32", "linear"))
            pairs.append(visitor.visit(cell, number, 1, None))
    return pairs


def scheduled(after: int) -> list[tuple[Visit, list[Block]]]:
    """A run's visits and refusals, numbered on."""
    pairs: list[tuple[Visit, list[Block]]] = []
    bench = Bench(slow=1e-5, no_gpu=1.0)
    bench.refuse["no_gpu"] = "unavailable"
    running = scheduler.Scheduler(
        cells(SLOW, "no_gpu", widths=(16, 256)),
        bench,
        lambda row, blocks: pairs.append((row, blocks)),
        budget_s=0.045,
        target=1e-9,
        launch_limit_s=0.1,
        clock=lambda: bench.now,
    )
    running.run()
    pairs += [(row, []) for row in running.pending()]
    return [
        (
            replace(row, visit=after + number),
            [replace(block, visit=after + number) for block in blocks],
        )
        for number, (row, blocks) in enumerate(pairs, 1)
    ]


def test_each_is_read_back_as_it_was_and_can_be_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "WorkerProcess", InProcess)
    pairs = visited(tmp_path)
    for name, (row, _) in zip(KERNELS, pairs, strict=True):
        assert row.status == STATUS_OF.get(name, name), row.reason
        assert (row.reason == "") == (row.status == "ok")
    pairs += scheduled(after=len(pairs))
    machine = Machine(threads=1, peaks=Peaks("float32", 1.0, 1.0, None))  # nothing is so slow
    sweep = Sweep(widths=(16,), batches=(1,))
    with store.Run.create(tmp_path / "run", sweep) as run:
        run.write_machine(machine)
        for row, blocks in pairs:
            run.append(row, blocks)

    visits = store.load(run.folder, Visit)
    for (before, _), after in zip(pairs, visits, strict=True):
        assert (after.status, after.reason) == (before.status, plain(before.reason))
        (as_written,) = store.as_written([before])
        assert after.predicted_s == as_written.predicted_s
    rows = runs.renew(run.folder).cells
    assert {row.status for row in visits} | {row.status for row in rows} == set(STATUSES)
    assert store.load(run.folder, CellRow) == rows
    assert table.reasons(rows)
    store.Run.resume(run.folder)[0].__exit__()


def test_a_first_launch_that_was_too_slow_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "WorkerProcess", InProcess)
    row, _ = next(pair for pair in visited(tmp_path) if pair[0].kernel == "slow")
    assert row.reason.startswith("took ")
    assert row.predicted_s is None
    bench = Bench(slow=1e-9)
    cell = Cell("slow", Case(6, 5, 4, "float32", "linear"))
    resumed = bench.scheduler([cell])
    resumed.restore(run_of([row]))
    assert resumed.run() == "done"
    assert not bench.order
