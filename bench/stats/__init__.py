"""From blocks to numbers.

measured.py      what good visits measured, and which of them count
cell_visits.py   visits and what they measured, by cell
adjust/          all blocks of a run -> each cell's time on a core left alone
times.py         the same from a run's cells: a GPU's own time is left as it is
estimate.py      a cell's visits and time -> its status
speedup.py       its speed-up over python_loop
interval.py      numbers, one a round -> their median and its 95 % interval
prediction.py    what a launch will take: a model of its cost, fitted to what other cases took
cells.py         all of it as rows of cells.csv
run_data.py      a run on disk, read once: what show/ and a resumed run are made from
"""
