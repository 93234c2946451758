"""Runs of several machines in one folder, whoever launched them: `merge`, and `fleet` on Dask.

merge.py     which runs are the same one, and a folder with one of each
alike.py     which hosts are slow among their like, and what is missing

asked.py     what a fleet is to run, checked and kept
hosts.py     a host: its row, how often it is tried, by which worker
run.py       who is there, what came back, what begins next, until when
cluster.py   the Dask cluster; nothing else here imports Dask
on_host.py   a run on a host, inside a Dask worker
child.py     the process between them, which ends the run with the worker
back.py      a run that comes back, checked

command.py   what the commands do and say

Numbers are compared over hosts and never pooled: a run stays as it came, in a folder of its own.
"""
