"""What is on disk: the rows of a run's files, their reader and writer, machine.json, folders."""
