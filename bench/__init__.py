"""A benchmark of one dense layer's forward step, `A_out = g(A_in @ W + b)`, written several ways.

The data path, a module a step:

    sweeps/*.toml
        | sweep.py      which cases; their work
        v
      cells             a kernel on a case
        | runner.py     which cell next, when to stop
        | visit.py      one visit to a cell, whatever happens to it
        | link.py       the messages to and from a worker process
        | keeper.py     the process beside it, which ends what a worker leaves behind
        v
      worker.py         holds kernels (kernels/*.py), one process a kernel
        | memory.py     how much of the machine's memory it may take
        | weights.py    a layer's own numbers, from a file
        | inputs.py     the arrays and the float64 answer
        | check.py      is the output right?
        | honesty.py    is it computed from the input, each time, in the time that it says?
        | surroundings.py   has the kernel left alone what it shares?
        | timing.py     the clock
        | ceilings.py   what a device that isn't the CPU can do
        | control.py    how fast the machine is meanwhile
        | conditions.py what the operating system says of it
        v
    results/<run>/visits.csv, blocks.csv        store.py, in rows of records.py
        | reader.py     the rows again, or what is wrong with them and where
        | quiet.py      which visits count: those that the machine let alone
        | estimate.py   one visit is one datum -> an estimate with its interval
        | peaks.py      what the machine could do
        | machine.py    what the machine is; driver.py its GPUs; facts.py reads it back
        v
    results/<run>/cells.csv, machine.json
        | table.py, units.py    the table and the headline
        | screen.py     what a run shows while it goes and when it ends
        | charts/*.py           one chart a file
        | deck/*.py             the same findings as slides; report.py the table in Markdown
        v
    plots/<run>/*.png, *.svg, deck.pptx

Another path leads from two commits to verdicts:

    sides.py -> rounds.py -> compare.py -> gate.py -> gate_report.py
    each side's kernels, rounds of blocks in turn, screen and confirm, decide, tell

Beside both: wheel.py chooses what `make` installs for a GPU, doctor/ says what can run here and
what to do about the rest; apart.py runs what may crash or hang.

`__main__.py` has the commands, `options.py` what their options mean, `session.py` a run from its
options to its last chart, `runs.py` where runs are on disk, `signals.py` what ends a command early,
`streams.py` the stdout and stderr that outlast their readers. `suite.py` runs the same cells under
pytest-benchmark. `downloads.py` says what `make` is about to fetch for optional kernels.
"""
