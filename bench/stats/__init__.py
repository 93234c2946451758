"""From blocks to numbers: which visits count, a cell's time and its interval, speed-ups."""
