"""Devices with memory of their own: what fits, several in one run, and what a run says of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asked import an_open
from commands import Done, bench, refused
from devices import Board, HostClock, prepare_on
from visits_double import FAST, Bench
from visits_double import cells as planned

import kernels
from bench import ROOT
from bench.data import records, store
from bench.data.machine import Cpu, Gpus, Machine, Peaks
from bench.data.records import Visit
from bench.machine import peak_rates, survey, wheel
from bench.measure import visit, worker_process
from bench.plan import sweep
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.show import runs, table
from bench.terminal import options
from bench.terminal.errors import BadInput
from bench.worker import messages, server
from bench.worker.server import Server

BOARD = str(ROOT / "tests" / "doubles" / "kernel_files" / "board.py")
NAMES = ["board:0 Simulated at 0000:17:00.0", "board:1 Simulated at 0000:18:00.0"]

SMALL = Case(24, 16, 8, "float32", "relu")


class Prepared:
    """The simulated board's `prepare`, counted."""

    def __init__(self, device: Board) -> None:
        self.prepare: Callable[..., kernels.Step] = prepare_on(device)
        self.cases: list[tuple[int, int, int]] = []
        self.closed = 0

    def __call__(self, layer: kernels.Layer, batch: int, device: int = 0) -> kernels.Step:
        self.cases.append((layer.n_in, layer.n_units, batch))
        return replace(self.prepare(layer, batch, device), close=self.close)

    def close(self) -> None:
        self.closed += 1


def status_of(error: Exception) -> str:
    """The status of a cell whose kernel raised this."""
    with pytest.raises(type(error)) as caught:
        raise error
    return server.refusal(caught.value, None).status


class TestMemory:
    """A cell is sized against what is free before it starts."""

    @pytest.fixture
    def device(self) -> Board:
        return Board(HostClock(), 1_000_000, 2_000)

    @pytest.fixture
    def prepared(self, device: Board) -> Prepared:
        return Prepared(device)

    @pytest.fixture
    def holder(self, device: Board, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Server:
        kernel = kernels.Kernel("board", "0" * 12, "", prepared)
        monkeypatch.setattr(kernels, "load", lambda name: kernel)
        return Server(clock=device.clock, sleep=device.clock.sleep)

    def done(self, holder: Server, key: int, case: Case = SMALL) -> messages.Reply:
        reply = holder.answer(an_open("board", case, key=key))
        if isinstance(reply, messages.Opened):
            assert isinstance(holder.answer(messages.Measure(key, 1, 1)), messages.Times)
            assert isinstance(holder.answer(messages.Close(key)), messages.Closed)
        return reply

    def test_what_does_not_fit_on_a_device_that_is_known_is_not_even_prepared(
        self, holder: Server, device: Board, prepared: Prepared
    ) -> None:
        assert isinstance(self.done(holder, 1), messages.Opened)
        before = len(prepared.cases)
        large = Case(100, 100, 100, "float32", "relu")
        device.free = large.bytes - 1
        reply = self.done(holder, 2, large)
        assert isinstance(reply, messages.Refused)
        assert reply.status == "out_of_memory"
        assert f"on {device.name}" in reply.reason
        assert len(prepared.cases) == before
        device.free += 1
        assert isinstance(self.done(holder, 3, large), messages.Opened)

    def test_an_input_that_does_not_fit_beside_the_layer_is_not_sent(
        self, holder: Server, device: Board, prepared: Prepared
    ) -> None:
        device.free = SMALL.batch * SMALL.n_in * 4 - 1
        reply = self.done(holder, 1)
        assert isinstance(reply, messages.Refused)
        assert reply.status == "out_of_memory"
        assert prepared.closed == 1  # and its memory is handed back
        assert not holder.cells

    def test_what_does_not_fit_on_the_host_is_not_prepared(
        self, holder: Server, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = an_open("board", SMALL)
        monkeypatch.setattr(kernels.Host, "free_bytes", lambda self: 2 * SMALL.bytes - 1)
        reply = holder.answer(request)
        assert isinstance(reply, messages.Refused)
        assert reply.status == "out_of_memory"
        assert "on cpu" in reply.reason
        assert not prepared.cases

    @pytest.mark.parametrize(
        "said",
        [
            "cudaErrorMemoryAllocation: out of memory",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "RESOURCE_EXHAUSTED: failed to allocate 4 bytes",
        ],
    )
    def test_libraries_that_have_a_word_of_their_own_for_it_are_understood(self, said: str) -> None:
        assert status_of(RuntimeError(said)) == "out_of_memory"
        assert status_of(ValueError(said)) == "error"

    def test_another_error_of_a_library_stays_one(self) -> None:
        assert status_of(RuntimeError("cudaErrorIllegalAddress: illegal memory access")) == "error"

    def test_out_of_memory_is_followed_by_a_fresh_worker(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended: list[str] = []
        with visit.Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
            end = visitor._end

            def listening(kernel: str, device: int) -> None:
                ended.append(kernel)
                end(kernel, device)

            monkeypatch.setattr(visitor, "_end", listening)
            small, large = (
                Cell(BOARD, Case(n, n, 4, "float32", "relu"), 0, 1, "warm") for n in (16, 2048)
            )
            assert visitor.visit(small, 1, 1, None)[0].status == "ok"
            row, _ = visitor.visit(large, 2, 1, None)
            assert (row.status, ended) == ("out_of_memory", [BOARD])
            assert f"on {NAMES[0]}" in row.reason
            assert visitor.visit(small, 3, 2, None)[0].status == "ok"


class TestVisitor:
    """What the parent knows of devices."""

    def test_a_device_is_asked_once_for_its_ceilings_and_once_more_at_the_end(self) -> None:
        with visit.Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
            cell = Cell(BOARD, SMALL, 0, 1, "warm")
            for number in (1, 2):
                visitor.visit(cell, number, number, None)
            assert [len(found) for found in visitor.peaks.values()] == [1]
            visitor.ask_peaks()
            (found,) = visitor.peaks.values()
        assert list(visitor.peaks) == NAMES[:1]
        assert len(found) == 2
        assert all((rates.measured_flop_per_s or 0) > 1e6 for rates in found)
        assert found[0].theoretical_flop_per_s == 5e12

    def test_two_devices_have_two_processes(self) -> None:
        with visit.Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
            rows = [
                visitor.visit(Cell(BOARD, SMALL, index, 1, "warm"), 1, 1, None)[0]
                for index in (0, 1)
            ]
            assert [row.device for row in rows] == NAMES
            assert [row.device_throttled for row in rows] == [(), ("power cap",)]
            assert len(visitor._workers) == 2

    def test_a_device_that_has_just_worked_is_said_to(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rested: list[float | None] = []
        call = worker_process.WorkerProcess.call

        def listening(
            self: worker_process.WorkerProcess,
            request: messages.Request,
            timeout_s: float,
            files: Sequence[int] = (),
        ) -> messages.Reply:
            if isinstance(request, messages.Open):
                rested.append(request.rested_s)
            return call(self, request, timeout_s, files)

        monkeypatch.setattr(worker_process.WorkerProcess, "call", listening)
        with visit.Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
            cell = Cell(BOARD, SMALL, 0, 1, "warm")
            for number in (1, 2):
                visitor.visit(cell, number, number, None)
        assert rested[0] is None
        assert rested[1] is not None
        assert 0 < rested[1] < 60


class OnDevices(Bench):
    """Simulated visits that reach a device: those of kernels called gpu, one of several."""

    def visit(self, cell: Cell, *how: Any) -> tuple[Visit, list[records.Block]]:
        row, blocks = super().visit(cell, *how)
        if cell.name == "gpu":
            row = replace(row, device=NAMES[cell.device])
        return row, blocks


def groups(order: list[str]) -> list[str]:
    """Equal neighbours as one."""
    return [name for name, before in zip(order, [None, *order], strict=False) if name != before]


class TestPasses:
    """The order of visits, and what a refusal says of other cells."""

    def test_a_devices_cells_are_visited_together(self) -> None:
        run = OnDevices(noise=0.5, fast=1e-9, gpu=1e-9)
        cells = [
            replace(cell, device=device)
            for cell in planned(FAST, "gpu", widths=(16, 32, 64, 128))
            for device in ((0, 1) if cell.kernel == "gpu" else (0,))
        ]
        run.scheduler(cells, budget_s=20, target=1e-9).run()
        passes: dict[int, list[str]] = {}
        for number, cell in run.order:
            where = NAMES[cell.device] if cell.name == "gpu" else "cpu"
            passes.setdefault(number, []).append(where)
        del passes[1]  # by work
        assert len(passes) > 5
        assert all(len(groups(order)) == len(set(order)) for order in passes.values())
        whole = [tuple(groups(order)) for order in passes.values() if len(set(order)) == 3]
        assert len(set(whole)) > 1  # in random order

    def test_a_device_that_is_not_there_says_nothing_of_another(self) -> None:
        class Missing(OnDevices):
            def visit(self, cell: Cell, *how: Any) -> tuple[Visit, list[records.Block]]:
                row, blocks = super().visit(cell, *how)
                if cell.device == 1:
                    return replace(row, status="unavailable", reason="no device 1", device=""), []
                return row, blocks

        run = Missing(gpu=1e-9)
        cells = [replace(cell, device=d) for cell in planned("gpu") for d in (1, 0)]
        run.scheduler(cells).run()
        by_device = {(row.device_index, row.n_units): row.status for row in run.rows}
        assert {by_device[1, n] for n in (16, 64, 256)} == {"unavailable"}
        assert {by_device[0, n] for n in (16, 64, 256)} == {"ok"}
        assert sum(cell.device == 1 for _, cell in run.order) == 2

    def test_one_devices_times_predict_nothing_of_another(self) -> None:
        run = OnDevices(gpu=1e-6)
        small = [replace(cell, device=0) for cell in planned("gpu", widths=(16, 64))]
        large = [replace(cell, device=1) for cell in planned("gpu", widths=(256,))]
        run.scheduler([*small, *large], limit_s=0.1).run()
        assert {row.status for row in run.rows if row.device_index == 1} == {"ok"}


class TestOptions:
    """--device."""

    @pytest.mark.parametrize(
        ("text", "present", "devices"),
        [
            (None, 2, None),
            ("0", 0, 0),
            ("1", 2, 1),
            ("0,1", 2, [0, 1]),
            ("all", 3, [0, 1, 2]),
            ("all", 1, 0),
            ("all", 0, 0),
        ],
    )
    def test_what_it_means(
        self, text: str | None, present: int, devices: int | list[int] | None
    ) -> None:
        assert options.devices(text, lambda: present) == devices

    @pytest.mark.parametrize("text", ["", "first", "0;1", "1.5"])
    def test_nonsense_is_refused_with_how_it_should_be(self, text: str) -> None:
        with pytest.raises(BadInput, match="should be whole numbers like 0, 0,1 or all"):
            options.devices(text, lambda: 1)

    def test_a_negative_one_is_refused_in_one_line(self, tmp_path: Path) -> None:
        assert "device" in refused("run", "--device", "-1", "--out", str(tmp_path / "run"))
        assert "device" in refused("run", "--device", "0,-1", "--out", str(tmp_path / "run"))

    def test_a_sweep_has_one_or_several_each_once(self) -> None:
        fields: dict[str, object] = {"widths": [4], "batches": [1]}
        assert sweep.make(fields).devices == (0,)
        assert sweep.make(fields | {"device": 3}).devices == (3,)
        several = sweep.make(fields | {"device": [1, 0, 1]})
        assert several.devices == (1, 0)
        with pytest.raises(BadInput, match="device"):
            sweep.make(fields | {"device": []})


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """The real command on two boards and the CPU."""
    out = tmp_path_factory.mktemp("devices") / "run"
    chosen = ["--kernel", BOARD, "--kernel", "numpy_matmul", "--device", "0,1"]
    cells = ["--widths", "16,2048", "--batches", "4", "--budget", "3s", "--target", "0.5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "draw", lambda *_, **__: [])  # charts have tests of their own,
        patch.setattr(peak_rates, "of_cpu", lambda *_: None)  # and so have the CPU's ceilings
        return bench(
            "run", "--no-charts", *chosen, *cells, "--threads", "1", "--out", str(out)
        ), out


class TestRun:
    """What is left of a run on several devices."""

    def test_devices_are_told_apart_by_their_bus_id(self, a_run: tuple[Done, Path]) -> None:
        done, out = a_run
        assert done.code == 0, done.err
        cells = store.load(out, records.CellRow)
        found = {(c.kernel, c.n_units, c.device_index): c for c in cells}
        assert {c.device for c in cells if c.kernel == "board" and c.status == "ok"} == set(NAMES)
        assert found["board", 16, 1].device == NAMES[1]
        # the CPU is one device, whatever number it is given
        assert {c.device_index for c in cells if c.kernel == "numpy_matmul"} == {0}

    def test_each_cell_has_its_own_devices_ceiling(self, a_run: tuple[Done, Path]) -> None:
        _, out = a_run
        known = json.loads((out / "machine.json").read_text())["device_peaks"]
        assert sorted(known) == NAMES
        for cell in store.load(out, records.CellRow):
            if cell.status == "ok" and cell.kernel == "board":
                rate = known[cell.device]["measured_flop_per_s"]
                share = 100 * (cell.flop_per_s or 0) / rate
                assert cell.percent_of_measured == pytest.approx(share, rel=1e-4)
                assert cell.percent_of_stated == pytest.approx((cell.flop_per_s or 0) / 5e10)

    def test_what_does_not_fit_is_out_of_memory_and_the_rest_is_measured(
        self, a_run: tuple[Done, Path]
    ) -> None:
        _, out = a_run
        found = {
            (c.kernel, c.n_units, c.device_index): c.status
            for c in store.load(out, records.CellRow)
        }
        assert found["board", 2048, 0] == found["board", 2048, 1] == "out_of_memory"
        assert (
            found["board", 16, 0] == found["board", 16, 1] == found["numpy_matmul", 16, 0] == "ok"
        )

    def test_the_state_is_in_the_files_and_throttling_is_said(
        self, a_run: tuple[Done, Path]
    ) -> None:
        done, out = a_run
        rows = [v for v in store.load(out, Visit) if v.status == "ok"]
        assert {v.device_throttled for v in rows if v.device == NAMES[1]} == {("power cap",)}
        assert {v.device_throttled for v in rows if v.device != NAMES[1]} == {()}
        assert {v.device_mhz for v in rows if v.kernel == "board"} == {1500.0}
        assert {v.device_mhz for v in rows if v.device == "cpu"} == {None}
        cells = {c.device: c for c in store.load(out, records.CellRow) if c.status == "ok"}
        assert cells[NAMES[1]].throttled == cells[NAMES[1]].visits > 0
        assert cells[NAMES[0]].throttled == cells["cpu"].throttled == 0
        held = sum(v.device_throttled != () for v in rows)
        assert f"{NAMES[1]} was throttled in {held} of {held} visits (power cap {held})" in done.out
        assert f"{NAMES[0]}: float32: best product " in done.out
        assert f"{NAMES[0]} was throttled" not in done.out


def test_a_run_that_goes_on_keeps_the_ceilings_of_devices_that_it_does_not_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "draw", lambda *_, **__: [])
    monkeypatch.setattr(peak_rates, "of_cpu", lambda *_: None)
    out = tmp_path / "run"
    chosen = ["--kernel", BOARD, "--widths", "16", "--batches", "4", "--threads", "1"]
    assert bench("run", "--no-charts", *chosen, "--budget", "1s", "--out", str(out)).code == 0
    before = json.loads((out / "machine.json").read_text())["device_peaks"]
    assert list(before) == NAMES[:1]
    visits = len(store.load(out, Visit))
    assert bench("run", "--no-charts", "--resume", str(out), "--budget", "0.000001s").code == 0
    assert len(store.load(out, Visit)) == visits
    assert json.loads((out / "machine.json").read_text())["device_peaks"] == before
    (cell,) = store.load(out, records.CellRow)
    assert cell.percent_of_measured is not None


def told(device: str, *reasons: tuple[str, ...]) -> list[Visit]:
    """Visits to a device, throttled for these reasons."""
    cell = Cell("k", SMALL, 0, 1, "warm")
    rows = [visit.refusal(cell, n, n, "ok", "") for n in range(1, len(reasons) + 1)]
    return [
        replace(row, device=device, device_throttled=why)
        for row, why in zip(rows, reasons, strict=True)
    ]


class TestSaid:
    """Sentences and marks."""

    def test_throttling_is_counted_by_device_and_reason(self) -> None:
        rows = [
            *told(NAMES[0], ("power cap",), ("power cap", "power brake"), ()),
            *told(NAMES[1], (), ()),
            *told("cpu", ()),
        ]
        (line,) = table.throttling(rows)
        assert line.startswith(
            f"{NAMES[0]} was throttled in 2 of 3 visits (power cap 2, power brake 1)"
        )

    def test_a_run_without_throttling_says_nothing_of_it(self) -> None:
        assert table.throttling(told(NAMES[0], (), ())) == []
        failed = [replace(v, status="wrong") for v in told(NAMES[0], ("power cap",))]
        assert table.throttling(failed) == []
        assert table.throttling([]) == []

    def test_a_kernel_on_two_devices_has_two_columns(self, a_run: tuple[Done, Path]) -> None:
        shown = table.tables(store.load(a_run[1], records.CellRow), 200)[0]
        heads = [str(column.header).split("\n")[0] for column in shown.columns]
        assert heads == ["layer", "numpy_matmul", "board on 0", "board on 1"]

    def test_a_launch_bound_cell_is_marked_and_the_mark_explained(
        self, a_run: tuple[Done, Path]
    ) -> None:
        cells = [c for c in store.load(a_run[1], records.CellRow) if c.status == "ok"]
        bound = [replace(c, launch_bound="yes") for c in cells]
        free = [replace(c, launch_bound="no") for c in cells]
        assert table.LAUNCH_BOUND in table.entry(bound[0]).plain
        assert table.LAUNCH_BOUND not in table.entry(free[0]).plain
        assert "launch-bound" in table.caption(bound)
        assert "launch-bound" not in table.caption(free)

    def test_ceilings_that_are_half_known_are_said_as_far(self) -> None:
        others = {NAMES[0]: known(1e12, 2e12), NAMES[1]: known(None, None)}
        machine = Machine(peaks=known(1e9, None), device_peaks=others)
        first, second = table.device_peaks(machine)
        assert first == (
            f"{NAMES[0]}: float32: best product 1.00 TFLOP/s (2.00 TFLOP/s by its units and clock);"
            " memory not measured"
        )
        assert second.endswith("best product not measured; memory not measured")


def known(measured: float | None, stated: float | None) -> Peaks:
    return Peaks("float32", measured, None, stated)


class TestPrecisions:
    """What a CPU kernel doesn't compute in, it says so."""

    @pytest.mark.parametrize("kernel", ["python_loop", "numpy_dot", "numpy_matmul"])
    def test_a_cpu_kernel_names_the_precision_and_what_it_has(self, kernel: str) -> None:
        with visit.Visitor(threads=1, seed=0, limit_s=1.0) as visitor:
            for number, precision in enumerate(kernels.DTYPES, 1):
                case = Case(4, 3, 2, precision, "relu")
                row, _ = visitor.visit(Cell(kernel, case, 0, 1, "warm"), number, 1, None)
                if precision in ("float64", "float32"):
                    assert row.status == "ok", row.reason
                else:
                    assert row.status == "unsupported"
                    assert f"precision {precision}: " in row.reason
                    assert "float64" in row.reason

    def test_a_run_of_nothing_but_that_says_it_and_ends_well(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runs, "draw", lambda *_, **__: [])
        monkeypatch.setattr(peak_rates, "of_cpu", lambda *_: None)
        kernel = ["--kernel", "numpy_matmul", "--precision", "tf32"]
        done = bench(
            "run", "--widths", "4", "--batches", "1", *kernel, "--out", str(tmp_path / "r")
        )
        assert done.code == 0, done.err
        assert "numpy_matmul: unsupported (1 cell): precision tf32: NumPy's BLAS has" in done.out
        assert "nothing was measured" in done.out


class TestIdentity:
    """A run goes on with the same driver and the same CuPy only."""

    def machine(self, driver: str | None = None, cupy: str = "") -> Machine:
        return Machine(cpu=Cpu("a", cores_usable=2), gpus=Gpus(driver), gpu_library=cupy)

    def test_another_driver_or_cupy_is_another_machine(self) -> None:
        before = survey.identity(self.machine("13.0", "cupy-cuda13x 14.2.0"))
        assert survey.identity(self.machine("13.0", "cupy-cuda13x 14.2.0")) == before
        assert survey.identity(self.machine("12.8", "cupy-cuda13x 14.2.0")) != before
        assert survey.identity(self.machine("13.0", "cupy-cuda13x 14.2.1")) != before

    def test_a_run_from_before_this_was_noted_goes_on_without_a_gpu(self) -> None:
        older = msgspec.convert({"cpu": {"model": "a", "cores_usable": 2}}, Machine)
        assert survey.identity(older) == survey.identity(self.machine(None, ""))

    def test_the_cupy_that_is_installed_is_named(self) -> None:
        there = {"numpy": "2.4.0", "cupy-cuda13x": "14.2.0"}
        assert wheel.in_use(there) == "cupy-cuda13x 14.2.0"
        del there["cupy-cuda13x"]
        assert wheel.in_use(there) == ""

    def test_a_run_does_not_go_on_with_another_cupy(
        self, a_run: tuple[Done, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wheel, "in_use", lambda _: "cupy-cuda12x 13.0.0")
        assert "the GPU's library is 'cupy-cuda12x 13.0.0' here and was " in refused(
            "run", "--resume", str(a_run[1])
        )
