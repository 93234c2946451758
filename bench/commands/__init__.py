"""The commands: one a file, its options and what it prints; the work is done in the rooms below.

`history` has commands of its own (bench.history.command).
"""
