"""What passes between the processes of a run: lines with open files, arrays in shared memory."""
