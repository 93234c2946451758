"""How many instructions a kernel's launches take: exact where a time is not.

    sources.py      what this machine can count with, or why it can't
    counting.py     the parent: a process a kernel, side and repeat; what each one found
        | task.json, counts.jsonl in a folder
    child.py        that process: opens cells, counts their launches (holds kernels/*.py)
        | callgrind.py  Valgrind's requests, from Python with nothing compiled
        | perf.py       the CPU's own counters, where the system gives them
    change.py       two sides' counts -> a change, and how exact it is

A count knows nothing of caches, of memory, of what an instruction costs, and of work that is done
on a GPU; but it is the same on a busy machine.
"""
