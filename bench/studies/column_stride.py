"""What does it cost `numpy_dot` that column j of a C-ordered W is not one piece of memory?

The same kernel with the columns copied to rows beforehand.

    python -m bench.studies.column_stride
"""

from pathlib import Path

from bench.stats import adjust
from bench.studies import cell, run, write

CONTIGUOUS = str(Path(__file__).parent / "kernels" / "contiguous_dot.py")
WIDTHS = (64, 256, 1000, 2048)
BATCHES = (1, 16)


def main() -> None:
    """Run once, write results/studies/column_stride.csv, print the table."""
    names = [(width, batch) for width in WIDTHS for batch in BATCHES]
    strided = [cell("numpy_dot", *name) for name in names]
    contiguous = [cell(CONTIGUOUS, *name) for name in names]
    times = run([*strided, *contiguous], budget_s=45.0, seed=1).by_cell
    rows = []
    for (width, batch), slow, fast in zip(names, strided, contiguous, strict=True):
        ratio = adjust.ratio(times[slow], times[fast])
        rows.append(
            {
                "width": width,
                "batch": batch,
                "visits": ratio.visits,
                "strided_over_contiguous": ratio.value,
                "low": ratio.low,
                "high": ratio.high,
            }
        )
        print(
            f"width {width}, batch {batch}: {ratio.value:.2f} times"
            f" ({ratio.low:.2f} to {ratio.high:.2f})"
        )
    write("column_stride", rows)


if __name__ == "__main__":
    main()
