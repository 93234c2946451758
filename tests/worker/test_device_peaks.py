"""What devices can do: stated by compute capability, measured on a simulated one, kept, used."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cupy_double
import pytest
from asked import an_open
from cupy_double import HOST_NS, MATMUL_NS, MEMSET_NS
from devices import Board, HostClock, SimulatedDevice, prepare_on
from made_up_runs import rows_of

import kernels
from bench.data import machine
from bench.data.machine import Machine, Peaks
from bench.data.records import Block, CellRow, Quantity, Visit
from bench.machine import peak_rates
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.terminal.errors import BadInput
from bench.worker import device_peaks, messages, timing
from bench.worker.server import Server
from kernels import _cupy, _nvidia, _nvml

BOARD = Board.name


def properties(
    name: str, capability: str, sms: int, mhz: float, memory_mhz: float = 0.0, bits: int = 0
) -> dict[str, Any]:
    """CUDA's device properties, as CuPy hands them out."""
    major, minor = map(int, capability.split("."))
    return {
        "name": name.encode(),
        "major": major,
        "minor": minor,
        "multiProcessorCount": sms,
        "clockRate": round(1e3 * mhz),
        "memoryClockRate": round(1e3 * memory_mhz),
        "memoryBusWidth": bits,
    }


class TestStated:
    """kernels/_nvidia.py against the figures that NVIDIA publishes."""

    @pytest.mark.parametrize(
        ("name", "capability", "sms", "mhz", "tera"),
        [
            ("GTX 1080", "6.1", 20, 1733, {"float32": 8.9, "float64": 0.277}),
            ("Tesla P100-SXM2", "6.0", 56, 1480, {"float32": 10.6, "float64": 5.3}),
            (
                "Tesla V100-SXM2",
                "7.0",
                80,
                1530,
                {"float64": 7.8, "float32": 15.7, "float16": 125},
            ),
            ("Tesla T4", "7.5", 40, 1590, {"float32": 8.1, "float64": 0.254, "float16": 65}),
            (
                "NVIDIA A100-SXM4-40GB",
                "8.0",
                108,
                1410,
                {"float64": 19.5, "float32": 19.5, "tf32": 156, "float16": 312, "bfloat16": 312},
            ),
            (
                "NVIDIA GeForce RTX 3090",
                "8.6",
                82,
                1695,
                {"float64": 0.556, "float32": 35.6, "tf32": 35.6, "float16": 71, "bfloat16": 71},
            ),
            ("NVIDIA RTX A6000", "8.6", 84, 1800, {"tf32": 77.4, "float16": 154.8}),
            (
                "NVIDIA GeForce RTX 4090",
                "8.9",
                128,
                2520,
                {"float64": 1.29, "float32": 82.6, "tf32": 82.6, "float16": 165.2},
            ),
            # NVIDIA states H100's tensor figures at 1830 MHz and the others at 1980
            (
                "NVIDIA H100 80GB HBM3",
                "9.0",
                132,
                1830,
                {"tf32": 495, "float16": 989, "bfloat16": 989},
            ),
            ("NVIDIA H100 80GB HBM3", "9.0", 132, 1980, {"float64": 67, "float32": 67}),
            ("NVIDIA GeForce RTX 5090", "12.0", 170, 2407, {"float32": 104.8, "float16": 209.5}),
        ],
    )
    def test_products_are_as_published(
        self, name: str, capability: str, sms: int, mhz: float, tera: dict[str, float]
    ) -> None:
        card = properties(name, capability, sms, mhz)
        for precision, rate in tera.items():
            stated = _nvidia.stated(card, precision).flop_per_s
            assert stated == pytest.approx(rate * 1e12, rel=0.01), precision

    @pytest.mark.parametrize(
        ("memory_mhz", "bits", "gigabytes"),
        [
            (2619, 5120, 3350),  # H100 SXM
            (1215, 5120, 1555),  # A100 40 GB
            (9751, 384, 936),  # RTX 3090
            (877, 4096, 900),  # V100
            (5001, 256, 320),  # T4
        ],
    )
    def test_memory_is_as_published(self, memory_mhz: float, bits: int, gigabytes: float) -> None:
        card = properties("any", "8.0", 1, 1.0, memory_mhz, bits)
        assert _nvidia.stated(card, "float32").bytes_per_s == pytest.approx(
            gigabytes * 1e9, rel=0.01
        )

    @pytest.mark.parametrize(
        ("capability", "precision"),
        [("5.2", "float32"), ("13.0", "float32"), ("7.0", "tf32"), ("7.5", "bfloat16")],
    )
    def test_what_is_not_in_the_table_is_unknown(self, capability: str, precision: str) -> None:
        card = properties("any", capability, 10, 1000.0)
        assert _nvidia.stated(card, precision) == kernels.Rates(None, None)

    def test_a_driver_that_tells_no_clock_leaves_it_unknown(self) -> None:
        card = properties("any", "9.0", 132, 0.0)
        del card["clockRate"], card["memoryClockRate"]
        assert _nvidia.stated(card, "float32") == kernels.Rates(None, None)

    def test_every_precision_of_the_table_is_one(self) -> None:
        rows = _nvidia.FLOPS_PER_CYCLE.values()
        assert {precision for row in rows for precision in row} == set(kernels.DTYPES) - {"int8"}


def board() -> Board:
    return Board(HostClock(), 1_000_000, launch_ticks=2_000)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> _cupy.CudaDevice:
    """kernels/_cupy.py's device on the double of CuPy, with NVML's monitor of that bus id."""
    machine = cupy_double.Machine()
    monkeypatch.setattr(_nvml, "monitor", lambda bus: Monitor() if bus == "0000:17:00.0" else None)
    return _cupy.CudaDevice(machine.cupy, 0)


class Monitor:
    """In the place of NVML's."""

    def state(self) -> kernels.DeviceState:
        return kernels.DeviceState(1980.0, 2619.0, 64.0, 700.0, ("power cap",))


class TestCudaDevice:
    """A CUDA device offers both, by the contract's names (on the double of CuPy)."""

    def test_it_is_watched_and_rated(self, gpu: _cupy.CudaDevice) -> None:
        assert isinstance(gpu, kernels.Watched)
        assert isinstance(gpu, kernels.Rated)

    def test_its_state_is_that_of_its_bus_id(
        self, gpu: _cupy.CudaDevice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert gpu.state() == Monitor().state()
        monkeypatch.setattr(_nvml, "monitor", lambda bus: None)
        assert _cupy.CudaDevice(cupy_double.Machine().cupy, 0).state() is None

    def test_it_states_what_its_properties_give(self, gpu: _cupy.CudaDevice) -> None:
        # 10 multiprocessors of 9.0 at 1 GHz; 1024 bits at 2 GHz, twice a cycle
        assert gpu.stated("float32") == kernels.Rates(2.56e12, 512e9)

    @pytest.mark.parametrize("precision", sorted(set(kernels.DTYPES) - {"int8"}))
    def test_its_product_and_copy_are_queued_work(
        self, gpu: _cupy.CudaDevice, precision: str
    ) -> None:
        for step, nanoseconds in (
            (gpu.product(4, precision), MATMUL_NS),
            (gpu.copy(64), MEMSET_NS),
        ):
            gpu.fence(None)
            (seconds,), out = timing.blocks(step, None, 3, 1, lead=True)
            assert round(1e9 * seconds) == max(nanoseconds, HOST_NS)
            gpu.fence(out)
        product = gpu.product(4, precision).launch(None)
        gpu.fence(product)
        assert (product._values == 4).all()
        copied = gpu.copy(64).launch(None)
        gpu.fence(copied)
        assert copied._values.tolist() == [1] * 32


class TestMeasured:
    """A large product and a large copy, on a board whose rates are known."""

    def test_the_rates_are_the_boards(self) -> None:
        device = board()
        flop_per_s, bytes_per_s = device_peaks.measure(device, "float32", device.clock)
        assert flop_per_s == pytest.approx(1e12, rel=1e-3)
        assert bytes_per_s == pytest.approx(1e11, rel=1e-3)

    def test_it_is_warmed_up_and_soon_over(self) -> None:
        device = board()
        device.warm_s = 0.3
        device_peaks.measure(device, "float32", device.clock)
        assert 0.3 < device.clock() < 3

    def test_a_slow_board_is_spared_larger_products(self) -> None:
        device = board()
        sizes: list[int] = []
        product = device.product

        def slower(n: int, precision: str) -> kernels.Step:
            sizes.append(n)
            return product(2 * n, precision)

        device.product = slower  # type: ignore[method-assign]
        device_peaks.measure(device, "float32", device.clock)
        assert sizes == [1024]  # 17 ms

    def test_a_full_board_gives_what_it_can(self) -> None:
        device = board()
        device.free = 3 * 1024 * 1024 * 4
        flop_per_s, bytes_per_s = device_peaks.measure(device, "float32", device.clock)
        assert flop_per_s == pytest.approx(1e12, rel=1e-3)
        assert bytes_per_s == pytest.approx(1e11, rel=1e-2)
        device.free = 1000
        flop_per_s, _ = device_peaks.measure(device, "float32", device.clock)
        assert flop_per_s is None


def ask(device: Any, monkeypatch: pytest.MonkeyPatch) -> messages.Reply:
    kernel = kernels.Kernel("board", "0" * 12, "", prepare_on(device))
    monkeypatch.setattr(kernels, "load", lambda name: kernel)
    return Server(clock=device.clock).answer(messages.AskPeaks("board", "float32", 0))


class TestWorker:
    """The worker asks the device of a kernel, whichever that is."""

    def test_it_answers_with_what_is_measured_and_what_is_stated(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reply = ask(board(), monkeypatch)
        assert isinstance(reply, messages.DevicePeaks)
        assert reply.peaks.measured_flop_per_s == pytest.approx(1e12, rel=1e-3)
        assert reply.peaks.theoretical_flop_per_s == 2e12
        assert reply.peaks.theoretical_bytes_per_s is None

    def test_a_device_without_ceilings_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reply = ask(SimulatedDevice(HostClock(), 1, 1), monkeypatch)
        assert isinstance(reply, messages.Refused)
        assert reply.status == "unsupported"

    def test_opening_a_cell_says_whether_its_device_can_be_asked(self) -> None:
        request = an_open("numpy_matmul", Case(4, 3, 2, "float32", "relu"))
        reply = Server().answer(request)
        assert isinstance(reply, messages.Opened)
        assert not reply.rated


READING = Peaks("float32", 1e12, 1e11, 2e12, None)


class TestKept:
    """The best of a device's ceilings, in the run and between runs."""

    def test_the_best_of_several_readings_counts(self, tmp_path: Path) -> None:
        readings = [READING, Peaks("float32", 1.5e12, 5e10, 2e12, None)]
        best = peak_rates.of_device(BOARD, readings, tmp_path / "kept")
        assert best == Peaks("float32", 1.5e12, 1e11, 2e12, None)

    def test_the_best_ever_seen_is_kept_for_each_device_and_precision(self, tmp_path: Path) -> None:
        kept = tmp_path / "kept"
        peak_rates.of_device(BOARD, [READING], kept)
        slow = Peaks("float32", 1e10, 1e10, None, None)
        again = peak_rates.of_device(BOARD, [slow], kept)
        assert (again.measured_flop_per_s, again.measured_bytes_per_s) == (1e12, 1e11)
        other = peak_rates.of_device(BOARD.replace("17", "18"), [slow], kept)
        assert other.measured_flop_per_s == 1e10
        half = Peaks("float16", 1e10, 1e10, None, None)
        assert peak_rates.of_device(BOARD, [half], kept).measured_flop_per_s == 1e10

    def test_a_device_without_room_keeps_what_it_states(self, tmp_path: Path) -> None:
        full = Peaks("float32", None, None, 2e12, 1e12)
        found = peak_rates.of_device(BOARD, [full], tmp_path / "kept")
        assert found == Peaks("float32", None, None, 2e12, 1e12)
        assert found.flop_per_s == 2e12

    def test_each_device_has_its_own_ceiling(self) -> None:
        cpu = Peaks("float32", 4e11, 1e10, 3e11)
        gpu = Peaks("float32", 1e12, 1e11, 2e12)
        both = Machine(peaks=cpu, device_peaks={BOARD: gpu})
        assert both.peaks_by_device == {"cpu": cpu, BOARD: gpu}
        assert Machine().peaks_by_device == {}

    def test_an_older_runs_peaks_are_read(self, tmp_path: Path) -> None:
        older = {
            "precision": "float32",
            "measured_flop_per_s": 2e11,
            "measured_bytes_per_s": 1e10,
            "theoretical_flop_per_s": None,
        }
        path = tmp_path / "machine.json"
        path.write_text(json.dumps({"peaks": older}))
        assert machine.read(path).peaks == Peaks("float32", 2e11, 1e10, None)

    @pytest.mark.parametrize("rate", ["-1.0", "0", '"fast"'])
    def test_a_bad_ceiling_in_machine_json_is_named(self, tmp_path: Path, rate: str) -> None:
        path = tmp_path / "machine.json"
        path.write_text(
            f'{{"device_peaks": {{"board": {{"precision": "float32", "measured_flop_per_s": {rate},'
            ' "measured_bytes_per_s": null, "theoretical_flop_per_s": null}}}'
        )
        with pytest.raises(BadInput, match="device_peaks"):
            machine.read(path)


CASE = Case(100, 100, 10, "float32", "relu")


def cell(
    device: str,
    time_s: float,
    known: dict[str, Peaks],
    trip: dict[Quantity, float] | None = None,
    passes: int = 1,
    **changes: Any,
) -> CellRow:
    """A cell with these times, estimated from made-up visits."""
    visits: list[Visit] = []
    blocks: list[Block] = []
    for number in range(1, passes + 1):
        planned = Cell("k", CASE, 0, 1, "warm")
        row = refusal(planned, number, number, "ok", "")
        visits.append(replace(row, device=device, error=0.5, **changes))
        blocks.append(Block(number, "time", 1, time_s))
        blocks += [Block(number, name, 1, s) for name, s in (trip or {}).items()]
    (made,) = rows_of(visits, blocks, known)
    return made


KNOWN = {
    "cpu": Peaks("float32", 1e9, None, None),
    BOARD: Peaks("float32", 4e11, None, 1e12),
}


class TestShares:
    """A cell is judged by the ceiling of its own device."""

    def test_of_the_larger_of_the_measured_and_of_the_stated(self) -> None:
        made = cell(BOARD, CASE.flops / 2e11, KNOWN)
        assert made.status == "ok"
        assert made.percent_of_peak == pytest.approx(20)
        assert made.percent_of_measured == pytest.approx(50)
        assert made.percent_of_stated == pytest.approx(20)

    def test_what_is_not_known_is_empty(self) -> None:
        made = cell("cpu", CASE.flops / 5e8, KNOWN)
        assert made.percent_of_peak == pytest.approx(50)
        assert made.percent_of_stated is None
        nothing = cell("another", 1e-6, KNOWN)
        assert nothing.percent_of_peak is nothing.percent_of_measured is None

    def test_more_than_its_own_device_can_do_is_impossible(self) -> None:
        assert cell(BOARD, CASE.flops / 1.24e12, KNOWN).status == "ok"
        assert cell(BOARD, CASE.flops / 1.26e12, KNOWN).status == "impossible"
        # what the board can do is impossible for the CPU
        assert cell("cpu", CASE.flops / 2e11, KNOWN).status == "impossible"


class TestLaunchBound:
    """A cell whose time is the host's."""

    @pytest.mark.parametrize(("launch_s", "said"), [(8.1e-6, "yes"), (2e-5, "yes"), (7.9e-6, "no")])
    def test_where_the_hosts_launch_is_most_of_the_time(self, launch_s: float, said: str) -> None:
        trip: dict[Quantity, float] = {"launch": launch_s, "latency": launch_s + 5e-6}
        assert cell(BOARD, 1e-5, {}, trip).launch_bound == said

    def test_never_on_a_cpu(self) -> None:
        trip: dict[Quantity, float] = {"launch": 1e-5, "latency": 2e-5}
        assert cell("cpu", 1e-5, {}, trip).launch_bound == "no"

    @pytest.mark.parametrize(
        ("launch_s", "fence_s", "said"),
        [(2e-6, 0.9e-6, "no"), (3e-6, 1.1e-6, "yes"), (1e-3, 1.9e-5, "no"), (1e-3, 2.2e-5, "yes")],
    )
    def test_never_where_a_launch_returns_with_the_work_done(
        self, launch_s: float, fence_s: float, said: str
    ) -> None:
        trip: dict[Quantity, float] = {"launch": launch_s, "latency": launch_s + fence_s}
        assert cell(BOARD, launch_s, {}, trip).launch_bound == said

    def test_never_where_the_device_still_works_when_a_launch_has_returned(self) -> None:
        trip: dict[Quantity, float] = {"launch": 3e-5, "latency": 3.6e-5}
        assert cell(BOARD, 1e-5, {}, trip).launch_bound == "no"

    def test_unknown_where_no_launch_was_timed_or_there_is_no_time(self) -> None:
        assert cell(BOARD, 1e-5, {}).launch_bound == ""
        impossible = {BOARD: Peaks("float32", 1.0, None, None)}
        trip: dict[Quantity, float] = {"launch": 1e-5, "latency": 1.4e-5}
        assert cell(BOARD, 1e-5, impossible, trip).launch_bound == ""
        assert cell(BOARD, 1e-5, {}, trip).launch_bound == "yes"


class TestState:
    """What a cell's device was doing, of the visits that count."""

    def test_medians_and_how_many_were_throttled(self) -> None:
        states: list[tuple[float, tuple[str, ...]]] = [
            (1500.0, ("power cap",)),
            (1800.0, ()),
            (1900.0, ("power cap", "power brake")),
        ]
        visits, blocks = [], []
        for number, (mhz, why) in enumerate(states, 1):
            row = refusal(Cell("k", CASE, 0, 1, "warm"), number, number, "ok", "")
            visits.append(replace(row, device=BOARD, device_mhz=mhz, device_throttled=why))
            blocks.append(Block(number, "time", 1, 1e-3))
        (made,) = rows_of(visits, blocks)
        assert (made.device_mhz, made.throttled, made.visits) == (1800.0, 2, 3)
        assert made.device_watts is None

    def test_visits_that_do_not_count_are_left_out(self) -> None:
        visits, blocks = [], []
        for number in range(1, 13):
            row = refusal(Cell("k", CASE, 0, 1, "warm"), number, number, "ok", "")
            slow = number == 12
            visits.append(
                replace(
                    row,
                    device=BOARD,
                    measured_s=1.0,
                    waited_s=0.5 if slow else 0.0,
                    device_celsius=99.0 if slow else 50.0,
                    device_throttled=("power brake",) if slow else (),
                )
            )
            blocks.append(Block(number, "time", 1, 1e-3))
        (made,) = rows_of(visits, blocks)
        assert (made.disturbed, made.device_celsius, made.throttled) == (1, 50.0, 0)
