"""How a run's numbers came about: the words of a deck that belong to no picture."""

from bench.show import table
from bench.show.pictures import Run

COMMON = (
    "How it was measured: passes visit every cell in turn, each visit with fresh buffers at a"
    " random place in memory, the output checked against float64 before and after. A cell's"
    " time is the median over its quiet visits of the visit's fastest block; the interval is"
    " 95 % for that median. It says how well this run knows its own median; another day can"
    " move all of it."
)

HEADLINE = (
    "The layer: A_out = g(A_in @ W + b). The same mathematics, and the same numbers out,"
    " whichever way it is written. The speed-ups are paired: both sides were measured next to"
    " each other in each pass. In brackets the 95 % interval.\n\n" + COMMON
)
NOTHING = "A cell without a number says why in cells.csv, column reason."
METHOD = (
    COMMON + "\n\n"
    "A visit is disturbed where a control, fixed work timed on each core beside the kernel's,"
    " took a tenth longer than the run's quiet level. The rule sees the machine and never the"
    " kernel's times, so it can't favour a result. Everything that was measured is in"
    " visits.csv and blocks.csv, a row as it happened."
)


def points(run: Run) -> list[str]:
    """How a run was measured, a sentence each, with its own counts."""
    visits, aside = (int(run.cells[name].sum()) for name in ("visits", "disturbed"))
    said = [
        "Passes visit every cell in turn: a disturbance meets all kernels alike",
        "Each output is checked against float64; a kernel that is wrong reaches no chart",
        "A number is the median over quiet visits of their fastest block; bars: 95 % interval",
        f"{visits:,} visits count; {aside:,} are set aside, told by a control beside the kernel",
    ]
    return [*said, *table.machine(run.machine)]
