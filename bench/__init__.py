"""A benchmark of one dense layer's forward step, `A_out = g(A_in @ W + b)`, written several ways.

The way of the data, a room a stage; each room's own docstring says what its files do:

    sweeps/*.toml      which widths, batches and kernels
        v
    plan/              a sweep -> cases; their work; a layer's own weights from a file
        v
    measure/           the parent: which cell next, when to stop, one visit, a worker's process
        | messages
    worker/            the child, one a kernel: set-up, launches, clocks (holds kernels/*.py)
    judge/             a child beside them: draws the inputs, knows the answers, compares outputs
        v              (between the three: ipc/, arrays in shared memory)
    data/              a run on disk: visits.csv and blocks.csv are the truth, cells.csv follows
        v
    stats/             blocks -> numbers: which visits count, a time and its interval, speed-ups
        v
    show/              the table, progress, Markdown; pictures/: what a run's charts say;
                       charts/, deck/ and page/ draw them

Each command is a file of commands/; `session.py` is a run from its options to its last chart. Two
commits take another way, from sides to verdicts: gate/. Counting instructions, for a run and for
the gate, is in count/; runs over time are in history/, those of many machines in fleet/. What the
machine is and can do is in machine/, what can run on it and what to do about the rest in doctor/,
the scripts behind published figures about the harness in studies/, and what passes between the
program and a terminal in terminal/. `suite.py` times the same cells under pytest-benchmark.
"""

import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - said in one line, before an import fails
    sys.exit("error: Python 3.11 or newer is needed, and this is " + sys.version.split()[0])

ROOT = Path(__file__).parent.parent
"""The checkout."""
