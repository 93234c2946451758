"""cells.csv -> what `run` prints at the end: the table and the headline sentence."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from bench.data.machine import WIDENED, Machine, Peaks
from bench.data.records import CellRow, Visit
from bench.show import machine_state
from bench.stats import adjust
from bench.stats.cell_visits import Aside, cell_of
from bench.stats.run_data import RunData
from bench.stats.speedup import BASELINE
from bench.terminal import units
from bench.terminal.text import plain

HEADLINE_WIDTH = 1000
LAUNCH_BOUND = "†"
WAITED = "‡"
ORDER = ("python_loop", "numpy_dot", "numpy_matmul", "cupy_matmul", "cupy_fused")


def machine(machine: Machine) -> list[str]:
    """What the numbers were measured on; nothing of a machine that isn't known."""
    if not machine.threads:
        return []
    cpu, peaks = machine.cpu, machine.peaks
    blas = [f"{b.library} {b.version} for {b.core_type}" for b in machine.blas]
    cores = f"{cpu.model}, {cpu.cores_usable} usable cores"
    lines = [f"{cores}; {', '.join(blas) or 'no BLAS found'}, {machine.threads} threads"]
    if machine.tuned:
        lines[0] += f"; numba_packed with the parameters that --tune found: {machine.tuned}"
    return [*lines, *(cpu_peaks(peaks) if peaks else [])]


def cpu_peaks(peaks: Peaks) -> list[str]:
    """What the CPU's arithmetic and memory can do, or why not all of it is known."""
    by_flags = peaks.theoretical_flop_per_s, "FLOP/s", "flags and clock"
    parts = []
    if peaks.measured_flop_per_s:
        parts.append(f"NumPy's best product {_rate(peaks.measured_flop_per_s, *by_flags)}")
    if not peaks.levels:
        parts.append(f"memory {_rate(peaks.memory_bytes_per_s, None, 'B/s', '')}")
    if registers := peaks.registers_flop_per_s:
        rate = units.si(registers, "FLOP/s") if parts else _rate(registers, *by_flags)
        parts.append(f"multiply-adds in registers{_by(peaks.registers_by)} {rate}")
    elif peaks.lacking:
        parts.append(f"multiply-adds in registers not measured: {peaks.lacking}")
    lines = [f"{peaks.precision}: {'; '.join(parts)}"]
    if peaks.levels:
        levels = (
            f"{level.name} {units.si(level.read_bytes_per_s, 'B/s')}"
            f" ({units.si(level.copy_bytes_per_s, 'B/s')})"
            for level in peaks.levels
        )
        lines.append(f"read (and copied, in and out) from {', '.join(levels)}")
    return lines


def _by(instruction: str) -> str:
    """Which instruction did it, where the precision alone doesn't say that."""
    if instruction == WIDENED:
        return f" (in {WIDENED}, to which smaller numbers are widened)"
    return f" (the CPU's instruction {instruction})" if instruction else ""


def device_peaks(machine: Machine) -> list[str]:
    """What each device but the CPU can do: measured on it, and by its data sheet."""
    by = "units and clock"
    return [
        f"{plain(device)}: {peaks.precision}: best product"
        f" {_rate(peaks.measured_flop_per_s, peaks.theoretical_flop_per_s, 'FLOP/s', by)};"
        f" memory {_rate(peaks.measured_bytes_per_s, peaks.theoretical_bytes_per_s, 'B/s', by)}"
        for device, peaks in machine.device_peaks.items()
    ]


def _rate(measured: float | None, theoretical: float | None, unit: str, by: str) -> str:
    rate = units.si(measured, unit) if measured else "not measured"
    return f"{rate} ({units.si(theoretical, unit)} by its {by})" if theoretical else rate


def tables(cells: Sequence[CellRow], width: int) -> list[Table]:
    """A row a case, a column a kernel: time with its interval, rate, speed-up over the loop; of
    more columns than fit beside each other, several tables one below another.

    A kernel that was measured on several devices has a column for each; one that can't run here
    has none, for `reasons` says why.
    """
    there = [cell for cell in cells if cell.status != "unavailable"] or cells
    numbers = "time, rate, speed-up" if compared(cells) else "time, rate"
    cases = {case: {column(c): c for c in group} for case, group in groupby(_sorted(cells), row)}
    labels = [Text("layer\n"), *(label(*case) for case in cases)]
    shown: list[list[list[Text]]] = [[labels]]
    left = first = width - 2 - _width(labels)  # 2: the edges
    for place, heading in columns(there).items():
        # as Text: a name with brackets in it is no markup
        texts = [Text(f"{heading}\n{numbers}")]
        texts += [entry(here[place]) if place in here else Text("-") for here in cases.values()]
        if (left := left - GAP - _width(texts)) < 0 and len(shown[-1]) > 1:
            shown.append([labels])
            left = first - GAP - _width(texts)
        shown[-1].append(texts)
    return list(map(_table, shown))


GAP = 2
"""Blanks between two columns."""


def _sorted(cells: Sequence[CellRow]) -> list[CellRow]:
    return sorted(cells, key=row)


def _width(texts: Sequence[Text]) -> int:
    return max(text.cell_len for whole in texts for text in whole.split())


def _table(columns: Sequence[Sequence[Text]]) -> Table:
    """Columns of texts, headings first."""
    shown = Table(header_style="bold", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    headings, *rows = zip(*columns, strict=True)
    for heading in headings:
        shown.add_column(heading, justify="right")
    for texts in rows:
        shown.add_row(*texts)
    return shown


def columns(cells: Sequence[CellRow]) -> dict[tuple[str, int], str]:
    """The columns, in the order in which they are told of, and their headings."""
    places = sorted({column(c) for c in cells}, key=lambda c: (_place(c[0]), c[1]))
    devices = Counter(kernel for kernel, _ in places)
    return {
        (kernel, index): f"{plain(kernel)} on {index}" if devices[kernel] > 1 else plain(kernel)
        for kernel, index in places
    }


def column(cell: CellRow) -> tuple[str, int]:
    """What the cells of a column share."""
    return cell.kernel, cell.device_index


def row(cell: CellRow) -> tuple[int, int, str, str, int]:
    """What the cells of a row share; the order of the rows."""
    activation = cell.activation if cell.layer else ""  # of the others the caption says it
    return (cell.n_in, cell.n_units, cell.layer, activation, cell.batch)


def label(n_in: int, n_units: int, layer: str, activation: str, batch: int) -> Text:
    """A row's layer in two lines, by its name where it has one."""
    shape = f"{n_in} x {n_units}"
    if layer:
        return Text(f"{plain(layer)}\n{shape} {activation}, batch {batch}")
    return Text(f"{shape}\nbatch {batch}")


def entry(cell: CellRow) -> Text:
    """One cell in two lines; a cell without a number says why in a word."""
    if cell.time_s is None:
        return Text(cell.status, style="red" if cell.status in FAILED else "dim")
    time, rate = units.si(cell.time_s, "s"), units.si(cell.flop_per_s or 0.0, "FLOP/s")
    mark = LAUNCH_BOUND if cell.launch_bound == "yes" else ""
    mark += WAITED if waited(cell) else ""
    return Text(f"{mark}{time} {spread(cell)}\n{rate} {speedup(cell)}".strip())


def compared(cells: Sequence[CellRow]) -> bool:
    """Whether there are speed-ups: python_loop is among the kernels."""
    return any(cell.speedup is not None for cell in cells)


def waited(cell: CellRow) -> bool:
    """Whether a cell's number rests on visits alone that waited for a core."""
    return 0 < cell.visits <= cell.waited


def spread(cell: CellRow) -> str:
    """The interval's half-width, or how many visits there were where they are too few for one."""
    if cell.time_s is None or cell.time_low_s is None or cell.time_high_s is None:
        return "(1 visit)" if cell.visits == 1 else f"({cell.visits} visits)"
    percent = 100 * (cell.time_high_s - cell.time_low_s) / 2 / cell.time_s
    return f"±{percent:.0f}%" if percent <= 100 else "±>100%"


def caption(cells: Sequence[CellRow]) -> str:
    """What the table's numbers hold for, and how to read them."""
    conditions = {
        ", ".join(
            part
            for part in (
                c.precision,
                "" if c.layer else c.activation,
                f"{c.threads} threads",
                f"{c.cache} caches",
            )
            if part
        )
        for c in cells
    }
    words = f"{'; '.join(sorted(conditions))}; ± is half the 95 % interval of time and rate"
    if compared(cells):
        words += (
            "; speed-ups are over python_loop; ~ its time is predicted; =1x no difference was found"
        )
    if any(c.launch_bound == "yes" for c in cells):
        words += (
            f"; {LAUNCH_BOUND} launch-bound: the GPU waited because Python could not submit work"
            " fast enough"
        )
    if any(map(waited, cells)):
        words += f"; {WAITED} all of its visits waited for a core: slower than on a quiet machine"
    return words


FAILED = ("wrong", "crashed", "error", "impossible", "timeout", "out_of_memory")


def reasons(cells: Sequence[CellRow]) -> list[str]:
    """Why cells have no number: a line for each kernel and status, with the first reason."""
    lines = []
    without = sorted((c for c in cells if c.status != "ok"), key=lambda c: (c.kernel, c.status))
    for (kernel, status), group in groupby(without, lambda c: (c.kernel, c.status)):
        several = list(group)
        lines.append(plain(f"{kernel}: {status} ({_count(len(several))}): {several[0].reason}"))
    return lines


def caution(cells: Sequence[CellRow]) -> str | None:
    """What this run can't say; None where it has all it set out for."""
    if not any(cell.visits for cell in cells):
        return "nothing was measured"
    few = sum(0 < cell.visits < adjust.ENOUGH for cell in cells)
    if not few:
        return None
    more = "a longer --budget gives more"
    return f"{_count(few)} had under {adjust.ENOUGH} visits, too few for an interval ({more})"


def state(run: RunData) -> str | None:
    """What the machine was like, and what that does to the numbers; None where it does nothing."""
    aside = sum((cell.set_aside for cell in run.by_cell.values()), Counter[Aside]())
    words = (machine_state.sentence(run.times.state), machine_state.set_aside(aside))
    return " ".join(filter(None, words)) or None


def throttling(visits: Sequence[Visit]) -> list[str]:
    """How many visits found a device's clock held back, and by what: a line a device.

    At its power cap under a large product a GPU is in its normal state, and the visits count.
    """
    lines = []
    good = [v for v in visits if v.status == "ok"]
    for device in sorted({v.device for v in good if v.device_throttled}):
        here = [v for v in good if v.device == device]
        held = [v.device_throttled for v in here if v.device_throttled]
        reasons = Counter(reason for reasons in held for reason in reasons)
        why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        lines.append(
            plain(
                f"{device} was throttled in {len(held)} of {len(here)} visits ({why}):"
                " visits.csv marks them in the column device_throttled"
            )
        )
    return lines


def _count(n: int) -> str:
    return "1 cell" if n == 1 else f"{n} cells"


def speedup(cell: CellRow) -> str:
    """The speed-up over the loop, with half its interval's width.

    "~" where the loop's time is predicted, "=1x" where the interval reaches across 1, the interval
    itself where it is so wide that no number in it says much.
    """
    if cell.speedup is None:
        return ""
    if cell.kernel == BASELINE:
        return "1x"
    mark = "~" if cell.speedup_basis == "predicted" else ""
    if cell.speedup_low is None or cell.speedup_high is None:
        return mark + units.times(cell.speedup)
    if cell.speedup_low <= 1 <= cell.speedup_high:
        return "=1x"
    if cell.speedup_high > 2 * cell.speedup_low:
        return f"{mark}{units.number(cell.speedup_low)} to {units.times(cell.speedup_high)}"
    percent = 100 * (cell.speedup_high - cell.speedup_low) / 2 / cell.speedup
    return f"{mark}{units.times(cell.speedup)} ±{percent:.0f}%"


def _place(kernel: str) -> tuple[int, str]:
    return (ORDER.index(kernel) if kernel in ORDER else len(ORDER), kernel)


def headline(run: RunData) -> str | None:
    """The project's point in one sentence, from this run; None where the run doesn't hold it."""
    times = {
        row.kernel: run.times.by_cell[cell_of(row)]
        for row in run.cells
        if (row.n_in, row.n_units, row.batch) == (HEADLINE_WIDTH, HEADLINE_WIDTH, 1)
        and not row.layer
        and row.time_s is not None
        and row.cache == "warm"
        and run.by_cell
    }
    matmul = times.get("numpy_matmul")
    if matmul is None:
        return None
    parts = []
    for kernel, words in (("python_loop", "the Python loop"), ("numpy_dot", "1000 dots")):
        ratio = adjust.ratio(times[kernel], matmul) if kernel in times else None
        if ratio is None or ratio.low <= 1:
            continue
        value, low, high = (units.number(r) for r in (ratio.value, ratio.low, ratio.high))
        interval = f"{low} to {high}" if ratio.known else "too few visits for an interval"
        parts.append(f"{value} times {words} ({interval})")
    if not parts:
        return None
    return f"1000 units, one example: one matmul is {', '.join(parts)}."
