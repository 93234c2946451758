"""What was measured over time, kept in one database file.

    runs, and the head sides of comparisons
        | machines.py   which machine, and what its times depend on
        | database.py   runs in, series out; schema.py: the file, its tables and their versions
        v
    series
        | changes.py    where a series changed its level, by how much, and what else changed there
        v
    told.py             tables and sentences; the chart is bench.show.pictures.history
    export.py           the same for other programs

`keep.py` adds a run as it ends; `command.py` is `python -m bench history`.
"""
