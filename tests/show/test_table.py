"""The table and the headline say what the cells hold, and nothing that they don't."""

import io
from dataclasses import replace

import pytest
from made_up_runs import Book, rows_of, run_of
from msgspec import structs
from rich.console import Console

from bench.data.machine import Blas, Cpu, Level, Machine, Peaks
from bench.data.records import STATUSES, Basis, Block, CellRow, Status, Visit
from bench.measure.visit import refusal
from bench.plan.case import Case
from bench.plan.cell import Cell
from bench.show import table


def visited(
    kernel: str, seconds: list[float], width: int = 1000, batch: int = 1, cache: str = "warm"
) -> tuple[list[Visit], list[Block]]:
    """A visit a pass, of one block each. Its numbers are the passes', made distinct by `run`."""
    planned = Cell(kernel, Case(width, width, batch, "float32", "relu"), 0, 2, cache)
    visits = [
        replace(refusal(planned, n, n, "ok", ""), device="cpu") for n in range(1, len(seconds) + 1)
    ]
    return visits, [Block(n, "time", 1, s) for n, s in enumerate(seconds, start=1)]


def run(*cells: tuple[list[Visit], list[Block]]) -> tuple[list[Visit], list[Block]]:
    """The visits of several cells as one run's."""
    visits: list[Visit] = []
    blocks: list[Block] = []
    for its_visits, its_blocks in cells:
        before = len(visits)
        visits += [replace(v, visit=v.visit + before) for v in its_visits]
        blocks += [replace(b, visit=b.visit + before) for b in its_blocks]
    return visits, blocks


def cell(kernel: str = "numpy_dot", width: int = 16, batch: int = 1) -> CellRow:
    """A measured cell: 20 µs, give or take a tenth."""
    book = run(visited(kernel, [18e-6, 20e-6, 22e-6] * 2, width, batch))
    (made,) = rows_of(*book)
    return made


def without_number(status: Status) -> CellRow:
    """A cell that was refused."""
    (visits, _) = visited("numpy_dot", [1.0], width=16)
    refused = replace(visits[0], status=status, reason="the reason")
    (made,) = rows_of([refused], [])
    return made


def printed(cells: list[CellRow]) -> str:
    """The table as it comes out of a wide terminal without colours."""
    out = io.StringIO()
    Console(file=out, width=200, no_color=True).print(table.tables(cells, 200)[0])
    return out.getvalue()


class TestTable:
    """What `run` prints."""

    def test_an_entry_has_time_interval_and_rate(self) -> None:
        assert table.entry(cell()).plain == "20.0 µs ±12%\n26.4 MFLOP/s"

    def test_an_entry_of_few_visits_says_how_many(self) -> None:
        for visits, said in ((1, "(1 visit)"), (5, "(5 visits)")):
            few = replace(cell(), visits=visits, time_low_s=None, time_high_s=None)
            assert table.entry(few).plain == f"20.0 µs {said}\n26.4 MFLOP/s"

    def test_a_hopeless_interval_is_not_given_in_percent(self) -> None:
        wide = replace(cell(), time_low_s=1e-6, time_high_s=1e-3)
        assert "±>100%" in table.entry(wide).plain

    def test_a_speed_up_too_wide_for_one_number_is_given_as_its_interval(self) -> None:
        wide = replace(cell(), speedup=25.0, speedup_low=9.0, speedup_high=30.0)
        assert table.entry(wide).plain.endswith("9.00 to 30.0x")

    def test_an_entry_has_its_speed_up(self) -> None:
        fast = replace(cell(), speedup=25.04, speedup_low=20.0, speedup_high=30.0)
        assert table.entry(fast).plain.endswith("MFLOP/s 25.0x ±20%")

    @pytest.mark.parametrize("status", [s for s in STATUSES if s != "ok"])
    def test_a_cell_without_a_number_shows_its_status_and_no_digit(self, status: Status) -> None:
        assert table.entry(without_number(status)).plain == status
        assert status in printed([without_number(status)])

    @pytest.mark.parametrize("status", STATUSES)
    def test_what_went_wrong_stands_out_and_what_was_not_asked_does_not(
        self, status: Status
    ) -> None:
        expected = {
            "wrong": "red",
            "crashed": "red",
            "error": "red",
            "impossible": "red",
            "timeout": "red",
            "out_of_memory": "red",
            "ok": "",
        }
        made = cell() if status == "ok" else without_number(status)
        assert table.entry(made).style == expected.get(status, "dim")

    def test_a_row_is_a_case_and_a_column_a_kernel_in_the_order_of_the_story(self) -> None:
        names = ["zebra", "cupy_matmul", "numpy_matmul", "another", "numpy_dot", "python_loop"]
        story = ["python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul", "another", "zebra"]
        out = printed([cell(name) for name in names])
        assert sorted(names, key=out.index) == story
        assert "16 x 16" in out

    def test_rows_go_by_layer_and_batch(self) -> None:
        sizes = [(1000, 1), (16, 64), (16, 1), (128, 4)]
        shown = table.tables([cell(width=width, batch=batch) for width, batch in sizes], 200)[0]
        labels = [str(label) for label in shown.columns[0].cells]
        assert labels == [
            "16 x 16\nbatch 1",
            "16 x 16\nbatch 64",
            "128 x 128\nbatch 4",
            "1000 x 1000\nbatch 1",
        ]

    def test_a_case_that_a_kernel_has_no_cell_of_is_a_dash(self) -> None:
        shown = table.tables([cell("numpy_dot"), cell("numpy_matmul", width=128)], 200)[0]
        dots, matmul = ([str(entry) for entry in column.cells] for column in shown.columns[1:])
        assert dots[1] == matmul[0] == "-"
        assert "-" not in (dots[0], matmul[1])

    def test_the_caption_says_what_the_numbers_hold_for(self) -> None:
        cold = replace(cell(), cache="cold", precision="float64")
        said = table.caption([cell(), cell("numpy_matmul"), cold])
        assert said.startswith("float32, relu, 2 threads, warm caches; float64, relu, 2 threads,")

    def test_what_does_not_fit_beside_goes_below_and_nothing_is_cut(self) -> None:
        kernels = [f"a_kernel_with_a_long_name_{i}" for i in range(12)]
        out = io.StringIO()
        console = Console(file=out, width=120, no_color=True)
        parts = table.tables([cell(kernel) for kernel in kernels], console.width)
        for part in parts:
            console.print(part)
        text = out.getvalue()
        assert len(parts) == 4
        assert "…" not in text
        assert [kernel for kernel in kernels if kernel in text] == kernels
        assert text.count("20.0 µs") == len(kernels)
        assert text.count("16 x 16") == len(parts)
        (narrow,) = table.tables([cell("n" * 200)], 80)
        assert len(narrow.columns) == 2

    def test_without_the_loop_nobody_speaks_of_speed_ups(self) -> None:
        alone = [cell()]
        assert "speed-up" not in printed(alone) + table.caption(alone)
        beside = [replace(cell(), speedup=3.0), *alone]
        assert "speed-up" in printed(beside)
        assert "speed-up" in table.caption(beside)

    def test_an_empty_run_has_an_empty_table(self) -> None:
        assert "layer" in printed([])


class TestSpeedup:
    """A speed-up never claims more than its interval."""

    def shown(self, low: float, value: float, high: float, basis: Basis = "measured") -> str:
        made = replace(cell(), speedup=value, speedup_low=low, speedup_high=high)
        return table.speedup(replace(made, speedup_basis=basis))

    def test_a_measured_one_is_shown_as_times(self) -> None:
        assert self.shown(1800, 1948.7, 2000) == "1,950x ±5%"
        assert self.shown(0.4, 0.5, 0.6) == "0.500x ±20%"

    def test_a_predicted_one_is_marked(self) -> None:
        assert self.shown(1800, 1948.7, 2000, "predicted") == "~1,950x ±5%"

    @pytest.mark.parametrize("interval", [(0.9, 1.2, 1.3), (0.8, 0.9, 1.0), (1.0, 1.0, 1.0)])
    def test_one_that_cannot_be_told_from_one_is_shown_as_one(
        self, interval: tuple[float, float, float]
    ) -> None:
        assert self.shown(*interval) == "=1x"

    def test_none_is_shown_as_nothing(self) -> None:
        assert table.speedup(replace(cell(), speedup=None)) == ""


class TestReasons:
    """Why cells have no number."""

    def test_a_line_for_each_kernel_and_status_with_the_first_reason(self) -> None:
        skipped = replace(without_number("skipped"), kernel="python_loop")
        lines = table.reasons(
            [
                without_number("unavailable"),
                skipped,
                cell(),
                replace(skipped, n_units=32),
                replace(without_number("crashed"), kernel="python_loop"),
            ]
        )
        assert lines == [
            "numpy_dot: unavailable (1 cell): the reason",
            "python_loop: crashed (1 cell): the reason",
            "python_loop: skipped (2 cells): the reason",
        ]

    def test_a_good_run_needs_none(self) -> None:
        assert table.reasons([cell(), cell("numpy_matmul")]) == []


class TestHeadline:
    """The project's point in one sentence."""

    loop = visited("python_loop", [0.04, 0.05, 0.03, 0.04, 0.06, 0.04])
    dots = visited("numpy_dot", [2e-3, 2.5e-3, 1.5e-3, 2e-3, 3e-3, 2e-3])
    matmul = visited("numpy_matmul", [1e-4, 1.25e-4, 0.75e-4, 1e-4, 1.5e-4, 1e-4])

    def test_it_holds_the_ratios_and_their_intervals(self) -> None:
        even = [1e-4] * 6
        matmul = visited("numpy_matmul", even)
        dots = visited("numpy_dot", [20 * s for s in even])
        made = run_of(*run(self.loop, dots, matmul))
        (row,) = (row for row in made.cells if row.kernel == "numpy_matmul")
        assert row.speedup is not None
        low, high = (f"{end:.0f}" for end in (row.speedup_low or 0, row.speedup_high or 0))
        assert table.headline(made) == (
            f"1000 units, one example: one matmul is 400 times the Python loop ({low} to {high}),"
            " 20.0 times 1000 dots (20.0 to 20.0)."
        )

    def test_a_machine_that_changes_speed_cancels(self) -> None:
        book = Book()
        for number in range(1, 13):
            slower = 1.5 ** (number % 2)
            for kernel, seconds in (("python_loop", 0.04), ("numpy_matmul", 1e-4)):
                blocks = [seconds * slower] * 10
                book.good(kernel, number, *blocks, width=1000, probe_s=5e-5 * slower)
        said = str(table.headline(run_of(book.visits, book.blocks)))
        assert said.startswith("1000 units, one example: one matmul is 400 times the Python loop")

    def test_without_the_loop_it_is_about_the_dots(self) -> None:
        said = table.headline(run_of(*run(self.dots, self.matmul)))
        assert said is not None
        assert said.startswith("1000 units, one example: one matmul is 20.0 times 1000 dots (")

    def test_a_ratio_that_cannot_be_told_from_one_is_left_out(self) -> None:
        dots = visited("numpy_dot", [0.9e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4])
        said = table.headline(run_of(*run(self.loop, dots, self.matmul)))
        assert said is not None
        assert "dots" not in said
        assert table.headline(run_of(*run(dots, self.matmul))) is None

    @pytest.mark.parametrize(
        "missing",
        [
            run(),
            run(loop, dots),
            run(matmul),
            run(loop, visited("numpy_matmul", [1e-4] * 6, width=1024)),
            run(loop, visited("numpy_matmul", [1e-4] * 6, batch=64)),
            run(
                visited("python_loop", [0.04] * 6, cache="cold"),
                visited("numpy_matmul", [1e-4] * 6, cache="cold"),
            ),
        ],
        ids=["all", "matmul", "the others", "width 1000", "one example", "a warm cache"],
    )
    def test_without_the_data_there_is_none(self, missing: tuple[list[Visit], list[Block]]) -> None:
        assert table.headline(run_of(*missing)) is None

    def test_it_needs_no_common_pass(self) -> None:
        visits, blocks = run(self.loop, self.matmul)
        apart = [
            replace(v, pass_number=v.pass_number + 10) if v.kernel == "python_loop" else v
            for v in visits
        ]
        assert table.headline(run_of(apart, blocks)) == table.headline(run_of(visits, blocks))

    @pytest.mark.parametrize("kernel", ["python_loop", "numpy_matmul"])
    @pytest.mark.parametrize("status", ["wrong", "impossible"])
    def test_a_kernel_that_was_wrong_is_not_in_it(self, kernel: str, status: Status) -> None:
        visits, blocks = run(self.loop, self.matmul)
        last = next(v for v in reversed(visits) if v.kernel == kernel)
        void = replace(last, visit=99, pass_number=99, status=status, reason="row 0 is nan")
        assert table.headline(run_of([*visits, void], blocks)) is None

    def test_a_kernel_that_crashed_later_is(self) -> None:
        visits, blocks = run(self.loop, self.matmul)
        crash = replace(visits[-1], visit=99, pass_number=99, status="crashed", device="")
        said = table.headline(run_of([*visits, crash], blocks))
        assert said is not None
        assert "400 times the Python loop" in said


def test_the_machine_is_told_in_two_lines_with_its_ceilings() -> None:
    cpu, blas = Cpu("A CPU", cores_usable=2), Blas("openblas", "0.3", "Zen")
    peaks = Peaks("float32", 2.05e11, 3.1e10, 2.5e11)
    assert table.machine(Machine(cpu=cpu, blas=(blas,), threads=2, peaks=peaks)) == [
        "A CPU, 2 usable cores; openblas 0.3 for Zen, 2 threads",
        (
            "float32: NumPy's best product 205 GFLOP/s (250 GFLOP/s by its flags and clock);"
            " memory 31.0 GB/s"
        ),
    ]
    lacking = structs.replace(peaks, lacking="numba is not installed")
    assert table.cpu_peaks(lacking) == [
        (
            "float32: NumPy's best product 205 GFLOP/s (250 GFLOP/s by its flags and clock); memory"
            " 31.0 GB/s; multiply-adds in registers not measured: numba is not installed"
        )
    ]
    levels = (Level("L1", 4e11, 5e11), Level("memory", 3.5e10, 5e10))
    full = structs.replace(peaks, registers_flop_per_s=2.36e11, levels=levels)
    assert table.cpu_peaks(full) == [
        (
            "float32: NumPy's best product 205 GFLOP/s (250 GFLOP/s by its flags and clock);"
            " multiply-adds in registers 236 GFLOP/s"
        ),
        "read (and copied, in and out) from L1 400 GB/s (500 GB/s), memory 35.0 GB/s (50.0 GB/s)",
    ]
    half = structs.replace(
        full, precision="bfloat16", measured_flop_per_s=None, registers_by="vdpbf16ps"
    )
    assert table.cpu_peaks(half)[0] == (
        "bfloat16: multiply-adds in registers (the CPU's instruction vdpbf16ps) 236 GFLOP/s"
        " (250 GFLOP/s by its flags and clock)"
    )
    widened = structs.replace(half, theoretical_flop_per_s=None, registers_by="float32")
    assert table.cpu_peaks(widened) == [
        (
            "bfloat16: multiply-adds in registers (in float32, to which smaller numbers are"
            " widened) 236 GFLOP/s"
        ),
        table.cpu_peaks(full)[1],
    ]
    tiles = structs.replace(
        widened, registers_flop_per_s=None, registers_by="", lacking="this CPU has AMX"
    )
    assert table.cpu_peaks(tiles) == [
        "bfloat16: multiply-adds in registers not measured: this CPU has AMX",
        table.cpu_peaks(full)[1],
    ]
    assert table.machine(Machine(cpu=cpu, threads=2)) == [
        "A CPU, 2 usable cores; no BLAS found, 2 threads"
    ]
    assert table.machine(Machine()) == []


def test_a_run_of_few_visits_says_what_its_intervals_are_worth() -> None:
    few, enough, none = (replace(cell(), visits=visits) for visits in (3, 4, 0))
    assert table.caution([enough, none]) is None
    said = table.caution([few, enough, few])
    assert (
        said == "2 cells had under 4 visits, too few for an interval (a longer --budget gives more)"
    )
    assert table.caution([none]) == "nothing was measured"


def probed(*slower: float) -> Book:
    """A visit to numpy_dot for each: how many times longer the probe and the launches took."""
    book = Book()
    for number, times in enumerate(slower, start=1):
        book.good("numpy_dot", number, *[1e-3 * times] * 10, probe_s=5e-5 * times)
    return book


def state_of(book: Book) -> str | None:
    return table.state(run_of(book.visits, book.blocks))


@pytest.mark.parametrize(
    ("slower", "said"),
    [
        ([1.0] * 8, "used this core's hardware 0 % of the time; times are given for the core"),
        ([1.0] * 6 + [1.5, 1.6], "used this core's hardware 25 % of the time"),
        ([1.0] * 2 + [1.5] * 6, "75 % of the time; times are given for the core alone; as found"),
    ],
)
def test_a_run_says_what_the_machine_was_like(slower: list[float], said: str) -> None:
    sentence = state_of(probed(*slower))
    assert sentence is not None
    assert said in sentence
    assert sentence.endswith(("times longer.", "they were the same."))


def test_visits_that_do_not_count_are_counted_with_the_reason() -> None:
    book = probed(*[1.0] * 8)
    book.visits[3] = replace(book.visits[3], waited_s=1.0, measured_s=1.0)
    said = " 1 visit does not count: in 1 threads waited for a core."
    assert str(state_of(book)).endswith(said)
    book.visits[4] = replace(book.visits[4], steal_s=1.0, wall_s=1.0)
    assert " 2 visits do not count" in str(state_of(book))


def test_without_a_visit_beside_the_probe_nothing_is_said_of_the_machine() -> None:
    assert table.state(run_of([], [])) is None
    assert table.state(run_of(*visited("numpy_dot", [1.0] * 8))) is None


def test_a_kernel_that_cannot_run_here_has_no_column_but_a_reason() -> None:
    there = without_number("unavailable")
    rows = [replace(there, kernel="cupy_matmul"), replace(there, kernel="numpy_dot", status="ok")]
    shown = table.tables(rows, 200)[0]
    assert [str(column.header).split("\n")[0] for column in shown.columns] == ["layer", "numpy_dot"]
    assert len(table.tables(rows[:1], 200)[0].columns) == 2
