"""How a run's numbers came about: the words of a deck that don't follow from them."""

from bench.show import charts, table

_COMMON = (
    "How it was measured: passes visit every cell in turn, each visit with fresh buffers at a"
    " random place in memory, the output checked against float64 before and after. A cell's"
    " time is the median over its quiet visits of the visit's fastest block; the interval is"
    " 95 % for that median. It says how well this run knows its own median; another day can"
    " move all of it."
)

HEADLINE = (
    "The layer: A_out = g(A_in @ W + b). The same mathematics, and the same numbers out,"
    " whichever way it is written. The speed-ups are paired: both sides were measured next to"
    " each other in each pass. In brackets the 95 % interval.\n\n" + _COMMON
)
SPEEDUP = (
    "What is plotted: how many times as fast as the Python loop each kernel is on the same"
    " case. The axis is on a log scale, each step ten times the last, and bars begin at 1, the"
    " loop itself. Speed-ups are paired: both sides were measured next to each other in each"
    " pass. A hatched bar is a speed-up over a loop that was too slow to run: its time is"
    " predicted from the largest layer that it ran.\n\n" + _COMMON
)
THROUGHPUT = (
    "What is plotted: the arithmetic of the layer (2 x batch x inputs x units, and the bias)"
    " over the time of a launch; launches in a row, inputs where the kernel computes. Both"
    " axes are on a log scale. The ceiling is what a large matrix product reached on this"
    " machine.\n\n" + _COMMON
)
BATCHING = (
    "What is plotted: each kernel's throughput as a share of the best that it reaches at any"
    " batch of this run, at one width. With one example every weight is read for two"
    " operations; with many, each weight is used again while it is near.\n\n" + _COMMON
)
ROOFLINE = (
    "What is plotted: each cell's throughput over its arithmetic intensity, the FLOPs for"
    " each byte of the layer's arrays, each read or written once. The dashed roof is measured:"
    " memory's bandwidth times the intensity, then the rate of a large matrix product. The"
    " dotted line is what the CPU's flags and stated clock promise. A layer that stays in the"
    " caches may stand above the memory's line.\n\n" + _COMMON
)
TIME = (
    "What is plotted: the seconds that one forward step of the whole batch takes, launches in"
    " a row, against the width of the layer. Both axes are on a log scale. The dotted line is"
    " what the work alone would take at the best rate of this batch; a kernel that is flatter"
    " than it spends its time on something else than the work. The time of one launch by"
    " itself and its fence is latency_s in cells.csv.\n\n" + _COMMON
)
NOTHING = "A cell without a number says why in cells.csv, column reason."
METHOD = (
    _COMMON + "\n\n"
    "A visit is disturbed where a control, fixed work timed on each core beside the kernel's,"
    " took a tenth longer than the run's quiet level. The rule sees the machine and never the"
    " kernel's times, so it can't favour a result. Everything that was measured is in"
    " visits.csv and blocks.csv, a row as it happened."
)


def points(run: charts.Run) -> list[str]:
    """How a run was measured, a sentence each, with its own counts."""
    visits, aside = (int(run.cells[name].sum()) for name in ("visits", "disturbed"))
    said = [
        "Passes visit every cell in turn: a disturbance meets all kernels alike",
        "Each output is checked against float64; a kernel that is wrong reaches no chart",
        "A number is the median over quiet visits of their fastest block; bars: 95 % interval",
        f"{visits:,} visits count; {aside:,} are set aside, told by a control beside the kernel",
    ]
    return [*said, *table.machine(run.machine)]
