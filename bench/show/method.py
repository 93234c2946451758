"""How a run's numbers came about: the words of a deck and of a page that belong to no picture."""

from bench.show import table
from bench.show.pictures import Run

COMMON = (
    "How it was measured: passes visit every cell in turn, each visit with fresh buffers at a"
    " random place in memory, the output checked against float64 before and after. A cell's"
    " time is what a launch takes on a core left alone: the median over its visits, adjusted by a"
    " speed probe. The interval is 95 % for that. It says how well this run knows the time;"
    " another day can move all of it."
)

HEADLINE = (
    "The layer: A_out = g(A_in @ W + b). The same mathematics, and the same numbers out,"
    " whichever way it is written. Both sides of a speed-up are times on a core left alone,"
    " measured in turn. In brackets the 95 % interval.\n\n" + COMMON
)
NOTHING = "A cell without a number says why in cells.csv, column reason."
METHOD = (
    COMMON + "\n\n"
    "The speed probe is fixed work, timed between every two blocks of launches. How much longer it"
    " took than on a core left alone is how slow the machine was at that moment; each block's time"
    " is adjusted by it, as far as the kernel follows it. A GPU's own times are left as found."
    " Everything that was measured is in visits.csv and blocks.csv, a row as it happened, and"
    " cells.csv has each time as found, too."
)


def points(run: Run) -> list[str]:
    """How a run was measured, a sentence each, with its own counts."""
    visits, aside = (int(run.cells[name].sum()) for name in ("visits", "disturbed"))
    said = [
        "Passes visit every cell in turn: whatever else uses the machine meets all kernels alike",
        "Each output is checked against float64; a kernel that is wrong reaches no chart",
        "A time is for a core left alone: the median over visits, adjusted by a speed probe",
        f"{visits:,} visits count; {aside:,} were disturbed, by what the machine told, and don't",
    ]
    return [*said, *table.machine(run.machine)]
