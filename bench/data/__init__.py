"""What is on disk.

records.py       the rows of a run's CSV files, each column with its meaning
meanings.py      those meanings as a table for the documentation
columns.py       what each column may hold: the rules of reader and writer
fit.py           rows made to keep them, before they are written
reader.py        a CSV file -> rows, or one line that says what is wrong with it and where
older.py         what files of older versions say in another way
machine.py       machine.json as a type
store.py         a run's folder: append visits and blocks, read them back
run_folder.py    where runs are
series.py        what a history says of one cell over many runs
"""
