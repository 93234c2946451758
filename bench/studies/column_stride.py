"""What does it cost `numpy_dot` that column j of a C-ordered W is not one piece of memory?

The same kernel with the columns copied to rows beforehand, paired by pass.

    python -m bench.studies.column_stride
"""

from pathlib import Path

from bench.stats.speedup import paired
from bench.studies import cell, run, write

CONTIGUOUS = str(Path(__file__).parent / "kernels" / "contiguous_dot.py")
WIDTHS = (64, 256, 1000, 2048)
BATCHES = (1, 16)


def main() -> None:
    """Run once, write results/studies/column_stride.csv, print the table."""
    names = [(width, batch) for width in WIDTHS for batch in BATCHES]
    strided = [cell("numpy_dot", *name) for name in names]
    contiguous = [cell(CONTIGUOUS, *name) for name in names]
    gathered = run([*strided, *contiguous], budget_s=45.0, seed=1)
    rows = []
    for (width, batch), slow, fast in zip(
        names, gathered[: len(names)], gathered[len(names) :], strict=True
    ):
        ratio = paired(slow, fast)
        assert ratio is not None
        rows.append(
            {
                "width": width,
                "batch": batch,
                "visits": len(slow.good),
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
