"""Runs of several machines in one folder: `python -m bench merge`.

merge.py     which runs are the same one, and a folder with one of each
alike.py     which hosts are slow among their like, and what is missing
command.py   what the command does and says

Numbers are compared over hosts and never pooled: a run stays as it came, in a folder of its own.
"""
