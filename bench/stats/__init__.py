"""From blocks to numbers.

disturbance.py   which visits count: those that the machine let alone
cell_visits.py   visits and blocks, by cell
interval.py      numbers, one a visit -> their median and its 95 % interval
estimate.py      a cell's visits -> its status and time
speedup.py       its speed-up over python_loop
prediction.py    what a launch will take, from what smaller cases took
cells.py         all of it as rows of cells.csv
run_data.py      a run on disk, read once: what show/ and a resumed run are made from
"""
