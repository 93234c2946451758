"""From two commits to verdicts: did a kernel get slower?

    checkouts.py   each side's kernels, from git
    rounds.py      fresh processes, blocks of the two sides in turn
    compare.py     screen every cell, confirm those that moved
    decide.py      rounds -> verdicts by time
    counts.py      instructions of both sides (bench.count), beside the times
    witnesses.py   time and count -> one verdict: a table
    report.py      what is told; junit.py for CI systems, comment.py for a pull request
    command.py     the whole comparison, from its options to its last file

environments.py says what else differs between the sides, accepted.py reads which slowdowns are
meant, calibration.py what runs of identical code differ by.
"""
