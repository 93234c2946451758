"""What is on disk.

records.py       the rows of a run's CSV files, each column with its meaning
meanings.py      those meanings as a table for the documentation
reader.py        a CSV file -> rows, or one line that says what is wrong with it and where
older.py         what files of older versions say in another way
machine.py       machine.json as a type
store.py         a run's folder: append visits and blocks, read them back
run_folder.py    where runs are
"""
